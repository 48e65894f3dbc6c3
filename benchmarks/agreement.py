"""No time counts before the result is right: the steps of a trainer, held against certified arithmetic.

On a data set of a single mini-batch an epoch is one step, whatever the order of its samples, so the very code that is
timed is asked.

**SGD.** One step with a large rate. The gradient that it implies, ĝ = (θ₀ − θ₁) / η, may miss the exact g by three
things (u is the unit roundoff of the task's precision, B the samples of the mini-batch, γₙ = nu / (1 − nu)):

- what careful arithmetic loses on g itself: the allowance A. The update may be fused into the sum over the samples,
  each product taken times η with at most two more roundings; since A ≥ u Σ|terms|, that adds at most 2A.
- the roundings that act on θ₀ when the sum is accumulated onto it, at most B + 2 of them: γ(B+2) |θ₀| / η.
- the rounding of θ₁ = θ₀ − η ĝ when it is subtracted last: u |θ₁| / η.

η is a power of two, so that dividing by it is exact, and large, so that the last two are small beside g; the
subtraction here is done in float64, with one rounding.

**Adam.** Its first step is −η g / (|g| + ε) and hardly depends on the size of g where ε is small: a gradient that is
ten times too large gives the same step. So it is asked twice. First with ε far above every |g|, and η / ε as large as
SGD's rate: the step is then −(η / ε) g nearly, and shows the gradient, at ``SHOWN`` entries of each parameter. Then
with the hyperparameters that are timed but for a rate that shows, over ``STEPS`` steps: they show how the moments decay
and how they are corrected. There, since the rule is the same for each entry, ``ENTRIES`` entries of each parameter are
followed. Each step is judged by ``refimpl.updates`` from the parameters before it, from every gradient that careful
arithmetic may have at them (``verify.trajectories.gradients_of``), and from every state that the steps before may have
left.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from benchmarks.peers import Peer, Trainer
from benchmarks.tasks import Task
from gradproof.errors import GradproofError
from gradproof.optimiser import Optimiser
from gradproof.update import GRADIENT, Update
from gradproof.verdict import Verdict
from refimpl.allowance import Bound, allowance
from refimpl.enclosure import ProgramEnclosure, enclosure
from refimpl.updates import update_allowance, update_enclosure
from verify.trajectories import Trajectory, gradients_of, judge_trajectory

STEPS: Final = 3
"""Steps that Adam is followed for: the second is the first that shows how state decays."""

ENTRIES: Final = 256
"""Entries of each parameter that are followed over these steps: the first and the last ones, which compiled loops may
treat apart, and random ones."""

SHOWN: Final = 2**16
"""Entries of each parameter, likewise, at which the step that shows the gradient is looked at: all, but for the largest
network."""

FOLLOWED_UP_TO: Final = 200_000
"""Parameters of a network up to which Adam is followed beyond its first step: enclosing the gradient anew at what each
trainer left would take minutes for a larger one, which runs the same code."""

PROVING_RATE: Final = 2.0**10
"""What a step that shows its gradient multiplies it by: so large that the parameters before it hide nothing of it."""

FOLLOWING_RATE: Final = 2.0**-10
"""Adam's, where it is followed over steps: it moves every parameter by thousands of units in its last place."""

PROVING_EPSILON: Final = 2.0**6
"""An ε far above every gradient here."""


class DisagreementError(GradproofError):
    """A trainer's step is not the one that it claims."""


class Agreement:
    """What the steps of a task must be. What does not depend on the trainer is worked out once."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._case = task.one_step().case
        self._gradients = cache(lambda: gradients_of(self._case))
        self._first = cache(self._first_step)
        self._exact = cache(self._exact_gradient)

    def refuse_wrong_steps(self, peer: Peer) -> None:
        """Lets the peer train on single mini-batches.

        Raises DisagreementError, naming the worst entry, where a step proves to lie outside what careful arithmetic
        can give.
        """
        if self.task.optimiser.variant == "sgd":
            proving = replace(self.task.optimiser, rate=PROVING_RATE)
            self._refuse_wrong_descent(peer.trainer(self.task.one_step(proving)), proving.rate)
            return
        proving = replace(self.task.optimiser, rate=PROVING_RATE * PROVING_EPSILON, epsilon=PROVING_EPSILON)
        self._refuse_wrong_gradient(peer.trainer(self.task.one_step(proving)), peer.rule(proving))
        if sum(array.size for array in self._case.parameters.values()) <= FOLLOWED_UP_TO:
            following = replace(self.task.optimiser, rate=FOLLOWING_RATE)
            self._refuse_wrong_rule(peer.trainer(self.task.one_step(following)), peer.rule(following))

    def _refuse_wrong_descent(self, trainer: Trainer, rate: float) -> None:
        exact, allowed = self._exact()
        roundoff = float(np.finfo(self._case.dtype).eps) / 2
        gamma = (self.task.batch + 2) * roundoff / (1 - (self.task.batch + 2) * roundoff)
        for name, later in _after(trainer, 1, self._case.parameters).items():
            before = np.asarray(self._case.parameters[name], dtype=np.float64)
            implied = (before - later) / rate
            bound = 3 * allowed[name] + (gamma * np.abs(before) + roundoff * np.abs(later)) / rate
            bound += np.finfo(np.float64).eps * np.abs(implied)
            self._refuse(exact, name, implied, bound, "implies the gradient")

    def _refuse_wrong_gradient(self, trainer: Trainer, rule: Optimiser) -> None:
        exact, allowed = self._first(rule)
        for name, later in _after(trainer, 1, self._case.parameters).items():
            places = _places(later.size, SHOWN)
            got = later.reshape(-1)[places]
            self._refuse(exact, name, got, allowed[name], f"with epsilon {rule.epsilon:g} gives", places)

    def _refuse_wrong_rule(self, trainer: Trainer, rule: Optimiser) -> None:
        parameters = [_part(self._case.parameters, ENTRIES)]
        gradients, radii = ([_part(arrays, ENTRIES)] for arrays in self._gradients())
        for step in range(1, STEPS + 1):
            later = _after(trainer, step, self._case.parameters)
            parameters.append(_part(later, ENTRIES))
            if not all(np.all(np.isfinite(array)) for array in later.values()):
                break
            if step < STEPS:
                centre, radius = gradients_of(self._case.replace(parameters=later))
                gradients.append(_part(centre, ENTRIES))
                radii.append(_part(radius, ENTRIES))
        trajectory = Trajectory(parameters, gradients, dtype=self._case.dtype, gradient_radii=radii)
        judged = judge_trajectory(rule, trajectory)
        if judged.verdict not in (Verdict.CORRECT, Verdict.UNDECIDED):
            raise DisagreementError(f"{self.task.name}: {judged.first}, by {rule}")

    def _exact_gradient(self) -> tuple[ProgramEnclosure, Mapping[str, Bound]]:
        exact = enclosure(self._case)
        return exact, allowance(self._case, enclosed=exact).rigorous

    def _first_step(self, rule: Optimiser) -> tuple[ProgramEnclosure, Mapping[str, Bound]]:
        centres, radii = (_part(arrays, SHOWN) for arrays in self._gradients())
        before = _part(self._case.parameters, SHOWN)
        update = Update(rule, before, centres, {}, step=1, dtype=self._case.dtype, uncertainty={GRADIENT: radii})
        exact = update_enclosure(update)
        return exact, update_allowance(update, enclosed=exact).rigorous

    def _refuse(
        self,
        exact: ProgramEnclosure,
        name: str,
        got: npt.NDArray[np.float64],
        bound: Bound,
        does: str,
        places: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """places: of the entries that are looked at, in the flat parameter; None for all."""
        with np.errstate(invalid="ignore"):  # inf - inf: a step that is not finite, refused below
            excess = exact.distance(name, got) - bound
        if np.all(excess <= 0):
            return
        worst = int(np.argmax(np.where(np.isnan(excess), np.inf, excess)))
        index = tuple(int(i) for i in np.unravel_index(worst, excess.shape))
        place = worst if places is None else places[worst]
        where = [int(i) for i in np.unravel_index(place, self._case.parameters[name].shape)]
        raise DisagreementError(
            f"{self.task.name}: the step of {name}{where} {does} {float(got[index])!r}, exact is "
            f"{exact.decimal(name, index)}, and careful arithmetic is within {bound[index]:.3g}"
        )


def _after(trainer: Trainer, epochs: int, wanted: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[np.float64]]:
    trainer.run(epochs)
    after = trainer.parameters()
    return {name: np.asarray(after[name], dtype=np.float64) for name in wanted}


def _part(arrays: Mapping[str, npt.ArrayLike], most: int) -> dict[str, npt.NDArray[np.float64]]:
    """At most so many entries of each parameter, flat."""
    flat = {name: np.asarray(array, dtype=np.float64).reshape(-1) for name, array in arrays.items()}
    return {name: array[_places(array.size, most)] for name, array in flat.items()}


def _places(size: int, most: int) -> npt.NDArray[np.int64]:
    """Places of the entries that are looked at, in the flat parameter."""
    if size <= most:
        return np.arange(size)
    edge = most // 8
    inner = np.random.default_rng(size).choice(np.arange(edge, size - edge), most - 2 * edge, replace=False)
    return np.concatenate([np.arange(edge), np.sort(inner), np.arange(size - edge, size)])

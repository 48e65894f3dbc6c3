"""No time counts before the result is right: one step of a trainer, held against the certified gradient.

On a data set of a single mini-batch an epoch is one step, whatever the order, so the very code that is timed is
asked. The gradient that the step implies, ĝ = (θ₀ − θ₁) / η, may miss the exact g by three things (u is the unit
roundoff of the task's precision, B the samples of the mini-batch, γₙ = nu / (1 − nu)):

- what careful arithmetic loses on g itself: the allowance A. The update may be fused into the sum over the samples,
  each product taken times η with at most two more roundings; since A ≥ u Σ|terms|, that adds at most 2A.
- the roundings that act on θ₀ when the sum is accumulated onto it, at most B + 2 of them: γ(B+2) |θ₀| / η.
- the rounding of θ₁ = θ₀ − η ĝ when it is subtracted last: u |θ₁| / η.

η is a power of two, so that dividing by it is exact, and large, so that the last two are small beside g; the
subtraction here is done in float64, with one rounding.
"""

from __future__ import annotations

import numpy as np

from benchmarks.peers import Trainer
from benchmarks.tasks import Task
from gradproof.errors import GradproofError
from refimpl.allowance import allowance
from refimpl.enclosure import enclosure


class DisagreementError(GradproofError):
    """A trainer's step is not the gradient's."""


def refuse_wrong_step(trainer: Trainer, task: Task) -> None:
    """Lets ``trainer``, newly made from the one-step ``task``, take its step.

    Raises DisagreementError, naming the worst entry, where the step proves to lie outside what careful arithmetic
    can give.
    """
    if task.steps != 1:
        raise DisagreementError(f"{task.name}: one step an epoch can be checked, got {task.steps}")
    exact, allowed = enclosure(task.case), allowance(task.case)
    roundoff = float(np.finfo(task.case.dtype).eps) / 2
    gamma = (task.batch + 2) * roundoff / (1 - (task.batch + 2) * roundoff)
    trainer.run(1)
    after = trainer.parameters()
    for name in task.case.network.trainable:
        before = np.asarray(task.case.parameters[name], dtype=np.float64)
        later = np.asarray(after[name], dtype=np.float64)
        implied = (before - later) / task.rate
        bound = 3 * allowed.rigorous[name] + (gamma * np.abs(before) + roundoff * np.abs(later)) / task.rate
        bound += np.finfo(np.float64).eps * np.abs(implied)
        with np.errstate(invalid="ignore"):  # inf - inf: a step that is not finite, refused below
            excess = exact.distance(name, implied) - bound
        if np.any(~(excess <= 0)):
            worst = int(np.argmax(np.where(np.isnan(excess), np.inf, excess)))
            index = tuple(int(i) for i in np.unravel_index(worst, excess.shape))
            raise DisagreementError(
                f"{task.name}: the step of {name}{list(index)} implies the gradient {float(implied[index])!r}, "
                f"exact is {exact.decimal(name, index)}, and careful arithmetic is within {bound[index]:.3g}"
            )

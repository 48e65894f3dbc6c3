"""What an optimiser may do instead of what it is declared to do: the tabulated variants, and known mistakes.

Each candidate turns an optimiser and a trajectory into those by which the same numbers would be right.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec.structs import force_setattr
from msgspec.structs import replace as changed

from gradproof.arrays import Array
from gradproof.optimiser import DECAY_PLACES, OPTIMISERS, ClipBy, Clipping, Optimiser, Schedule, WeightDecay
from verify.trajectories import Trajectory

Piece = tuple[Optimiser, Trajectory]
Change = Callable[[Optimiser, Trajectory], Sequence[Piece]]


@dataclass(frozen=True)
class Candidate:
    """What an optimiser may do instead of what it is declared to do.

    change: the optimiser and trajectories, each to be judged by itself, by which its numbers would be right.
    aspect: what of the optimiser it changes; two candidates of different aspects may be combined.
    """

    name: str
    aspect: str
    words: str
    mend: str
    change: Change
    convention: bool = False


def _as(change: Callable[[Optimiser], Optimiser | None]) -> Change:
    """A candidate that is another optimiser on the same trajectory; nothing where it would be the same one."""

    def pieces(optimiser: Optimiser, path: Trajectory) -> Sequence[Piece]:
        other = change(optimiser)
        return [(optimiser if other is None else other, path)]

    return pieces


def _rule(variant: str) -> Candidate:
    def change(optimiser: Optimiser) -> Optimiser | None:
        same = OPTIMISERS[variant].family in (optimiser.word.family, "sgd")
        if not same or (variant == "sgd" and optimiser.word.family != "momentum"):
            return None
        own = {name: optimiser.hyperparameters.get(name) for name in OPTIMISERS[variant].hyperparameters}
        parts = {"decay": optimiser.decay, "clipping": optimiser.clipping, "schedule": optimiser.schedule}
        return Optimiser(variant, optimiser.rate, **own, **parts)  # type: ignore[arg-type]

    words = f"the steps are those of {variant}: {{its}}"
    return Candidate(f"rule/{variant}", "rule", words, f"declare {variant}, or compute {{declared}}", _as(change), True)


def _decay(change: Callable[[WeightDecay], WeightDecay | None]) -> Change:
    def other(optimiser: Optimiser) -> Optimiser | None:
        return None if optimiser.decay is None else changed(optimiser, decay=change(optimiser.decay))

    return _as(other)


def _decay_at(place: str) -> Candidate:
    where = {
        "gradient": "added to the gradient, before momentum and moments (L2 regularisation)",
        "decoupled": "taken off the parameter beside the update, times the rate (AdamW as torch has it)",
        "decoupled_after": "taken off the parameter after the update",
        "decoupled_schedule": "taken off the parameter times the schedule alone, without the base rate",
    }[place]

    def change(decay: WeightDecay) -> WeightDecay:
        return changed(decay, place=place)

    words = f"decay is {where}"
    return Candidate(f"decay/{place}", "decay", words, f'declare decay="l2/{place}", or move it', _decay(change), True)


def _strength(factor: float) -> Callable[[WeightDecay], WeightDecay]:
    def change(decay: WeightDecay) -> WeightDecay:
        other = changed(decay)
        force_setattr(other, "strength", factor * decay.strength)  # below 0 too, which no declaration admits
        return other

    return change


def _clip(change: Callable[[Clipping], Clipping | None]) -> Change:
    def other(optimiser: Optimiser) -> Optimiser | None:
        if optimiser.clipping is None:
            return None
        clipping = change(optimiser.clipping)
        coupled = optimiser.decay is not None and optimiser.decay.place == "gradient"
        if clipping is not None and clipping.after_decay and not coupled:
            return None
        return changed(optimiser, clipping=clipping)

    return _as(other)


def _clip_by(form: ClipBy, kept: bool) -> Candidate:
    """Clipping by another form of the norm, with or without the declared ε."""
    says = {"norm": "min(1, c/(n + epsilon))", "norm_if_above": "c/(n + epsilon) where the norm n is above c"}[form]

    def change(clipping: Clipping) -> Clipping:
        return changed(clipping, by=form, epsilon=clipping.epsilon if kept else 0.0)

    words = f"gradients are clipped by {says}{'' if kept else ', its epsilon 0'}"
    fixed = "" if kept else " with clip_epsilon fixed to 0"
    mend = f'declare clipping="{form}"{fixed}, or compute what is declared'
    name = f"clipping/{form}{'' if kept else ' without epsilon'}"
    return Candidate(name, "clipping", words, mend, _clip(change), True)


def _schedule(change: Callable[[Schedule], Schedule]) -> Change:
    return _as(lambda optimiser: changed(optimiser, schedule=change(optimiser.schedule)))


def _swapped(optimiser: Optimiser) -> Optimiser | None:
    if optimiser.beta1 is None or optimiser.beta2 is None:
        return None
    return changed(optimiser, beta1=optimiser.beta2, beta2=optimiser.beta1)


def _given(change: Callable[[Sequence[Mapping[str, Array]]], list[dict[str, Array]]]) -> Change:
    """The same optimiser on other gradients than it was given."""

    def pieces(optimiser: Optimiser, path: Trajectory) -> Sequence[Piece]:
        gradients = [{name: np.asarray(array) for name, array in each.items()} for each in path.gradients]
        return [(optimiser, Trajectory(path.parameters, change(gradients), path.states, dtype=path.dtype))]

    return pieces


def _summed(gradients: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    sums: list[dict[str, Array]] = []
    for each in gradients:
        sums.append({name: array + sums[-1][name] if sums else array for name, array in each.items()})
    return sums


def _negative(gradients: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    return [{name: -array for name, array in each.items()} for each in gradients]


def _late(gradients: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    first = {name: np.zeros_like(array) for name, array in gradients[0].items()}
    return [first, *(dict(each) for each in gradients[:-1])]


def _averaged(optimiser: Optimiser) -> Optimiser | None:
    """The gradient counts 1 − μ in the velocity, as in an exponential moving average."""
    if optimiser.word.family != "momentum" or optimiser.variant.startswith("nesterov") or optimiser.dampening:
        return None
    parts = {"decay": optimiser.decay, "clipping": optimiser.clipping, "schedule": optimiser.schedule}
    mu = optimiser.momentum
    return Optimiser("momentum_dampened", optimiser.rate, momentum=mu, dampening=mu, **parts)  # type: ignore[arg-type]


def _one_ahead(optimiser: Optimiser, path: Trajectory) -> Sequence[Piece]:
    """Steps are counted from 2, with state that starts at 0 all the same.

    It shows in Adam's bias correction; what else depends on the number is the schedule, which has its own candidate.
    """
    if optimiser.word.family != "adam":
        return [(optimiser, path)]
    zeros = {name: np.zeros(np.shape(array)) for name, array in path.parameters[0].items()}
    start = dict.fromkeys(optimiser.word.state, zeros)
    states = [start, *(path.states[1:] or [{}] * len(path))]
    return [(optimiser, Trajectory(path.parameters, path.gradients, states, first=2, dtype=path.dtype))]


def _forgetful(optimiser: Optimiser, path: Trajectory) -> Sequence[Piece]:
    """Every step is made as if it were the first; where that is SGD it has its own name."""
    if optimiser.variant in ("momentum", "momentum_torch"):
        return [(optimiser, path)]
    return [
        (optimiser, Trajectory(path.parameters[k : k + 2], path.gradients[k : k + 1], dtype=path.dtype))
        for k in range(len(path))
    ]


def _apart(optimiser: Optimiser, path: Trajectory) -> Sequence[Piece]:
    """Every parameter is stepped by itself."""
    if optimiser.clipping is None or optimiser.clipping.by == "value":
        return [(optimiser, path)]
    pieces = []
    for name in path.parameters[0]:
        alone = None
        if optimiser.decay is not None:
            kept = tuple(excluded for excluded in optimiser.decay.excluded if excluded == name)
            alone = changed(optimiser.decay, excluded=kept)
        states = [{key: {name: held[name]} for key, held in each.items() if name in held} for each in path.states]
        parameters = [{name: each[name]} for each in path.parameters]
        gradients = [{name: each[name]} for each in path.gradients]
        pieces.append((changed(optimiser, decay=alone), Trajectory(parameters, gradients, states, dtype=path.dtype)))
    return pieces


CANDIDATES: Final[tuple[Candidate, ...]] = (
    *map(_rule, OPTIMISERS),
    Candidate(
        "momentum/averaged",
        "rule",
        "momentum is an average of the gradients: each counts 1 - mu times, as in v <- mu v + (1 - mu) g",
        "add the gradient whole, or declare momentum_dampened and compute its dampening",
        _as(_averaged),
        True,
    ),
    *map(_decay_at, DECAY_PLACES),
    Candidate("decay/ignored", "decay", "weight decay is ignored", "add it", _decay(lambda decay: None)),
    Candidate(
        "decay/sign",
        "decay",
        "weight decay has the wrong sign: it makes the parameters grow",
        "take it off the parameter (add it to the gradient)",
        _decay(_strength(-1.0)),
    ),
    Candidate(
        "decay/twice",
        "decay",
        "weight decay is twice what it should be: the derivative of lambda w^2, not of lambda/2 w^2",
        "decay by lambda w",
        _decay(_strength(2.0)),
        True,
    ),
    Candidate(
        "decay/half",
        "decay",
        "weight decay is half of what it should be",
        "decay by lambda w",
        _decay(_strength(0.5)),
        True,
    ),
    Candidate("clipping/ignored", "clipping", "gradients are not clipped", "clip them", _clip(lambda clipping: None)),
    Candidate(
        "clipping/before decay",
        "clipping",
        "gradients are clipped before decay is added",
        "add decay first, or declare clip_after_decay=False",
        _clip(lambda clipping: changed(clipping, after_decay=False)),
        True,
    ),
    Candidate(
        "clipping/after decay",
        "clipping",
        "gradients are clipped with the decay in them",
        "clip first, or declare clip_after_decay=True",
        _clip(lambda clipping: changed(clipping, after_decay=True)),
        True,
    ),
    Candidate(
        "clipping/value",
        "clipping",
        "gradients are clipped by value, entry by entry",
        'clip by their norm, or declare clipping="value"',
        _clip(lambda clipping: changed(clipping, by="value", epsilon=0.0)),
        True,
    ),
    *itertools.starmap(_clip_by, itertools.product(("norm", "norm_if_above"), (True, False))),
    Candidate(
        "clipping/each by itself",
        "clipping",
        "gradients are clipped by the norm of each parameter, not by that of all together",
        "take one norm over all parameters",
        _apart,
    ),
    Candidate(
        "schedule/early",
        "schedule",
        "the schedule is a step ahead: it is stepped before the first update",
        "step the schedule after the update",
        _schedule(lambda schedule: changed(schedule, offset=schedule.offset + 1)),
    ),
    Candidate(
        "schedule/ignored",
        "schedule",
        "the schedule is ignored: the rate stays what it is at first",
        "multiply the rate by the schedule at every step",
        _schedule(lambda schedule: Schedule()),
    ),
    Candidate("betas/swapped", "betas", "beta1 and beta2 are swapped", "swap them back", _as(_swapped)),
    Candidate(
        "steps/one ahead",
        "counting",
        "the steps are counted one ahead: the first is made as if it were the second",
        "count the first step as 1",
        _one_ahead,
    ),
    Candidate(
        "state/lost",
        "state",
        "the state is lost between steps: every step is made as if it were the first",
        "keep the state from step to step",
        _forgetful,
    ),
    Candidate(
        "gradients/summed",
        "gradients",
        "the gradients of all steps so far are added up: they are not zeroed between steps",
        "zero the gradients after each step",
        _given(_summed),
    ),
    Candidate(
        "gradients/sign",
        "gradients",
        "the parameters go up the gradient, not down",
        "take the update off",
        _given(_negative),
    ),
    Candidate(
        "gradients/late",
        "gradients",
        "each step uses the gradient of the step before",
        "update the state before it is used",
        _given(_late),
    ),
)


def canonical(optimiser: Optimiser) -> Optimiser:
    """One of the optimisers that make the same steps by mathematics, the same for all of them.

    At a constant rate the velocity v of ``momentum`` is −η times the buffer b of ``momentum_torch`` without dampening,
    and likewise for Nesterov's; without momentum all of them are SGD. For SGD, decoupled decay is decay of the
    gradient where nothing is clipped. ε = 0 makes both forms of clipping one.
    """
    dampened = bool(optimiser.dampening) and optimiser.variant == "momentum_dampened"
    if optimiser.word.family == "momentum" and optimiser.momentum == 0 and not dampened:
        parts = {"decay": optimiser.decay, "clipping": optimiser.clipping, "schedule": optimiser.schedule}
        optimiser = Optimiser("sgd", optimiser.rate, **parts)  # type: ignore[arg-type]
    constant = optimiser.schedule == Schedule()
    if constant and not optimiser.dampening and optimiser.variant in ("momentum_torch", "momentum_dampened"):
        optimiser = _replaced(optimiser, "momentum")
    if constant and not optimiser.dampening and optimiser.variant == "nesterov_torch":
        optimiser = _replaced(optimiser, "nesterov")
    decay, clipping = optimiser.decay, optimiser.clipping
    if optimiser.variant == "sgd" and clipping is None and decay is not None and decay.place == "gradient":
        optimiser = changed(optimiser, decay=changed(decay, place="decoupled"))
    if clipping is not None and clipping.by == "norm_if_above" and clipping.epsilon == 0:
        optimiser = changed(optimiser, clipping=changed(clipping, by="norm"))
    return optimiser


def _replaced(optimiser: Optimiser, variant: str) -> Optimiser:
    parts = {"decay": optimiser.decay, "clipping": optimiser.clipping, "schedule": optimiser.schedule}
    return Optimiser(variant, optimiser.rate, momentum=optimiser.momentum, **parts)  # type: ignore[arg-type]

"""Which slope an implementation takes at a kink: at 0, ReLU's derivative may be 0, 1, ½ or anything between.

All of them are admissible. What is told here is which one an implementation takes, and whether it always takes the
same; none of it is a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gradproof.gradients import LOSS, OUTPUTS
from refimpl.kinks import TIE, Kind

Met = Mapping[Kind, frozenset[Fraction]]
"""Per kind of kink the choices c that agree with an answer: at hinges the slope below + c · (above − below), at ties 0
for the first takes all, ½ for the same to each, 1 for the last takes all."""

CHOICES = (Fraction(0), Fraction(1, 2), Fraction(1))
MOST_KINDS = 4
"""With more kinds of kinks in one case (branches of many different leaky ReLUs) nothing is told: 3**n combinations."""


class Kinked(Protocol):
    """What is asked of an enclosure; ``refimpl.enclosure.Enclosure`` says what each member means."""

    @property
    def kinds_met(self) -> frozenset[Kind]: ...  # noqa: D102
    def under(self, choose: Callable[[Kind], Fraction]) -> Any: ...  # noqa: D102


def met(enclosed: Kinked, given: Mapping[str, npt.ArrayLike], allowed: Mapping[str, npt.NDArray[np.float64]]) -> Met:
    """The choices that an answer to one case agrees with, for each kind of kink that the case meets.

    One choice for all kinks of a kind is tried; a kind without any that agrees was treated in several ways.
    """
    kinds = sorted(enclosed.kinds_met)
    if not 0 < len(kinds) <= MOST_KINDS:
        return {}
    agreeing: dict[Kind, set[Fraction]] = {kind: set() for kind in kinds}
    for combination in product(CHOICES, repeat=len(kinds)):
        chosen = dict(zip(kinds, combination, strict=True))
        under = enclosed.under(chosen.__getitem__)
        gradients = [name for name in given if name not in (LOSS, OUTPUTS)]
        if all(np.all(under.distance(name, given[name]) <= allowed[name]) for name in gradients):
            for kind, choice in chosen.items():
                agreeing[kind].add(choice)
    return {kind: frozenset(choices) for kind, choices in agreeing.items()}


def told(cases: Iterable[Met]) -> tuple[str, ...]:
    """What the answers to many cases say together, a sentence for each kind of kink that tells something."""
    common: dict[Kind, frozenset[Fraction]] = {}
    for case in cases:
        for kind, choices in case.items():
            common[kind] = common.get(kind, choices) & choices
    return tuple(sentence for kind, choices in sorted(common.items()) if (sentence := _sentence(kind, choices)))


def _sentence(kind: Kind, choices: frozenset[Fraction]) -> str | None:
    if len(choices) == len(CHOICES):
        return None  # no case tells them apart
    if kind.tie:
        what = _TIES.get(kind.name.removeprefix(TIE), kind.name.removeprefix(TIE))
        if not choices:
            return f"Where several tie for {what}, the target does not always pass the gradient on in the same way."
        ways = " or ".join(_SHARES[choice] for choice in sorted(choices))
        return f"Where several tie for {what}, in the target {ways}."
    where, what = _HINGES.get(kind.name, ("0", "a slope"))
    if kind.name == "leaky_relu":
        what = f"{what} with slope {float(kind.below):g}"
    if not choices:
        return f"At {where} the target does not always take {what} to be the same."
    below, above = kind.below, kind.above
    slopes = " or ".join(f"{float(below + choice * (above - below)):g}" for choice in sorted(choices))
    return f"At {where} the target takes {what} to be {slopes}."


_HINGES: Mapping[str, tuple[str, str]] = {
    "relu": ("0", "ReLU's derivative"),
    "leaky_relu": ("0", "the derivative of leaky ReLU"),
    "elu": ("0", "ELU's derivative"),
    "hard_tanh": ("its ends", "hard tanh's derivative"),
    "clip": ("its ends", "the derivative of clipped probabilities"),
    "l1": ("0", "the derivative of |θ| (the L1 penalty)"),
}
"""A hinge's name → where it bends, and what has that slope."""
_TIES: Mapping[str, str] = {"maxout": "the greatest piece of a maxout unit"}
"""A tie's name → what is the greatest of several."""
_SHARES: Mapping[Fraction, str] = {
    Fraction(0): "the first takes the whole gradient",
    Fraction(1, 2): "each takes the same share of the gradient",
    Fraction(1): "the last takes the whole gradient",
}

"""Mistakes at dropout layers: masks and scales left out, and dropout of another kind."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from refimpl.language import Node, ones, scale
from verify.mistakes.mistake import Mistake
from verify.mistakes.moves import DropoutOutput, ThroughDropout

SCALE = "1/(1 − p)"


def _grown(x: Node, probability: float) -> Node:
    """X / (1 − p)."""
    return scale(x, 1 / (1 - Fraction(probability)))


def _backward(name: str, words: str, mend: str, change: Callable[[ThroughDropout], Node | None]) -> Mistake:
    return Mistake(name, words, mend, ((ThroughDropout, change),), local=False)


def _forward(name: str, words: str, mend: str, change: Callable[[DropoutOutput], Node | None]) -> Mistake:
    return Mistake(name, words, mend, ((DropoutOutput, change),), local=False)


def _by_probability(m: DropoutOutput) -> Node | None:
    probability = Fraction(m.layer.probability)
    return scale(m.x * m.mask, 1 / probability) if probability not in (0, Fraction(1, 2)) else None


MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "dropout not inverted",
        f"what dropout keeps is not scaled by {SCALE}, neither forwards nor backwards",
        f"multiply what is kept by {SCALE}; evaluation by 1 − p in its place is another convention",
        ((DropoutOutput, lambda m: m.x * m.mask if m.layer.probability else None),),
        local=False,
        convention=True,
    ),
    _forward(
        "dropout left out",
        "dropout drops nothing: the network is run as if it were evaluated",
        f"multiply by the mask and by {SCALE}, forwards and backwards",
        lambda m: m.x,
    ),
    _forward(
        "dropout of the kept",
        "the entries that the mask keeps are dropped, and the others kept",
        "the mask is True, or 1, where an entry is kept",
        lambda m: _grown(m.x * (ones(m.x.shape) - m.mask), m.layer.probability),
    ),
    _forward(
        "dropout scaled by 1/p",
        f"what dropout keeps is scaled by 1/p, not by {SCALE}",
        f"p is the probability to be dropped: scale by {SCALE}",
        _by_probability,
    ),
    _backward(
        "mask missing",
        "the error passes back through dropout without its mask",
        "multiply by the mask of the forward pass",
        lambda m: _grown(m.delta, m.layer.probability),
    ),
    _backward(
        "dropout scale missing",
        f"the error passes back through dropout without its scale {SCALE}",
        f"multiply by the mask and by {SCALE}, as forwards",
        lambda m: m.delta * m.mask if m.layer.probability else None,
    ),
    _backward(
        "dropout not passed back",
        "the error passes back past dropout as it is, with neither mask nor scale",
        f"multiply by the mask and by {SCALE}, as forwards",
        lambda m: m.delta,
    ),
)

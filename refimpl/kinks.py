"""Kinks: which gradients backpropagation may give where an argument of a hinge is exactly 0.

At each such place an implementation picks a slope between the one-sided ones, below + c · (above − below) with a
choice c in [0, 1]; the picks are independent. Every gradient entry is affine in each single choice, since a reverse
path passes a hinge at most once; so over the box of all choices its extremes are taken at the corners, and the hull
of the corners' values is the set of admissible values, entry by entry. Up to ENUMERATED kinks all corners are
computed; beyond, interval arithmetic gives an outer hull, which may be wider.

This is what the chain rule applied with some slope at each kink gives (a conservative gradient: Bolte and Pauwels,
*Conservative set valued fields, automatic differentiation, stochastic gradient methods and deep learning*, 2021). It
is not Clarke's subdifferential, which can be smaller: relu(x) − relu(−x) at 0 has slope 0 in every framework, while
Clarke admits 1 alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from refimpl.arithmetic import Values, evaluate
from refimpl.balls import BallArithmetic
from refimpl.language import Node, Step

ENUMERATED = 10
"""Up to so many kinks all 2**n corners are computed."""

Kind = tuple[Fraction, Fraction]
"""The one-sided slopes (below, above) of a hinge: (0, 1) for ReLU, (−1, 1) for |θ|."""


class ChosenArithmetic(BallArithmetic):
    """Balls, with a choice made at each kink: ``choose`` gives c for the kink's number and kind."""

    def __init__(self, choose: Callable[[int, Kind], Fraction]) -> None:
        super().__init__()
        self.choose = choose

    def at_kink(self, below: Fraction, above: Fraction) -> Any:
        choice = self.choose(self.kinks - 1, (below, above))
        return self.number(below + choice * (above - below))


def rerun(
    order: Sequence[Node], values: Mapping[int, Values], arithmetic: BallArithmetic, leaves: Mapping[str, Values]
) -> dict[int, Values]:
    """A program's values with the slopes at kinks chosen anew: steps, and what depends on them, are computed again."""
    found = dict(values)
    changed: set[int] = set()
    for node in order:
        if isinstance(node.primitive, Step) or any(id(operand) in changed for operand in node.operands):
            operands = tuple(found[id(operand)] for operand in node.operands)
            found[id(node)] = evaluate(node, arithmetic, operands, leaves)
            changed.add(id(node))
    return found


def corner_ends(
    results: Sequence[Node],
    kinks: int,
    order: Sequence[Node],
    values: Mapping[int, Values],
    leaves: Mapping[str, Values],
) -> dict[int, tuple[Values, Values]]:
    """For each result, by identity, its least and its greatest value over all corners, entry by entry.

    Two balls an entry and not one around both: a radius has 30 bits, which would widen a set by 1e-9 of its size.
    """
    found: dict[int, tuple[Values, Values]] = {}
    for corner in product((Fraction(0), Fraction(1)), repeat=kinks):
        here = rerun(order, values, ChosenArithmetic(_pick(corner)), leaves)
        for node in results:
            value = here[id(node)]
            low, high = found.get(id(node), (value, value))
            found[id(node)] = (_pairwise(low, value, least=True), _pairwise(high, value, least=False))
    return found


def _pick(corner: Sequence[Fraction]) -> Callable[[int, Kind], Fraction]:
    return lambda number, _: corner[number]


def _pairwise(one: Values, other: Values, *, least: bool) -> Values:
    result = np.empty(one.shape, dtype=object)
    pairs = zip(one.reshape(-1), other.reshape(-1), strict=True)
    result.reshape(-1)[:] = [a if a is b else a.min(b) if least else a.max(b) for a, b in pairs]
    return result

"""Mistakes at exact kinks alone: a slope outside those that lie between the one-sided ones, shares that do not add up.

Wherever no argument is exactly 0 and nothing ties, each of them is right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from refimpl.language import Node, join, reshape, scale, spread, take, tied
from verify.mistakes.backward import one_minus
from verify.mistakes.mistake import Mistake
from verify.mistakes.moves import ThroughActivation, ThroughMaxout

Slope = Callable[[Fraction], Fraction]
"""The derivative that is taken at 0, from the slope below 0."""

HINGES = (("relu", "ReLU", "0"), ("leaky_relu", "leaky ReLU", "slope"), ("elu", "ELU", "alpha"))
"""Activations with a kink at 0, and what their slope below it is called; above it is 1."""
SLOPES: tuple[tuple[str, Slope, tuple[str, ...]], ...] = (
    ("0", lambda below: Fraction(0), ("leaky_relu", "elu")),
    ("1 + {below}", lambda below: 1 + below, ("leaky_relu", "elu")),
    ("2", lambda below: Fraction(2), ("relu", "leaky_relu", "elu")),
)
"""What people take at 0 that lies outside, and for which of these."""


def _zeros(z: Node) -> Node:
    """1 where z is exactly 0, and 0 elsewhere."""
    column = reshape(z, (*z.shape, 1))
    pairs = tied(join([column, scale(column, Fraction(0))], -1))
    # A number ties with the 0 beside it where it is 0, and nowhere else.
    return take(pairs, np.arange(0, 2 * math.prod(z.shape), 2).reshape(z.shape), z.shape)


def _with(met: Node, right: Node, there: Node) -> Node:
    """What is right away from kinks, and something else where they are met."""
    return right * one_minus(met) + there * met


def _sloped(slope: Slope) -> Callable[[ThroughActivation], Node]:
    def change(m: ThroughActivation) -> Node:
        return _with(_zeros(m.z), m.right, scale(m.delta, slope(Fraction(m.layer.parameter or 0.0))))

    return change


def _shared(share: Fraction) -> Callable[[ThroughMaxout], Node]:
    def change(m: ThroughMaxout) -> Node:
        pieces = reshape(m.z, (*m.delta.shape, m.layer.pieces))
        there = scale(spread(m.delta, (-1,), pieces.shape), share)
        return reshape(_with(tied(pieces), reshape(m.right, pieces.shape), there), m.z.shape)

    return change


MISTAKES: tuple[Mistake, ...] = (
    *(
        Mistake(
            f"{kind} at 0: {(said := words.replace('{below}', below))}",
            f"at 0 the derivative of {plain} is taken as {said}, outside [{below}, 1]",
            f"take one of {below} and 1, or a number between, where z is exactly 0",
            ((ThroughActivation, _sloped(slope)),),
            (kind,),
            local=False,
        )
        for kind, plain, below in HINGES
        for words, slope, kinds in SLOPES
        if kind in kinds
    ),
    Mistake(
        "ties: each the whole",
        "where pieces of maxout tie for the greatest, each of them gets the whole gradient",
        "give it to one of them, or share it out so that the shares add up to 1",
        ((ThroughMaxout, _shared(Fraction(1))),),
        local=False,
    ),
    Mistake(
        "ties: nothing",
        "where pieces of maxout tie for the greatest, none of them gets the gradient",
        "give it to one of them, or share it out so that the shares add up to 1",
        ((ThroughMaxout, _shared(Fraction(0))),),
        local=False,
    ),
)

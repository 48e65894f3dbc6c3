"""Balls: midpoint ± radius at any precision, by Arb through python-flint. Every operation encloses the exact result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb, arb_mat, ctx, fmpq

from gradproof.layers import Shape
from refimpl.arithmetic import ObjectArithmetic, Values, entrywise

SMALL = 64
"""Products of matrices with fewer multiplications than this are formed entry by entry: converting costs more."""


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Ball arithmetic at a working precision in bits, inside the block alone."""
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


def exact_balls(array: npt.ArrayLike) -> Values:
    """Floats as the exact binary numbers that they are: balls of radius 0. Raises ValueError for non-finite ones."""
    numbers = np.asarray(array)
    if not np.all(np.isfinite(numbers)):
        raise ValueError("a ball is made of a finite number")
    result = np.empty(numbers.shape, dtype=object)
    result.reshape(-1)[:] = [arb(number) for number in numbers.astype(np.float64).ravel().tolist()]
    return result


def integer_power(ball: Any, exponent: int) -> Any:
    """A ball to an integer power, by repeated squaring; python-flint's own power of a ball that contains 0 is NaN."""
    if exponent < 0:
        return 1 / integer_power(ball, -exponent)
    result, square = arb(1), ball
    while exponent:
        if exponent & 1:
            result = result * square
        exponent >>= 1
        if exponent:
            square = square * square
    return result


def root(x: Any) -> Any:
    """The square root of a number that is not negative: a ball that reaches below 0 stands for its part from 0 on."""
    if x > 0 or x < 0:
        return x.sqrt()
    return arb(0).union(x.upper().sqrt())


def greatest(row: Values) -> list[int]:
    """Which of some balls may hold the greatest number: those that no other is certainly above."""
    top = reduce(lambda best, ball: ball if ball.lower() > best.lower() else best, row)
    return [i for i, ball in enumerate(row) if not ball < top]


class BallArithmetic(ObjectArithmetic):
    """Balls at the working precision of the surrounding ``precision`` block.

    ``kinks`` counts the kinks met: steps whose argument's ball contains 0 while their slopes differ, and rows of which
    several entries may be the greatest; ``exact_kinks`` those of them whose argument is exactly 0, or whose entries
    are exactly equal, so that no precision could tell.
    """

    def __init__(self) -> None:
        self.kinks = 0
        self.exact_kinks = 0

    def number(self, value: Fraction) -> Any:
        return arb(fmpq(value.numerator, value.denominator))

    def function_one(self, name: str, x: Any) -> Any:
        match name:
            case "exp":
                return x.exp()
            case "expm1":
                return x.expm1()
            case "erfc":
                return x.erfc()
            case "log":
                return x.log()
            case "tanh":
                return x.tanh()
            case "sqrt":
                return root(x)
            case _:
                raise TypeError(f"no ball evaluation of {name}")

    def pi(self) -> Any:
        return arb.pi()

    def by_sign_one(self, x: Any, below: Any, above: Any) -> Any:
        if x < 0:
            return below
        return above if x >= 0 else below.union(above)

    def power(self, x: Values, exponent: int) -> Values:
        return entrywise(lambda ball: integer_power(ball, exponent), x)

    def minimum(self, x: Values, y: Values) -> Values:
        result = np.empty(x.shape, dtype=object)
        result.reshape(-1)[:] = [a.min(b) for a, b in zip(x.reshape(-1), y.reshape(-1), strict=True)]
        return result

    def hinge_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        if x > 0:
            return x * self.number(above)
        if x < 0:
            return x * self.number(below)
        return (x * self.number(below)).union(x * self.number(above))

    def step_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        if x > 0 or below == above:
            return self.number(above)
        if x < 0:
            return self.number(below)
        self.kinks += 1
        self.exact_kinks += bool(x == 0)
        return self.number(below).union(self.number(above))

    def largest(self, x: Values) -> Values:
        result = np.empty(x.shape[:-1], dtype=object)
        result.reshape(-1)[:] = [reduce(arb.max, row) for row in x.reshape(-1, x.shape[-1])]
        return result

    def share(self, x: Values) -> Values:
        result = self.full(x.shape, 0).reshape(-1, x.shape[-1])
        for row, shares in zip(x.reshape(-1, x.shape[-1]), result, strict=True):
            top = greatest(row)
            if len(top) > 1:
                self.kinks += 1
                self.exact_kinks += all(bool(row[i] - row[top[0]] == 0) for i in top)
            shares[top] = arb(1) if len(top) == 1 else arb(0).union(arb(1))
        return result.reshape(x.shape)

    def tied(self, x: Values) -> Values:
        result = self.full(x.shape, 0).reshape(-1, x.shape[-1])
        for row, found in zip(x.reshape(-1, x.shape[-1]), result, strict=True):
            top = greatest(row)
            if len(top) > 1:
                exactly = all(bool(row[i] - row[top[0]] == 0) for i in top)
                found[top] = arb(1) if exactly else arb(0).union(arb(1))
        return result.reshape(x.shape)

    def anchor(self, x: Values) -> Values:
        rows = x.reshape(-1, x.shape[-1])
        largest = np.empty((len(rows), 1), dtype=object)
        # Any exact number will do: the midpoint of the entry whose midpoint is largest, which adds no radius.
        largest[:, 0] = [max((entry.mid() for entry in row), key=float) for row in rows]
        return np.broadcast_to(largest.reshape(*x.shape[:-1], 1), x.shape)

    def matmul(self, a: Values, b: Values) -> Values:
        if a.shape[0] * a.shape[1] * b.shape[1] < SMALL:
            return np.asarray(a @ b)
        product = arb_mat(*a.shape, a.reshape(-1).tolist()) * arb_mat(*b.shape, b.reshape(-1).tolist())
        result = np.empty((a.shape[0], b.shape[1]), dtype=object)
        result.reshape(-1)[:] = product.entries()
        return result

    def scale(self, x: Values, factor: Fraction) -> Values:
        if factor == -1:
            return entrywise(lambda entry: -entry, x)
        return super().scale(x, factor)

    def full(self, shape: Shape, value: int) -> Values:
        return np.full(shape, arb(value), dtype=object)

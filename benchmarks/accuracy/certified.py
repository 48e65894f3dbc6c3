"""A function as pieces of polynomials in float64, each with a proved bound on its error.

Over a run of float32 numbers around a middle m, half as wide as H, f(m + uH) is Taylor's polynomial in u ∈ [−1, 1]:
coefficients from a power series of balls at m, rounded to float64; the remainder from the same series at the ball
m ± H, whose next coefficient encloses that of every point. Horner's rule in float64 is off by at most
γ₂ₙ Σ |cₖ| (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §5.1). A run whose bound is not small
beside a float32's last place is halved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from flint import arb, arb_series, ctx

from benchmarks.accuracy.functions import BITS, FAR, Floats, Function
from refimpl.balls import precision

DEGREE: Final = 9
CERTAIN: Final = 2.0**-20
"""The bound asked for, in units in the last place of a float32."""
_LEAST_PLACE: Final = 2.0**-149
_HORNER: Final = 4 * DEGREE * 2.0**-52
"""γ₂ₙ, what rounding u does, and more."""
BINADE: Final = 2**23
"""Numbers of a binade."""


@dataclass(frozen=True)
class Piece:
    """Float32 numbers of the bits start … start + count − 1 as a polynomial in (x − middle)/half.

    error: certified, absolute. A single number is left to the oracle: no coefficients.
    """

    start: int
    count: int
    middle: float
    half: float
    coefficients: Floats
    error: float


def numbers(start: int, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The float32 numbers with these bits."""
    return np.arange(start, start + count, dtype=np.uint32).view(np.float32)


def pieces(function: Function, start: int) -> Iterator[Piece]:
    """The pieces of one binade of one sign; the bits of its first number are given."""
    waiting = [(start, BINADE)]
    with precision(BITS):
        while waiting:
            first, count = waiting.pop()
            piece = _piece(function, first, count)
            if piece is not None:
                yield piece
            else:
                waiting += [(first + count // 2, count // 2), (first, count // 2)]


def _piece(function: Function, start: int, count: int) -> Piece | None:
    ends = numbers(start, count)[[0, -1]].astype(np.float64)
    low, high = float(ends.min()), float(ends.max())
    if count == 1:
        return Piece(start, 1, low, 1.0, np.zeros(0), 0.0)
    if low == 0.0 or high == 0.0 or low <= function.domain <= high:
        return None
    if high < function.domain:
        return Piece(start, count, low, 1.0, np.full(1, np.nan), 0.0)
    middle, half = (low + high) / 2, (high - low) / 2
    if function.above is not None and function.below is not None and abs(middle) >= FAR:
        return _far(function, start, count, middle, half)
    try:
        exact = _taylor(function, arb(middle), half, DEGREE + 1)
        remainder = _taylor(function, arb(middle, half), half, DEGREE + 2)[DEGREE + 1]
    except ValueError:  # a ball too wide to divide by
        return None
    rounded = np.array([float(c.mid()) for c in exact])
    if not np.all(np.isfinite(rounded)) or not remainder.is_finite():
        return None
    off = sum((abs(c - arb(r)) for c, r in zip(exact, rounded.tolist(), strict=True)), abs(remainder))
    error = float(off.upper()) * 1.001 + _HORNER * float(np.abs(rounded).sum()) + 2.0**-1000
    least = max(abs(rounded[0]) - float(np.abs(rounded[1:]).sum()) - error, 0.0)
    place = max(2.0 ** (np.floor(np.log2(least)) - 23) if least > 0.0 else 0.0, _LEAST_PLACE)
    return Piece(start, count, middle, half, rounded, error) if error <= CERTAIN * place else None


def _far(function: Function, start: int, count: int, middle: float, half: float) -> Piece:
    """A constant, or the argument itself."""
    side = function.above if middle > 0 else function.below
    assert side is not None
    value = float(side(np.array([middle]))[0])
    coefficients = np.array([value, half]) if value == middle else np.array([value])
    return Piece(start, count, middle, half, coefficients, 2.0**-300 * max(1.0, abs(middle)))


def _taylor(function: Function, at: Any, half: float, length: int) -> list[Any]:
    """Coefficients in u of f(at + u · half)."""
    before = ctx.cap
    ctx.cap = length
    try:
        series = function.definition(arb_series([at, arb(half)], length))
    finally:
        ctx.cap = before
    return [series[k] for k in range(length)]

"""Elementary functions that the compiler can vectorise: no branch, no table, no call.

Numba calls the C library's ``exp`` one number at a time. Here the argument is reduced as Cody and Waite do
(*Software Manual for the Elementary Functions*, 1980, chapter 6): x = n·ln 2 + r with |r| ≤ ln 2 / 2, ln 2 in two
parts so that r is exact to twice the precision; then e^r − 1 is Taylor's polynomial of degree 13, whose remainder
|r|^14/14! is below 2^-57 of e^r; and the power of two is put together from its bits.
"""

from __future__ import annotations

from fastimpl.jit import inlined
from fastimpl.memory import bits_of, from_bits

_INVERSE_LN2 = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238
"""ln 2 to 32 bits: its product with any n below 2^21 is exact."""
_LN2_LOW = 1.9082149292705877e-10
"""ln 2 − _LN2_HIGH."""
_ROUNDER = 6755399441055744.0
"""1.5 · 2^52: adding it leaves the nearest integer in the lowest bits; unlike a conversion, it is defined for NaN."""
_ROUNDER_BITS = 0x4338000000000000
_EXPONENT_BIAS = 1023
_LEAST = -746.0
"""e^x rounds to 0 from here down."""


@inlined()
def exponential_parts(x: float) -> tuple[float, float, float]:
    """(p, s, t) with e^x = (1 + p) · s · t for x ≤ 0; s and t are powers of two, |p| < 0.42. NaN stays NaN.

    Two powers, since one alone cannot reach into the subnormal numbers.
    """
    clamped = _LEAST if x < _LEAST else x
    shifted = clamped * _INVERSE_LN2 + _ROUNDER
    n = shifted - _ROUNDER
    r = (clamped - n * _LN2_HIGH) - n * _LN2_LOW
    q = 1.0 / 6227020800.0
    q = q * r + 1.0 / 479001600.0
    q = q * r + 1.0 / 39916800.0
    q = q * r + 1.0 / 3628800.0
    q = q * r + 1.0 / 362880.0
    q = q * r + 1.0 / 40320.0
    q = q * r + 1.0 / 5040.0
    q = q * r + 1.0 / 720.0
    q = q * r + 1.0 / 120.0
    q = q * r + 1.0 / 24.0
    q = q * r + 1.0 / 6.0
    q = q * r + 0.5
    p = r + (r * r) * q
    exponent = bits_of(shifted) - _ROUNDER_BITS
    half = exponent >> 1
    s = from_bits((half + _EXPONENT_BIAS) << 52)
    t = from_bits((exponent - half + _EXPONENT_BIAS) << 52)
    return p, s, t


@inlined()
def exponential(x: float) -> float:
    """e^x for x ≤ 0."""
    p, s, t = exponential_parts(x)
    return (1.0 + p) * s * t


@inlined()
def exponential_and_less_one(x: float) -> tuple[float, float]:
    """(e^x, e^x − 1) for x ≤ 0, each to its own last digits: near 0 the second is not the first less 1."""
    p, s, t = exponential_parts(x)
    power = s * t
    return (1.0 + p) * s * t, power * p + (power - 1.0)

"""e^x and e^x − 1.

The argument is reduced as Cody and Waite do (*Software Manual for the Elementary Functions*, 1980, chapter 6):
x = n·ln 2 + r with |r| ≤ ln 2 / 2, ln 2 in two parts so that r is exact to twice the precision. Then
e^r − 1 = r + r² q(r) with the polynomial q nearest to (e^r − 1 − r)/r², and the power of two is put together from its
bits.
"""

from __future__ import annotations

from fastimpl.elementary import single
from fastimpl.elementary.arithmetic import polynomial
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
LEAST = -800.0
"""e^x, and x e^x too, rounds to 0 from here down."""
_MOST = 710.0
"""e^x overflows from here up."""
NOTHING = -0.0
"""What may be added to any number and leaves it as it is; the compiler leaves it out."""
REST = (
    0.5,
    0.1666666666666667,
    0.041666666666666685,
    0.008333333333326134,
    0.0013888888888874398,
    0.0001984126987482399,
    2.480158734733946e-05,
    2.7557255396471e-06,
    2.7557252912472866e-07,
    2.510521838664829e-08,
    2.0921589370829142e-09,
)
"""Of (e^r − 1 − r)/r² for |r| ≤ ln 2 / 2."""


@inlined(single=single.exponential_parts)
def exponential_parts(x: float, low: float) -> tuple[float, float, float]:
    """(p, s, t) with e^(x + low) = (1 + p) · s · t for a tiny ``low``; s and t are powers of two, |p| < 0.42.

    Two powers, since one alone reaches neither into the subnormal numbers nor up to the largest. NaN stays NaN.
    """
    clamped = LEAST if x < LEAST else x
    clamped = _MOST if clamped > _MOST else clamped
    shifted = clamped * _INVERSE_LN2 + _ROUNDER
    n = shifted - _ROUNDER
    exact = clamped - n * _LN2_HIGH
    rounded = exact - n * _LN2_LOW
    lost = (exact - rounded) - n * _LN2_LOW
    r = rounded + low
    p = r + (lost + (r * r) * polynomial(r, REST))
    exponent = bits_of(shifted) - _ROUNDER_BITS
    half = exponent >> 1
    s = from_bits((half + _EXPONENT_BIAS) << 52)
    t = from_bits((exponent - half + _EXPONENT_BIAS) << 52)
    return p, s, t


@inlined()
def exponential(x: float) -> float:
    """e^x, within 1 ulp."""
    p, s, t = exponential_parts(x, NOTHING)
    return (1.0 + p) * s * t


@inlined()
def exponential_and_less_one(x: float) -> tuple[float, float]:
    """(e^x, e^x − 1) for x ≤ 0, each within 1 ulp: near 0 the second is not the first less 1."""
    p, s, t = exponential_parts(x, NOTHING)
    power = s * t
    return (1.0 + p) * s * t, power * p + (power - 1.0)


@inlined()
def exponential_less_one(x: float) -> float:
    """e^x − 1, within 2 ulp. Where s · t overflows, the 1 is far below the last digit."""
    p, s, t = exponential_parts(x, NOTHING)
    large = x > 709.0
    power = s if large else s * t
    value = (power * p + (power - (0.0 if large else 1.0))) * (t if large else 1.0)
    return x if x == 0.0 else value

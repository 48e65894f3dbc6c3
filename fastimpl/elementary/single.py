"""What is reduced otherwise in float32: powers and logarithms, by the same formulas with fewer terms.

The constants of the other modules take the bits of a float64 apart. These helpers stand for theirs where a kernel
computes in float32 (see ``fastimpl.single``): what is written here as a float64 is rounded before it is compiled.
"""

from __future__ import annotations

from typing import Any

from fastimpl.elementary.arithmetic import polynomial, power_of_two, split_at_root_half
from fastimpl.jit import inlined

_INVERSE_LN2 = 1.4426950408889634
_LN2_HIGH = 0.693145751953125
"""ln 2 to 16 bits: its product with any n below 2^8 is exact."""
_LN2_LOW = 1.428606765330187e-06
"""ln 2 − _LN2_HIGH."""
_ROUNDER = 12582912.0
"""1.5 · 2^23: adding it leaves the nearest integer in the lowest bits, and adding 127 besides an exponent's."""
_EXPONENT = 12583039.0
_LEAST = -120.0
"""e^x, and x e^x too, rounds to 0 from here down, and so does −800 e^x."""
_MOST = 89.0
"""e^x overflows from here up."""
EXPONENTIAL_REST = (0.5, 0.16666667, 0.041666463, 0.008333286, 0.0013933654, 0.00019907585)
"""Of (e^r − 1 − r)/r² for |r| ≤ ln 2 / 2."""
_ROOT_HALF_BITS = 0x3F3504F3
_HUGE = 1e10
"""From here on the 1 of 1 + x is far below the last digit of the logarithm."""
LOGARITHM_REST = (0.66666687, 0.39988717, 0.29582152)
"""Of (2 artanh √v − 2√v)/√v³ for √v ≤ (√2 − 1)/(√2 + 1)."""


@inlined()
def exponential_parts(x: float, low: float) -> tuple[float, float, float]:
    """(p, s, t) with e^(x + low) = (1 + p) · s · t for a tiny ``low``; s and t are powers of two, |p| < 0.42."""
    clamped = _LEAST if x < _LEAST else x
    clamped = _MOST if clamped > _MOST else clamped
    n = (clamped * _INVERSE_LN2 + _ROUNDER) - _ROUNDER
    exact = clamped - n * _LN2_HIGH
    rounded = exact - n * _LN2_LOW
    lost = (exact - rounded) - n * _LN2_LOW
    r = rounded + low
    p = r + (lost + (r * r) * polynomial(r, EXPONENTIAL_REST))
    half = (n * 0.5 + _ROUNDER) - _ROUNDER
    return p, power_of_two(half, _EXPONENT), power_of_two(n - half, _EXPONENT)


@inlined()
def logarithm_of_one_and_positive(x: Any) -> Any:
    """Log (1 + x) for 0 ≤ x < inf; NaN stays NaN."""
    u = 1.0 + x
    lost = x - (u - 1.0) if x < 1.0 else 1.0 - (u - x)
    m, k, scale = split_at_root_half(u, _ROOT_HALF_BITS)
    f = (m - 1.0) + (0.0 if x > _HUGE else lost * scale)
    s = f / (2.0 + f)
    v = s * s
    half_square = 0.5 * f * f
    rest = s * (half_square + v * polynomial(v, LOGARITHM_REST))
    return k * _LN2_HIGH - ((half_square - (rest + k * _LN2_LOW)) - f)

"""Logarithms of x and of 1 + x.

x = 2^k (1 + f) with 1 + f between √½ and √2, and with s = f/(2 + f), log(1 + f) = 2 artanh s = f − f²/2 +
s (f²/2 + R(s²)), where 2 artanh s = 2s + s R(s²). So the leading term f is exact, and only what is small beside it is
rounded: K. C. Ng's formula, stated in FreeBSD's ``e_log.c``. A logarithm of 1 + x takes up what 1 + x loses by its
rounding into f; where x is small it is f.
"""

from __future__ import annotations

import math
from typing import Any

from fastimpl.elementary import single
from fastimpl.elementary.arithmetic import polynomial
from fastimpl.jit import inlined
from fastimpl.memory import bits_of, from_bits

_LN2_HIGH = 0.6931471803691238
"""ln 2 to 32 bits: its product with any k is exact."""
_LN2_LOW = 1.9082149292705877e-10
_ROOT_HALF_BITS = 0x3FE6A09E667F3BCD
_LEAST_NORMAL = 2.2250738585072014e-308
_LIFT = 18014398509481984.0
"""2^54, which makes a subnormal number normal."""
_LINEAR = 5.551115123125783e-17
"""2^−54: below it log(1 + x) rounds to x or to its neighbour."""
_HUGE = 1e20
"""From here on the 1 of 1 + x is far below the last digit of the logarithm."""
REST = (
    0.666666666666667,
    0.39999999999898445,
    0.28571428626398654,
    0.22222211072894535,
    0.18182893216800716,
    0.1533159698024087,
    0.14617872803129472,
)
"""Of (2 artanh √v − 2√v)/√v³ = R(v)/v for √v ≤ (√2 − 1)/(√2 + 1)."""


@inlined()
def _from_parts(k: Any, f: Any) -> Any:
    """K ln 2 + log(1 + f)."""
    s = f / (2.0 + f)
    v = s * s
    half_square = 0.5 * f * f
    rest = s * (half_square + v * polynomial(v, REST))
    return k * _LN2_HIGH - ((half_square - (rest + k * _LN2_LOW)) - f)


@inlined()
def logarithm(x: float) -> float:
    """Log x, within 1 ulp: −inf at ±0, NaN below."""
    subnormal = x < _LEAST_NORMAL
    bits = bits_of(x * _LIFT if subnormal else x)
    k = (bits - _ROOT_HALF_BITS) >> 52
    f = from_bits(bits - (k << 52)) - 1.0
    value = _from_parts(float(k - 54 if subnormal else k), f)
    value = value if x < math.inf else x
    value = -math.inf if x == 0.0 else value
    return math.nan if x < 0.0 else value


@inlined(single=single.logarithm_of_one_and_positive)
def logarithm_of_one_and_positive(x: Any) -> Any:
    """Log (1 + x) for 0 ≤ x < inf, within 1.5 ulp; NaN stays NaN."""
    u = 1.0 + x
    lost = x - (u - 1.0) if x < 1.0 else 1.0 - (u - x)
    bits = bits_of(u)
    k = (bits - _ROOT_HALF_BITS) >> 52
    made_up = 0.0 if x > _HUGE else lost * from_bits((1023 - k) << 52)
    f = (from_bits(bits - (k << 52)) - 1.0) + made_up
    return _from_parts(float(k), f)


@inlined()
def logarithm_of_one_and(x: float) -> float:
    """Log (1 + x), within 1.5 ulp: −inf at −1, NaN below."""
    value = logarithm_of_one_and_positive(x)
    value = x if abs(x) < _LINEAR else value
    value = value if x < math.inf else x
    value = -math.inf if x == -1.0 else value
    return math.nan if x < -1.0 else value

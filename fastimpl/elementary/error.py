"""The error function, its complement, and the normal distribution.

Near 0 a polynomial in x² is added to the first term of Taylor's series. Farther out erfc x = e^(−x²) g(x), where g
falls so slowly that g(x)/w is a polynomial in w = 1/(x + 3) (after M. M. Shepherd and J. G. Laframboise, *Chebyshev
approximation of (1 + 2x) exp(x²) erfc x*, Math. Comp. 36, 1981). x² is taken exactly, in two parts: an error of its
last digit would be multiplied by x² in the power. The normal distribution has polynomials of its own, since z/√2 would
be rounded.
"""

from __future__ import annotations

import math

from fastimpl.elementary.arithmetic import fused, polynomial, reciprocal_of_sum, square
from fastimpl.elementary.exponential import exponential_parts
from fastimpl.jit import inlined

ERF_NEAR_END = 0.75
"""Where the two formulas of erf and erfc meet."""
ERF_NEAR = (
    0.1283791670955126,
    -0.37612638903183715,
    0.11283791670952632,
    -0.026866170644436787,
    0.005223977615516373,
    -0.0008548326195114375,
    0.00012055289824084717,
    -1.4924202716135583e-05,
    1.6430780989587203e-06,
    -1.5940876314504964e-07,
    1.1475376342129825e-08,
)
"""Of erf √v / √v − 1 for √v ≤ ERF_NEAR_END."""
ERFC_END = 28.3
"""Erfc rounds to 0 long before."""
ERFC_SHIFT = 3.0
ERFC_MIDDLE = 0.149308
ERFC_FAR = (
    0.9880651603143519,
    4.620160266588097,
    18.02505914868873,
    56.93683670151173,
    136.695593772152,
    209.4245864281856,
    37.77315634042743,
    -695.55704721223,
    -1260.8227539655466,
    1524.5795645767205,
    7782.178160908884,
    -2110.032294521459,
    -45192.2421525346,
    -1412.0958989578983,
    285097.7949222477,
    -13228.555658295832,
    -1945754.5960062323,
    718265.0765891911,
    12898991.75523971,
    -6952812.3463481665,
    -59511777.940296814,
)
"""Of e^(x²) erfc x / w in powers of w − ERFC_MIDDLE, w = 1/(x + ERFC_SHIFT), from ERF_NEAR_END to ERFC_END."""

NORMAL_NEAR_END = 1.05
"""Where the two formulas of the normal distribution meet."""
DENSITY_AT_0 = 0.3989422804014327
"""1/√(2π)."""
NORMAL_NEAR = (
    -2.5153299440677524e-17,
    -0.0664903800669054,
    0.009973557010033971,
    -0.0011873282154542162,
    0.00011543468742483965,
    -9.444655445018264e-06,
    6.659671868529817e-07,
    -4.122297013519021e-08,
    2.2694406624356085e-09,
    -1.1018346200764024e-10,
    3.982172735678935e-12,
)
"""Of (Φ(√v) − ½)/√v − DENSITY_AT_0 for √v ≤ NORMAL_NEAR_END."""
NORMAL_END = 40.0
"""Φ(−z), and z Φ(−z) too, rounds to 0 long before."""
NORMAL_SHIFT = 4.0
NORMAL_MIDDLE = 0.110374
NORMAL_FAR = (
    0.6891689585660121,
    4.196653796566804,
    20.8956945937651,
    81.60630692329596,
    226.76771826025944,
    311.54801445220323,
    -556.7050357955949,
    -3446.732623447627,
    -1711.3581710552303,
    27839.207008991558,
    44254.391973726255,
    -255482.08334574196,
    -567726.0977059132,
    2923243.501474362,
    6161861.7381112715,
    -39812906.78029851,
    -52246457.06044835,
    547985456.9374074,
    163253051.7295706,
    -5235017964.06989,
    2687595403.625237,
)
"""Of e^(z²/2) Φ(−z) / w in powers of w − NORMAL_MIDDLE, w = 1/(z + NORMAL_SHIFT), from NORMAL_NEAR_END to
NORMAL_END."""

_ERFC_FAR_REST = ERFC_FAR[2:]
_NORMAL_FAR_REST = NORMAL_FAR[2:]


@inlined(frozenset())
def _falling(
    x: float, shift: float, middle: float, first: float, second: float, rest: tuple[float, ...]
) -> tuple[float, float]:
    """P(w − middle) · w with w = 1/(x + shift) and P(q) = first + second · q + rest(q) · q², in two parts.

    The second is tiny: what rounding loses on the way to the first, but in the rest.
    """
    w, w_low = reciprocal_of_sum(x, shift)
    q = w - middle
    linear = q * second
    slope = q * polynomial(q, rest)
    curved = q * slope
    both = linear + curved
    value = first + both
    value_low = fused(q, second, -linear) + ((linear - both) + curved) + ((first - value) + both)
    product = w * value
    return product, fused(w, value, -product) + fused(w, value_low, w_low * (value + w * (second + 2.0 * slope)))


@inlined()
def _erfc_far(x: float) -> float:
    """Erfc x for x ≥ ERF_NEAR_END."""
    x = ERFC_END if x > ERFC_END else x
    high, low = square(x)
    p, s, t = exponential_parts(-high, -low)
    g, g_low = _falling(x, ERFC_SHIFT, ERFC_MIDDLE, ERFC_FAR[0], ERFC_FAR[1], _ERFC_FAR_REST)
    return (g + (g * p + g_low)) * s * t


@inlined()
def erf(x: float) -> float:
    """2/√π ∫₀ˣ e^(−t²) dt, within 1 ulp."""
    a = abs(x)
    near = a + a * polynomial(a * a, ERF_NEAR)
    return math.copysign(near if a < ERF_NEAR_END else 1.0 - _erfc_far(a), x)


@inlined()
def erfc(x: float) -> float:
    """1 − erf x, within 2.5 ulp however small. Near 0 it is 1 − x − …, and from ¼ on ½ − (x − ½) − …"""
    a = abs(x)
    start = 0.5 if x > 0.25 else 1.0
    near = start - ((x - (1.0 - start)) + x * polynomial(x * x, ERF_NEAR))
    far = _erfc_far(a)
    far = 2.0 - far if x < 0.0 else far
    return near if a < ERF_NEAR_END else far


@inlined()
def normal(z: float) -> tuple[float, float, float, float]:
    """(c, s, t, φ) with Φ(−|z|) = c · s · t within 2.5 ulp, and the density φ = e^(−z²/2) / √(2π).

    s and t are powers of two, which are to be multiplied last: Φ may be subnormal where its product with z is not.
    From NORMAL_END on the values are those at NORMAL_END. NaN stays NaN.
    """
    a = abs(z)
    a = NORMAL_END if a > NORMAL_END else a
    high, low = square(a)
    p, s, t = exponential_parts(-0.5 * high, -0.5 * low)
    near = (0.5 - a * DENSITY_AT_0) - a * polynomial(high, NORMAL_NEAR)
    g, g_low = _falling(a, NORMAL_SHIFT, NORMAL_MIDDLE, NORMAL_FAR[0], NORMAL_FAR[1], _NORMAL_FAR_REST)
    density = (1.0 + p) * s * t * DENSITY_AT_0
    is_near = a < NORMAL_NEAR_END
    return near if is_near else g + (g * p + g_low), 1.0 if is_near else s, 1.0 if is_near else t, density

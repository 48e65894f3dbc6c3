"""Activations: each writes its values and, where its inputs stood, its derivatives.

Forwards leaves the derivative, computed from the same exponential as the value; so backwards is one product for all
of them, and the derivative keeps its relative accuracy where 1 − σ or 1 − tanh² would have lost every digit.

Values that are a product with a power below the smallest normal number are put together before the power is.

At a kink: relu′(0) = 0, leaky_relu′(0) = slope, elu′(0) = alpha, hard_tanh′(±1) = 0.
"""

from __future__ import annotations

import math
from typing import Any, Final

from numpy import float64

from fastimpl.elementary.arithmetic import fused, over_one_and, square
from fastimpl.elementary.error import NORMAL_END, normal
from fastimpl.elementary.exponential import LEAST, NOTHING, exponential, exponential_and_less_one, exponential_parts
from fastimpl.elementary.logarithm import logarithm_of_one_and_positive
from fastimpl.jit import REASSOCIATE, Kernel, inlined, kernel
from fastimpl.kernels.elementwise import activation, activation_in_float64, elementwise_backward
from fastimpl.kernels.rows import first_largest
from fastimpl.memory import shifted
from fastimpl.table import ADD_D_INPUT, D_INPUT, D_OUTPUT, INPUT, OUTPUT, ROWS, WIDTH


@activation
def sigmoid(z: float, parameter: float) -> tuple[float, float]:
    """σ(z) = 1 / (1 + e^−z); σ′(z) = e^−|z| / (1 + e^−|z|)²."""
    e = exponential(-abs(z))
    value, r = over_one_and(1.0 if z >= 0.0 else e, e)
    return value, e * r * r


@activation
def tanh(z: float, parameter: float) -> tuple[float, float]:
    """The hyperbolic tangent: tanh |z| = (1 − e^−2|z|) / (1 + e^−2|z|); tanh′(z) = 4 e^−2|z| / (1 + e^−2|z|)²."""
    e, less_one = exponential_and_less_one(-2.0 * abs(z))
    value, r = over_one_and(less_one, e)
    return math.copysign(value, z), 4.0 * e * r * r


@activation
def relu(z: float, parameter: float) -> tuple[float, float]:
    """max(0, z); derivative 1 above 0, else 0. NaN stays NaN, so that divergence is seen."""
    return 0.0 if z <= 0.0 else z, 0.0 if z <= 0.0 else 1.0


@activation_in_float64
def leaky_relu(z: float, slope: float) -> tuple[float, float]:
    """The identity above 0, else slope · z; derivative 1 or slope."""
    d = slope if z <= 0.0 else 1.0
    return d * z, d


@activation
def softplus(z: float, parameter: float) -> tuple[float, float]:
    """log(1 + e^z) = max(0, z) + log(1 + e^−|z|); its derivative is σ(z)."""
    e = exponential(-abs(z))
    slope, _ = over_one_and(1.0 if z >= 0.0 else e, e)
    return (0.0 if z <= 0.0 else z) + logarithm_of_one_and_positive(e), slope


@activation
def hard_tanh(z: float, parameter: float) -> tuple[float, float]:
    """The input clamped to [−1, 1]; derivative 1 between, else 0. NaN stays NaN."""
    below, above = z <= -1.0, z >= 1.0
    return -1.0 if below else (1.0 if above else z), 0.0 if below or above else 1.0


@activation
def elu(z: float, alpha: float) -> tuple[float, float]:
    """The identity above 0, else alpha · (e^z − 1); derivative 1 or alpha · e^z."""
    e, less_one = exponential_and_less_one(0.0 if z > 0.0 else z)
    return z if z > 0.0 else alpha * (z if z == 0.0 else less_one), 1.0 if z > 0.0 else alpha * e


@activation_in_float64
def gelu(z: float, parameter: float) -> tuple[float, float]:
    """The input times Φ(z); derivative Φ(z) + z φ(z), φ the normal density."""
    c, s, t, density = normal(z)
    near = NORMAL_END if z > NORMAL_END else (-NORMAL_END if z < -NORMAL_END else z)
    tail = c * s * t
    cumulative = 1.0 - tail if z >= 0.0 else tail
    return z * cumulative if z >= 0.0 else (near * c) * s * t, cumulative + near * density


TWICE_ROOT_2_OVER_PI: Final = 1.5957691216057308
TWICE_ROOT_2_OVER_PI_LOW: Final = -9.96930880911092e-17
"""2 √(2/π) less the number above; likewise below."""
CUBIC: Final = 0.07135481627260025
"""2 √(2/π) · 0.044715."""
CUBIC_LOW: Final = -6.175149918155315e-19
GELU_TANH_END: Final = 23.0
"""From here on e^−2w and its product with z are 0, and σ(2w) is 1."""


@inlined(frozenset())
def _twice_w(z: float) -> tuple[float, float]:
    """2w in two parts, 2 √(2/π) (z + 0.044715 z³) to twice the precision: a power multiplies its error by 2w."""
    high, low = square(z)
    cubic = high * CUBIC
    cubic_low = fused(high, CUBIC, -cubic) + (high * CUBIC_LOW + low * CUBIC)
    total = TWICE_ROOT_2_OVER_PI + cubic
    larger, smaller = max(TWICE_ROOT_2_OVER_PI, cubic), min(TWICE_ROOT_2_OVER_PI, cubic)
    total_low = (smaller - (total - larger)) + (cubic_low + TWICE_ROOT_2_OVER_PI_LOW)
    product = z * total
    return product, fused(z, total, -product) + z * total_low


@activation_in_float64
def gelu_tanh(z: float, parameter: float) -> tuple[float, float]:
    """½ z (1 + tanh w) = z σ(2w) with w = √(2/π) (z + 0.044715 z³); derivative σ(2w) + 2 z σ(2w) σ(−2w) w′."""
    near = GELU_TANH_END if z > GELU_TANH_END else (-GELU_TANH_END if z < -GELU_TANH_END else z)
    twice_w, low = _twice_w(abs(near))
    p, s, t = exponential_parts(-twice_w, -low)
    e = (1.0 + p) * s * t
    r = 1.0 / (1.0 + e)
    cumulative = r if z >= 0.0 else e * r
    twice_slope = TWICE_ROOT_2_OVER_PI + 3.0 * CUBIC * near * near
    value = z * r if z >= 0.0 else (near * r * (1.0 + p)) * s * t
    return value, cumulative + near * twice_slope * (e * r * r)


@activation
def silu(z: float, parameter: float) -> tuple[float, float]:
    """The input times σ(z); derivative σ(z) (1 + z σ(−z))."""
    p, s, t = exponential_parts(-abs(z), NOTHING)
    e = (1.0 + p) * s * t
    r = 1.0 / (1.0 + e)
    near = LEAST if z < LEAST else z
    if z >= 0.0:
        value, cumulative, rest = z * r, r, e * r
    else:
        value, cumulative, rest = (near * r * (1.0 + p)) * s * t, e * r, r
    return value, cumulative * (1.0 + near * rest)


@kernel(REASSOCIATE)
def softmax(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """e^zᵢ / Σ e^zⱼ over each row, shifted by the row's largest, so that no power exceeds 1."""
    width = op[WIDTH]
    for row in range(batch * op[ROWS]):
        z, p = shifted(work, op[INPUT] + row * width), shifted(work, op[OUTPUT] + row * width)
        largest = float64(z[first_largest(z, width)])
        total = 0.0
        for i in range(width):
            power = exponential(float64(z[i]) - largest)
            p[i] = power
            total += power
        for i in range(width):
            p[i] = float64(p[i]) / total
    return 0.0


@kernel(REASSOCIATE)
def softmax_backward(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """∂L/∂zᵢ = aᵢ (∂L/∂aᵢ − Σⱼ aⱼ ∂L/∂aⱼ) over each row."""
    width = op[WIDTH]
    for row in range(batch * op[ROWS]):
        a = shifted(work, op[OUTPUT] + row * width)
        da = shifted(work, op[D_OUTPUT] + row * width)
        dz = shifted(work, op[D_INPUT] + row * width)
        mean = 0.0
        for j in range(width):
            mean += float64(a[j]) * float64(da[j])
        for i in range(width):
            d = float64(a[i]) * (float64(da[i]) - mean)
            if op[ADD_D_INPUT] != 0:
                dz[i] += d
            else:
                dz[i] = d
    return 0.0


ACTIVATION_KERNELS: Final[dict[str, tuple[Kernel, Kernel] | None]] = {
    "identity": None,
    "sigmoid": (sigmoid, elementwise_backward),
    "tanh": (tanh, elementwise_backward),
    "relu": (relu, elementwise_backward),
    "leaky_relu": (leaky_relu, elementwise_backward),
    "softplus": (softplus, elementwise_backward),
    "hard_tanh": (hard_tanh, elementwise_backward),
    "elu": (elu, elementwise_backward),
    "gelu": (gelu, elementwise_backward),
    "gelu_tanh": (gelu_tanh, elementwise_backward),
    "silu": (silu, elementwise_backward),
    "softmax": (softmax, softmax_backward),
}
"""Word of the vocabulary → kernels forwards and backwards. The identity is no step: its output is its input."""

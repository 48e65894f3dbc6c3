"""Activations: each writes its values and, where its inputs stood, its derivatives.

Forwards leaves the derivative, computed from the same exponential as the value; so backwards is one product for all
of them, and the derivative keeps its relative accuracy where 1 − σ or 1 − tanh² would have lost every digit. The
arithmetic is float64 for float32 numbers too, and is rounded once.

At a kink: relu′(0) = 0, leaky_relu′(0) = slope, elu′(0) = alpha, hard_tanh′(±1) = 0.
"""

from __future__ import annotations

import math
from typing import Any, Final

from fastimpl.elementary import exponential, exponential_and_less_one
from fastimpl.jit import Kernel, inlined, kernel
from fastimpl.memory import shifted
from fastimpl.table import (
    ADD_D_INPUT,
    D_INPUT,
    D_OUTPUT,
    FACTOR,
    INPUT,
    OUTPUT,
    ROWS,
    SLOPE,
    WIDTH,
)

ROOT_HALF: Final = 0.7071067811865476
ROOT_2_OVER_PI: Final = 0.7978845608028654
DENSITY_AT_0: Final = 0.3989422804014327
"""1/√(2π), the normal density at 0."""


@inlined()
def _prepared(op: Any, work: Any, batch: int) -> tuple[int, Any, Any]:
    """(count, a, s): where values go, and the inputs, lying where the derivatives go."""
    count = batch * op[ROWS] * op[WIDTH]
    a = shifted(work, op[OUTPUT])
    s = shifted(work, op[SLOPE])
    if op[INPUT] != op[SLOPE]:
        z = shifted(work, op[INPUT])
        for i in range(count):
            s[i] = z[i]
    return count, a, s


@kernel()
def sigmoid(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """σ(z) = 1 / (1 + e^−z); σ′(z) = e^−|z| / (1 + e^−|z|)²."""
    count, a, s = _prepared(op, work, batch)
    for i in range(count):
        z = float(s[i])
        e = exponential(-abs(z))
        r = 1.0 / (1.0 + e)
        a[i] = r if z >= 0.0 else e * r
        s[i] = e * r * r
    return 0.0


@kernel()
def tanh(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The hyperbolic tangent: tanh |z| = (1 − e^−2|z|) / (1 + e^−2|z|); tanh′(z) = 4 e^−2|z| / (1 + e^−2|z|)²."""
    count, a, s = _prepared(op, work, batch)
    for i in range(count):
        z = float(s[i])
        e, less_one = exponential_and_less_one(-2.0 * abs(z))
        r = 1.0 / (1.0 + e)
        a[i] = math.copysign(less_one * r, z)
        s[i] = 4.0 * e * r * r
    return 0.0


@kernel()
def relu(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """max(0, z); derivative 1 above 0, else 0. NaN stays NaN, so that divergence is seen."""
    count, a, s = _prepared(op, work, batch)
    for i in range(count):
        z = float(s[i])
        a[i] = 0.0 if z <= 0.0 else z
        s[i] = 0.0 if z <= 0.0 else 1.0
    return 0.0


@kernel()
def leaky_relu(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The identity above 0, else slope · z; derivative 1 or slope."""
    slope = hyper[FACTOR]
    count, a, s = _prepared(op, work, batch)
    for i in range(count):
        z = float(s[i])
        d = slope if z <= 0.0 else 1.0
        a[i] = d * z
        s[i] = d
    return 0.0


@kernel()
def softplus(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """log(1 + e^z) = max(0, z) + log(1 + e^−|z|); its derivative is σ(z)."""
    count, a, s = _prepared(op, work, batch)
    for i in range(count):
        z = float(s[i])
        e = exponential(-abs(z))
        r = 1.0 / (1.0 + e)
        a[i] = (0.0 if z <= 0.0 else z) + math.log1p(e)
        s[i] = r if z >= 0.0 else e * r
    return 0.0


@kernel()
def hard_tanh(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The input clamped to [−1, 1]; derivative 1 between, else 0. NaN stays NaN."""
    count, a, s = _prepared(op, work, batch)
    for i in range(count):
        z = float(s[i])
        a[i] = -1.0 if z <= -1.0 else (1.0 if z >= 1.0 else z)
        s[i] = 0.0 if z <= -1.0 or z >= 1.0 else 1.0
    return 0.0


@kernel()
def elu(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The identity above 0, else alpha · (e^z − 1); derivative 1 or alpha · e^z."""
    alpha = hyper[FACTOR]
    count, a, s = _prepared(op, work, batch)
    for i in range(count):
        z = float(s[i])
        e, less_one = exponential_and_less_one(0.0 if z > 0.0 else z)
        a[i] = z if z > 0.0 else alpha * less_one
        s[i] = 1.0 if z > 0.0 else alpha * e
    return 0.0


@kernel()
def gelu(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The input times Φ(z); derivative Φ(z) + z φ(z), with Φ(z) = ½ erfc(−z/√2) and φ(z) = e^(−z²/2) / √(2π).

    The C library's erfc keeps the digits of Φ far below 0, and is called one number at a time.
    """
    count, a, s = _prepared(op, work, batch)
    for i in range(count):
        z = float(s[i])
        cumulative = 0.5 * math.erfc(-z * ROOT_HALF)
        density = exponential(-0.5 * z * z) * DENSITY_AT_0
        a[i] = z * cumulative
        s[i] = cumulative + z * density
    return 0.0


@kernel()
def gelu_tanh(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """½ z (1 + tanh w) = z σ(2w) with w = √(2/π) (z + 0.044715 z³); derivative σ(2w) + 2 z σ(2w) σ(−2w) w′.

    Where e^−2|w| is 0 the second term is, however large z w′.
    """
    count, a, s = _prepared(op, work, batch)
    for i in range(count):
        z = float(s[i])
        square = z * z
        w = ROOT_2_OVER_PI * z * (1.0 + 0.044715 * square)
        slope = ROOT_2_OVER_PI * (1.0 + 3.0 * 0.044715 * square)
        e = exponential(-2.0 * abs(w))
        r = 1.0 / (1.0 + e)
        p = r if w >= 0.0 else e * r
        a[i] = z * p
        s[i] = p + (2.0 * z * slope * (e * r * r) if e != 0.0 else 0.0)
    return 0.0


@kernel()
def silu(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The input times σ(z); derivative σ(z) (1 + z σ(−z))."""
    count, a, s = _prepared(op, work, batch)
    for i in range(count):
        z = float(s[i])
        e = exponential(-abs(z))
        r = 1.0 / (1.0 + e)
        p, q = (r, e * r) if z >= 0.0 else (e * r, r)
        a[i] = z * p
        s[i] = p * (1.0 + z * q)
    return 0.0


@kernel()
def elementwise_backward(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """∂L/∂z = ∂L/∂a · a′(z), element by element."""
    count = batch * op[ROWS] * op[WIDTH]
    s = shifted(work, op[SLOPE])
    da = shifted(work, op[D_OUTPUT])
    dz = shifted(work, op[D_INPUT])
    if op[D_INPUT] == op[D_OUTPUT]:
        for i in range(count):
            da[i] *= s[i]
    elif op[ADD_D_INPUT] != 0:
        for i in range(count):
            dz[i] += da[i] * s[i]
    else:
        for i in range(count):
            dz[i] = da[i] * s[i]
    return 0.0


@kernel()
def softmax(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """e^zᵢ / Σ e^zⱼ over each row, shifted by the row's largest, so that no power exceeds 1."""
    width = op[WIDTH]
    for row in range(batch * op[ROWS]):
        z = shifted(work, op[INPUT] + row * width)
        a = shifted(work, op[OUTPUT] + row * width)
        largest = float(z[0])
        for i in range(1, width):
            largest = max(largest, float(z[i]))
        total = 0.0
        for i in range(width):
            total += exponential(float(z[i]) - largest)
        for i in range(width):
            a[i] = exponential(float(z[i]) - largest) / total
    return 0.0


@kernel()
def softmax_backward(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """∂L/∂zᵢ = aᵢ (∂L/∂aᵢ − Σⱼ aⱼ ∂L/∂aⱼ) over each row."""
    width = op[WIDTH]
    for row in range(batch * op[ROWS]):
        a = shifted(work, op[OUTPUT] + row * width)
        da = shifted(work, op[D_OUTPUT] + row * width)
        dz = shifted(work, op[D_INPUT] + row * width)
        mean = 0.0
        for j in range(width):
            mean += float(a[j]) * float(da[j])
        for i in range(width):
            d = float(a[i]) * (float(da[i]) - mean)
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

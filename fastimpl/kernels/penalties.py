"""Penalties over a range of the flat buffer; the padding between parameters is 0 and adds nothing."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fastimpl.jit import REASSOCIATE, Kernel, kernel
from fastimpl.memory import shifted
from fastimpl.table import FACTOR, START, STOP


@kernel(REASSOCIATE)
def l1(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """λ Σ |θ|."""
    total = 0.0
    w = shifted(theta, op[START])
    for i in range(op[STOP] - op[START]):
        total += abs(np.float64(w[i]))
    return float(hyper[FACTOR] * total)


@kernel()
def l1_backward(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """∂L/∂θ += λ sign θ, with sign 0 = 0."""
    w = shifted(theta, op[START])
    dw = shifted(dtheta, op[START])
    strength = hyper[FACTOR]
    for i in range(op[STOP] - op[START]):
        value = w[i]
        dw[i] += strength if value > 0.0 else (-strength if value < 0.0 else 0.0)
    return 0.0


@kernel(REASSOCIATE)
def l2(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """λ Σ θ²."""
    total = 0.0
    w = shifted(theta, op[START])
    for i in range(op[STOP] - op[START]):
        total += np.float64(w[i]) * np.float64(w[i])
    return float(hyper[FACTOR] * total)


@kernel()
def l2_backward(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """∂L/∂θ += 2 λ θ."""
    w = shifted(theta, op[START])
    dw = shifted(dtheta, op[START])
    factor = 2.0 * hyper[FACTOR]
    for i in range(op[STOP] - op[START]):
        dw[i] += factor * np.float64(w[i])
    return 0.0


PENALTY_KERNELS: Final[dict[str, tuple[Kernel, Kernel]]] = {"l1": (l1, l1_backward), "l2": (l2, l2_backward)}
"""Word of the vocabulary → kernels forwards and backwards."""

"""Fully connected layers, z = x @ W + b: by BLAS where the product is large enough to repay the call.

All matrices lie row by row; BLAS reads columns, so it is given the transposed equation of each.
"""

from __future__ import annotations

from typing import Any, Final

from fastimpl.jit import REASSOCIATE, inlined, kernel
from fastimpl.memory import address_of, call_gemm, call_kernel, integers_at, reals_at, shifted
from fastimpl.table import (
    ADD_D_BIAS,
    ADD_D_INPUT,
    ADD_D_WEIGHT,
    BIAS,
    D_BIAS,
    D_INPUT,
    D_OUTPUT,
    D_WEIGHT,
    FORWARD,
    GEMM,
    HYPER,
    INPUT,
    NONE,
    NOW,
    OUTPUT,
    PRODUCT,
    RATE,
    UNITS,
    UPDATES,
    WEIGHT,
    WIDTH,
)

BLAS_FROM: Final = 512
"""Multiplications of a product, batch · fan_in · units, from which BLAS is called. Measured: at 512 a training step by
OpenBLAS and one by loops take the same time in both dtypes, at 1,024 loops take longer, at 64 the call costs more."""


@inlined(REASSOCIATE)
def _product(x: Any, w: Any, z: Any, rows: int, inner: int, columns: int) -> None:
    """Adds x @ W to z, for x (rows, inner) and W (inner, columns)."""
    for i in range(rows):
        for k in range(inner):
            factor = x[i * inner + k]
            for j in range(columns):
                z[i * columns + j] += factor * w[k * columns + j]


@inlined(REASSOCIATE)
def _product_with_transpose(delta: Any, w: Any, dx: Any, rows: int, inner: int, columns: int) -> None:
    """Adds delta @ Wᵀ to dx, for delta (rows, columns) and W (inner, columns)."""
    for i in range(rows):
        for k in range(inner):
            total = dx[i * inner + k]
            for j in range(columns):
                total += delta[i * columns + j] * w[k * columns + j]
            dx[i * inner + k] = total


@inlined(REASSOCIATE)
def _product_of_transpose(x: Any, delta: Any, dw: Any, rows: int, inner: int, columns: int) -> None:
    """Adds xᵀ @ delta to dW, for x (rows, inner) and delta (rows, columns)."""
    for i in range(rows):
        for k in range(inner):
            factor = x[i * inner + k]
            for j in range(columns):
                dw[k * columns + j] += factor * delta[i * columns + j]


@inlined()
def _clear(values: Any, count: int) -> None:
    for i in range(count):
        values[i] = 0.0


@kernel(REASSOCIATE)
def dense(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The pre-activation z = x @ W + b."""
    fan_in, units = op[WIDTH], op[UNITS]
    x = shifted(work, op[INPUT])
    z = shifted(work, op[OUTPUT])
    w = shifted(theta, op[WEIGHT])
    if op[BIAS] == NONE:
        _clear(z, batch * units)
    else:
        b = shifted(theta, op[BIAS])
        for i in range(batch):
            for j in range(units):
                z[i * units + j] = b[j]
    if op[GEMM] != 0 and batch * fan_in * units >= BLAS_FROM:
        call_gemm(op[GEMM], False, False, units, batch, fan_in, 1.0, w, units, x, fan_in, 1.0, z, units)
    else:
        _product(x, w, z, batch, fan_in, units)
    return 0.0


@kernel(REASSOCIATE)
def dense_backward(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """With delta = ∂L/∂z: ∂L/∂W = xᵀ @ delta, ∂L/∂b = Σ delta over the batch, ∂L/∂x = delta @ Wᵀ.

    Where the row updates its weight itself and the rule is plain descent, BLAS does it within the product,
    W ← W − η xᵀ @ delta: one pass over the weights in place of three. The error has passed through W by then.
    """
    fan_in, units = op[WIDTH], op[UNITS]
    delta = shifted(work, op[D_OUTPUT])
    by_blas = op[GEMM] != 0 and batch * fan_in * units >= BLAS_FROM
    if op[D_BIAS] != NONE:
        db = shifted(dtheta, op[D_BIAS])
        if op[ADD_D_BIAS] == 0:
            _clear(db, units)
        for i in range(batch):
            for j in range(units):
                db[j] += delta[i * units + j]
    if op[D_INPUT] != NONE:
        w = shifted(theta, op[WEIGHT])
        dx = shifted(work, op[D_INPUT])
        if by_blas:
            beta = 1.0 if op[ADD_D_INPUT] != 0 else 0.0
            call_gemm(op[GEMM], True, False, fan_in, batch, units, 1.0, w, units, delta, units, beta, dx, fan_in)
        else:
            if op[ADD_D_INPUT] == 0:
                _clear(dx, batch * fan_in)
            _product_with_transpose(delta, w, dx, batch, fan_in, units)
    if op[D_WEIGHT] != NONE:
        x = shifted(work, op[INPUT])
        dw = shifted(dtheta, op[D_WEIGHT])
        within = by_blas and op[UPDATES] != 0 and op[PRODUCT] != 0
        if within:
            w = shifted(theta, op[WEIGHT])
            rate = reals_at(op[NOW])[RATE]
            call_gemm(op[GEMM], False, True, units, fan_in, batch, -rate, delta, units, x, fan_in, 1.0, w, units)
        elif by_blas:
            beta = 1.0 if op[ADD_D_WEIGHT] != 0 else 0.0
            call_gemm(op[GEMM], False, True, units, fan_in, batch, 1.0, delta, units, x, fan_in, beta, dw, units)
        else:
            if op[ADD_D_WEIGHT] == 0:
                _clear(dw, fan_in * units)
            _product_of_transpose(x, delta, dw, batch, fan_in, units)
        if op[UPDATES] != 0 and not within:
            update = integers_at(op[UPDATES])
            call_kernel(
                update[FORWARD],
                op[UPDATES],
                update[HYPER],
                address_of(theta),
                address_of(dtheta),
                address_of(work),
                batch,
            )
    return 0.0

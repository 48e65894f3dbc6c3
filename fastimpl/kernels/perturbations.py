"""What a perturbed parameter of a dense layer changes, and nothing else: one column, and what that column adds.

Sums are taken in an order of their own: all products that the perturbation leaves as they are first, and once; then,
for each perturbation, the one product that changes. It is a sum of the very products of the full pass, so its rounding
is bounded as that of any order is; nothing is subtracted, and no difference of two roundings is carried along.

Rows carry the perturbed entry (i, j) of a weight in START and COLUMN, or (0, j) of a bias.
"""

from __future__ import annotations

from typing import Any, Final

from fastimpl.jit import REASSOCIATE, inlined, kernel
from fastimpl.memory import shifted
from fastimpl.table import (
    BIAS,
    COLUMN,
    D_INPUT,
    D_OUTPUT,
    FACTOR,
    INPUT,
    NONE,
    OUTPUT,
    START,
    UNITS,
    WEIGHT,
    WIDTH,
)

# These rows have no use for gradients, whose columns hold their offsets in the workspace.
REST: Final = D_OUTPUT
"""Offset of the sums of all products that do not change."""
COPY: Final = D_INPUT
"""Offset of a copy of the weights of one unit, one behind another."""


@kernel()
def assign(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Gives one parameter the value in FACTOR."""
    theta[op[START]] = hyper[FACTOR]
    return 0.0


@kernel()
def assign_input(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Gives one number of the workspace the value in FACTOR."""
    work[op[START]] = hyper[FACTOR]
    return 0.0


@kernel()
def copy_weights(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Copies W[:, j]."""
    units = op[UNITS]
    w = shifted(theta, op[WEIGHT] + op[COLUMN])
    copy = shifted(work, op[COPY])
    for k in range(op[WIDTH]):
        copy[k] = w[k * units]
    return 0.0


@inlined(REASSOCIATE)
def _add_products(x: Any, w: Any, total: Any, first: int, stop: int) -> Any:
    """The total and Σ x_k w_k over first ≤ k < stop."""
    for k in range(first, stop):
        total += x[k] * w[k]
    return total


@kernel(REASSOCIATE)
def without_weight(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The sum r = b_j + Σ_{k≠i} x_k W_kj for each sample."""
    width, i = op[WIDTH], op[START]
    w = shifted(work, op[COPY])
    rest = shifted(work, op[REST])
    nothing = w[0] * 0 if op[BIAS] == NONE else theta[op[BIAS] + op[COLUMN]]
    for n in range(batch):
        x = shifted(work, op[INPUT] + n * width)
        rest[n] = _add_products(x, w, _add_products(x, w, nothing, 0, i), i + 1, width)
    return 0.0


@kernel()
def with_weight(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The pre-activation z_j = r + x_i W_ij for each sample."""
    width, i = op[WIDTH], op[START]
    w = theta[op[WEIGHT] + i * op[UNITS] + op[COLUMN]]
    rest = shifted(work, op[REST])
    x = shifted(work, op[INPUT] + i)
    z = shifted(work, op[OUTPUT])
    for n in range(batch):
        z[n] = rest[n] + x[n * width] * w
    return 0.0


@kernel(REASSOCIATE)
def without_bias(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The sum r = Σ_k x_k W_kj for each sample."""
    width = op[WIDTH]
    w = shifted(work, op[COPY])
    rest = shifted(work, op[REST])
    for n in range(batch):
        x = shifted(work, op[INPUT] + n * width)
        rest[n] = _add_products(x, w, x[0] * w[0], 1, width)
    return 0.0


@kernel()
def with_bias(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The pre-activation z_j = r + b_j for each sample."""
    b = theta[op[BIAS] + op[COLUMN]]
    rest = shifted(work, op[REST])
    z = shifted(work, op[OUTPUT])
    for n in range(batch):
        z[n] = rest[n] + b
    return 0.0


@kernel(REASSOCIATE)
def without_feature(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The sums R = b + Σ_{k≠j} x_k W_k for each sample: of the layer behind, without the feature that changes."""
    width, units = op[WIDTH], op[UNITS]
    w = shifted(theta, op[WEIGHT])
    for n in range(batch):
        x = shifted(work, op[INPUT] + n * width)
        rest = shifted(work, op[REST] + n * units)
        for u in range(units):
            rest[u] = 0.0 if op[BIAS] == NONE else theta[op[BIAS] + u]
        for k in range(width):
            if k != op[COLUMN]:
                factor = x[k]
                row = shifted(w, k * units)
                for u in range(units):
                    rest[u] += factor * row[u]
    return 0.0


@kernel()
def with_feature(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The pre-activations z = R + x_j W_j for each sample."""
    units = op[UNITS]
    w = shifted(theta, op[WEIGHT] + op[COLUMN] * units)
    x = shifted(work, op[INPUT])
    for n in range(batch):
        rest = shifted(work, op[REST] + n * units)
        z = shifted(work, op[OUTPUT] + n * units)
        factor = x[n]
        for u in range(units):
            z[u] = rest[u] + factor * w[u]
    return 0.0


@kernel()
def take_column(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Copies column j of a value."""
    value = shifted(work, op[INPUT] + op[COLUMN])
    column = shifted(work, op[OUTPUT])
    for n in range(batch):
        column[n] = value[n * op[UNITS]]
    return 0.0


@kernel()
def put_column(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Writes column j of a value."""
    column = shifted(work, op[INPUT])
    value = shifted(work, op[OUTPUT] + op[COLUMN])
    for n in range(batch):
        value[n * op[UNITS]] = column[n]
    return 0.0

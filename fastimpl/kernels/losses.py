"""Losses: each adds up the loss of a batch and leaves ∂L/∂z in the same pass.

A loss from probabilities is computed from the logits behind them: both are the same function of the parameters, and
only the logits still know how far from 0 and 1 a saturated probability is. So no logarithm of a rounded probability
is taken, and nothing overflows that does not in exact arithmetic.

Where an eps guards the logarithm that no longer is so, and they are computed from probabilities.

N samples have coefficients cₙ (weight times the reduction's scale); t are targets. Sums run in float64.
"""

from __future__ import annotations

import math
from typing import Any, Final

from fastimpl.elementary import exponential
from fastimpl.jit import Kernel, inlined, kernel
from fastimpl.memory import shifted
from fastimpl.table import ADD_D_INPUT, COEFFICIENT, COLUMN, D_INPUT, FACTOR, INPUT, ROWS, TARGET, UNITS, WIDTH


@inlined()
def _row(op: Any, work: Any, row: int) -> tuple[Any, Any, Any, float]:
    """(z, t, dz, c): logits or outputs, targets, ∂L/∂z and the coefficient of one row."""
    z = shifted(work, op[INPUT] + row * op[WIDTH])
    t = shifted(work, op[TARGET] + row * op[UNITS] + op[COLUMN])
    dz = shifted(work, op[D_INPUT] + row * op[WIDTH])
    c = float(shifted(work, op[COEFFICIENT])[row // op[ROWS]])
    return z, t, dz, c


@inlined()
def _put(op: Any, dz: Any, i: int, value: float) -> None:
    if op[ADD_D_INPUT] != 0:
        dz[i] += value
    else:
        dz[i] = value


@kernel()
def half_squared_error(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """½ (y − t)²; derivative y − t."""
    loss = 0.0
    for row in range(batch * op[ROWS]):
        y, t, dy, c = _row(op, work, row)
        for i in range(op[WIDTH]):
            error = float(y[i]) - float(t[i])
            loss += c * (0.5 * error * error)
            _put(op, dy, i, c * error)
    return loss


@kernel()
def squared_error(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """(y − t)²; derivative 2 (y − t)."""
    loss = 0.0
    for row in range(batch * op[ROWS]):
        y, t, dy, c = _row(op, work, row)
        for i in range(op[WIDTH]):
            error = float(y[i]) - float(t[i])
            loss += c * (error * error)
            _put(op, dy, i, c * (2.0 * error))
    return loss


@kernel()
def binary_from_sigmoid(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """−t log σ(z) − (1 − t) log σ(−z); derivative (1 − t) σ(z) − t σ(−z).

    With u = log(1 + e^−|z|) the loss is (1 − t) z + u for z ≥ 0 and u − t z below.
    """
    loss = 0.0
    for row in range(batch * op[ROWS]):
        z, t, dz, c = _row(op, work, row)
        for i in range(op[WIDTH]):
            logit, target = float(z[i]), float(t[i])
            e = exponential(-abs(logit))
            u = math.log1p(e)
            r = 1.0 / (1.0 + e)
            positive = logit >= 0.0
            loss += c * ((1.0 - target) * logit + u if positive else u - target * logit)
            p, q = (r, e * r) if positive else (e * r, r)
            _put(op, dz, i, c * ((1.0 - target) * p - target * q))
    return loss


@kernel()
def categorical_from_sigmoid(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """−t log σ(z), for probabilities that come from sigmoids; derivative −t σ(−z)."""
    loss = 0.0
    for row in range(batch * op[ROWS]):
        z, t, dz, c = _row(op, work, row)
        for i in range(op[WIDTH]):
            logit, target = float(z[i]), float(t[i])
            e = exponential(-abs(logit))
            r = 1.0 / (1.0 + e)
            positive = logit >= 0.0
            loss += c * (target * ((0.0 if positive else -logit) + math.log1p(e)))
            _put(op, dz, i, -c * (target * (e * r if positive else r)))
    return loss


@inlined()
def _largest(z: Any, width: int) -> int:
    place = 0
    for i in range(1, width):
        if z[i] > z[place]:
            place = i
    return place


@inlined()
def _sum_of_others(z: Any, width: int, place: int, shift: float) -> float:
    """Σ e^(zⱼ − shift) over all j but ``place``."""
    total = 0.0
    for j in range(width):
        if j != place:
            total += exponential(float(z[j]) - shift)
    return total


@kernel()
def categorical_from_softmax(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Σ tₖ (log Σ e^zⱼ − zₖ); derivative pᵢ Σₖ tₖ − tᵢ, as pᵢ Σ_{k≠i} tₖ − tᵢ (1 − pᵢ).

    The sum of the powers is kept without the largest one, which is 1: then log(1 + sum) and 1 − p of a saturated
    softmax keep their digits.
    """
    width = op[WIDTH]
    loss = 0.0
    for row in range(batch * op[ROWS]):
        z, t, dz, c = _row(op, work, row)
        top = _largest(z, width)
        shift = float(z[top])
        others = _sum_of_others(z, width, top, shift)
        total = 1.0 + others
        log_total = math.log1p(others)
        targets = 0.0
        for k in range(width):
            target = float(t[k])
            targets += target
            if target != 0.0:
                loss += c * (target * (log_total - (float(z[k]) - shift)))
        for i in range(width):
            target = float(t[i])
            e = exponential(float(z[i]) - shift)
            rest = others if i == top else total - e
            _put(op, dz, i, c * (((targets - target) * e - target * rest) / total))
    return loss


@kernel()
def binary_from_softmax(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Σ −tₖ log pₖ − (1 − tₖ) log(1 − pₖ) for probabilities p that come from a softmax.

    With q = 1 − p and gₖ = (1 − tₖ) pₖ / qₖ the derivative is
    (1 − tᵢ) pᵢ − tᵢ qᵢ + pᵢ Σ_{k≠i} (tₖ − gₖ). Only the largest p can have a small q, which is e^(s − z_top) ·
    Σ_{k≠top} e^(zₖ − s) / Σ e^(zₖ − z_top) with s the second largest logit; pᵢ / q_top is then at most 1.
    """
    width = op[WIDTH]
    loss = 0.0
    for row in range(batch * op[ROWS]):
        z, t, dz, c = _row(op, work, row)
        top = _largest(z, width)
        shift = float(z[top])
        second = -math.inf
        for k in range(width):
            if k != top:
                second = max(second, float(z[k]))
        others = _sum_of_others(z, width, top, shift)
        others_by_second = _sum_of_others(z, width, top, second)
        total = 1.0 + others
        log_total = math.log1p(others)
        targets = 0.0
        ratios = 0.0
        for k in range(width):
            target = float(t[k])
            targets += target
            p = exponential(float(z[k]) - shift) / total
            if target != 0.0:
                loss += c * (target * (log_total - (float(z[k]) - shift)))
            if target != 1.0:
                log_q = (second - shift) + math.log(others_by_second) - log_total if k == top else math.log1p(-p)
                loss -= c * ((1.0 - target) * log_q)
            if k != top:
                ratios += (1.0 - target) * p / (1.0 - p)
        for i in range(width):
            target = float(t[i])
            p = exponential(float(z[i]) - shift) / total
            if i == top:
                q = others / total
                across = p * ratios
            else:
                q = 1.0 - p
                across = p * (ratios - (1.0 - target) * p / q)
                across += (1.0 - float(t[top])) / total * (exponential(float(z[i]) - second) / others_by_second)
            _put(op, dz, i, c * ((1.0 - target) * p - target * q + p * (targets - target) - across))
    return loss


@kernel()
def binary_added(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """−t log(p + ε) − (1 − t) log(1 − p + ε); derivative (1 − t) / (1 − p + ε) − t / (p + ε)."""
    eps = hyper[FACTOR]
    loss = 0.0
    for row in range(batch * op[ROWS]):
        p, t, dp, c = _row(op, work, row)
        for i in range(op[WIDTH]):
            target = float(t[i])
            inside, outside = float(p[i]) + eps, 1.0 - float(p[i]) + eps
            loss -= c * (target * math.log(inside) + (1.0 - target) * math.log(outside))
            _put(op, dp, i, c * ((1.0 - target) / outside - target / inside))
    return loss


@kernel()
def categorical_added(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """−t log(p + ε); derivative −t / (p + ε)."""
    eps = hyper[FACTOR]
    loss = 0.0
    for row in range(batch * op[ROWS]):
        p, t, dp, c = _row(op, work, row)
        for i in range(op[WIDTH]):
            inside = float(p[i]) + eps
            loss -= c * (float(t[i]) * math.log(inside))
            _put(op, dp, i, -c * (float(t[i]) / inside))
    return loss


@kernel()
def binary_clipped(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """−t log q − (1 − t) log(1 − q) with q = p clamped to [ε, 1 − ε]; derivative 0 outside and at the ends."""
    eps = hyper[FACTOR]
    loss = 0.0
    for row in range(batch * op[ROWS]):
        p, t, dp, c = _row(op, work, row)
        for i in range(op[WIDTH]):
            target = float(t[i])
            q = min(max(float(p[i]), eps), 1.0 - eps)
            loss -= c * (target * math.log(q) + (1.0 - target) * math.log(1.0 - q))
            within = eps < float(p[i]) < 1.0 - eps
            _put(op, dp, i, c * ((1.0 - target) / (1.0 - q) - target / q) if within else 0.0)
    return loss


@kernel()
def categorical_clipped(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """−t log q with q = p clamped to [ε, 1 − ε]; derivative −t / q, and 0 outside and at the ends."""
    eps = hyper[FACTOR]
    loss = 0.0
    for row in range(batch * op[ROWS]):
        p, t, dp, c = _row(op, work, row)
        for i in range(op[WIDTH]):
            q = min(max(float(p[i]), eps), 1.0 - eps)
            loss -= c * (float(t[i]) * math.log(q))
            _put(op, dp, i, -c * (float(t[i]) / q) if eps < float(p[i]) < 1.0 - eps else 0.0)
    return loss


@kernel()
def upstream(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Σ t y, where t is the given ∂L/∂y."""
    loss = 0.0
    for row in range(batch * op[ROWS]):
        y, t, dy, c = _row(op, work, row)
        for i in range(op[WIDTH]):
            loss += c * (float(t[i]) * float(y[i]))
            _put(op, dy, i, c * float(t[i]))
    return loss


GUARDED_KERNELS: Final[dict[tuple[str, str], Kernel]] = {
    ("binary_cross_entropy", "add"): binary_added,
    ("binary_cross_entropy", "clip"): binary_clipped,
    ("categorical_cross_entropy", "add"): categorical_added,
    ("categorical_cross_entropy", "clip"): categorical_clipped,
}
"""(word of the vocabulary, guard) → kernel, of the probabilities themselves."""

LOSS_KERNELS: Final[dict[str, dict[str, Kernel]]] = {
    "half_squared_error": {"": half_squared_error},
    "squared_error": {"": squared_error},
    "binary_cross_entropy": {"sigmoid": binary_from_sigmoid, "softmax": binary_from_softmax},
    "binary_cross_entropy_with_logits": {"": binary_from_sigmoid},
    "categorical_cross_entropy": {"sigmoid": categorical_from_sigmoid, "softmax": categorical_from_softmax},
    "categorical_cross_entropy_with_logits": {"": categorical_from_softmax},
}
"""Word of the vocabulary → what its outputs come from → kernel. ``""``: the loss is one of the outputs themselves."""

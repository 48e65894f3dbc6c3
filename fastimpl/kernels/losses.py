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

from numpy import float64

from fastimpl.elementary.arithmetic import in_float64
from fastimpl.elementary.exponential import exponential
from fastimpl.elementary.logarithm import logarithm, logarithm_of_one_and, logarithm_of_one_and_positive
from fastimpl.jit import REASSOCIATE, Kernel, kernel
from fastimpl.kernels.elementwise import elementwise_loss, in_whole_lines, put
from fastimpl.kernels.rows import (
    FEW,
    INFINITY,
    LEAST_TOGETHER,
    TOGETHER,
    first_largest,
    no_more_rows,
    one_for_each,
    panel,
    powers,
    turn,
)
from fastimpl.memory import shifted
from fastimpl.table import ADD_D_INPUT, COEFFICIENT, COLUMN, D_INPUT, INPUT, ROWS, SLOPE, TARGET, UNITS, WIDTH


@elementwise_loss
def half_squared_error(y: float, t: float, parameter: float) -> tuple[float, float]:
    """½ (y − t)²; derivative y − t."""
    error = y - t
    return 0.5 * error * error, error


@elementwise_loss
def squared_error(y: float, t: float, parameter: float) -> tuple[float, float]:
    """(y − t)²; derivative 2 (y − t)."""
    error = y - t
    return error * error, 2.0 * error


@elementwise_loss
def binary_from_sigmoid(z: float, t: float, parameter: float) -> tuple[float, float]:
    """−t log σ(z) − (1 − t) log σ(−z); derivative (1 − t) σ(z) − t σ(−z).

    With u = log(1 + e^−|z|) the loss is (1 − t) z + u for z ≥ 0 and u − t z below.
    """
    e = exponential(-abs(z))
    u = logarithm_of_one_and_positive(e)
    r = 1.0 / (1.0 + e)
    positive = z >= 0.0
    p = r if positive else e * r
    q = e * r if positive else r
    return u + ((1.0 - t) * z if positive else -t * z), (1.0 - t) * p - t * q


@elementwise_loss
def categorical_from_sigmoid(z: float, t: float, parameter: float) -> tuple[float, float]:
    """−t log σ(z), for probabilities that come from sigmoids; derivative −t σ(−z)."""
    e = exponential(-abs(z))
    r = 1.0 / (1.0 + e)
    positive = z >= 0.0
    minus_log = (0.0 if positive else -z) + logarithm_of_one_and_positive(e)
    return t * minus_log, -t * (e * r if positive else r)


@elementwise_loss
def binary_added(p: float, t: float, eps: float) -> tuple[float, float]:
    """−t log(p + ε) − (1 − t) log(1 − p + ε); derivative (1 − t) / (1 − p + ε) − t / (p + ε)."""
    inside, outside = p + eps, 1.0 - p + eps
    return -(t * logarithm(inside) + (1.0 - t) * logarithm(outside)), (1.0 - t) / outside - t / inside


@elementwise_loss
def categorical_added(p: float, t: float, eps: float) -> tuple[float, float]:
    """−t log(p + ε); derivative −t / (p + ε)."""
    inside = p + eps
    return -t * logarithm(inside), -t / inside


@elementwise_loss
def binary_clipped(p: float, t: float, eps: float) -> tuple[float, float]:
    """−t log q − (1 − t) log(1 − q) with q = p clamped to [ε, 1 − ε]; derivative 0 outside and at the ends."""
    low, high = eps, 1.0 - eps
    q = low if p < low else (high if p > high else p)
    slope = (1.0 - t) / (1.0 - q) - t / q
    return -(t * logarithm(q) + (1.0 - t) * logarithm(1.0 - q)), slope if low < p < high else 0.0


@elementwise_loss
def categorical_clipped(p: float, t: float, eps: float) -> tuple[float, float]:
    """−t log q with q = p clamped to [ε, 1 − ε]; derivative −t / q, and 0 outside and at the ends."""
    low, high = eps, 1.0 - eps
    q = low if p < low else (high if p > high else p)
    return -t * logarithm(q), -t / q if low < p < high else 0.0


@elementwise_loss
def upstream(y: float, t: float, parameter: float) -> tuple[float, float]:
    """Σ t y, where t is the given ∂L/∂y."""
    return t * y, t


@kernel(REASSOCIATE, native=True)
def categorical_from_few(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Σ tₖ (log Σ e^zⱼ − zₖ); derivative pᵢ Σₖ tₖ − tᵢ, as pᵢ Σ_{k≠i} tₖ − tᵢ (1 − pᵢ): of rows of at most ``FEW``.

    The sum of the powers is kept without the largest one, which is 1: then log(1 + sum) and 1 − p of a saturated
    softmax keep their digits. Logits and targets are turned, so that whatever is done to a row is done to as many rows
    at once as a vector holds.
    """
    width, units, each = op[WIDTH], op[UNITS], op[ROWS]
    adding = op[ADD_D_INPUT] != 0
    powers_, targets = panel(work), panel(work)
    largest, tops, others = one_for_each(work), one_for_each(work), one_for_each(work)
    sums, below, factors = one_for_each(work), one_for_each(work), one_for_each(work)
    c = shifted(work, op[COEFFICIENT])
    together = TOGETHER if width <= FEW * LEAST_TOGETHER // TOGETHER else LEAST_TOGETHER
    loss: float = in_float64(0.0)
    sample, left = 0, each
    for start in range(0, batch * each, together):
        rows = min(together, batch * each - start)
        count = in_whole_lines(work, rows)
        turn(shifted(work, op[INPUT] + start * width), width, powers_, count, rows, width)
        turn(shifted(work, op[TARGET] + start * units + op[COLUMN]), units, targets, count, rows, width)
        no_more_rows(powers_, count, rows, width)
        no_more_rows(targets, count, rows, width)
        for row in range(count):
            largest[row], tops[row] = powers_[row], 0.0
            others[row], sums[row], below[row], factors[row] = 0.0, 0.0, 0.0, 0.0
        for row in range(rows):
            factors[row] = c[sample]
            left -= 1
            if left == 0:
                sample, left = sample + 1, each
        for k in range(1, width):
            z = shifted(powers_, k * count)
            place = float64(k)
            for row in range(count):
                above = z[row] > largest[row]
                tops[row] = place if above else tops[row]
                largest[row] = z[row] if above else largest[row]
        for k in range(width):
            z, t = shifted(powers_, k * count), shifted(targets, k * count)
            place = float64(k)
            for row in range(count):
                logit, target = z[row], t[row]
                power = exponential(logit - (INFINITY if tops[row] == place else largest[row]))
                z[row] = power
                others[row] += power
                sums[row] += target
                below[row] += target * (largest[row] - logit) if target != 0.0 else 0.0
        for row in range(count):
            loss += in_float64(factors[row] * (sums[row] * logarithm_of_one_and_positive(others[row]) + below[row]))
            factors[row] /= 1.0 + others[row]
        for k in range(width):
            e, t = shifted(powers_, k * count), shifted(targets, k * count)
            place = float64(k)
            for row in range(count):
                top = tops[row] == place
                rest = others[row] if top else (1.0 + others[row]) - e[row]
                power = 1.0 if top else e[row]
                e[row] = factors[row] * ((sums[row] - t[row]) * power - t[row] * rest)
        dz = shifted(work, op[D_INPUT] + start * width)
        if adding:
            for k in range(width):
                for row in range(rows):
                    dz[row * width + k] += powers_[k * count + row]
        else:
            turn(powers_, count, dz, width, width, rows)
    return loss


@kernel(REASSOCIATE)
def categorical_from_softmax(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The same row by row, for rows of many classes, or few rows: powers of all their numbers at once, then the sums.

    The powers lie where the derivatives go, or beside them where those are added.
    """
    width = op[WIDTH]
    adding = op[ADD_D_INPUT] != 0
    room = op[SLOPE] if adding else op[D_INPUT]
    tops, others, logs, scales = one_for_each(hyper), one_for_each(hyper), one_for_each(hyper), one_for_each(hyper)
    loss = 0.0
    for start in range(0, batch * op[ROWS], TOGETHER):
        rows = min(TOGETHER, batch * op[ROWS] - start)
        powers(shifted(work, op[INPUT] + start * width), shifted(work, room + start * width), tops, rows, width)
        for row in range(rows):
            e = shifted(work, room + (start + row) * width)
            total = 0.0
            for i in range(width):
                total += float64(e[i])
            others[row] = total
        for row in range(TOGETHER if rows == TOGETHER else rows):
            logs[row] = logarithm_of_one_and_positive(others[row])
            scales[row] = 1.0 / (1.0 + others[row])
        for row in range(rows):
            z = shifted(work, op[INPUT] + (start + row) * width)
            e = shifted(work, room + (start + row) * width)
            t = shifted(work, op[TARGET] + (start + row) * op[UNITS] + op[COLUMN])
            c = float64(shifted(work, op[COEFFICIENT])[(start + row) // op[ROWS]])
            top = int(tops[row])
            largest = float64(z[top])
            total = 1.0 + others[row]
            targets = 0.0
            below = 0.0
            for k in range(width):
                target = float64(t[k])
                targets += target
                below += target * (largest - float64(z[k])) if target != 0.0 else 0.0
            loss += c * (targets * logs[row] + below)
            factor = c * scales[row]
            target = float64(t[top])
            at_top = factor * ((targets - target) - target * others[row])
            if adding:
                dz = shifted(work, op[D_INPUT] + (start + row) * width)
                for i in range(width):
                    power, target = float64(e[i]), float64(t[i])
                    slope = factor * ((targets - target) * power - target * (total - power))
                    dz[i] += at_top if i == top else slope
            else:
                for i in range(width):
                    power, target = float64(e[i]), float64(t[i])
                    e[i] = factor * ((targets - target) * power - target * (total - power))
                e[top] = at_top
    return loss


@kernel()
def binary_from_softmax(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Σ −tₖ log pₖ − (1 − tₖ) log(1 − pₖ) for probabilities p that come from a softmax.

    With q = 1 − p and gₖ = (1 − tₖ) pₖ / qₖ the derivative is
    (1 − tᵢ) pᵢ − tᵢ qᵢ + pᵢ Σ_{k≠i} (tₖ − gₖ). Only the largest p can have a small q, which is e^(s − z_top) ·
    Σ_{k≠top} e^(zₖ − s) / Σ e^(zₖ − z_top) with s the second largest logit; pᵢ / q_top is then at most 1.
    """
    width = op[WIDTH]
    adding = op[ADD_D_INPUT] != 0
    room = op[SLOPE] if adding else op[D_INPUT]
    loss = 0.0
    for row in range(batch * op[ROWS]):
        z = shifted(work, op[INPUT] + row * width)
        e = shifted(work, room + row * width)
        t = shifted(work, op[TARGET] + row * op[UNITS] + op[COLUMN])
        dz = shifted(work, op[D_INPUT] + row * width)
        c = float64(shifted(work, op[COEFFICIENT])[row // op[ROWS]])
        top = first_largest(z, width)
        largest = float64(z[top])
        for k in range(width):
            e[k] = exponential(float64(z[k]) - (INFINITY if k == top else largest))
        second = -math.inf
        others = 0.0
        for k in range(width):
            logit = float64(z[k])
            second = logit if k != top and not logit <= second else second
            others += float64(e[k])
        by_second = 0.0
        for k in range(width):
            power = exponential(float64(z[k]) - second)
            by_second += 0.0 if k == top else power
        total = 1.0 + others
        log_total = logarithm_of_one_and_positive(others)
        log_q_top = (second - largest) + logarithm(by_second) - log_total
        targets = 0.0
        ratios = 0.0
        terms = 0.0
        for k in range(width):
            target = float64(t[k])
            p = (1.0 if k == top else float64(e[k])) / total
            log_q = logarithm_of_one_and(-p)
            log_q = log_q_top if k == top else log_q
            terms += target * (log_total + (largest - float64(z[k]))) if target != 0.0 else 0.0
            terms -= (1.0 - target) * log_q if target != 1.0 else 0.0
            targets += target
            ratios += 0.0 if k == top else (1.0 - target) * p / (1.0 - p)
        loss += c * terms
        target_of_top = float64(t[top])
        for i in range(width):
            target = float64(t[i])
            p = (1.0 if i == top else float64(e[i])) / total
            if i == top:
                q = others / total
                across = p * ratios
            else:
                q = 1.0 - p
                across = p * (ratios - (1.0 - target) * p / q)
                across += (1.0 - target_of_top) / total * (exponential(float64(z[i]) - second) / by_second)
            slope = (1.0 - target) * p - target * q + p * (targets - target) - across
            put(dz, i, c * slope, adding)
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

KERNELS_OF_FEW: Final[dict[Kernel, Kernel]] = {categorical_from_softmax: categorical_from_few}
"""Kernel → the one that takes its place where rows are many and of few classes."""


def of_so_many(kernel: Kernel, rows: int, classes: int) -> Kernel:
    """The kernel for so many rows of so many classes."""
    return KERNELS_OF_FEW.get(kernel, kernel) if classes <= FEW and rows >= LEAST_TOGETHER else kernel

"""Update rules: each takes a range of the flat buffer one step on, with state that lies behind the gradients.

Products and sums go as the formulas stand. They are float64 for both dtypes and are rounded once, into the parameter
and into each of its states; but where there is a root and a quotient for each number they are the dtype's, since twice
as many of float32 fit into a vector: there η, β and what is made of them are float64, and rounded first.

g is the gradient, clipped and with coupled decay; t the number of the step from 1. Padding between parameters is 0, its
gradient and state too, and each rule leaves it 0.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from fastimpl.jit import REASSOCIATE, Kernel, inlined, kernel
from fastimpl.memory import integers_at, reals_at, rounded_like, shifted
from fastimpl.table import (
    ABOVE,
    AFTER,
    AHEAD,
    BETA1,
    BETA1_POWER,
    BETA2,
    BETA2_POWER,
    CLIP,
    CLOCK,
    CORRECTION,
    COUPLED_L1,
    COUPLED_L2,
    DECOUPLED_L1,
    DECOUPLED_L2,
    EPSILON,
    FACTOR,
    FRESH,
    GRADIENT,
    INSIDE,
    LIMIT,
    MOMENTUM,
    MULTIPLIER,
    NOW,
    OF_MOMENTS,
    OF_RATE,
    PLAIN,
    RATE,
    SCHEDULED,
    START,
    STARTS,
    STEP,
    STOP,
    STRIDE,
    UNITS,
)

EXACT: Final[frozenset[str]] = frozenset()
"""No product and sum become one rounding: every number is the formula's own, wherever it is computed."""


@inlined(EXACT)
def _decay(w: float, l2: float, l1: float) -> float:
    """λθ, or λ sign(θ) with sign 0 = 0."""
    return l2 * w + (l1 if w > 0.0 else (-l1 if w < 0.0 else 0.0))


@inlined(EXACT)
def _clamped(g: float, limit: float) -> float:
    """The nearest to g in [−limit, limit]; NaN stays NaN."""
    return limit if g > limit else (-limit if g < -limit else g)


@inlined(EXACT)
def _decoupled(op: Any, hyper: Any, theta: Any) -> None:
    """θ ← θ − f d(θ) over the range, f the rate or the schedule's multiplier."""
    w, now = shifted(theta, op[START]), reals_at(op[NOW])
    factor = now[MULTIPLIER] if op[SCHEDULED] != 0 else now[RATE]
    l2, l1 = hyper[DECOUPLED_L2], hyper[DECOUPLED_L1]
    for i in range(op[STOP] - op[START]):
        w[i] = np.float64(w[i]) - factor * _decay(np.float64(w[i]), l2, l1)


@inlined(EXACT)
def _prepared(op: Any, hyper: Any, theta: Any, dtheta: Any) -> tuple[int, Any, Any, float]:
    """(count, θ, g, rate) of the range. Clips its gradients, adds coupled decay, takes decoupled decay off."""
    count, now = op[STOP] - op[START], reals_at(op[NOW])
    w, dw = shifted(theta, op[START]), shifted(dtheta, op[GRADIENT])
    if op[PLAIN] == 0:
        factor, limit = now[CLIP], hyper[LIMIT]
        l2, l1 = hyper[COUPLED_L2], hyper[COUPLED_L1]
        for i in range(count):
            dw[i] = _clamped(factor * np.float64(dw[i]), limit) + _decay(np.float64(w[i]), l2, l1)
        if op[AFTER] == 0:
            _decoupled(op, hyper, theta)
    return count, w, dw, now[RATE]


@inlined(EXACT)
def _finished(op: Any, hyper: Any, theta: Any) -> None:
    """Takes decoupled decay of what the update left off it, where it is that."""
    if op[PLAIN] == 0 and op[AFTER] != 0:
        _decoupled(op, hyper, theta)


@kernel(EXACT)
def sgd(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """θ ← θ − ηg."""
    count, w, dw, rate = _prepared(op, hyper, theta, dtheta)
    for i in range(count):
        w[i] = np.float64(w[i]) - rate * np.float64(dw[i])
    _finished(op, hyper, theta)
    return 0.0


@kernel(EXACT)
def momentum(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """With the rate inside: v ← μv − ηg, then θ ← θ + v, or θ + (μv − ηg) ahead, as Nesterov has it.

    With the rate outside: b ← μb + (1 − τ)g, then θ ← θ − ηb, or θ − η(g + μb) ahead. A buffer that starts with the
    first gradient is b ← g at step 1. Factors of 0 and 1 stand for what a form does not have, and change no bit.
    """
    count, w, dw, rate = _prepared(op, hyper, theta, dtheta)
    v = shifted(dtheta, op[START] + op[STRIDE])
    inside = op[INSIDE] != 0
    mu = hyper[MOMENTUM]
    kept, fresh = mu, -rate if inside else hyper[FRESH]
    if op[STARTS] != 0 and integers_at(op[CLOCK])[STEP] == 0:
        kept, fresh = 0.0, 1.0
    step = 1.0 if inside else -rate
    if op[AHEAD] != 0:
        direct = -rate if inside else 1.0
        for i in range(count):
            g = np.float64(dw[i])
            new = kept * np.float64(v[i]) + fresh * g
            v[i] = new
            w[i] = np.float64(w[i]) + step * (mu * new + direct * g)
    else:
        for i in range(count):
            new = kept * np.float64(v[i]) + fresh * np.float64(dw[i])
            v[i] = new
            w[i] = np.float64(w[i]) + step * new
    _finished(op, hyper, theta)
    return 0.0


@inlined(EXACT)
def _quotient(numerator: Any, root: Any, nothing: Any) -> Any:
    """The quotient; 0 where the numerator is, as in padding, whose root is 0 where ε is."""
    return numerator / root if numerator != nothing else nothing


@inlined(EXACT)
def _epsilons(op: Any, hyper: Any, w: Any) -> tuple[Any, Any]:
    """What stands beside s under the root, and beside the root."""
    epsilon, nothing = rounded_like(w, hyper[EPSILON]), rounded_like(w, 0.0)
    return (epsilon, nothing) if op[INSIDE] != 0 else (nothing, epsilon)


@kernel(EXACT)
def rmsprop(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Squares s ← ρs + (1 − ρ)g²; θ ← θ − ηg/(√s + ε), or with ε inside the root. A gradient of 0 moves nothing."""
    count, w, dw, eta = _prepared(op, hyper, theta, dtheta)
    s = shifted(dtheta, op[START] + op[STRIDE])
    rate, nothing = rounded_like(w, eta), rounded_like(w, 0.0)
    rho, fresh = rounded_like(w, hyper[BETA2]), rounded_like(w, 1.0 - hyper[BETA2])
    within, beside = _epsilons(op, hyper, w)
    for i in range(count):
        g = dw[i]
        square = rho * s[i] + fresh * (g * g)
        s[i] = square
        w[i] = w[i] - rate * _quotient(g, math.sqrt(square + within) + beside, nothing)
    _finished(op, hyper, theta)
    return 0.0


@kernel(EXACT)
def adam(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Moments m ← β₁m + (1 − β₁)g and s ← β₂s + (1 − β₂)g²; θ ← θ − a m/(√(b s) + ε), or with ε inside the root.

    a = η/(1 − β₁ᵗ), b = 1/(1 − β₂ᵗ) where the moments are corrected; a = η √(1 − β₂ᵗ)/(1 − β₁ᵗ), b = 1 where the rate
    is; a = η, b = 1 where nothing is. A mean of 0 moves nothing.
    """
    count, w, dw, eta = _prepared(op, hyper, theta, dtheta)
    m = shifted(dtheta, op[START] + op[STRIDE])
    s = shifted(dtheta, op[START] + 2 * op[STRIDE])
    now = reals_at(op[NOW])
    rate, correction = eta, 1.0
    if op[CORRECTION] == OF_MOMENTS:
        rate = eta / (1.0 - now[BETA1_POWER])
        correction = 1.0 / (1.0 - now[BETA2_POWER])
    elif op[CORRECTION] == OF_RATE:
        rate = eta * math.sqrt(1.0 - now[BETA2_POWER]) / (1.0 - now[BETA1_POWER])
    a, b, nothing = rounded_like(w, rate), rounded_like(w, correction), rounded_like(w, 0.0)
    beta1, fresh1 = rounded_like(w, hyper[BETA1]), rounded_like(w, 1.0 - hyper[BETA1])
    beta2, fresh2 = rounded_like(w, hyper[BETA2]), rounded_like(w, 1.0 - hyper[BETA2])
    within, beside = _epsilons(op, hyper, w)
    for i in range(count):
        g = dw[i]
        mean = beta1 * m[i] + fresh1 * g
        square = beta2 * s[i] + fresh2 * (g * g)
        m[i] = mean
        s[i] = square
        w[i] = w[i] - a * _quotient(mean, math.sqrt(b * square + within) + beside, nothing)
    _finished(op, hyper, theta)
    return 0.0


@kernel(EXACT)
def decay_gradient(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """G ← g + d(θ): where decay is to be clipped with the gradient."""
    w, dw = shifted(theta, op[START]), shifted(dtheta, op[START])
    l2, l1 = hyper[COUPLED_L2], hyper[COUPLED_L1]
    for i in range(op[STOP] - op[START]):
        dw[i] = np.float64(dw[i]) + _decay(np.float64(w[i]), l2, l1)
    return 0.0


@inlined(REASSOCIATE)
def _sum_of_squares(dw: Any, count: int, scale: float) -> float:
    total = 0.0
    for i in range(count):
        g = scale * np.float64(dw[i])
        total += g * g
    return total


@inlined()
def _norm(dw: Any, count: int) -> float:
    """The Euclidean norm; where squares leave the normal numbers, of the numbers divided by a power of two first."""
    total = _sum_of_squares(dw, count, 1.0)
    if 1e-280 < total < math.inf or total != total:
        return math.sqrt(total)
    largest = 0.0
    for i in range(count):
        largest = max(largest, abs(np.float64(dw[i])))
    if largest == 0.0 or largest == math.inf:
        return largest
    scale = 2.0**-600 if largest > 1.0 else 2.0**600
    return math.sqrt(_sum_of_squares(dw, count, scale)) / scale


@kernel()
def clip_by_norm(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Leaves the factor of every gradient of the range: c/max(n + ε, c), or c/(n + ε) where n > c, else 1.

    n is the norm of them all. One that is not finite leaves a factor that makes the parameters NaN.
    """
    limit, epsilon = hyper[FACTOR], hyper[EPSILON]
    norm = _norm(shifted(dtheta, op[START]), op[STOP] - op[START])
    above = norm > limit if op[ABOVE] != 0 else norm + epsilon > limit
    factor = limit / (norm + epsilon) if above else 1.0
    reals_at(op[NOW])[CLIP] = factor if norm - norm == 0.0 else math.nan
    return 0.0


@kernel()
def not_finite(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """How many numbers of the range are not finite, parameters and (``UNITS`` arrays of) state together."""
    count = op[STOP] - op[START]
    bad = 0
    for k in range(op[UNITS] + 1):
        values = shifted(theta, op[START]) if k == 0 else shifted(dtheta, op[START] + k * op[STRIDE])
        for i in range(count):
            value = np.float64(values[i])
            bad += 1 if value - value != 0.0 else 0
    return float(bad)


UPDATE_KERNELS: Final[dict[str, Kernel]] = {
    "sgd": sgd,
    "momentum": momentum,
    "momentum_torch": momentum,
    "momentum_dampened": momentum,
    "nesterov": momentum,
    "nesterov_torch": momentum,
    "rmsprop": rmsprop,
    "rmsprop_inside": rmsprop,
    "adam": adam,
    "adam_inside": adam,
    "adam_epsilon_hat": adam,
    "adam_uncorrected": adam,
}
"""Word of the vocabulary → kernel; what tells apart those of one family stands in the row's columns."""

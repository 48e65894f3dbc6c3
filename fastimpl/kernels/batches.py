"""What surrounds a step: the batch is gathered, its samples get their coefficients, the parameters are updated."""

from __future__ import annotations

from typing import Any

from fastimpl.jit import inlined, kernel
from fastimpl.memory import integers_at, pointer_like, shifted
from fastimpl.table import FACTOR, ORDER, OUTPUT, SOURCE, START, STOP, UNITS, WIDTH


@kernel()
def gather(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Copies the batch's samples from the data set into the workspace, in the epoch's order."""
    width = op[WIDTH]
    data = pointer_like(work, op[SOURCE])
    order = integers_at(op[ORDER])
    values = shifted(work, op[OUTPUT])
    for n in range(batch):
        sample = order[op[START] + n]
        for i in range(width):
            values[n * width + i] = data[sample * width + i]
    return 0.0


@kernel()
def coefficients(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """cₙ = wₙ / divisor. The divisor is 1 for a sum, else the batch times ``UNITS``: 1, or the outputs of a sample."""
    divisor = float(batch * op[UNITS]) if op[UNITS] != 0 else 1.0
    c = shifted(work, op[OUTPUT])
    if op[SOURCE] == 0:
        for n in range(batch):
            c[n] = 1.0 / divisor
    else:
        weights = pointer_like(work, op[SOURCE])
        order = integers_at(op[ORDER])
        for n in range(batch):
            c[n] = float(weights[order[op[START] + n]]) / divisor
    return 0.0


@inlined(frozenset())
def descend(w: Any, dw: Any, count: int, rate: float) -> None:
    """Takes w to w − η dw: product, then difference, in float64, then rounded to the type of w."""
    for i in range(count):
        w[i] = float(w[i]) - rate * float(dw[i])


@kernel(frozenset())
def sgd(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """θ ← θ − η ∂L/∂θ over a range of the flat buffer."""
    descend(shifted(theta, op[START]), shifted(dtheta, op[START]), op[STOP] - op[START], hyper[FACTOR])
    return 0.0

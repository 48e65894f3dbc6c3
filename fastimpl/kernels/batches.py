"""What comes before a step: the batch is gathered, and its samples get their coefficients."""

from __future__ import annotations

from typing import Any

from fastimpl.jit import kernel
from fastimpl.memory import integers_at, pointer_like, shifted
from fastimpl.table import BATCH_START, CLOCK, ORDER, OUTPUT, SOURCE, UNITS, WIDTH


@kernel()
def gather(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Copies the batch's samples from the data set into the workspace, in the epoch's order."""
    width = op[WIDTH]
    data = pointer_like(work, op[SOURCE])
    order = shifted(integers_at(op[ORDER]), integers_at(op[CLOCK])[BATCH_START])
    values = shifted(work, op[OUTPUT])
    for n in range(batch):
        sample = order[n]
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
        order = shifted(integers_at(op[ORDER]), integers_at(op[CLOCK])[BATCH_START])
        for n in range(batch):
            c[n] = float(weights[order[n]]) / divisor
    return 0.0

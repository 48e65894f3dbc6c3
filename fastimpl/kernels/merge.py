"""Where branches meet: concatenation along the last axis, and sums."""

from __future__ import annotations

from typing import Any

from fastimpl.jit import kernel
from fastimpl.memory import shifted
from fastimpl.table import ADD_D_INPUT, ADD_OUTPUT, COLUMN, D_INPUT, D_OUTPUT, INPUT, OUTPUT, ROWS, UNITS, WIDTH


@kernel()
def merge(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Writes a branch into its columns of the output, or adds it to what stands there."""
    width = op[WIDTH]
    for row in range(batch * op[ROWS]):
        x = shifted(work, op[INPUT] + row * width)
        y = shifted(work, op[OUTPUT] + row * op[UNITS] + op[COLUMN])
        if op[ADD_OUTPUT] != 0:
            for i in range(width):
                y[i] += x[i]
        else:
            for i in range(width):
                y[i] = x[i]
    return 0.0


@kernel()
def merge_backward(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """∂L/∂x is ∂L/∂y of the branch's columns, whether they were written or added to."""
    width = op[WIDTH]
    for row in range(batch * op[ROWS]):
        dx = shifted(work, op[D_INPUT] + row * width)
        dy = shifted(work, op[D_OUTPUT] + row * op[UNITS] + op[COLUMN])
        if op[ADD_D_INPUT] != 0:
            for i in range(width):
                dx[i] += dy[i]
        else:
            for i in range(width):
                dx[i] = dy[i]
    return 0.0

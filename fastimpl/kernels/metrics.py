"""Metrics: right answers are counted where outputs, or the logits behind them, still lie in the workspace."""

from __future__ import annotations

from typing import Any

from fastimpl.jit import inlined, kernel
from fastimpl.memory import reals_at, shifted
from fastimpl.table import ANSWERS, FACTOR, INPUT, NOW, RIGHT, ROWS, TARGET, UNITS, WIDTH


@inlined()
def _greatest(values: Any, count: int) -> int:
    """Where the first of the greatest numbers stands."""
    place = 0
    for i in range(1, count):
        if values[i] > values[place]:
            place = i
    return place


@kernel()
def right_classes(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Counts the rows whose greatest output stands where their greatest target does."""
    width = op[WIDTH]
    rows = batch * op[ROWS]
    right = 0
    for row in range(rows):
        y = shifted(work, op[INPUT] + row * width)
        t = shifted(work, op[TARGET] + row * op[UNITS])
        right += 1 if _greatest(y, width) == _greatest(t, width) else 0
    now = reals_at(op[NOW])
    now[RIGHT] += right
    now[ANSWERS] += rows
    return 0.0


@kernel()
def right_sides(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Counts the outputs that lie on the side of the threshold on which their target lies of ½."""
    threshold = hyper[FACTOR]
    count = batch * op[ROWS] * op[WIDTH]
    y, t = shifted(work, op[INPUT]), shifted(work, op[TARGET])
    right = 0
    for i in range(count):
        right += 1 if (float(y[i]) >= threshold) == (float(t[i]) >= 0.5) else 0
    now = reals_at(op[NOW])
    now[RIGHT] += right
    now[ANSWERS] += count
    return 0.0

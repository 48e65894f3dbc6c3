"""Maxout units: the greatest of each group of features one behind another.

Where several tie, the first takes the whole gradient.
"""

from __future__ import annotations

from typing import Any

from fastimpl.jit import inlined, kernel
from fastimpl.memory import shifted
from fastimpl.table import ADD_D_INPUT, D_INPUT, D_OUTPUT, INPUT, OUTPUT, ROWS, UNITS, WIDTH


@inlined()
def _greatest(z: Any, pieces: int) -> int:
    """Where the first of the greatest numbers stands; NaN counts as greatest, so that divergence is seen."""
    place = 0
    for j in range(1, pieces):
        if z[j] > z[place] or z[j] != z[j]:
            place = j
    return place


@kernel()
def maxout(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """h_i = max_j z[i·pieces + j] over each row."""
    pieces = op[WIDTH] // op[UNITS]
    h = shifted(work, op[OUTPUT])
    for unit in range(batch * op[ROWS] * op[UNITS]):
        z = shifted(work, op[INPUT] + unit * pieces)
        h[unit] = z[_greatest(z, pieces)]
    return 0.0


@kernel()
def maxout_backward(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """∂L/∂z is ∂L/∂h where z is the greatest of its unit, 0 elsewhere."""
    pieces = op[WIDTH] // op[UNITS]
    dh = shifted(work, op[D_OUTPUT])
    for unit in range(batch * op[ROWS] * op[UNITS]):
        z = shifted(work, op[INPUT] + unit * pieces)
        dz = shifted(work, op[D_INPUT] + unit * pieces)
        if op[ADD_D_INPUT] == 0:
            for j in range(pieces):
                dz[j] = 0.0
        dz[_greatest(z, pieces)] += dh[unit]
    return 0.0

"""What softmax and the losses behind it do to rows of logits: powers of all numbers at once, sums row by row.

Rows are as short as there are classes, often shorter than two vectors; so the powers of many rows are computed in one
loop over all their numbers, and the logarithms of their sums in another.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils
from numpy import float64

from fastimpl.elementary.exponential import exponential
from fastimpl.jit import inlined, intrinsic, types
from fastimpl.kernels.elementwise import in_whole_lines
from fastimpl.memory import shifted

TOGETHER: Final = 64
"""Rows that are worked on at a time: their numbers stay in the nearest cache. A multiple of ALIGNMENT, so that all but
the last of them end where a vector does."""


@intrinsic
def one_for_each(typing: Any) -> Any:
    """Room on the stack for a float64 number of each of ``TOGETHER`` rows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        room = cgutils.alloca_once(builder, ir.ArrayType(ir.DoubleType(), TOGETHER))
        return builder.bitcast(room, ir.DoubleType().as_pointer())

    return types.CPointer(types.float64)(), generate


@inlined()
def first_largest(z: Any, width: int) -> int:
    """Where the first of the largest numbers of a row stands."""
    place = 0
    largest = z[0]
    for i in range(1, width):
        above = z[i] > largest
        place = i if above else place
        largest = z[i] if above else largest
    return place


@inlined()
def powers(z: Any, e: Any, tops: Any, rows: int, width: int) -> None:
    """e^(z − the row's largest); 0 for the first largest, whose power is 1, and whose place goes to ``tops``.

    So a sum of a row is that of all powers but the largest, exact to its own last digits however small.
    """
    for row in range(rows):
        logits, places = shifted(z, row * width), shifted(e, row * width)
        top = first_largest(logits, width)
        largest = logits[top]
        for i in range(width):
            places[i] = largest
        places[top] = float("inf")
        tops[row] = top
    for i in range(in_whole_lines(e, rows * width)):
        e[i] = exponential(float64(z[i]) - float64(e[i]))

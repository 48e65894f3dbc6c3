"""What softmax and the losses behind it do to rows of logits: powers of all numbers at once, sums row by row.

Rows are as short as there are classes, often shorter than two vectors. So the powers of many rows are computed in one
loop over all their numbers; or rows are turned, and what is done to one is done to as many as a vector holds.
"""

from __future__ import annotations

import math
from typing import Any, Final

from llvmlite import ir
from numpy import float64

from fastimpl.elementary.exponential import NOTHING, exponential
from fastimpl.jit import inlined, intrinsic
from fastimpl.kernels.elementwise import in_whole_lines
from fastimpl.memory import shifted

TOGETHER: Final = 64
"""Rows that are worked on at a time: their numbers stay in the nearest cache. A multiple of ALIGNMENT, so that all but
the last of them end where a vector does."""
LEAST_TOGETHER: Final = 16
"""Rows of many classes that are, likewise."""
FEW: Final = 128
"""Classes of which a panel holds ``LEAST_TOGETHER`` rows, and ``TOGETHER`` of a quarter as many."""
INFINITY: Final = math.inf
_CACHE_LINE: Final = 64


def _room(numbers: int) -> Any:
    """An intrinsic: room on the stack for so many numbers of the type that the pointer it is given points to."""

    @intrinsic
    def room(typing: Any, like: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.get_value_type(like.dtype)
            with builder.goto_entry_block():  # not filled with zeros, as Numba's own would be
                stack = builder.alloca(ir.ArrayType(number, numbers))
            stack.align = _CACHE_LINE
            return builder.bitcast(stack, number.as_pointer())

        return like(like), generate

    return room


one_for_each = _room(TOGETHER)
"""(work) → room for a number of each of ``TOGETHER`` rows."""
panel = _room(FEW * LEAST_TOGETHER)
"""(work) → room for rows that are turned."""


@inlined()
def turn(values: Any, stride: int, turned: Any, rows: int, count: int, width: int) -> None:
    """Rows that start ``stride`` apart, turned: what stands at one place lies side by side; 0 up to ``count`` rows."""
    for k in range(width):
        for row in range(rows):
            turned[k * count + row] = values[row * stride + k]
        for row in range(rows, count):
            turned[k * count + row] = 0.0


@inlined()
def turn_back(turned: Any, values: Any, rows: int, count: int, width: int, adding: bool) -> None:
    """Rows as they were before, written or added."""
    for k in range(width):
        for row in range(rows):
            stood = values[row * width + k] if adding else NOTHING
            values[row * width + k] = turned[k * count + row] + stood


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

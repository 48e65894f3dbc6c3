"""What softmax and the losses behind it do to rows of logits: many rows at once, or one by one.

Rows are as short as there are classes, often shorter than two vectors, and each ends in a sum that vectors do not take.
So rows of few classes are turned, and what is done to one is done to as many as a vector holds.
"""

from __future__ import annotations

import math
from typing import Any, Final

from llvmlite import ir
from numpy import float64

from fastimpl.elementary.exponential import exponential
from fastimpl.jit import inlined, intrinsic, types
from fastimpl.kernels.elementwise import in_whole_lines
from fastimpl.memory import room_for, shifted
from fastimpl.tiles import transposed

TOGETHER: Final = 64
"""Rows that are worked on at a time: their numbers stay in the nearest cache, and their lengths fill whole vectors."""
LEAST_TOGETHER: Final = 16
"""Rows of more classes that are, likewise, and rows that are turned at all: fewer take less time one by one."""
FEW: Final = 128
"""Classes of which a panel holds ``LEAST_TOGETHER`` rows, and ``TOGETHER`` of a quarter as many."""
INFINITY: Final = math.inf
_BLOCK: Final = 4
"""Rows and columns that are turned in registers."""

one_for_each = room_for(TOGETHER)
"""(pointer) → room for a number of its type for each of ``TOGETHER`` rows."""
panel = room_for(FEW * LEAST_TOGETHER)
"""(pointer) → room for rows that are turned."""


@intrinsic
def _turn_block(typing: Any, source: Any, source_row: Any, target: Any, target_row: Any) -> Any:
    """The first four numbers of four rows of ``source``, which start ``source_row`` apart, as columns of ``target``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.get_value_type(source.dtype)
        vector = ir.VectorType(number, _BLOCK)
        size = context.get_abi_sizeof(number)

        def places(start: Any, apart: Any) -> list[Any]:
            steps = [builder.mul(apart, apart.type(row)) for row in range(_BLOCK)]
            return [builder.bitcast(builder.gep(start, [step]), vector.as_pointer()) for step in steps]

        rows = [builder.load(place, align=size) for place in places(*arguments[:2])]
        for column, place in zip(transposed(builder, rows), places(*arguments[2:]), strict=True):
            builder.store(column, place, align=size)
        return context.get_dummy_value()

    return types.none(source, types.int64, target, types.int64), generate


@inlined()
def turn(values: Any, stride: int, turned: Any, turned_stride: int, rows: int, width: int) -> None:
    """Rows that start ``stride`` apart, turned: what stands at one place lies side by side.

    Blocks that would end beyond the rows or their width start earlier.
    """
    if rows < _BLOCK or width < _BLOCK:
        for k in range(width):
            for row in range(rows):
                turned[k * turned_stride + row] = values[row * stride + k]
    else:
        for start in range(0, rows, _BLOCK):
            row = min(start, rows - _BLOCK)
            for first in range(0, width, _BLOCK):
                k = min(first, width - _BLOCK)
                source, target = shifted(values, row * stride + k), shifted(turned, k * turned_stride + row)
                _turn_block(source, stride, target, turned_stride)


@inlined()
def no_more_rows(turned: Any, stride: int, rows: int, width: int) -> None:
    """0 where no row stands: from ``rows`` up to ``stride``."""
    for k in range(width):
        for row in range(rows, stride):
            turned[k * stride + row] = 0.0


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
        places[top] = INFINITY
        tops[row] = top
    for i in range(in_whole_lines(e, rows * width)):
        e[i] = exponential(float64(z[i]) - float64(e[i]))

"""Families of expression graphs: one for each operator that an engine declares, at each dtype.

A graph belongs to the operator in it that stands last in the vocabulary (``gradproof.operators.WORDS``), the sums and
means over all entries aside, which most graphs end in. So the family of an operator has it in every graph, together
with those before it and with none behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from gradproof.engines import EngineSupports
from gradproof.expressions import Choice, Number, Operation, Slice
from gradproof.graph import Graph
from gradproof.operators import REDUCTIONS, WORDS

ORDER: Final = (*REDUCTIONS, *(word for word in WORDS if word not in REDUCTIONS))
"""The words of the vocabulary, those first that any graph may have besides."""


def family_of(graph: Graph) -> str:
    """The family that a graph belongs to: ``relu-float64``."""
    return f"{max(map(word_of, graph.operations), key=ORDER.index)}-{graph.dtype}"


def families_of(supports: EngineSupports) -> Mapping[str, EngineSupports]:
    """The families of a declaration, each with the part of it to draw from; graphs of others may come too."""
    declared = sorted(supports.operators, key=ORDER.index)
    reductions = tuple(word for word in declared if word in REDUCTIONS)
    return {
        f"{word}-{dtype}": replace(
            supports, operators=tuple(dict.fromkeys((*reductions, *declared[: place + 1]))), dtypes=(dtype,)
        )
        for place, word in enumerate(declared)
        for dtype in supports.dtypes
    }


def word_of(operation: Operation) -> str:
    """The word by which an operation is declared."""
    match operation:
        case Operation(operator="**", operands=(Number(), _)):
            return "2**x"
        case Operation(operator="**", operands=(_, other)):
            return "**" if isinstance(other, Number) else "x**y"
        case Operation(operator="index"):
            parts = operation.index or ()
            if any(isinstance(part, Choice) for part in parts):
                return "x[[i,j]]"
            return "x[i:j]" if any(isinstance(part, Slice) for part in parts) else "x[i]"
        case Operation(operator=operator) if operator in REDUCTIONS and operation.axis is not None:
            return f"{operator}(axis)"
        case _:
            return operation.operator

"""Expressions over somebody's tensors: the operators, what shapes they give, how they are called and written.

An operation is applied to whatever objects a person's engine makes: ``applied`` uses their own operator overloading
and methods, and ``written`` gives the same as the code that a person would type. What is computed is defined in
``refimpl``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from gradproof.errors import ArgumentError
from gradproof.layers import Shape
from gradproof.operators import ARITHMETIC, OPERATORS, REDUCTIONS, SELECTIONS


class Number(msgspec.Struct, frozen=True, tag_field="is", tag="number"):
    """A Python number as an operand: ``2 - x``, ``x ** 0.5``."""

    value: int | float


class Node(msgspec.Struct, frozen=True, tag_field="is", tag="node"):
    """A tensor as an operand, by its place: leaves first, then operations in their order."""

    place: int


Operand = Node | Number


class Slice(msgspec.Struct, frozen=True, tag_field="is", tag="slice"):
    """``start:stop`` in an index; neither is negative."""

    start: int
    stop: int


class Choice(msgspec.Struct, frozen=True, tag_field="is", tag="choice"):
    """A list in an index, ``[0, 0, 2]``; an entry may occur any number of times."""

    entries: tuple[int, ...]


IndexPart = int | Slice | Choice


class Operation(msgspec.Struct, frozen=True):
    """One operator applied to earlier tensors of a graph.

    operator: among OPERATORS. operands: one or two. axis, keepdims: of reductions; None reduces everything.
    shape: of ``reshape``. index: of ``index``, one part for each of the first axes; at most one of them a Choice.
    """

    operator: str
    operands: tuple[Operand, ...]
    axis: int | None = None
    keepdims: bool = False
    shape: tuple[int, ...] | None = None
    index: tuple[IndexPart, ...] | None = None

    @property
    def places(self) -> tuple[int, ...]:
        """The places of the operands that are tensors, in order; one that stands twice is there twice."""
        return tuple(operand.place for operand in self.operands if isinstance(operand, Node))

    @property
    def form(self) -> str:
        """What kind of operation it is, written with x, y for tensors and 2 for any number: ``2 - x``."""
        names = iter("xy")
        words = ["2" if isinstance(operand, Number) else next(names) for operand in self.operands]
        if self.operator == "index":
            return {int: "x[i]", Slice: "x[i:j]", Choice: "x[[i, j]]"}[_widest(self.index or ())]
        if self.operator in REDUCTIONS:
            return f"x.{self.operator}({'' if self.axis is None else 'axis'}{', keepdims' if self.keepdims else ''})"
        if self.operator == "reshape":
            return "x.reshape(…)"
        return written(self, words)


def _widest(index: Sequence[IndexPart]) -> type:
    kinds = [type(part) for part in index]
    return next((kind for kind in (Choice, Slice) if kind in kinds), int)


def numpy_index(index: Sequence[IndexPart]) -> tuple[Any, ...]:
    """An index as NumPy and everybody else takes it."""
    parts: list[Any] = []
    for part in index:
        match part:
            case Slice(start, stop):
                parts.append(slice(start, stop))
            case Choice(entries):
                parts.append(list(entries))
            case number:
                parts.append(number)
    return tuple(parts)


# How an operation is called, and how it is written. The two say the same, case by case.


def applied(operation: Operation, operands: Sequence[Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
    """An operation on somebody's objects: by Python's operators, methods of the same names, or given functions.

    functions: by operator, what to call in place of the operator or method, with the same arguments.
    """
    name = operation.operator
    own = functions.get(name)
    arguments, keywords = _arguments(operation)
    if own is not None:
        return own(*operands, *arguments, **keywords)
    if name in ARITHMETIC:
        return ARITHMETIC[name](*operands)
    match name:
        case "neg":
            return -operands[0]
        case "@":
            return operands[0] @ operands[1]
        case "T":
            return operands[0].T
        case "index":
            (index,) = arguments
            return operands[0][index]
        case _:
            return getattr(operands[0], name)(*operands[1:], *arguments, **keywords)


def written(operation: Operation, names: Sequence[str], functions: Mapping[str, str] = MappingProxyType({})) -> str:
    """The same as code. names: of the operands; functions: by operator, the name of what is called in its place."""
    name = operation.operator
    own = functions.get(name)
    arguments, keywords = _arguments(operation)
    rest = [*map(_code, arguments), *(f"{key}={value!r}" for key, value in keywords.items())]
    if own is not None:
        return f"{own}({', '.join([*names, *rest])})"
    if name in ARITHMETIC or name == "@":
        return f"{names[0]} {name} {names[1]}"
    match name:
        case "neg":
            return f"-{names[0]}"
        case "T":
            return f"{names[0]}.T"
        case "index":
            return f"{names[0]}[{_code(*arguments)}]"
        case _:
            return f"{names[0]}.{name}({', '.join([*names[1:], *rest])})"


def _arguments(operation: Operation) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What an operator is given besides its operands."""
    match operation:
        case Operation(operator="reshape", shape=tuple() as shape):
            return shape, {}
        case Operation(operator="index", index=tuple() as index):
            parts = numpy_index(index)
            return (parts[0] if len(parts) == 1 else parts,), {}
        case Operation(operator="sum" | "mean", axis=int() as axis, keepdims=keepdims):
            return (), {"axis": axis, "keepdims": True} if keepdims else {"axis": axis}
    return (), {}


def _code(argument: Any) -> str:
    match argument:
        case slice():
            return f"{argument.start}:{argument.stop}"
        case tuple():
            return ", ".join(map(_code, argument))
        case _:
            return repr(argument)


# Shapes.


def result_shape(argument: str, operation: Operation, shapes: Sequence[Shape]) -> Shape:
    """The shape of an operation on tensors of these shapes, a number's being ().

    Raises ArgumentError, naming ``argument``, where the operation is none: an unknown operator, a wrong number of
    operands, shapes that do not fit, an axis or index that is not there.
    """
    name = operation.operator
    _check_form(argument, operation)
    match name:
        case "@":
            a, b = shapes
            if len(a) != 2 or len(b) != 2 or a[1] != b[0]:
                raise ArgumentError(argument, "two matrices (n, k) @ (k, m)", f"{a} @ {b}")
            return a[0], b[1]
        case "T":
            if len(shapes[0]) != 2:
                raise ArgumentError(argument, "a matrix to transpose", f"shape {shapes[0]}")
            return shapes[0][::-1]
        case "reshape":
            shape = operation.shape or ()
            if math.prod(shape) != math.prod(shapes[0]) or any(size < 1 for size in shape):
                raise ArgumentError(argument, f"a shape of {math.prod(shapes[0])} entries", shape)
            return shape
        case "index":
            return _indexed(argument, operation.index or (), shapes[0])
        case "sum" | "mean":
            return _reduced(argument, operation, shapes[0])
        case _:
            try:
                return np.broadcast_shapes(*shapes)
            except ValueError:
                raise ArgumentError(argument, "shapes that broadcast", f"{shapes[0]} and {shapes[1]}") from None


def _check_form(argument: str, operation: Operation) -> None:
    name, operands = operation.operator, operation.operands
    if name not in OPERATORS:
        raise ArgumentError(f"{argument}.operator", f"among {', '.join(OPERATORS)}", name)
    wanted = 2 if name in ARITHMETIC or name in ("@", *SELECTIONS) else 1
    if len(operands) != wanted:
        raise ArgumentError(f"{argument}.operands", f"{wanted} for {name}", f"{len(operands)}")
    numbers = [operand.value for operand in operands if isinstance(operand, Number)]
    if len(numbers) == wanted or (numbers and name not in ARITHMETIC):
        most = "at most one number" if name in ARITHMETIC else "no number"
        raise ArgumentError(f"{argument}.operands", f"{most} for {name}", f"{len(numbers)}")
    if not all(math.isfinite(number) for number in numbers):
        raise ArgumentError(f"{argument}.operands", "finite numbers", f"{numbers}")
    given = {
        "axis": operation.axis is not None and name not in REDUCTIONS,
        "keepdims": operation.keepdims and (name not in REDUCTIONS or operation.axis is None),
        "shape": (operation.shape is not None) != (name == "reshape"),
        "index": (operation.index is not None) != (name == "index"),
    }
    for field, amiss in given.items():
        if amiss:
            belongs = "one for it alone" if field in ("shape", "index") else "none, for it belongs to sum and mean"
            raise ArgumentError(f"{argument}.{field}", f"{belongs} ({name})", getattr(operation, field))


def _reduced(argument: str, operation: Operation, shape: Shape) -> Shape:
    axis = operation.axis
    if axis is None:
        return ()
    if not -len(shape) <= axis < len(shape):
        raise ArgumentError(f"{argument}.axis", f"an axis of a tensor of shape {shape}", axis)
    axis %= len(shape)
    return (*shape[:axis], *((1,) if operation.keepdims else ()), *shape[axis + 1 :])


def _indexed(argument: str, index: Sequence[IndexPart], shape: Shape) -> Shape:
    if not 1 <= len(index) <= len(shape):
        raise ArgumentError(f"{argument}.index", f"1 to {len(shape)} parts for shape {shape}", f"{len(index)} parts")
    if sum(isinstance(part, Choice) for part in index) > 1:
        raise ArgumentError(f"{argument}.index", "at most one list", f"{index}")
    for part, size in zip(index, shape, strict=False):
        match part:
            case Slice(start, stop):
                fits = 0 <= start < stop <= size
            case Choice(entries):
                fits = bool(entries) and all(-size <= entry < size for entry in entries)
            case number:
                fits = -size <= number < size
        if not fits:
            raise ArgumentError(f"{argument}.index", f"entries of an axis of {size}", f"{part}")
    found: Shape = np.empty(shape)[numpy_index(index)].shape
    return found

"""Running a program over a number system.

An ``Arithmetic`` says how each primitive is computed on arrays of its numbers. ``ObjectArithmetic`` does so for any
numbers with Python's operators (SymPy expressions, balls, rationals) in NumPy object arrays; ``FloatArithmetic`` for
floats and complex floats.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import acb, ctx

from gradproof.layers import Shape
from refimpl.functions import steps
from refimpl.language import (
    Add,
    Anchor,
    Apply,
    Detour,
    Hinge,
    Join,
    Largest,
    Leaf,
    MatMul,
    Minimum,
    Multiply,
    Node,
    Ones,
    Place,
    Reshape,
    Scale,
    Seed,
    Share,
    Spread,
    Step,
    Take,
    Tied,
    Total,
    ordered,
)

Values = npt.NDArray[Any]

EXTENDED_BITS = 128
"""Beyond what any of NumPy's floats holds."""


class Arithmetic(ABC):
    """A number system: arrays of its numbers, and each primitive on them. Structure is shared; numbers are not."""

    @abstractmethod
    def number(self, value: Fraction) -> Any:
        """An exact rational as one of the numbers."""

    @abstractmethod
    def full(self, shape: Shape, value: int) -> Values:
        """An array of one integer."""

    @abstractmethod
    def function(self, name: str, x: Values) -> Values:
        """exp, expm1, log, tanh, erfc or sqrt of each entry; sqrt only of what is known not to be negative."""

    @abstractmethod
    def pi(self) -> Any:
        """π as one of the numbers."""

    @abstractmethod
    def by_sign(self, x: Values, below: Values, above: Values) -> Values:
        """Entries of ``below`` where those of x are below 0, else of ``above``; both agree at 0."""

    @abstractmethod
    def hinge(self, x: Values, below: Fraction, above: Fraction) -> Values:
        """Below · x or above · x by the sign of each entry."""

    @abstractmethod
    def step(self, x: Values, below: Fraction, above: Fraction) -> Values:
        """Below or above by the sign of each entry, and what this number system makes of 0."""

    @abstractmethod
    def anchor(self, x: Values) -> Values:
        """Any number for each row along the last axis, repeated along it."""

    def power(self, x: Values, exponent: int) -> Values:
        """An integer power of each entry."""
        return np.asarray(x**exponent)

    def apply(self, function: str, order: int, x: Values) -> Values:
        """A derivative of an elementwise function at each entry, by its straight-line program."""
        results: list[Any] = []
        for instruction in steps(function, order):
            operands = [results[operand] for operand in instruction.operands]
            match instruction.operation:
                case "argument":
                    results.append(x)
                case "number":
                    results.append(self.number(instruction.number))
                case "+":
                    results.append(np.asarray(operands[0] + operands[1]))
                case "*":
                    results.append(np.asarray(operands[0] * operands[1]))
                case "power":
                    results.append(self.power(np.asarray(operands[0]), int(instruction.number)))
                case "pi":
                    results.append(self.pi())
                case "by_sign":
                    results.append(self.by_sign(x, *(np.broadcast_to(part, x.shape) for part in operands)))
                case name:
                    results.append(self.function(name, np.asarray(operands[0])))
        return np.broadcast_to(results[-1], x.shape)  # a constant derivative is one number

    def add(self, x: Values, y: Values) -> Values:
        """X + y."""
        return np.asarray(x + y)

    def multiply(self, x: Values, y: Values) -> Values:
        """X · y entry by entry."""
        return np.asarray(x * y)

    def scale(self, x: Values, factor: Fraction) -> Values:
        """Factor · x."""
        return np.asarray(x * self.number(factor))

    def minimum(self, x: Values, y: Values) -> Values:
        """The lesser of x and y entry by entry."""
        return self.add(x, self.hinge(self.less(y, x), Fraction(1), Fraction(0)))

    def less(self, x: Values, y: Values) -> Values:
        """X − y."""
        return self.add(x, self.scale(y, Fraction(-1)))

    def largest(self, x: Values) -> Values:
        """The greatest entry along the last axis: two at a time."""
        found, *others = _along_last(x)
        for other in others:
            found = self.add(found, self.hinge(self.less(other, found), Fraction(0), Fraction(1)))
        return found

    def share(self, x: Values) -> Values:
        """The slope of ``largest`` for each entry: two at a time, so that a later one that is chosen leaves nothing."""
        found, *others = _along_last(x)
        shares = [self.full(found.shape, 1)]
        for other in others:
            taken = self.step(self.less(other, found), Fraction(0), Fraction(1))
            found = self.add(found, self.hinge(self.less(other, found), Fraction(0), Fraction(1)))
            left = self.less(self.full(found.shape, 1), taken)
            shares = [*(self.multiply(share, left) for share in shares), taken]
        return np.stack(shares, axis=-1)

    def tied(self, x: Values) -> Values:
        """1 for each entry that ties with another for the greatest along the last axis, 0 for every other."""
        top = np.asarray(x == self.largest(x)[..., None], dtype=bool)
        result = self.full(x.shape, 0)
        result[top & (top.sum(-1, keepdims=True) > 1)] = self.number(Fraction(1))
        return result

    def matmul(self, a: Values, b: Values) -> Values:
        """A @ b of two matrices."""
        return np.asarray(a @ b)

    def total(self, x: Values, axes: tuple[int, ...]) -> Values:
        """The sum over axes."""
        return np.asarray(x.sum(axis=axes))

    def place(self, x: Values, indices: npt.NDArray[np.intp], shape: Shape) -> Values:
        """Entries of x added onto zeros at flat indices."""
        result = self.full(shape, 0)
        np.add.at(result.reshape(-1), indices, x.reshape(-1))
        return result


def _along_last(x: Values) -> list[Values]:
    return [np.asarray(part) for part in np.moveaxis(x, -1, 0)]


def run(results: Sequence[Node], arithmetic: Arithmetic, leaves: Mapping[str, Values]) -> tuple[Values, ...]:
    """The values of some results of a program, given its leaves by name; only what they need is computed."""
    values = run_all(ordered(results), arithmetic, leaves)
    return tuple(values[id(node)] for node in results)


def run_all(order: Sequence[Node], arithmetic: Arithmetic, leaves: Mapping[str, Values]) -> dict[int, Values]:
    """The value of every node of a program in order, by the node's identity."""
    values: dict[int, Values] = {}
    for node in order:
        operands = tuple(values[id(operand)] for operand in node.operands)
        values[id(node)] = evaluate(node, arithmetic, operands, leaves)
    return values


def evaluate(node: Node, arithmetic: Arithmetic, operands: tuple[Values, ...], leaves: Mapping[str, Values]) -> Values:
    """The value of one node from those of its operands."""
    match node.primitive:
        case Leaf(name):
            return leaves[name]
        case Ones() | Seed():
            return arithmetic.full(node.shape, 1)
        case Add():
            return arithmetic.add(*operands)
        case Scale(factor):
            return arithmetic.scale(operands[0], factor)
        case Multiply():
            return arithmetic.multiply(*operands)
        case MatMul(transpose_a, transpose_b):
            a, b = operands
            return arithmetic.matmul(a.T if transpose_a else a, b.T if transpose_b else b)
        case Total(axes):
            return arithmetic.total(operands[0], axes)
        case Spread(axes):
            return np.broadcast_to(np.expand_dims(operands[0], axes), node.shape)
        case Reshape():
            return operands[0].reshape(node.shape)
        case Take(indices):
            return operands[0].reshape(-1)[indices].reshape(node.shape)
        case Place(indices):
            return arithmetic.place(operands[0], indices, node.shape)
        case Join(axis):
            return np.concatenate(operands, axis=axis)
        case Apply(function, order):
            return arithmetic.apply(function, order, operands[0])
        case Hinge(below, above, _):
            return arithmetic.hinge(operands[0], below, above)
        case Step(below, above, _):
            return arithmetic.step(operands[0], below, above)
        case Minimum():
            return arithmetic.minimum(*operands)
        case Largest():
            return arithmetic.largest(operands[0])
        case Share():
            return arithmetic.share(operands[0])
        case Tied():
            return arithmetic.tied(operands[0])
        case Detour():
            return operands[0]
        case Anchor():
            return arithmetic.anchor(operands[0])
        case primitive:
            raise TypeError(f"no evaluation for {type(primitive).__name__}")


def entrywise(function: Any, x: Values) -> Values:
    """A function of one number at each entry of an object array."""
    result = np.empty(x.shape, dtype=object)
    result.reshape(-1)[:] = [function(entry) for entry in x.reshape(-1)]
    return result


class ObjectArithmetic(Arithmetic):
    """Numbers with Python's operators, in object arrays; elementwise functions one number at a time."""

    def full(self, shape: Shape, value: int) -> Values:
        result = np.empty(shape, dtype=object)
        result.reshape(-1)[:] = [self.number(Fraction(value))] * result.size
        return result

    @abstractmethod
    def function_one(self, name: str, x: Any) -> Any:
        """exp, expm1, log, tanh, erfc or sqrt of one number."""

    @abstractmethod
    def hinge_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        """``hinge`` of one number."""

    @abstractmethod
    def step_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        """``step`` of one number."""

    def function(self, name: str, x: Values) -> Values:
        return entrywise(partial(self.function_one, name), x)

    def hinge(self, x: Values, below: Fraction, above: Fraction) -> Values:
        return entrywise(lambda entry: self.hinge_one(entry, below, above), x)

    def step(self, x: Values, below: Fraction, above: Fraction) -> Values:
        return entrywise(lambda entry: self.step_one(entry, below, above), x)

    def by_sign(self, x: Values, below: Values, above: Values) -> Values:
        result = np.empty(x.shape, dtype=object)
        entries = zip(*(array.reshape(-1) for array in (x, below, above)), strict=True)
        result.reshape(-1)[:] = [self.by_sign_one(*three) for three in entries]
        return result

    def by_sign_one(self, x: Any, below: Any, above: Any) -> Any:
        """``by_sign`` of one number."""
        raise TypeError(f"{type(self).__name__} has no functions in pieces")

    def pi(self) -> Any:
        raise TypeError(f"{type(self).__name__} has no number for pi")


def _erfc(x: Values) -> Values:
    """The complementary error function, which NumPy lacks; of complex numbers and long floats by Arb."""
    if x.dtype.kind == "f" and x.dtype.itemsize <= np.dtype(np.float64).itemsize:
        return np.array([math.erfc(number) for number in x.reshape(-1)], x.dtype).reshape(x.shape)
    result = np.empty(x.shape, dtype=np.result_type(x.dtype, np.complex128))
    with ctx.workprec(EXTENDED_BITS):
        result.reshape(-1)[:] = [_in_two_parts(acb.erfc, number) for number in result.dtype.type(x.reshape(-1))]
    return np.asarray(result if np.iscomplexobj(x) else result.real)


def _in_two_parts(function: Callable[[Any], Any], number: Any) -> Any:
    """A function of a complex number of NumPy's, to twice the digits of float64 both in and out."""
    near = complex(number)
    value = function(acb(near) + acb(complex(number - near)))
    return type(number)(complex(value)) + type(number)(complex(value - acb(complex(value))))


_FUNCTIONS: Mapping[str, Callable[[Values], Values]] = MappingProxyType(
    {"exp": np.exp, "expm1": np.expm1, "log": np.log, "tanh": np.tanh, "sqrt": np.sqrt, "erfc": _erfc}
)


class FloatArithmetic(Arithmetic):
    """Floats or complex floats of one dtype, as NumPy computes them. For witnesses: nothing is certified.

    A hinge looks at the real part alone, and at 0 its step is ``below``.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def number(self, value: Fraction) -> Any:
        nearest = float(value)
        if nearest == value:
            return self.dtype.type(nearest)
        return self.dtype.type(value.numerator) / self.dtype.type(value.denominator)

    def full(self, shape: Shape, value: int) -> Values:
        return np.full(shape, value, dtype=self.dtype)

    def function(self, name: str, x: Values) -> Values:
        return np.asarray(_FUNCTIONS[name](x))

    def pi(self) -> Any:
        return self.dtype.type(np.pi)

    def by_sign(self, x: Values, below: Values, above: Values) -> Values:
        return np.asarray(np.where(x.real < 0, below, above), dtype=self.dtype)

    def hinge(self, x: Values, below: Fraction, above: Fraction) -> Values:
        return np.asarray(x * self.step(x, below, above))

    def step(self, x: Values, below: Fraction, above: Fraction) -> Values:
        return np.asarray(np.where(x.real > 0, self.number(above), self.number(below)), dtype=self.dtype)

    def minimum(self, x: Values, y: Values) -> Values:
        return np.asarray(np.where(y.real < x.real, y, x), dtype=self.dtype)

    def largest(self, x: Values) -> Values:
        place = np.expand_dims(np.argmax(x.real, axis=-1), -1)
        return np.asarray(np.take_along_axis(x, place, axis=-1)[..., 0])

    def share(self, x: Values) -> Values:
        """1 for the first of the greatest."""
        place = np.expand_dims(np.argmax(x.real, axis=-1), -1)
        found = np.zeros(x.shape, dtype=self.dtype)
        np.put_along_axis(found, place, self.dtype.type(1), axis=-1)
        return found

    def anchor(self, x: Values) -> Values:
        return np.broadcast_to(x.real.max(axis=-1, keepdims=True).astype(self.dtype), x.shape)

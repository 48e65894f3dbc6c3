"""Hypothesis strategies for graphs, within what an engine declares; they shrink towards few operations of few leaves.

Operations are drawn one after the other, each on tensors that are there or on new leaves. An operation that is not
defined at its operands, or whose result grows too large, is left out (``verify.engines.numeric``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, TypeVar

import hypothesis.strategies as st
import msgspec
import numpy as np
from hypothesis import reject

from gradproof.engines import EngineSupports
from gradproof.expressions import Choice, IndexPart, Node, Number, Operand, Operation, Slice
from gradproof.graph import Again, Graph
from gradproof.layers import Shape
from gradproof.operators import FUNCTIONS, REDUCTIONS, SELECTIONS
from verify.engines.numeric import LEAST, Float64, admitted, value

SEEDS = 2**32 - 1
T = TypeVar("T")

ARITHMETIC_WORDS = tuple("+-*/")
STEPS = 3
"""How many steps in a row are asked for, where there are several."""
MOST_ENTRIES = 12
MOST_SIZE = 4
"""Of one axis."""

REALS = (1.0, 2.0, -1.0, 0.5, 3.0, -2.0, 1.5, -0.5, 0.25, -1.5, 2.5, 0.0, -0.75, 1.25, -3.0, 0.3, -0.7)
"""Numbers of leaves, the plainest first: most are exact in binary, some are not."""
POSITIVE = tuple(number for number in REALS if number > 0)
FACTORS: tuple[int | float, ...] = (2, 3, 0.5, -1, 1.5, -2, 1, 0.25)
EXPONENTS: tuple[int | float, ...] = (2, 3, -1, 0.5, -2, 1.5, 4, -0.5, 1, 2.0, 0.7)
BASES: tuple[int | float, ...] = (2, 3, 0.5, 1.5)


Form = Literal["tensors", "right", "left"]
"""Of + − × ÷: of two tensors, or with a number on one side."""


def forms(supports: EngineSupports) -> tuple[tuple[str, Form], ...]:
    """The declared operators, + − × ÷ in each form that is declared."""
    sides: dict[str, tuple[Form, ...]] = {"both": ("tensors", "right", "left"), "right": ("tensors", "right")}
    admitted_forms = sides.get(supports.numbers, ("tensors",))
    arithmetic = [(word, form) for form in admitted_forms for word in supports.operators if word in ARITHMETIC_WORDS]
    return (*arithmetic, *((word, "tensors") for word in supports.operators if word not in ARITHMETIC_WORDS))


def graphs(supports: EngineSupports) -> st.SearchStrategy[Graph]:
    """Graphs of all that is declared and of nothing else."""
    return _graph(supports)


@st.composite
def _graph(draw: Callable[[st.SearchStrategy[Any]], Any], supports: EngineSupports) -> Graph:
    seed = draw(st.integers(0, SEEDS))  # first, so that every example has one of its own
    asked = draw(st.sampled_from(supports.passes))
    dtype = draw(st.sampled_from(supports.dtypes))
    drawing = _Drawing(draw, supports, STEPS if asked == "steps" else 1, Random(seed) if seed else None)  # noqa: S311
    results = [drawing.expression()]
    if asked == "accumulate":
        results.append(drawing.expression())
    if asked in ("repeat", "replace"):
        results *= 2
    return drawing.graph(results, dtype, "replaces" if asked == "replace" else "adds")


@dataclass
class _Tensor:
    """A tensor that was drawn: its numbers at every step, and the operation that gives it; None for a leaf."""

    numbers: list[Float64]
    operation: Operation | None = None

    @property
    def shape(self) -> Shape:
        return self.numbers[0].shape


@dataclass
class _Drawing:
    """What was drawn so far. Operands are numbered in the order of drawing, leaves among operations."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    supports: EngineSupports
    steps: int
    random: Random | None
    """Where choices begin to count: Hypothesis draws many examples of the plainest choices, which would be all alike.

    None for the order that is written down, towards which graphs shrink.
    """
    tensors: list[_Tensor] = field(default_factory=list)
    visible: list[int] = field(default_factory=list)
    """Those that the expression that is being drawn may use: leaves, and its own results."""

    def expression(self) -> int:
        """Draws an expression; the place of its result, a single number."""
        self.visible = [place for place, tensor in enumerate(self.tensors) if tensor.operation is None]
        begun = len(self.tensors)
        # The first operation is of a form that is drawn for itself, so that in few graphs already each comes up.
        self.grow(*self.choose(forms(self.supports)))
        least, most = self.supports.size
        for _ in range(self.choose(range(least - 1, most))):
            self.grow(*self.choose(forms(self.supports)))
        made = [place for place in range(begun, len(self.tensors)) if self.tensors[place].operation is not None]
        for word, form in forms(self.supports) if not made else ():
            if self.grow(word, form):
                made = [len(self.tensors) - 1]
                break
        if not made:
            reject()
        return self.reduced(made[-1])

    def choose(self, options: Sequence[T]) -> T:
        begin = self.random.randrange(len(options)) if self.random else 0
        further: int = self.draw(st.integers(0, len(options) - 1))
        return options[(begin + further) % len(options)]

    def grow(self, word: str, form: Form) -> bool:
        """Tries to add an operation by a declared word, in a form of it."""
        operation = self.operation(word, form)
        return operation is not None and self.add(operation)

    def add(self, operation: Operation) -> bool:
        operands = [self.numbers(operation, step) for step in range(self.steps)]
        if not all(admitted(operation, given) for given in operands):
            return False
        self.append(_Tensor([value(operation, given) for given in operands], operation))
        return True

    def append(self, tensor: _Tensor) -> int:
        self.tensors.append(tensor)
        self.visible.append(len(self.tensors) - 1)
        return len(self.tensors) - 1

    def numbers(self, operation: Operation, step: int) -> list[Float64 | int | float]:
        return [o.value if isinstance(o, Number) else self.tensors[o.place].numbers[step] for o in operation.operands]

    def leaf(self, shape: Shape, numbers: Sequence[float] = REALS) -> int:
        """A new leaf of a shape."""
        count = math.prod(shape)
        each = [[self.choose(numbers) for _ in range(count)] for _ in range(self.steps)]
        return self.append(_Tensor([np.array(entries).reshape(shape) for entries in each]))

    def shape(self) -> Shape:
        """The shape of a new leaf that nothing else decides."""
        if self.supports.scalar:
            return ()
        least, most = self.supports.axes
        sizes = [self.choose(range(1, MOST_SIZE + 1)) for _ in range(self.choose(range(least, most + 1)))]
        while math.prod(sizes) > MOST_ENTRIES:
            sizes[sizes.index(max(sizes))] -= 1
        return tuple(sizes)

    def tensor(
        self,
        fits: Callable[[_Tensor], bool] = lambda tensor: True,
        shapes: Callable[[], Shape | None] | None = None,
        numbers: Sequence[float] = REALS,
    ) -> int | None:
        """A tensor that is there and fits, the latest more often; or a new leaf, of one of ``shapes``."""
        there = [place for place in reversed(self.visible) if fits(self.tensors[place])]
        new = -1
        place = self.choose([*there[:1] * (1 + len(there)), *there[1:], *[new] * max(1, len(there) // 2)])
        if place != new:
            return place
        shape = self.shape() if shapes is None else shapes()
        return None if shape is None else self.leaf(shape, numbers)

    def operation(self, word: str, form: Form) -> Operation | None:
        """An operation of a declared word on tensors drawn for it; None where none can be had."""
        match word:
            case "+" | "-" | "*" | "/":
                return self.arithmetic(word, form)
            case "**":
                return self.of_one(self.tensor(), lambda x: Operation("**", (x, Number(self.choose(EXPONENTS)))))
            case "2**x":
                return self.of_one(self.tensor(), lambda x: Operation("**", (Number(self.choose(BASES)), x)))
            case "x**y":
                return self.of_two("**", self.tensor(_positive, numbers=POSITIVE))
            case "@":
                return self.product()
            case "T":
                matrix = self.tensor(lambda tensor: len(tensor.shape) == 2, self.matrix_shape)
                return self.of_one(matrix, lambda x: Operation("T", (x,)))
            case "reshape":
                return self.of_one(self.array(), lambda x: Operation("reshape", (x,), shape=self.reshaped(x)))
            case "x[i]" | "x[i:j]" | "x[[i,j]]":
                return self.of_one(self.array(), lambda x: Operation("index", (x,), index=self.index(word, x)))
            case "sum(axis)" | "mean(axis)":
                return self.of_one(self.array(), lambda x: self.along_axis(word.partition("(")[0], x))
            case _ if word in REDUCTIONS:
                return self.of_one(self.array(), lambda x: Operation(word, (x,)))
            case _ if word in SELECTIONS:
                return self.of_two(word, self.tensor())
            case _ if FUNCTIONS.get(word) == "positive":
                return self.of_one(self.tensor(_positive, numbers=POSITIVE), lambda x: Operation(word, (x,)))
            case _:
                return self.of_one(self.tensor(), lambda x: Operation(word, (x,)))

    def of_one(self, place: int | None, make: Callable[[Node], Operation]) -> Operation | None:
        return None if place is None else make(Node(place))

    def of_two(self, operator: str, place: int | None) -> Operation | None:
        """An operation on a tensor and another one, of a shape that broadcasts with its where that is declared."""
        if place is None:
            return None
        shape = self.tensors[place].shape
        other = self.tensor(lambda tensor: self.together(shape, tensor.shape), lambda: self.partner(shape))
        return None if other is None else Operation(operator, (Node(place), Node(other)))

    def arithmetic(self, operator: str, form: Form) -> Operation | None:
        """+ − × ÷ of two tensors, or of one and a number."""
        if form != "tensors":
            number, place = Number(self.choose(FACTORS)), self.tensor()
            if place is None:
                return None
            tensor = Node(place)
            return Operation(operator, (tensor, number) if form == "right" else (number, tensor))
        operation = self.of_two(operator, self.tensor())
        if operation is None or not self.choose((False, True)):
            return operation
        return Operation(operator, operation.operands[::-1])

    def together(self, one: Shape, other: Shape) -> bool:
        """Whether two shapes may stand on both sides of an operator."""
        if one == other:
            return True
        if not self.supports.broadcast:
            return False
        try:
            return math.prod(np.broadcast_shapes(one, other)) <= MOST_ENTRIES
        except ValueError:
            return False

    def partner(self, shape: Shape) -> Shape | None:
        """The shape of a new leaf that broadcasts with another one: its own, or a row, a column, a single entry."""
        if self.supports.scalar:
            return ()
        least, most = self.supports.axes
        options = [shape]
        if self.supports.broadcast:
            for axis in range(len(shape)):
                options.append((*shape[:axis], 1, *shape[axis + 1 :]))
                options.append(shape[axis + 1 :])
            if len(shape) < most:
                options.append((2, *shape))
                options.append((3, *shape))
            options = [option for option in options if self.together(shape, option)]
        options = [option for option in dict.fromkeys(options) if least <= len(option) <= most]
        return self.choose(options) if options else None

    def array(self) -> int | None:
        """A tensor of at least one axis."""
        return self.tensor(lambda tensor: tensor.shape != (), lambda: self.shape() or None)

    def matrix_shape(self) -> Shape | None:
        if self.supports.axes[1] < 2 or self.supports.axes[0] > 2:
            return None
        return self.choose(range(1, MOST_SIZE)), self.choose(range(1, MOST_SIZE))

    def product(self) -> Operation | None:
        """A matrix product, of a tensor from either side."""
        place = self.tensor(lambda tensor: len(tensor.shape) == 2, self.matrix_shape)
        if place is None:
            return None
        n, k = self.tensors[place].shape
        size = self.choose(range(1, MOST_SIZE))
        if self.choose((True, False)):
            other = self.tensor(lambda t: len(t.shape) == 2 and t.shape[0] == k, lambda: (k, size))
            return None if other is None else Operation("@", (Node(place), Node(other)))
        other = self.tensor(lambda t: len(t.shape) == 2 and t.shape[1] == n, lambda: (size, n))
        return None if other is None else Operation("@", (Node(other), Node(place)))

    def reshaped(self, x: Node) -> Shape:
        count = math.prod(self.tensors[x.place].shape)
        rows = [size for size in range(1, count + 1) if count % size == 0]
        shapes: list[Shape] = [(count,)]
        if self.supports.axes[1] >= 2:
            shapes += [(size, count // size) for size in rows]
        return self.choose(shapes)

    def index(self, word: str, x: Node) -> tuple[IndexPart, ...]:
        """An index with one part of the declared kind, and perhaps others of ints and slices."""
        shape = self.tensors[x.place].shape
        axis = self.choose(range(len(shape))) if "x[i:j]" in self.supports.operators or word == "x[i]" else 0
        parts: list[IndexPart] = [self.part("x[i]" if word == "x[i]" else "x[i:j]", size) for size in shape[:axis]]
        return (*parts, self.part(word, shape[axis]))

    def part(self, word: str, size: int) -> IndexPart:
        if word == "x[i]":
            return self.choose(range(size))
        if word == "x[[i,j]]":
            return Choice(tuple(self.choose(range(size)) for _ in range(self.choose((2, 3, 1)))))
        start = self.choose(range(size))
        return Slice(start, self.choose(range(start + 1, size + 1)))

    def along_axis(self, operator: str, x: Node) -> Operation:
        axes = len(self.tensors[x.place].shape)
        axis = self.choose((*range(axes), -1))
        return Operation(operator, (x,), axis=axis, keepdims=self.choose((False, True)))

    def reduced(self, place: int) -> int:
        """A single number from a tensor: weighted by a new leaf, so that what comes back is not the same everywhere."""
        tensor = self.tensors[place]
        if tensor.shape == ():
            return place
        least, most = self.supports.axes
        if "*" in self.supports.operators and least <= len(tensor.shape) <= most and self.choose((False, True, True)):
            weights = self.leaf(tensor.shape)
            if self.add(Operation("*", (Node(place), Node(weights)))):
                place = len(self.tensors) - 1
        reductions = [word for word in REDUCTIONS if word in self.supports.operators]
        if not self.add(Operation(self.choose(reductions), (Node(place),))):
            reject()
        return len(self.tensors) - 1

    def graph(self, results: Sequence[int], dtype: Any, again: Again) -> Graph:
        """What the results need, leaves first."""
        needed = set(self.behind(results))
        leaves = [p for p in sorted(needed) if self.tensors[p].operation is None]
        made = [p for p in sorted(needed) if self.tensors[p].operation is not None]
        place = {old: new for new, old in enumerate([*leaves, *made])}
        return Graph(
            [[self.tensors[p].numbers[step] for p in leaves] for step in range(self.steps)],
            [_moved(operation, place) for p in made if (operation := self.tensors[p].operation) is not None],
            backward=[place[result] for result in results],
            again=again,
            scalar=self.supports.scalar,
            dtype=dtype,
            dialect=self.supports.dialect,
        )

    def behind(self, results: Sequence[int]) -> Iterator[int]:
        waiting = list(results)
        while waiting:
            place = waiting.pop()
            yield place
            operation = self.tensors[place].operation
            waiting.extend(operation.places if operation is not None else ())


def _positive(tensor: _Tensor) -> bool:
    return all(bool(np.all(numbers >= LEAST)) for numbers in tensor.numbers)


def _moved(operation: Operation, place: dict[int, int]) -> Operation:
    operands: list[Operand] = [Node(place[o.place]) if isinstance(o, Node) else o for o in operation.operands]
    return msgspec.structs.replace(operation, operands=tuple(operands))

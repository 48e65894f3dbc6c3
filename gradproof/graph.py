"""The graph: one expression over tensors, with their numbers, and what is asked of an engine's reverse pass."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from gradproof.arrays import Array, ArrayData, Floats, from_data, frozen_array, to_data
from gradproof.case import ID_LENGTH
from gradproof.checks import whole
from gradproof.errors import ArgumentError
from gradproof.expressions import Node, Number, Operation, applied, result_shape, written
from gradproof.layers import Shape
from gradproof.operators import Dialect
from gradproof.vocabulary import DTYPES, Dtype

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"

Again = Literal["adds", "replaces"]
"""What a second backward pass does to the gradients that are there: adds to them, or puts its own in their place."""
AGAIN: Final[tuple[Again, ...]] = ("adds", "replaces")


class GraphData(msgspec.Struct, frozen=True, tag_field="kind", tag="graph"):
    """A graph as JSON keeps it."""

    steps: tuple[tuple[ArrayData, ...], ...]
    operations: tuple[Operation, ...]
    backward: tuple[int, ...]
    again: Again
    scalar: bool
    dtype: Dtype
    dialect: Dialect
    tags: tuple[str, ...]


class Graph:
    """An expression over leaves, the calls of backward on its results, and the leaves' numbers; immutable.

    The tensors are called a, b, c …: leaves first, then the result of each operation. What is asked of an engine: make
    the leaves, compute the operations, call backward on the results, one after the other with nothing reset between,
    and hand back the results' values and the leaves' gradients. Where there are several steps, the leaves then get the
    next step's numbers, their gradients are reset, and all is computed again.

    Arguments:
        steps: for each step the arrays of all leaves, each leaf of one shape throughout; at least one of both.
        operations: each on leaves and earlier results; at least one.
        backward: places of the results that backward is called on, in order; None for the last one, once.
        again: what every call of backward but the first does to gradients that are there.
        scalar: whether the engine knows numbers alone: every shape is (), and leaves are handed out as floats.
        dtype: the precision that the engine computes in. Numbers are rounded to it once, here, and are exact from then
            on.
        dialect: how the engine is spelled; of consequence for text alone.
        tags: words that say what is special about this graph.

    Raises ArgumentError, naming the argument, for shapes that do not fit, operations or places that there are not,
    tensors that no result needs, results that are no scalars, and numbers that are not finite.
    """

    __slots__ = ("__dict__", "again", "backward", "dialect", "dtype", "operations", "scalar", "steps", "tags")

    steps: tuple[tuple[Floats, ...], ...]
    operations: tuple[Operation, ...]
    backward: tuple[int, ...]
    again: Again
    scalar: bool
    dtype: Dtype
    dialect: Dialect
    tags: tuple[str, ...]

    def __init__(
        self,
        steps: Sequence[Sequence[npt.ArrayLike]],
        operations: Sequence[Operation],
        *,
        backward: Sequence[int] | None = None,
        again: Again = "adds",
        scalar: bool = False,
        dtype: Dtype = "float64",
        dialect: Dialect | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        if dtype not in DTYPES:
            raise ArgumentError("dtype", " or ".join(DTYPES), dtype)
        if again not in AGAIN:
            raise ArgumentError("again", " or ".join(AGAIN), again)
        if not steps or not steps[0]:
            raise ArgumentError("steps", "at least one step with at least one leaf", f"{steps!r}")
        if not operations:
            raise ArgumentError("operations", "at least one", "none")
        last = len(steps[0]) + len(operations) - 1
        fields = {
            "steps": _frozen_steps(steps, dtype),
            "operations": tuple(operations),
            "backward": (last,) if backward is None else tuple(whole("backward", place) for place in backward),
            "again": again,
            "scalar": scalar,
            "dtype": dtype,
            "dialect": dialect or Dialect("Value" if scalar else "Tensor"),
            "tags": tuple(sorted({tags} if isinstance(tags, str) else set(map(str, tags)))),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        self._check_results()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Graph is immutable; to change {name}, use graph.replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Graph is immutable: {name} stays")

    def __reduce__(self) -> tuple[Callable[[GraphData], Graph], tuple[GraphData]]:
        return Graph.from_data, (self.to_data(),)  # for copies and other processes

    def _check_results(self) -> None:
        shapes = self.shapes  # raises where an operation does not fit
        if self.scalar and any(shapes):
            raise ArgumentError("steps", "numbers alone for a scalar engine", f"shapes {shapes}")
        if not self.backward:
            raise ArgumentError("backward", "at least one result", "none")
        for place in self.backward:
            if not len(self.leaves) <= place < len(shapes):
                places = f"the place of an operation, {len(self.leaves)} to {len(shapes) - 1}"
                raise ArgumentError("backward", places, place)
            if shapes[place] != ():
                raise ArgumentError("backward", "scalar results", f"{self.names[place]} of shape {shapes[place]}")
        idle = [name for place, name in enumerate(self.names) if place not in self._needed]
        if idle:
            raise ArgumentError("operations", "tensors that a result needs", f"{', '.join(idle)} besides")

    @cached_property
    def _needed(self) -> frozenset[int]:
        needed = set(self.backward)
        for place in range(len(self.shapes) - 1, len(self.leaves) - 1, -1):
            if place in needed:
                needed.update(self.operation(place).places)
        return frozenset(needed)

    @property
    def leaves(self) -> tuple[Floats, ...]:
        """The arrays of the leaves at the first step."""
        return self.steps[0]

    def operation(self, place: int) -> Operation:
        """The operation that computes the tensor at a place."""
        return self.operations[place - len(self.leaves)]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What every tensor is called: a, b, … z, a1, b1, …"""
        count = len(self.leaves) + len(self.operations)
        return tuple(LETTERS[i % 26] + (str(i // 26) if i >= 26 else "") for i in range(count))

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape of every tensor, by place. Raises ArgumentError where an operation does not fit."""
        shapes = [leaf.shape for leaf in self.leaves]
        for number, operation in enumerate(self.operations):
            for place in operation.places:
                if not 0 <= place < len(shapes):
                    earlier = f"places of earlier tensors, 0 to {len(shapes) - 1}"
                    raise ArgumentError(f"operations[{number}].operands", earlier, place)
            operands = [shapes[o.place] if isinstance(o, Node) else () for o in operation.operands]
            shapes.append(result_shape(f"operations[{number}]", operation, operands))
        return tuple(shapes)

    @cached_property
    def results(self) -> tuple[int, ...]:
        """The places of the results, each once, in the order of their first backward."""
        return tuple(dict.fromkeys(self.backward))

    @cached_property
    def quantities(self) -> Mapping[str, Shape]:
        """What is asked for, with shapes, step by step: results' values, ``d.data``, and leaves' gradients, ``a.grad``.

        Where there are several steps, ``step 2: a.grad``.
        """
        asked: dict[str, Shape] = {}
        for step in range(len(self.steps)):
            asked |= {self.quantity(self.value_name(place), step): () for place in self.results}
            for place, leaf in enumerate(self.leaves):
                asked[self.quantity(self.gradient_name(place), step)] = leaf.shape
        return MappingProxyType(asked)

    def value_name(self, place: int) -> str:
        """A result's value as the engine spells it, ``d.data``."""
        return f"{self.names[place]}.{self.dialect.data}"

    def gradient_name(self, place: int) -> str:
        """A leaf's gradient as the engine spells it, ``a.grad``."""
        return f"{self.names[place]}.{self.dialect.gradient}"

    def quantity(self, name: str, step: int) -> str:
        """A name of a value or gradient with its step, where there are several."""
        return f"step {step + 1}: {name}" if len(self.steps) > 1 else name

    @cached_property
    def id(self) -> str:
        """The first hex digits of the SHA-256 of this graph's JSON, tags and spelling aside."""
        data = msgspec.structs.replace(self.to_data(), tags=(), dialect=Dialect())
        return hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()[:ID_LENGTH]

    # What is done with it.

    def compute(self, leaves: Sequence[Any], functions: Mapping[str, Callable[..., Any]] | None = None) -> list[Any]:
        """Every tensor by place, from somebody's leaves, by their own operators and methods or ``functions``."""
        tensors = list(leaves)
        for operation in self.operations:
            operands = [tensors[o.place] if isinstance(o, Node) else o.value for o in operation.operands]
            tensors.append(applied(operation, operands, functions or {}))
        return tensors

    def evaluate(self, *leaves: Any) -> Any:
        """The last result from somebody's leaves: a function to differentiate, for engines that take one."""
        return self.compute(leaves)[self.backward[-1]]

    def run(self, leaf: Callable[[Any], Any], functions: Mapping[str, Callable[..., Any]] | None = None) -> Any:
        """Does all that is asked with an engine whose tensors hold their gradients; see ``gradproof.passes``."""
        from gradproof.passes import run

        return run(self, leaf, functions or {})

    def answer(self, value: Any, gradients: Sequence[Any]) -> dict[str, Any]:
        """The answer of one backward pass: the last result's value, and the leaves' gradients in their order.

        Raises ArgumentError where this graph asks for more than that, or the gradients are not as many as the leaves.
        """
        if len(self.steps) > 1 or len(self.backward) > 1:
            raise ArgumentError("passes", 'passes="once" to be declared', f"a graph of {self.facts()}")
        if len(gradients) != len(self.leaves):
            raise ArgumentError("gradients", f"{len(self.leaves)}, one for each leaf", f"{len(gradients)}")
        return dict(zip(self.quantities, [value, *gradients], strict=True))

    def replace(
        self,
        *,
        steps: Sequence[Sequence[npt.ArrayLike]] | None = None,
        operations: Sequence[Operation] | None = None,
        backward: Sequence[int] | None = None,
        dialect: Dialect | None = None,
        tags: Iterable[str] | None = None,
    ) -> Graph:
        """This graph with some of its fields changed; validated anew."""
        return Graph(
            self.steps if steps is None else steps,
            self.operations if operations is None else operations,
            backward=self.backward if backward is None else backward,
            again=self.again,
            scalar=self.scalar,
            dtype=self.dtype,
            dialect=self.dialect if dialect is None else dialect,
            tags=self.tags if tags is None else tags,
        )

    def to_data(self) -> GraphData:
        """This graph as data for JSON."""
        return GraphData(
            steps=tuple(tuple(to_data(array) for array in step) for step in self.steps),
            operations=self.operations,
            backward=self.backward,
            again=self.again,
            scalar=self.scalar,
            dtype=self.dtype,
            dialect=self.dialect,
            tags=self.tags,
        )

    @classmethod
    def from_data(cls, data: GraphData) -> Graph:
        """The graph that ``to_data`` wrote; validated anew. Raises RecordError or ArgumentError on damage."""
        return cls(
            [[from_data(array) for array in step] for step in data.steps],
            data.operations,
            backward=data.backward,
            again=data.again,
            scalar=data.scalar,
            dtype=data.dtype,
            dialect=data.dialect,
            tags=data.tags,
        )

    # What is said of it.

    def facts(self) -> str:
        """``float64, 3 operations``, and how often what is done."""
        count = len(self.operations)
        words = [self.dtype, f"{count} operation{'s' if count > 1 else ''}"]
        if len(self.backward) > 1:
            words.append(f"{len(self.backward)} times backward, which {self.again}")
        if len(self.steps) > 1:
            words.append(f"{len(self.steps)} steps")
        return ", ".join(words)

    def text(self) -> str:
        """The program, as it runs with somebody's engine."""
        lines = [f"{self.names[place]} = {self.leaf_code(leaf)}" for place, leaf in enumerate(self.leaves)]
        lines += self._step_code()
        for number, arrays in enumerate(self.steps[1:], start=2):
            lines.append(f"# step {number}: other numbers, gradients as at first")
            for name, array in zip(self.names, arrays, strict=False):
                fresh = self.leaf_code(array)
                for attribute in (self.dialect.data, self.dialect.gradient):
                    lines.append(f"{name}.{attribute} = {fresh}.{attribute}")
            lines += self._step_code()
        return "\n".join(lines)

    def leaf_code(self, array: Floats) -> str:
        """How a leaf of these numbers is made."""
        if self.scalar:
            return f"{self.dialect.leaf}({float(array)!r})"
        numbers = array.astype(np.float64).tolist()  # float32 prints as the float64 that it is
        dtype = "" if self.dtype == "float64" else f", dtype=np.{self.dtype}"
        return f"{self.dialect.leaf}(np.array({numbers!r}{dtype}))"

    def _step_code(self) -> list[str]:
        lines = [f"{self.names[place]} = {self.code(place)}" for place in range(len(self.leaves), len(self.names))]
        own = self.dialect.functions.get("backward")
        for place in self.backward:
            name = self.names[place]
            lines.append(f"{own}({name})" if own else f"{name}.{self.dialect.backward}()")
        return lines

    def code(self, place: int) -> str:
        """How the tensor at a place is computed: ``2 - a``."""
        operation = self.operation(place)
        operands = [self.names[o.place] if isinstance(o, Node) else _number(o) for o in operation.operands]
        return written(operation, operands, self.dialect.functions)

    def arrays(self) -> Mapping[str, Array]:
        """The leaves' arrays by name, with the step where there are several."""
        return {
            self.quantity(self.names[place], step): array
            for step, arrays in enumerate(self.steps)
            for place, array in enumerate(arrays)
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return False
        return (self.id, self.tags, self.dialect) == (other.id, other.tags, other.dialect)

    def __hash__(self) -> int:
        return hash((self.id, self.tags))

    def __repr__(self) -> str:
        return f"<Graph {self.id}: {'; '.join(self.text().splitlines())}>"


def _number(operand: Number) -> str:
    text = repr(operand.value)
    return f"({text})" if operand.value < 0 else text


def _frozen_steps(steps: Sequence[Sequence[npt.ArrayLike]], dtype: Dtype) -> tuple[tuple[Floats, ...], ...]:
    first = [np.shape(array) for array in steps[0]]
    if any(size < 1 for shape in first for size in shape):
        raise ArgumentError("steps[0]", "leaves of at least one entry", f"shapes {first}")
    frozen = []
    for number, arrays in enumerate(steps):
        if len(arrays) != len(first):
            raise ArgumentError(f"steps[{number}]", f"{len(first)} leaves", f"{len(arrays)}")
        pairs = zip(arrays, first, strict=True)
        frozen.append(tuple(frozen_array(f"steps[{number}][{i}]", a, dtype, s) for i, (a, s) in enumerate(pairs)))
    return tuple(frozen)

"""An expression graph as a program of the tensor language: what each operator computes, and every gradient.

Where an engine may well compute a value by another way than the program does, the detour is noted with its roundings
(``refimpl.language.Detour``). Write c = ``refimpl.variants.LIBRARY``, for a library's power is within c·u of the exact
value relatively as its exp and log are. Everything to first order in the unit roundoff u:

- *x / y* is x · (1/y) here, two roundings. By x · y⁻¹ with a library's power: c + 1. POWER pays.
- *x ** p* is a product, reciprocal or root here, each rounding once. By a library's power: c. POWER pays. Going back:
  δ · p · x^(p−1), c + 2 roundings of δ f′(x); δ · p · f/x, c + 3. POWER_BACK pays.
- *−x/y²* in the quotient's gradient, in any order, with a power: c + 3; by f/y: c + 4. POWER_BACK pays.
- *x ** y* and *2 ** x* are exp(y · log x) here, and by a library's power c·u off, which is less. Going back,
  δ · y · x^(y−1): y − 1 is rounded, which moves the power by u·|y − 1|·|log x| ≤ u·(|y log x| + |log x|); with c + 3
  roundings besides, POWER_BACK roundings of δ · (1 + |log x| + |y log x|) times the derivative pay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb_series

from gradproof.errors import ArgumentError
from gradproof.expressions import Node as Place
from gradproof.expressions import Number, Operation, numpy_index
from gradproof.graph import Graph
from gradproof.layers import Shape
from refimpl.allowance import ROUND_UP, Bound, RunningBound
from refimpl.arithmetic import Values, run
from refimpl.balls import exact_balls, precision
from refimpl.enclosure import Given, ProgramEnclosure, enclosed_program
from refimpl.formats import Format
from refimpl.language import (
    Node,
    apply,
    detour,
    gradients,
    hinge,
    leaf,
    matmul,
    maximum,
    minimum,
    ones,
    reshape,
    scale,
    spread,
    take,
    total,
)
from refimpl.naive import NaiveAllowance, NaiveBound
from refimpl.program import Program
from refimpl.taylor import LENGTH, Series, TaylorArithmetic, constant_term, linear_term, projection
from refimpl.variants import LIBRARY

POWER = int(LIBRARY) + 1
POWER_BACK = int(LIBRARY) + 5
OBJECTIVE = "objective"
"""The sum of everything that backward is called on and that counts: what the gradients are gradients of."""

Tensor = Callable[..., Node]


def broadcast(x: Node, shape: Shape) -> Node:
    """X repeated to a shape by NumPy's rules: new axes in front, axes of size 1 along the whole."""
    if x.shape == shape:
        return x
    new = len(shape) - len(x.shape)
    along = [axis for axis, size in enumerate(x.shape) if size == 1 and shape[new + axis] != 1]
    kept = reshape(x, tuple(size for axis, size in enumerate(x.shape) if axis not in along))
    return spread(kept, (*range(new), *(new + axis for axis in along)), shape)


def constant(number: Fraction, shape: Shape) -> Node:
    """A number everywhere."""
    return scale(ones(shape), number)


def reciprocal(y: Node) -> Node:
    """1/y, also by a library's power."""
    return _by_power(apply("reciprocal", y))


def power(x: Node, exponent: Fraction) -> Node:
    """X to a constant power: a product of x, its reciprocal or its root; else by exp and log."""
    if (2 * exponent).denominator != 1:
        return variable_power(x, constant(exponent, x.shape))
    whole, half = divmod(abs(exponent), 1)
    found: Node | None = apply("sqrt", x) if half else None
    square = x
    count = int(whole)
    while count:  # repeated squaring
        if count & 1:
            found = square if found is None else found * square
        count >>= 1
        if count:
            square = square * square
    found = ones(x.shape) if found is None else found
    return _by_power(apply("reciprocal", found) if exponent < 0 else found)


def variable_power(x: Node, y: Node) -> Node:
    """X ** y = exp(y · log x), of positive x."""
    logarithm = apply("log", x)
    product = y * logarithm
    found = _by_power(apply("exp", product))
    return detour(detour(found, 0, logarithm, returning=POWER_BACK), 0, product, returning=POWER_BACK)


def _by_power(found: Node) -> Node:
    return detour(detour(found, POWER, found), 0, ones(found.shape), returning=POWER_BACK)


def _flat_index(operation: Operation, shape: Shape) -> npt.NDArray[np.intp]:
    places = np.arange(int(np.prod(shape)), dtype=np.intp).reshape(shape)
    return np.asarray(places.T if operation.operator == "T" else places[numpy_index(operation.index or ())])


def _mean(x: Node, operation: Operation) -> Node:
    summed = _sum(x, operation)
    return scale(summed, Fraction(max(1, int(np.prod(summed.shape))), int(np.prod(x.shape))))


def _sum(x: Node, operation: Operation) -> Node:
    if operation.axis is None:
        return total(x, range(len(x.shape)))
    summed = total(x, (operation.axis,))
    axis = operation.axis % len(x.shape)
    return reshape(summed, (*x.shape[:axis], 1, *x.shape[axis + 1 :])) if operation.keepdims else summed


def _index(x: Node, operation: Operation) -> Node:
    flat = _flat_index(operation, x.shape)
    return take(x, flat.reshape(-1), flat.shape)


FUNCTIONS: Mapping[str, Callable[[Node], Node]] = MappingProxyType(
    {
        "exp": partial(apply, "exp"),
        "log": partial(apply, "log"),
        "sqrt": partial(apply, "sqrt"),
        "tanh": partial(apply, "tanh"),
        "sigmoid": partial(apply, "sigmoid"),
        "softplus": partial(apply, "softplus"),
        "neg": lambda x: scale(x, Fraction(-1)),
        "relu": lambda x: hinge(x, Fraction(0), Fraction(1)),
        "abs": lambda x: hinge(x, Fraction(-1), Fraction(1)),
    }
)
"""Of one operand, entry by entry."""

SHAPED: Mapping[str, Callable[[Node, Operation], Node]] = MappingProxyType(
    {
        "sum": _sum,
        "mean": _mean,
        "reshape": lambda x, operation: reshape(x, operation.shape or ()),
        "T": _index,
        "index": _index,
    }
)
"""Of one operand, with what the operation says."""

PAIRS: Mapping[str, Callable[[Node, Node], Node]] = MappingProxyType(
    {
        "+": lambda x, y: x + y,
        "-": lambda x, y: x - y,
        "*": lambda x, y: x * y,
        "/": lambda x, y: x * reciprocal(y),
        "**": variable_power,
        "maximum": maximum,
        "minimum": minimum,
    }
)
"""Of two operands of one shape."""


def operated(operation: Operation, operands: Sequence[Node | Fraction]) -> Node:
    """What an operation computes, of tensors and numbers."""
    name = operation.operator
    match operands:
        case [Node() as x]:
            return FUNCTIONS[name](x) if name in FUNCTIONS else SHAPED[name](x, operation)
        case [Node() as x, Node() as y]:
            if name == "@":
                return matmul(x, y)
            shape = np.broadcast_shapes(x.shape, y.shape)
            return PAIRS[name](broadcast(x, shape), broadcast(y, shape))
        case [Node() as x, Fraction() as number]:
            if name == "**":
                return power(x, number)
            return scale(x, number) if name == "*" else PAIRS[name](x, constant(number, x.shape))
        case [Fraction() as number, Node() as x]:
            return scale(x, number) if name == "*" else PAIRS[name](constant(number, x.shape), x)
        case _:
            raise TypeError(f"no definition of {operation}")


@dataclass(frozen=True, eq=False)
class GraphProgram:
    """A graph's program, step by step side by side: the steps share nothing.

    leaves: by quantity of the gradient. results: by quantity (``Graph.quantities``). objective: the sum over steps of
    everything whose gradients add up.
    """

    leaves: Mapping[str, Node]
    results: Mapping[str, Node]
    objective: Node


def graph_program(graph: Graph) -> GraphProgram:
    """The program of a graph: values and gradients of every step."""
    leaves: dict[str, Node] = {}
    results: dict[str, Node] = {}
    objective: Node | None = None
    counting = graph.backward[-1:] if graph.again == "replaces" else graph.backward
    for step in range(len(graph.steps)):
        own = [graph.quantity(graph.gradient_name(place), step) for place in range(len(graph.leaves))]
        tensors = [leaf(name, array.shape) for name, array in zip(own, graph.leaves, strict=True)]
        leaves |= zip(own, tensors, strict=True)
        for operation in graph.operations:
            tensors.append(operated(operation, [operand(o, tensors) for o in operation.operands]))
        here = tensors[counting[0]]
        for place in counting[1:]:
            here = here + tensors[place]
        results |= {graph.quantity(graph.value_name(place), step): tensors[place] for place in graph.results}
        results |= gradients(here, {name: leaves[name] for name in own})
        objective = here if objective is None else objective + here
    assert objective is not None  # a graph has at least one step
    return GraphProgram(MappingProxyType(leaves), MappingProxyType(results), objective)


def operand(given: Place | Number, tensors: Sequence[Node]) -> Node | Fraction:
    """An operand of an operation: the tensor at its place, or the exact number."""
    return tensors[given.place] if isinstance(given, Place) else Fraction(given.value)


def leaf_arrays(graph: Graph) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a graph under the names of its program's leaves."""
    return {
        graph.quantity(graph.gradient_name(place), step): array
        for step, arrays in enumerate(graph.steps)
        for place, array in enumerate(arrays)
    }


MOST_BITS = 512
"""Where precision stops rising for an unbounded ball: of a graph that has no finite value or gradient, say."""


@dataclass(frozen=True, eq=False)
class GraphEnclosure(ProgramEnclosure):
    """Balls around the exact values and gradients of a graph, at a precision in bits; by ``Graph.quantities``."""

    graph: Graph
    program: GraphProgram


def graph_enclosure(graph: Graph, bits: int = 128) -> GraphEnclosure:
    """Encloses every value and gradient that a graph asks for; see ``refimpl.enclosure.enclosure``.

    Raises ArgumentError where one has no finite enclosure: the logarithm of a number that is not positive, a quotient
    by 0, or the slope of a root at 0.
    """
    built = graph_program(graph)
    given = Given(
        Program(built.leaves, built.results),
        lambda: {name: exact_balls(array) for name, array in leaf_arrays(graph).items()},
        affine=True,
        most_bits=MOST_BITS,
    )
    enclosed = enclosed_program(given, bits, bits)
    for name in enclosed.names():
        if not all(ball.is_finite() for ball in enclosed.balls(name).reshape(-1)):
            raise ArgumentError("graph", f"finite values and gradients, in {graph!r}", f"{name} that is not")
    found = {field.name: getattr(enclosed, field.name) for field in fields(enclosed)}
    return GraphEnclosure(**found, graph=graph, program=built)


def graph_allowance(enclosed: GraphEnclosure) -> Mapping[str, Bound]:
    """Per quantity, what careful arithmetic at the graph's dtype may be off by, entry by entry; inf: nothing is known.

    See ``refimpl.allowance``, and the head of this module for operators.
    """
    magnitudes = {name: np.abs(array.astype(np.float64)) for name, array in leaf_arrays(enclosed.graph).items()}
    bound = RunningBound(Format.of(enclosed.graph.dtype), enclosed, magnitudes, {})
    return {name: ROUND_UP * bound.closed(node) for name, node in enclosed.program.results.items()}


def graph_naive(graph: Graph, enclosed: GraphEnclosure) -> NaiveAllowance:
    """What right mathematics may be off by that loses digits, as ``refimpl.naive`` says of networks."""
    magnitudes = {name: np.abs(array.astype(np.float64)) for name, array in leaf_arrays(graph).items()}
    bound = NaiveBound(Format.of(graph.dtype), enclosed, magnitudes, {})
    with np.errstate(over="ignore", invalid="ignore"):
        errors = {
            name: ROUND_UP * (bound.closed(node) + bound.reordered(node))
            for name, node in enclosed.program.results.items()
        }
    bounds = {name: np.where(np.isnan(error), np.inf, error) for name, error in errors.items()}
    unbounded = {name: np.isinf(error) for name, error in bounds.items()}
    return NaiveAllowance(MappingProxyType(bounds), MappingProxyType(unbounded))


def graph_witness(enclosed: GraphEnclosure, entries: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """What Taylor arithmetic says against an enclosure, in words; see ``refimpl.taylor.witness``.

    It is asked along one random direction over all leaves, and about ``entries``: one of each quantity that a verdict
    is about to call wrong.
    """
    graph = enclosed.graph
    rng = np.random.default_rng(int(graph.id, 16))
    signs = {name: rng.choice([-1.0, 1.0], size=node.shape) for name, node in enclosed.program.leaves.items()}
    found = []
    slope, projected = _slope(enclosed, signs), projection(enclosed, signs)
    if not slope.overlaps(projected):
        found.append(f"along a random direction: {slope} by Taylor arithmetic, {projected} by the reverse pass")
    for name, index in entries.items():
        ball = enclosed.balls(name)[index]
        if name in signs:
            unit = np.zeros(enclosed.shape(name))
            unit[index] = 1
            other = _slope(enclosed, {name: unit})
        else:
            with precision(enclosed.working_bits):
                (value,) = run((enclosed.program.results[name],), TaylorArithmetic(), enclosed.given.leaves())
            other = constant_term(value[index])
        if not other.overlaps(ball):
            found.append(f"{name}{list(index)}: {other} by Taylor arithmetic, {ball} by the reverse pass")
    return tuple(found)


def _slope(enclosed: GraphEnclosure, direction: Mapping[str, npt.NDArray[np.float64]]) -> Any:
    """The slope of the objective along a direction, in a ball."""
    with precision(enclosed.working_bits):
        leaves = enclosed.given.leaves()
        moved = {name: _moved(balls, direction[name]) if name in direction else balls for name, balls in leaves.items()}
        (value,) = run((enclosed.program.objective,), TaylorArithmetic(), moved)
    return linear_term(value[()])


def _moved(balls: Values, direction: npt.NDArray[np.float64]) -> Values:
    steps = exact_balls(direction).reshape(-1)
    result = np.empty(balls.shape, dtype=object)
    result.reshape(-1)[:] = [
        Series(arb_series([ball, step], LENGTH)) if step != 0 else ball
        for ball, step in zip(balls.reshape(-1), steps, strict=True)
    ]
    return result

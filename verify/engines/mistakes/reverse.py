"""A reverse pass operation by operation, as an engine does it, in the tensor language, with mistakes or without.

Without one it gives the gradients (the suite compares it with ``refimpl.graphs``); with some, what an engine that makes
them would answer, were its arithmetic exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import msgspec

from gradproof.expressions import Node as Place
from gradproof.expressions import Number, Operand, Operation
from gradproof.graph import Graph
from refimpl.graphs import operand, operated
from refimpl.language import Node, Reshape, Seed, leaf, pull_back, scale
from verify.engines.mistakes.mistake import Candidate, Move, OperatorMistake, Order, Style

MOST_VISITS = 2000
"""An engine without a topological order may visit a tensor once for each path to it; more paths are not followed."""


class Unpredictable(Exception):  # noqa: N818
    """What an engine with this mistake would answer is not known: it would most likely fail."""


@dataclass(frozen=True, eq=False)
class Cell:
    """A tensor of an engine: its value, and how it was computed; a leaf without an operation."""

    value: Node
    operation: Operation | None = None
    operands: tuple[Node | Fraction, ...] = ()
    """Each operand as a node of its own, so that what comes back to x and x of x · x is told apart."""
    intended: Node | None = None
    """What the gradient is taken of, where that is not the value."""

    @property
    def places(self) -> tuple[int, ...]:
        """The places of the operands that are tensors."""
        return () if self.operation is None else self.operation.places


class Reverse:
    """All that a graph asks for, by an engine with some mistakes. ``touched``: whether they changed anything."""

    def __init__(self, graph: Graph, candidate: Candidate) -> None:
        self.graph = graph
        self.candidate = candidate
        self.operations, self.moved = expanded(graph, candidate.style)
        self.touched = candidate.structural
        self.leaves: dict[str, Node] = {}
        self.visits = 0

    def results(self) -> dict[str, Node]:
        """The answer by quantity. Raises Unpredictable."""
        graph = self.graph
        found: dict[str, Node] = {}
        for step in range(len(graph.steps)):
            cells = self.cells(step)
            gradients: dict[int, Node] = {}
            for result in graph.backward:
                self.backward(self.moved[result], cells, gradients)
            for place in graph.results:
                found[graph.quantity(graph.value_name(place), step)] = cells[self.moved[place]].value
            for place in range(len(graph.leaves)):
                zero = scale(cells[place].value, Fraction(0))
                found[graph.quantity(graph.gradient_name(place), step)] = gradients.get(place, zero)
        return found

    def cells(self, step: int) -> list[Cell]:
        """Every tensor of one step."""
        graph = self.graph
        cells: list[Cell] = []
        for place, array in enumerate(graph.leaves):
            name = graph.quantity(graph.gradient_name(place), step)
            self.leaves[name] = leaf(name, array.shape)
            cells.append(Cell(self.leaves[name]))
        for operation in self.operations:
            given = [operand(o, [cell.value for cell in cells]) for o in operation.operands]
            own = tuple(Node(Reshape(), (x,), x.shape) if isinstance(x, Node) else x for x in given)
            cells.append(self.cell(operation, own))
        return cells

    def cell(self, operation: Operation, operands: tuple[Node | Fraction, ...]) -> Cell:
        """The tensor that an operation gives."""
        for mistake in self.mistakes(operation):
            if mistake.instead is not None:
                self.touched = True
                other = mistake.instead(operation)
                moved = dict(zip(operation.operands, operands, strict=True))
                return self.cell(other, tuple(moved[given] for given in other.operands))
        right = operated(operation, operands)
        for mistake in self.mistakes(operation):
            if mistake.value is None:
                continue
            value = mistake.value(operation, operands)
            if value is not None:
                self.touched = True
                if value.shape != right.shape:
                    raise Unpredictable
                return Cell(value, operation, operands, value)
        return Cell(right, operation, operands, right)

    def mistakes(self, operation: Operation) -> Iterator[OperatorMistake]:
        """Those that befall an operation."""
        return (mistake for mistake in self.candidate.operators if operation.form in mistake.forms)

    def backward(self, result: int, cells: list[Cell], gradients: dict[int, Node]) -> None:
        """One call of backward: adds to the gradients that are there."""
        candidate = self.candidate
        behind = _behind(result, cells)
        kept = gradients if candidate.keeps_interior else {p: g for p, g in gradients.items() if not cells[p].places}
        if (self.graph.again == "replaces") != candidate.other_again:
            kept = {p: g for p, g in kept.items() if p not in behind}
        for place in list(gradients):
            if place not in kept:
                del gradients[place]
        seed = Node(Seed(), (), ())
        before = gradients.get(result) if candidate.seed_adds else None
        gradients[result] = seed if before is None else before + seed
        for place, which in _order(result, cells, candidate.order):
            self.visits += 1
            if self.visits > MOST_VISITS:
                raise Unpredictable
            self.propagate(place, which, cells, gradients)

    def propagate(self, place: int, which: int | None, cells: list[Cell], gradients: dict[int, Node]) -> None:
        """Adds what a tensor's gradient contributes to its operands', or to one of them."""
        cell = cells[place]
        if cell.operation is None:
            return
        delta = gradients.get(place)
        delta = scale(cell.value, Fraction(0)) if delta is None else delta
        if delta.shape != cell.value.shape:
            raise Unpredictable
        parts = self.contributions(cell, delta)
        tensors = [o.place for o in cell.operation.operands if isinstance(o, Place)]
        for number, (operand_place, part) in enumerate(zip(tensors, parts, strict=True)):
            if which not in (None, number) or part is None:
                continue
            before = gradients.get(operand_place)
            adds = before is not None and not self.candidate.overwrites_in(cell.operation)
            gradients[operand_place] = _added(before, part) if adds and before is not None else part

    def contributions(self, cell: Cell, delta: Node) -> list[Node | None]:
        """What a tensor's gradient contributes to each operand that is a tensor; None where nothing is written."""
        assert cell.operation is not None
        assert cell.intended is not None
        tensors = [x for x in cell.operands if isinstance(x, Node)]
        right = pull_back(cell.intended, delta, {str(i): x for i, x in enumerate(tensors)})
        parts: list[Node | None] = [right[str(i)] for i in range(len(tensors))]
        for mistake in self.mistakes(cell.operation):
            if mistake.contributions is None:
                continue
            move = Move(cell.operation, cell.operands, cell.value, delta, tuple(p for p in parts if p is not None))
            changed = mistake.contributions(move)
            if changed is not None:
                self.touched = True
                parts = changed
        return parts


def _added(x: Node, y: Node) -> Node:
    """The sum of two gradients; NumPy would broadcast where their shapes differ, which nothing here follows."""
    if x.shape != y.shape:
        raise Unpredictable
    return x + y


def _behind(result: int, cells: Sequence[Cell]) -> set[int]:
    found, waiting = set[int](), [result]
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            waiting.extend(cells[place].places)
    return found


# In which order an engine passes gradients on: (place, which operand), None for all operands at once.

Visits = Iterator[tuple[int, int | None]]


def _order(result: int, cells: Sequence[Cell], order: Order) -> Visits:
    def operands(place: int) -> tuple[int, ...]:
        places = cells[place].places
        if order.each_operand_once:
            places = tuple(dict.fromkeys(places))
        return places[::-1] if order.last_operand_first != (place in order.flipped) else places

    match order.kind:
        case "created":
            return iter([(place, None) for place in sorted(_behind(result, cells), reverse=True)])
        case "depth first":
            return iter([(place, None) for place in reversed(_postorder(result, operands))])
        case "every path":
            return _every_path(result, operands)
        case "every path, operand by operand":
            return _operand_by_operand(result, cells)
        case "first visit":
            return iter([(place, None) for place in _preorder(result, operands)])
        case "breadth first":
            return _breadth_first(result, operands, once=True)
        case "breadth first, every path":
            return _breadth_first(result, operands, once=False)


Operands = Callable[[int], tuple[int, ...]]


def _postorder(result: int, operands: Operands) -> list[int]:
    order: list[int] = []
    seen: set[int] = set()

    def visit(place: int) -> None:
        if place not in seen:
            seen.add(place)
            for other in operands(place):
                visit(other)
            order.append(place)

    visit(result)
    return order


def _preorder(result: int, operands: Operands) -> list[int]:
    order: dict[int, None] = {}

    def visit(place: int) -> None:
        if place not in order:
            order[place] = None
            for other in operands(place):
                visit(other)

    visit(result)
    return list(order)


def _every_path(place: int, operands: Operands) -> Visits:
    yield place, None
    for other in operands(place):
        yield from _every_path(other, operands)


def _operand_by_operand(place: int, cells: Sequence[Cell]) -> Visits:
    for number, other in enumerate(cells[place].places):
        yield place, number
        yield from _operand_by_operand(other, cells)


def _breadth_first(result: int, operands: Operands, *, once: bool) -> Visits:
    waiting, seen = [result], {result}
    while waiting:
        place = waiting.pop(0)
        yield place, None
        for other in operands(place):
            if not once or other not in seen:
                seen.add(other)
                waiting.append(other)


# How an engine makes one operator of others.


def expanded(graph: Graph, style: Style) -> tuple[list[Operation], dict[int, int]]:
    """The operations that an engine of a style does, and where it has each tensor of the graph."""
    made: list[Operation] = []
    count = len(graph.leaves)
    moved = {place: place for place in range(count)}

    def emit(operator: str, *operands: Operand) -> Place:
        made.append(Operation(operator, operands))
        return Place(count + len(made) - 1)

    def minus(x: Operand) -> Operand:
        if isinstance(x, Number):
            return Number(-x.value)
        return emit("*", x, Number(-1)) if style.minus_is_product else emit("neg", x)

    for place, operation in enumerate(graph.operations, start=count):
        operands = tuple(Place(moved[o.place]) if isinstance(o, Place) else o for o in operation.operands)
        match operation.operator, operands:
            case "neg", (x,) if style.minus_is_product:
                minus(x)
            case "-", (x, y) if style.difference_is_sum:
                _commuted(emit, "+", x, minus(y))
            case "/", (x, Number(number)) if style.quotient_is_product:
                emit("*", x, Number(float(number) ** -1))
            case "/", (x, y) if style.quotient_is_product:
                _commuted(emit, "*", x, emit("**", y, Number(-1)))
            case ("+" | "*") as operator, (x, y) if style != Style():
                _commuted(emit, operator, x, y)
            case _:
                made.append(msgspec.structs.replace(operation, operands=operands))
        moved[place] = count + len(made) - 1
    return made, moved


def _commuted(emit: Callable[..., Place], operator: str, x: Operand, y: Operand) -> None:
    """A number stands behind: the reflected form of + and × calls the plain one."""
    emit(operator, *((y, x) if isinstance(x, Number) else (x, y)))


def concerns(one: Candidate, graph: Graph) -> bool:
    """Whether a graph has what a mistake is about."""
    if not one.operators:
        return True
    forms = {form for mistake in one.operators for form in mistake.forms}
    return any(operation.form in forms for operation in expanded(graph, one.style)[0])


def reached(graph: Graph, mistakes: Iterable[OperatorMistake], style: Style) -> frozenset[str]:
    """The forms of a graph's operations, as an engine does them that does some in place of others."""
    operations = expanded(graph, style)[0]
    found = {operation.form for operation in operations}
    for mistake in mistakes:
        if mistake.instead is not None:
            found |= {mistake.instead(o).form for o in operations if o.form in mistake.forms}
    return frozenset(found)

"""Making a failing graph small: fewer steps and calls, fewer operations, plainer numbers.

Hypothesis takes operations away; what remains is done here, on the graph itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import numpy as np

from gradproof.arrays import Floats
from gradproof.errors import ArgumentError
from gradproof.expressions import Node, Number, Operand, Operation
from gradproof.graph import Graph
from verify.engines.numeric import admitted, value

ROUND = (1.0, 2.0, 0.5, -1.0, 0.0)
"""Numbers that are tried first, the plainest first."""

Alike = Callable[[Graph], bool]
Size = tuple[int, int, int, int, float]


def size(graph: Graph) -> Size:
    """What makes a graph hard to check on paper: lines, numbers, characters, and magnitude."""
    numbers = [float(n) for step in graph.steps for array in step for n in array.ravel()]
    text = graph.text()
    constants = [o.value for operation in graph.operations for o in operation.operands if isinstance(o, Number)]
    far = sum(abs(number - 1) for number in numbers) + sum(abs(number - 2) for number in constants)
    return text.count("\n"), len(numbers), len(text), _digits(numbers), far


def _digits(numbers: Sequence[float]) -> int:
    return sum(len(str(number).removesuffix(".0")) for number in numbers)


def simplify(graph: Graph, alike: Alike) -> Graph:
    """The simplest graph found that is still ``alike``, by taking away one thing after the other."""
    before = None
    while before is not graph:
        before = graph
        for changes in (_fewer_steps, _cut, _bypassed, _plainer):
            while (smaller := _first(graph, changes(graph), alike)) is not graph:
                graph = smaller
    return graph


def _first(graph: Graph, candidates: Iterable[Graph], alike: Alike) -> Graph:
    now = size(graph)
    for candidate in candidates:
        if size(candidate) < now and defined(candidate) and alike(candidate):
            return candidate
    return graph


def defined(graph: Graph) -> bool:
    """Whether a graph is one that could be drawn: every operation is defined at its operands."""
    for step in graph.steps:
        tensors = [np.asarray(array, dtype=np.float64) for array in step]
        for operation in graph.operations:
            operands = [tensors[o.place] if isinstance(o, Node) else o.value for o in operation.operands]
            if not admitted(operation, operands):
                return False
            tensors.append(value(operation, operands))
    return True


def _fewer_steps(graph: Graph) -> Iterator[Graph]:
    if len(graph.steps) > 1:
        for step in range(len(graph.steps)):
            yield graph.replace(steps=graph.steps[:step] + graph.steps[step + 1 :])
    if len(graph.backward) > 1:
        for place in dict.fromkeys(graph.backward):
            yield from _rebuilt(graph, graph.steps, graph.operations, (place,))


def _cut(graph: Graph) -> Iterator[Graph]:
    """An operation becomes a leaf of plain numbers; what nothing needs any more goes."""
    leaves = len(graph.leaves)
    for place in range(len(graph.names) - 2, leaves - 1, -1):
        if place in graph.backward:
            continue
        for number in (1.0, 2.0):
            steps = [(*step, np.full(graph.shapes[place], number)) for step in graph.steps]
            # The new leaf stands behind the others: every operation moves on by one, and this one is no more.
            moved = {p: p if p < leaves else p + 1 for p in range(len(graph.names))} | {place: leaves}
            operations = [_moved(operation, moved) for operation in graph.operations]
            yield from _rebuilt(graph, steps, operations, [moved[p] for p in graph.backward])


def _bypassed(graph: Graph) -> Iterator[Graph]:
    """An operation's uses use one of its operands, where that is of the same shape."""
    leaves = len(graph.leaves)
    for place in range(len(graph.names) - 1, leaves - 1, -1):
        for operand in graph.operation(place).places:
            if graph.shapes[operand] != graph.shapes[place]:
                continue
            moved = {p: p for p in range(len(graph.names))} | {place: operand}
            results = [moved[p] for p in graph.backward]
            if all(result >= leaves for result in results):
                yield from _rebuilt(graph, graph.steps, [_moved(o, moved) for o in graph.operations], results)


def _plainer(graph: Graph) -> Iterator[Graph]:
    for step, arrays in enumerate(graph.steps):
        for place, array in enumerate(arrays):
            for changed in _plainer_arrays(array):
                steps = [list(others) for others in graph.steps]
                steps[step][place] = changed
                yield graph.replace(steps=steps)
    for number, operation in enumerate(graph.operations):
        for at, operand in enumerate(operation.operands):
            if isinstance(operand, Number):
                for plain in (2, 3):
                    operands = (*operation.operands[:at], Number(plain), *operation.operands[at + 1 :])
                    changed_one = msgspec.structs.replace(operation, operands=operands)
                    yield graph.replace(
                        operations=(*graph.operations[:number], changed_one, *graph.operations[number + 1 :])
                    )


def _plainer_arrays(array: Floats) -> Iterator[Floats]:
    for number in ROUND:
        if np.any(array != number):
            yield np.full_like(array, number)
    if array.size > 1:
        for index in np.ndindex(array.shape):
            for number in ROUND:
                if array[index] != number:
                    changed = array.copy()
                    changed[index] = number
                    yield changed


def _moved(operation: Operation, place: dict[int, int]) -> Operation:
    operands: list[Operand] = [Node(place[o.place]) if isinstance(o, Node) else o for o in operation.operands]
    return msgspec.structs.replace(operation, operands=tuple(operands))


def _rebuilt(
    graph: Graph, steps: Sequence[Sequence[Floats]], operations: Sequence[Operation], backward: Sequence[int]
) -> Iterator[Graph]:
    """The graph of these parts without what its results do not need; nothing where it is none."""
    leaves = len(steps[0])
    needed = set(backward)
    for place in range(leaves + len(operations) - 1, leaves - 1, -1):
        if place in needed:
            needed.update(operations[place - leaves].places)
    kept = sorted(needed)
    moved = {old: new for new, old in enumerate(kept)}
    try:
        yield graph.replace(
            steps=[[step[p] for p in kept if p < leaves] for step in steps],
            operations=[_moved(operations[p - leaves], moved) for p in kept if p >= leaves],
            backward=[moved[p] for p in backward],
        )
    except ArgumentError:  # no leaf or no operation is left, or a result is no single number
        return

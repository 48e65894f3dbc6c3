"""What an engine with certain mistakes would answer to a graph, enclosed in balls, and whether that is what came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np

from gradproof.arrays import Array
from gradproof.graph import Graph
from refimpl.allowance import ROUND_UP, RunningBound
from refimpl.balls import exact_balls
from refimpl.enclosure import Given, ProgramEnclosure, enclosed_program
from refimpl.formats import Format
from refimpl.graphs import graph_allowance, graph_enclosure, leaf_arrays
from refimpl.program import Program
from verify.engines.mistakes.mistake import Candidate
from verify.engines.mistakes.reverse import Reverse, Unpredictable, concerns, expanded

BITS = 128
GROSS = 2.0**20
"""A candidate this many times further off than a right engine may be is discarded without a bound of its own.

No mistake of the catalogue adds more than a few operations, on numbers of about the same size. Nothing is named without
a bound.
"""
MOST_OPEN = 5
"""Of how many tensors the order of the operands may be open: 2ⁿ orders are tried."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """An engine's answer to a graph, and whether the judge found it wrong."""

    graph: Graph
    answer: Mapping[str, Array]
    wrong: bool

    @cached_property
    def gross(self) -> float:
        """GROSS times what careful arithmetic without a mistake may be off by, where that is most."""
        allowed = graph_allowance(graph_enclosure(self.graph))
        return GROSS * max(float(np.max(bound)) for bound in allowed.values())


def predicted(graph: Graph, candidate: Candidate) -> ProgramEnclosure | None:
    """The answer of an engine with these mistakes; None where they change nothing. Raises Unpredictable."""
    reverse = Reverse(graph, candidate)
    results = reverse.results()
    if not reverse.touched:
        return None
    arrays = leaf_arrays(graph)
    given = Given(
        Program(reverse.leaves, results),
        lambda: {name: exact_balls(arrays[name]) for name in reverse.leaves},
        affine=True,
        most_bits=BITS,
    )
    enclosed = enclosed_program(given, BITS, BITS)
    if not all(ball.is_finite() for name in results for ball in enclosed.balls(name).reshape(-1)):
        raise Unpredictable  # a ball that says nothing is no prediction
    return enclosed


def reproduces(evidence: Evidence, candidate: Candidate) -> bool | None:
    """Whether these mistakes could have given the answer; None where what they would give is not known.

    No number may be further off than careful arithmetic may be, had it done just what the mistakes do.
    """
    if not candidate.structural and not concerns(candidate, evidence.graph):
        return not evidence.wrong
    if candidate.any_order:
        return _in_some_order(evidence, candidate)
    try:
        enclosed = predicted(evidence.graph, candidate)
    except Unpredictable:
        return None
    if enclosed is None:
        return not evidence.wrong
    results = enclosed.computation.results
    if any(evidence.answer[name].shape != node.shape for name, node in results.items()):
        return False
    off = {name: enclosed.distance(name, evidence.answer[name]) for name in results}
    if any(np.any(distance > evidence.gross) for distance in off.values()):
        return False
    magnitudes = {name: np.abs(array.astype(np.float64)) for name, array in leaf_arrays(evidence.graph).items()}
    bound = RunningBound(Format.of(evidence.graph.dtype), enclosed, magnitudes, {})
    for name, node in results.items():
        allowed = ROUND_UP * bound.closed(node)
        if not np.all(off[name] <= allowed):
            return False
    return True


def _in_some_order(evidence: Evidence, candidate: Candidate) -> bool | None:
    """The same, for an engine that visits the operands of a tensor in an order that nobody knows, anew in each step."""
    if len(evidence.graph.steps) > 1:
        each = [_in_some_order(step, candidate) for step in _steps(evidence)]
        return False if False in each else None if None in each else True
    operations, _ = expanded(evidence.graph, candidate.style)
    count = len(evidence.graph.leaves)
    open_places = [count + n for n, operation in enumerate(operations) if len(set(operation.places)) > 1]
    if len(open_places) > MOST_OPEN:
        return None
    unknown = False
    for choice in product((False, True), repeat=len(open_places)):
        flipped = frozenset(place for place, other in zip(open_places, choice, strict=True) if other)
        found = reproduces(
            evidence, replace(candidate, any_order=False, order=replace(candidate.order, flipped=flipped))
        )
        if found:
            return True
        unknown = unknown or found is None
    return None if unknown else False


def _steps(evidence: Evidence) -> Iterator[Evidence]:
    """The steps of a graph as graphs of their own."""
    graph = evidence.graph
    for number, arrays in enumerate(graph.steps):
        alone = graph.replace(steps=[arrays])
        answer = {name: evidence.answer[graph.quantity(name, number)] for name in alone.quantities}
        yield Evidence(alone, answer, evidence.wrong)


def agree(graph: Graph, one: Candidate, other: Candidate) -> bool:
    """Whether two candidates would give the same answer, as far as BITS bits tell, or nothing is known of either."""
    try:
        ours, theirs = predicted(graph, one), predicted(graph, other)
    except Unpredictable:
        return True
    if ours is None or theirs is None:
        return ours is theirs
    for name in ours.names():
        if ours.shape(name) != theirs.shape(name):
            return False
        pairs = zip(ours.balls(name).reshape(-1), theirs.balls(name).reshape(-1), strict=True)
        if not all(a.overlaps(b) for a, b in pairs):
            return False
    return True

"""The verdict on an engine's answer to a graph: values of results and gradients of leaves, entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from gradproof.arrays import Array
from gradproof.graph import Graph
from gradproof.verdict import CaseVerdict, Finding, Verdict
from refimpl.graphs import GraphEnclosure, graph_allowance, graph_enclosure, graph_naive, graph_witness
from verify.calling import Cause
from verify.judge import Hearing, Judgement, Oracle, heard
from verify.resemblance import Booleans, Fits, Float64, resemblance

VALUE, GRADIENT, SHAPE = "value", "gradient", "shape of a gradient"
"""What is alike between graphs that fail alike."""


@dataclass(frozen=True)
class GraphAllowance:
    """What careful arithmetic may be off by; nothing more is known of what it usually is."""

    rigorous: Mapping[str, Float64]

    @property
    def typical(self) -> Mapping[str, Float64]:
        """The same."""
        return self.rigorous


def certified() -> Oracle:
    """The oracle of refimpl for graphs."""
    return Oracle(
        enclosure=cast(Callable[[Any, int], Any], graph_enclosure),
        allowance=lambda graph, enclosed: GraphAllowance(graph_allowance(cast(GraphEnclosure, enclosed))),
        overflowing=lambda graph, dtype: (),  # drawn graphs stay far below what overflows
        witness=graph_witness,
        naive=lambda graph, enclosed: graph_naive(cast(Graph, graph), cast(GraphEnclosure, enclosed)),
    )


def examine(graph: Graph, answer: Mapping[str, Array], oracle: Oracle | None = None) -> Judgement:
    """The verdict on an answer; a gradient of another shape than its leaf's is wrong as well."""
    misshapen = tuple(
        _of_shape(graph, name, answer[name]) for name, shape in graph.quantities.items() if answer[name].shape != shape
    )
    if misshapen:
        return Judgement(CaseVerdict(graph.id, Verdict.WRONG, misshapen), (SHAPE,), len(answer), 0)
    return heard(graph.id, answer, lambda: GraphHearing(graph, answer, certified() if oracle is None else oracle, {}))


def _of_shape(graph: Graph, name: str, got: Array) -> Finding:
    message = f"{name} is of shape {got.shape}, and its tensor of shape {graph.quantities[name]}"
    if len(got.shape) > len(graph.quantities[name]) or got.size > np.prod(graph.quantities[name]):
        message += "; what broadcasting repeats must be summed on the way back"
    return Finding(Verdict.WRONG, name, message, entries=got.size, bad=got.size)


class GraphHearing(Hearing):
    """An answer to a graph before the judge."""

    case: Graph

    def layer(self, name: str) -> str | None:
        """How a result is computed; nothing for a gradient."""
        own = name.rpartition(": ")[2].partition(".")[0]
        place = self.case.names.index(own)
        return None if place < len(self.case.leaves) else f"{own} = {self.case.code(place)}"

    def _place(self, name: str, failed: list[str]) -> str:
        """Where it starts: with a value, or with gradients although every value is right."""
        if name in values(self.case):
            return "; so the forward pass goes wrong already" if name == failed[0] else ""
        first = next(failing for failing in failed if failing not in values(self.case))
        return "" if set(failed) & values(self.case) or name != first else "; every value is right"

    def first_wrong(self, quantities: list[str]) -> list[str]:
        """Values before gradients."""
        return [name for name in quantities if name in values(self.case)] or quantities

    def cause(self, quantities: Sequence[str]) -> Cause:
        """Whether values are wrong, or gradients alone."""
        if not quantities:
            return ()
        return (VALUE,) if set(quantities) & values(self.case) else (GRADIENT,)

    def resemblance(self, name: str, bad: Booleans, middle: Float64, fits: Fits) -> str:
        """A constant factor, a transpose, or zeros."""
        return resemblance(1, 1, self.given[name], bad, middle, fits)


def values(graph: Graph) -> frozenset[str]:
    """The quantities of a graph that are values of results."""
    return frozenset(graph.quantity(graph.value_name(p), s) for s in range(len(graph.steps)) for p in graph.results)

"""Graphs drawn once for all tests of engines, with an oracle that encloses each of them once."""

from __future__ import annotations

from functools import cache
from typing import Any

from gradproof.engines import EngineSupports
from gradproof.graph import Graph
from gradproof.operators import OF_NUMBERS, WORDS
from gradproof.verdict import Verdict
from refimpl.graphs import graph_allowance, graph_enclosure, graph_witness
from verify import drawing
from verify.calling import Answer
from verify.engines.judging import GraphAllowance
from verify.engines.strategies import graphs
from verify.judge import Judgement, Oracle
from verify.loading import adopt
from verify.subjects.graphs import SUBJECT

SCALARS: dict[str, Any] = {"scalar": True, "operators": OF_NUMBERS, "passes": "once steps accumulate repeat"}
OF_ARRAYS = (*"+-*/", "relu", "tanh", "maximum", *(word for word in WORDS if word not in OF_NUMBERS))
ARRAYS: dict[str, Any] = {"operators": OF_ARRAYS, "passes": "once accumulate repeat", "axes": (0, 2)}
COUNT = 80


@cache
def drawn(*, scalar: bool) -> tuple[Graph, ...]:
    """Distinct graphs of all operators."""
    found: list[Graph] = []
    drawing.survey(graphs(EngineSupports(**(SCALARS if scalar else ARRAYS))), 5, COUNT, found.append)
    return tuple(found)


@cache
def _enclosed(graph: Graph, bits: int) -> Any:
    return graph_enclosure(graph, bits)


@cache
def _allowed(graph: Graph) -> Any:
    return GraphAllowance(graph_allowance(_enclosed(graph, 128)))


ORACLE = Oracle(_enclosed, lambda graph, _: _allowed(graph), lambda graph, dtype: (), graph_witness)


def judged(adapter: Any, graph: Graph) -> Judgement | None:
    """The verdict on an engine's answer; None where there is none."""
    answer = SUBJECT.call(adopt(adapter), graph)
    return SUBJECT.examine(graph, answer.quantities, ORACLE) if isinstance(answer, Answer) else None


def verdict(adapter: Any, graph: Graph) -> Verdict:
    """The same, a crash or broken protocol included."""
    answer = SUBJECT.call(adopt(adapter), graph)
    if not isinstance(answer, Answer):
        return answer.verdict
    return SUBJECT.examine(graph, answer.quantities, ORACLE).verdict.verdict

"""Autograd engines: cases are ``gradproof.Graph``, answers values of results and gradients of leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from hypothesis.strategies import SearchStrategy

from gradproof.arrays import Array
from gradproof.cases import AnyCaseData
from gradproof.engines import EngineSupports
from gradproof.gradients import TARGET
from gradproof.graph import Graph, GraphData
from gradproof.record import Cause
from gradproof.verdict import Finding, Verdict
from verify import conventions
from verify.calling import Answer
from verify.engines import judging, shrinking
from verify.engines.families import families_of, family_of
from verify.engines.strategies import graphs
from verify.judge import Judgement, Oracle
from verify.loading import Implementation
from verify.reading import Fault, described, listed, meant, misfit, numbers
from verify.subjects.base import Assessment, Subject


class Graphs(Subject[Graph, EngineSupports]):
    """Autograd engines, asked about expression graphs."""

    kind: ClassVar[str] = "graph"

    def from_data(self, data: AnyCaseData) -> Graph:
        assert isinstance(data, GraphData)
        return Graph.from_data(data)

    def strategy(self, supports: EngineSupports) -> SearchStrategy[Graph]:
        return graphs(supports)

    def families(self, supports: EngineSupports) -> Mapping[str, EngineSupports]:
        return families_of(supports)

    def family(self, case: Graph) -> str:
        return family_of(case)

    def copied(self, case: Graph) -> Graph:
        return case.replace()

    def read(self, answer: Any, case: Graph) -> dict[str, Array] | list[Fault]:
        return quantities(answer, case)

    def misfit(self, case: Graph, quantities: Mapping[str, Array]) -> str:
        return misfit(quantities, dict.fromkeys(case.quantities), case.quantities)  # a wrong shape is a wrong answer

    def examine(self, case: Graph, answer: Mapping[str, Array], oracle: Oracle | None = None) -> Judgement:
        return judging.examine(case, answer, oracle)

    def notes(self, supports: EngineSupports, assessments: Sequence[Assessment]) -> list[str]:
        kinks = sum(assessment.kinks > 0 for assessment in assessments)
        if not kinks:
            return []
        admitted = "where every value between the one-sided derivatives is admitted"
        return [
            f"{kinks} of {len(assessments)} graphs meet a kink, {admitted}.",
            *conventions.told(assessment.conventions for assessment in assessments),
        ]

    def causes(
        self,
        implementation: Implementation,
        failing: Mapping[Graph, tuple[Finding, ...]],
        judged: Sequence[tuple[Graph, tuple[Finding, ...]]],
        seed: int,
    ) -> Mapping[str, tuple[Cause, ...]]:
        from verify.engines.diagnosis import Diagnosis

        def ask(graph: Graph) -> Mapping[str, Array] | None:
            answer = self.call(implementation, graph)
            return answer.quantities if isinstance(answer, Answer) else None

        def wrong(graph: Graph, answer: Mapping[str, Array]) -> bool:
            return self.examine(graph, answer).verdict.verdict is Verdict.WRONG

        survey = [(graph, any(f.verdict is Verdict.WRONG for f in findings)) for graph, findings in judged]
        return Diagnosis(implementation, ask, wrong, seed).causes(list(failing), survey)

    def size(self, case: Graph) -> shrinking.Size:
        return shrinking.size(case)

    def simplify(self, case: Graph, supports: EngineSupports, alike: Callable[[Graph], bool]) -> None:
        shrinking.simplify(case, alike)


SUBJECT = Graphs()


def quantities(answer: Any, graph: Graph) -> dict[str, Array] | list[Fault]:
    """The arrays of an answer by quantity, or everything by which it breaks the protocol.

    A gradient may come in another shape than its leaf's: that is for the judge.
    """
    if not isinstance(answer, Mapping):
        expected = "what graph.run(leaf) or graph.answer(value, gradients) returns"
        return [Fault(TARGET, "type", f"the adapter returned {described(answer)}; expected {expected}")]
    names = list(graph.quantities)
    faults = [
        Fault(TARGET, "key", f"unknown key {key!r}; expected {listed(names)}{meant(key, names)}")
        for key in answer
        if key not in graph.quantities
    ]
    values = judging.values(graph)
    arrays: dict[str, Array] = {}
    for name, shape in graph.quantities.items():
        if answer.get(name) is None:
            faults.append(Fault(name, "missing", f"{name} is missing"))
            continue
        given = _single(answer[name]) if shape == () else answer[name]
        shaped = np.shape(given) if name not in values else shape
        read = numbers(name, given, shaped, graph.dtype)
        if isinstance(read, Fault):
            faults.append(read)
        else:
            arrays[name] = read
    return faults or arrays


def _single(given: Any) -> Any:
    """The one number of an array of whatever shape, for what has no axes."""
    try:
        array = np.asarray(given)
    except Exception:  # said by whoever reads it
        return given
    return array.reshape(()) if array.size == 1 and array.shape != () else given

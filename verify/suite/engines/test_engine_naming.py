"""The mistake of an engine is named, and never by a wrong name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gradproof.arrays import Array
from gradproof.engines import EngineSupports
from gradproof.graph import Graph
from gradproof.record import Cause
from gradproof.verdict import Verdict
from refimpl.balls import precision
from refimpl.graphs import graph_enclosure
from verify import drawing
from verify.calling import Answer
from verify.engines import diagnosis
from verify.engines.diagnosis import Diagnosis
from verify.engines.mistakes.mistake import Candidate, Order
from verify.engines.mistakes.passes import STYLES
from verify.engines.mistakes.reverse import Reverse
from verify.engines.prediction import predicted
from verify.engines.shrinking import size
from verify.engines.strategies import graphs
from verify.loading import Implementation, adopt
from verify.subjects.graphs import SUBJECT
from verify.suite.engines.drawn import ARRAYS, SCALARS, drawn, judged
from verify.suite.engines.faults import ARRAY, SCALAR
from verify.suite.engines.tiny import Engine


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "WRONG_GRAPHS", 12)
    monkeypatch.setattr(diagnosis, "RIGHT_GRAPHS", 6)
    monkeypatch.setattr(diagnosis, "FRESH_GRAPHS", 6)
    monkeypatch.setattr(diagnosis, "MORE_GRAPHS", 12)


def diagnosis_of(implementation: Implementation) -> Diagnosis:
    """A search for what explains an engine's answers."""

    def ask(graph: Graph) -> Mapping[str, Array] | None:
        answer = SUBJECT.call(implementation, graph)
        return answer.quantities if isinstance(answer, Answer) else None

    def wrong(graph: Graph, answer: Mapping[str, Array]) -> bool:
        return SUBJECT.examine(graph, answer).verdict.verdict is Verdict.WRONG

    return Diagnosis(implementation, ask, wrong, 0)


def surveyed(implementation: Implementation, asked: Sequence[Graph]) -> list[tuple[Graph, bool]]:
    """The graphs that an engine answers, and whether it does so wrongly."""
    found = ((graph, judged(implementation.function, graph)) for graph in asked)
    return [(graph, verdict.verdict.verdict is Verdict.WRONG) for graph, verdict in found if verdict is not None]


def named(engine: Engine, declared: dict[str, Any], *, scalar: bool) -> tuple[str | None, str]:
    """The name that the diagnosis gives, and its words."""
    implementation = adopt(engine.adapter(**declared))
    survey = surveyed(implementation, drawn(scalar=scalar))
    failing = [min((graph for graph, bad in survey if bad), key=size)]
    (cause,) = diagnosis_of(implementation).causes(failing, survey)[failing[0].id]
    return cause.name, cause.words


SCALAR_FAULTS = (
    "2 - x gives x - 2",
    "second gradient of / missing",
    "exponent not lowered",
    "overwriting",
    "no topological order",
    "second backward adds up inside",
    "log doubled (not in the catalogue)",
)
ARRAY_FAULTS = ("1/n missing in mean", "repeated index overwrites", "broadcasting cut")


@pytest.mark.parametrize("fault", SCALAR_FAULTS)
def test_a_mistake_in_an_engine_of_numbers_is_named(fault: str) -> None:
    engine, name = SCALAR[fault]
    found, words = named(engine, SCALARS, scalar=True)
    if name is None:
        assert found is None
        assert "no known mistake" in words
        assert "x.log()" in words
    else:
        assert found == name or (found is None and words.startswith("too few")), (found, words)


@pytest.mark.parametrize("fault", ARRAY_FAULTS)
def test_a_mistake_in_an_engine_of_arrays_is_named(fault: str) -> None:
    engine, name = ARRAY[fault]
    found, words = named(engine, ARRAYS, scalar=False)
    assert found == name or (found is None and words.startswith("too few")), (found, words)


@pytest.mark.parametrize("scalar", [True, False])
def test_a_reverse_pass_without_mistakes_gives_the_gradients(scalar: bool) -> None:
    orders = (Order(), Order("depth first"), Order("depth first", last_operand_first=True))
    for number, graph in enumerate(drawn(scalar=scalar)[:25]):
        right = graph_enclosure(graph)
        order, style = orders[number % len(orders)], STYLES[number % len(STYLES)]
        reverse = Reverse(graph, Candidate("", "", "", order=order, style=style))
        reverse.results()
        assert reverse.touched == (order != Order())
        enclosed = predicted(graph, Candidate("", "", "", order=order, style=style, any_order=True))
        assert enclosed is not None
        with precision(128):
            for name in right.names():
                pairs = zip(enclosed.balls(name).reshape(-1), right.balls(name).reshape(-1), strict=True)
                # x / 3 as x · (1/3) is rounded once by whoever does so.
                assert all(abs(a - b) <= 1e-13 * (1 + abs(b)) or a.overlaps(b) for a, b in pairs), (graph, name)


def all_named(engine: Engine, operators: str, count: int = 50) -> tuple[list[Graph], dict[str, tuple[Cause, ...]]]:
    """The causes of the wrong graphs of an engine that are the smallest of their operators, by id."""
    implementation = adopt(engine.adapter(**(SCALARS | {"operators": operators, "passes": "once"})))
    supports = implementation.supports
    assert isinstance(supports, EngineSupports)
    found: list[Graph] = []
    drawing.survey(graphs(supports), 3, count, found.append)
    survey = surveyed(implementation, found)
    smallest: dict[str, Graph] = {}
    for graph in sorted((graph for graph, bad in survey if bad), key=size):
        smallest.setdefault(graph.operations[0].form if len(graph.operations) == 1 else "", graph)
    failing = list(smallest.values())
    return failing, dict(diagnosis_of(implementation).causes(failing, survey))


NO_POWER = SCALAR["signs of - swapped"][0].with_rule("** number", None, lambda g, z, x, n: (None, None))
FIVE = (
    NO_POWER.with_rule("neg", None, lambda g, z, x: (None,))
    .with_rule("2-x", lambda n, x: x - n, lambda g, z, n, x: (None, -g))
    .with_rule("2/x", lambda n, x: x / n, lambda g, z, n, x: (None, g / n))
)
"""The last but one is done by the engine's own faulty minus, as x - 2: its value is wrong, its gradient is not."""


def test_many_mistakes_in_one_engine_are_all_named_each_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "WRONG_GRAPHS", 40)
    monkeypatch.setattr(diagnosis, "FRESH_GRAPHS", 20)
    failing, causes = all_named(FIVE, "+ - * / ** neg tanh", 80)
    assert {cause.name for own in causes.values() for cause in own} == {
        "both signs of - swapped",
        "no backward for ** by a number",
        "no backward for negation",
        "reflected - swapped",
        "reflected / swapped",
    }
    for graph in failing:
        own = [cause.name for cause in causes[graph.id] if not cause.words.startswith("in other graphs: ")]
        if [operation.form for operation in graph.operations] == ["-x"]:
            assert own == ["no backward for negation"]


def test_beside_a_mistake_that_is_not_known_others_are_named() -> None:
    unknown = NO_POWER.with_rule("tanh", None, lambda g, z, x: (1.125 * g * (1 - z**2),))
    _, causes = all_named(unknown, "+ - * ** tanh", 80)
    every = [cause for own in causes.values() for cause in own]
    assert {cause.name for cause in every} == {None, "both signs of - swapped", "no backward for ** by a number"}
    assert all("x.tanh()" in cause.words for cause in every if cause.name is None)


def test_nothing_is_hinted_at_where_there_is_no_answer_to_explain() -> None:
    implementation = adopt(NO_POWER.adapter(**SCALARS))
    graph = drawn(scalar=True)[0]
    silent = Diagnosis(implementation, lambda graph: None, lambda graph, answer: True, 0)
    (cause,) = silent.causes([graph], [(graph, True)])[graph.id]
    assert cause.name is None
    assert cause.words == "asked for the same graphs again, the engine gives no answer that could be compared"


def test_two_mistakes_are_both_named() -> None:
    implementation = adopt(NO_POWER.adapter(**(SCALARS | {"operators": "+ - * ** relu"})))
    supports = implementation.supports
    assert isinstance(supports, EngineSupports)
    found: list[Graph] = []
    drawing.survey(graphs(supports), 3, 50, found.append)
    survey = surveyed(implementation, found)
    failing = [min((graph for graph, bad in survey if bad), key=size)]
    causes = diagnosis_of(implementation).causes(failing, survey)[failing[0].id]
    assert {cause.name for cause in causes} == {"both signs of - swapped", "no backward for ** by a number"}
    assert [cause.words.startswith("in other graphs: ") for cause in causes] == [False, True]

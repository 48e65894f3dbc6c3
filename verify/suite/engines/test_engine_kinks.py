"""Kinks in graphs: a value that cancels to one number is shown as one, and slopes outside every choice are named."""

from __future__ import annotations

from typing import Any

import pytest

from gradproof.engines import EngineSupports, engine
from gradproof.expressions import Node, Operation
from gradproof.graph import Graph
from gradproof.verdict import Verdict
from refimpl.graphs import graph_enclosure
from verify.engines.mistakes.catalogue import candidates
from verify.engines.prediction import Evidence, reproduces
from verify.suite.engines.drawn import verdict
from verify.suite.engines.tiny import RIGHT, Engine

X = Node(0)
SELF_MAXIMUM = Graph([[1.0]], [Operation("maximum", (X, X))], scalar=True)
RELU_AT_0 = Graph([[0.0]], [Operation("relu", (X,))], scalar=True)
OPERATORS = "- relu maximum minimum"


def test_choices_that_cancel_leave_one_number() -> None:
    enclosed = graph_enclosure(SELF_MAXIMUM)
    assert enclosed.decimal("a.grad") == "1.0000000000000000000"
    assert enclosed.nearest("a.grad") == 1.0
    assert graph_enclosure(RELU_AT_0).decimal("a.grad").startswith("[0, 1.0")


def test_who_names_what_makes_a_leaf_may_say_how_it_is_spelled() -> None:
    spelled = engine(RIGHT.leaf, leaf="nn.Value", scalar=True, operators=OPERATORS)
    assert spelled.gradproof_supports.leaf == "nn.Value"
    by_name = engine(leaf=float, scalar=True, operators=OPERATORS)
    assert by_name.gradproof_supports.leaf == "float"


def _maximum(backward: Any) -> Engine:
    return RIGHT.with_rule("maximum", None, backward)


FAULTS: dict[str, tuple[Engine, Graph]] = {
    "both at ties of maximum": (_maximum(lambda g, z, x, y: (g * (x >= y), g * (x <= y))), SELF_MAXIMUM),
    "neither at ties of maximum": (_maximum(lambda g, z, x, y: (g * (x > y), g * (x < y))), SELF_MAXIMUM),
    "derivative 2 at 0 in relu": (
        RIGHT.with_rule("relu", None, lambda g, z, x: (g * ((x > 0) + 2.0 * (x == 0)),)),
        RELU_AT_0,
    ),
    "derivative -1 at 0 in relu": (
        RIGHT.with_rule("relu", None, lambda g, z, x: (g * ((x > 0) - 1.0 * (x == 0)),)),
        RELU_AT_0,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_slope_outside_every_choice_is_wrong_and_known(name: str) -> None:
    faulty, graph = FAULTS[name]
    adapter = faulty.adapter(scalar=True, operators=OPERATORS)
    assert verdict(adapter, graph) is Verdict.WRONG
    evidence = Evidence(graph, adapter(graph), wrong=True)
    known = candidates(EngineSupports(scalar=True, operators=tuple(OPERATORS.split())))
    assert reproduces(evidence, next(one for one in known if one.name == name))
    others = [one for one in known if "ties" in one.name or " at 0 in" in one.name]
    assert not any(reproduces(evidence, one) for one in others if graph.operations[0].operator not in one.name)

"""Correct engines are never called wrong; a fault planted in one is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradproof
from gradproof.verdict import Verdict
from verify.suite.engines.drawn import ARRAYS, SCALARS, drawn, judged, verdict
from verify.suite.engines.faults import ARRAY, SCALAR
from verify.suite.engines.tiny import RIGHT, Engine


@pytest.mark.parametrize(("scalar", "declared"), [(True, SCALARS), (False, ARRAYS)])
def test_a_right_engine_is_correct(scalar: bool, declared: dict[str, Any]) -> None:
    adapter = RIGHT.adapter(**declared)
    for graph in drawn(scalar=scalar):
        found = judged(adapter, graph)
        assert found is not None, graph
        assert found.verdict.verdict is Verdict.CORRECT, (graph, found.verdict.findings)


@pytest.mark.parametrize(
    ("engine", "scalar"),
    [*((e, True) for e, _ in SCALAR.values()), *((e, False) for e, _ in ARRAY.values())],
    ids=[*SCALAR, *ARRAY],
)
def test_a_planted_fault_is_found(engine: Engine, scalar: bool) -> None:
    adapter = engine.adapter(**(SCALARS if scalar else ARRAYS))
    assert any(verdict(adapter, graph) in (Verdict.WRONG, Verdict.CRASHED) for graph in drawn(scalar=scalar))


def test_micrograd_is_correct() -> None:
    value = pytest.importorskip("micrograd.engine").Value
    adapter = gradproof.engine(value, scalar=True, operators="+ - * / ** neg relu", passes="once steps accumulate")
    own = {"+", "-", "*", "/", "neg", "relu"}
    asked = 0
    for graph in drawn(scalar=True):
        words = {o.operator for o in graph.operations if o.form not in ("x ** 2",)}
        if words <= own and len(set(graph.backward)) == len(graph.backward):
            asked += 1
            assert verdict(adapter, graph) is Verdict.CORRECT, graph
    assert asked > 10


def test_torch_is_correct() -> None:
    torch: Any = pytest.importorskip("torch")

    def tensor(array: Any) -> Any:
        return torch.tensor(array, requires_grad=True)

    functions = {
        "maximum": torch.maximum,
        "minimum": torch.minimum,
        "softplus": torch.nn.functional.softplus,
        "backward": lambda result: result.backward(retain_graph=True),
    }
    adapter = gradproof.engine(tensor, functions=functions, **ARRAYS)
    for graph in drawn(scalar=False):
        assert verdict(adapter, graph) is Verdict.CORRECT, graph


def test_an_engine_that_differentiates_a_function_answers_by_name() -> None:
    def adapter(graph: Any) -> Any:
        # Central differences are far from exact: of a quadratic in each entry they are wrong by rounding alone.
        gradients = []
        for place, leaf in enumerate(graph.leaves):
            gradient = np.zeros_like(leaf)
            for index in np.ndindex(leaf.shape):
                ends = []
                for step in (0.5, -0.5):
                    moved = [array.copy() for array in graph.leaves]
                    moved[place][index] += step
                    ends.append(graph.evaluate(*moved))
                gradient[index] = ends[0] - ends[1]
            gradients.append(gradient)
        return graph.answer(graph.evaluate(*graph.leaves), gradients)

    gradproof.engine(operators="+ - * sum")(adapter)

    kinds = {"+", "-", "*", "sum"}
    plain = [g for g in drawn(scalar=False) if {o.operator for o in g.operations} <= kinds and len(g.backward) == 1]
    assert len(plain) > 3
    verdicts = {verdict(adapter, graph) for graph in plain if len(graph.operations) <= 2}
    assert Verdict.CORRECT in verdicts
    assert not verdicts & {Verdict.CRASHED, Verdict.BROKE_PROTOCOL}

"""``gradproof check`` on engines, and the examples."""

from __future__ import annotations

from pathlib import Path

import pytest

import gradproof
from gradproof.graph import Graph, GraphData
from gradproof.verdict import Verdict
from verify.engines import diagnosis

EXAMPLES = Path(gradproof.__file__).parents[1] / "examples" / "engines"


@pytest.mark.parametrize("name", ["scalar_engine", "tensor_engine"])
def test_right_engines_are_correct(name: str) -> None:
    record = gradproof.check(f"{EXAMPLES / name}.py:adapter", profile="smoke")
    assert record.verdict is Verdict.CORRECT, record.failures


def test_a_wrong_engine_is_shown_by_the_program_that_fails_and_the_mistake_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diagnosis, "FRESH_GRAPHS", 10)
    monkeypatch.setattr(diagnosis, "MORE_GRAPHS", 20)
    record = gradproof.check(f"{EXAMPLES / 'scalar_engine_wrong'}.py:adapter", profile="smoke")
    assert record.verdict is Verdict.WRONG
    failure = next(failure for failure in record.failures if failure.summary.startswith("b.data"))
    assert isinstance(failure.case, GraphData)
    assert Graph.from_data(failure.case).text() == "a = Value(1.0)\nb = 2 - a\nb.backward()"
    (cause,) = failure.causes
    assert cause.name == "reflected - swapped"
    assert "__rsub__" in (cause.mend or "")

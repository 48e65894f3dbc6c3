"""``gradproof check`` on engines, and the examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gradproof
from gradproof.engines import PASSES
from gradproof.graph import Graph, GraphData
from gradproof.operators import WORDS
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


def test_a_missing_operator_has_no_place_in_files_of_ours() -> None:
    adapter = gradproof.engine(lambda number: object(), scalar=True, operators="+", leaf="object")
    (finding,) = [f for failure in gradproof.check(adapter, profile="smoke").failures for f in failure.findings][:1]
    assert finding.message == "TypeError: unsupported operand type(s) for +: 'object' and 'object'"


def test_the_readme_names_every_word_and_example_and_shows_the_adapter_as_it_is() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    source = (EXAMPLES / "scalar_engine.py").read_text(encoding="utf-8")
    assert f"```python\n{source[source.index('adapter = ') :]}```" in page
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    spoken = {word for code in re.findall(r"`([^`]+)`", prose) for word in code.split()}
    assert [word for word in (*WORDS, *PASSES) if word not in spoken] == []
    assert [file.name for file in EXAMPLES.glob("*.py") if f"]({file.name})" not in page] == []

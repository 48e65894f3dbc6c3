"""The figure of elementwise functions: no time of a value that is not certified."""

from __future__ import annotations

import pytest

from benchmarks.accuracy.functions import FUNCTIONS as CERTAIN
from benchmarks.agreement import DisagreementError
from benchmarks.figures import FIGURES, elementwise
from gradproof.vocabulary import DTYPES


def test_it_is_listed() -> None:
    assert "elementwise" in FIGURES


def test_elementwise_functions_are_timed_if_their_values_are_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementwise, "NUMBERS", 64)
    monkeypatch.setattr(elementwise, "CERTIFIED", 8)
    monkeypatch.setattr(elementwise, "ROUNDS", 1)
    monkeypatch.setattr(elementwise, "TURN", 1e-5)
    for dtype in DTYPES:
        found = elementwise.measure(dtype)
        assert set(found) == set(elementwise.FUNCTIONS)
        assert all(taken.ours > 0 and taken.other > 0 for taken in found.values())
        assert all(taken.other_error < 1e3 for taken in found.values()), "the others compute the same function"
    monkeypatch.setattr(elementwise, "CERTAIN", {**CERTAIN, "log": CERTAIN["log1p"]})
    with pytest.raises(DisagreementError, match="log, float64: off by"):
        elementwise.measure("float64")

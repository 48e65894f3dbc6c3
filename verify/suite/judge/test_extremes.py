"""The thorough profile draws cases in which usual formulas overflow; the others do not."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from gradproof.case import Case
from gradproof.target import target
from gradproof.verdict import Verdict
from verify import campaign
from verify.campaign import check


def network(softplus: Any) -> Any:
    """A target with one hidden layer, that knows which cases it was asked about."""
    asked: list[Case] = []

    @target(losses="half_squared_error/sum", hidden="softplus", output="identity", depth=(2, 2), dtypes=("float32",))
    def answer(case: Case) -> Any:
        asked.append(case)
        biases: Any = case.stack.biases
        (w, b), (v, c) = zip(case.stack.weights, biases, strict=True)
        z = case.inputs @ w + b
        a = softplus(z)
        targets: Any = case.targets
        delta = a @ v + c - targets
        back = (delta @ v.T) / (1 + np.exp(-z))
        return {
            "loss": (delta**2 / 2).sum(),
            "outputs": a @ v + c,
            "parameters": case.stack.name([case.inputs.T @ back, a.T @ delta], [back.sum(0), delta.sum(0)]),
            "inputs": back @ w.T,
        }

    return answer, asked


@pytest.fixture(autouse=True)
def _few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PROFILES", MappingProxyType({"smoke": 60, "default": 20, "thorough": 40}))


def careful(z: Any) -> Any:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def test_only_the_thorough_profile_draws_extremes_and_a_right_target_passes_them() -> None:
    for profile, extremes in (("default", False), ("thorough", True)):
        function, asked = network(careful)
        assert check(function, profile=profile, shrink_seconds=0).verdict is Verdict.CORRECT
        assert any("extreme" in case.tags for case in asked) is extremes


def test_a_formula_that_overflows_in_them_is_inaccurate_and_never_wrong() -> None:
    met = []

    def naive(z: Any) -> Any:
        met.append(np.exp(z))
        return np.log(1 + met[-1])

    function, _ = network(naive)
    record = check(function, profile="thorough", shrink_seconds=0)
    assert record.counts.keys() == {"correct", "inaccurate"}
    assert any(np.any(np.isinf(powers)) for powers in met)

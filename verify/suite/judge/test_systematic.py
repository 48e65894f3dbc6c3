"""Deviations that recur on fresh cases are found and said to be systematic; careful arithmetic is never so accused."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from fastimpl import gradients
from gradproof.case import Case
from gradproof.gradients import Gradients
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.target import target
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from refimpl import bias as biases
from refimpl.bias import bias
from refimpl.enclosure import enclosure
from refimpl.formats import Format
from verify import systematic
from verify.campaign import check
from verify.deviations import EVERY, deviations, weights
from verify.loading import adopt
from verify.strategies import seeded_case
from verify.subjects.networks import SUBJECT
from verify.systematic import FEWEST, FRESH, RISK, least, recurring, suspected

UNIT = {dtype: float(np.finfo(dtype).eps) / 2 for dtype in DTYPES}


def deep(dtype: Dtype = "float64", activation: str = "tanh", seed: int = 0) -> Case:
    layers = dense_chain((3,) * 7, (Activation(activation),) * 6)
    return seeded_case(Network((3,), layers, Loss("half_squared_error", "sum")), 2, dtype=dtype, seed=seed)


def scaled(case: Case, factor: Callable[[Case], float]) -> Gradients:
    """A right answer, all of its gradients times a factor."""
    right = gradients(case)

    def off(array: Any) -> Any:
        return (np.asarray(array).astype(np.longdouble) * np.longdouble(factor(case))).astype(case.dtype)

    inputs = None if right.inputs is None else off(right.inputs)
    return Gradients({n: off(array) for n, array in right.parameters.items()}, right.loss, right.outputs, inputs)


def declared(function: Callable[[Case], Any], **limits: Any) -> Any:
    supports: dict[str, Any] = {"hidden": "relu", "output": "identity", "depth": (1, 2), "width": (2, 3)}
    return target(losses="half_squared_error/sum", **{**supports, **limits})(partial(function))


@pytest.mark.parametrize(("cases", "risk"), [(60, 1e-3), (60, 4e-8), (41, 1e-6), (10, 1e-9)])
def test_so_many_heads_are_as_improbable_as_asked_for_and_fewer_are_not(cases: int, risk: float) -> None:
    def tail(k: int) -> float:
        return float(sum(math.comb(cases, i) for i in range(k, cases + 1)) / 2**cases)

    k = least(cases, risk)
    assert tail(k) <= risk < tail(k - 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_deviation_is_the_factor_less_one(dtype: Dtype) -> None:
    case, by = deep(dtype), 1e6 * UNIT[dtype]
    given = {name: np.asarray(array) for name, array in scaled(case, lambda _: 1 + by).quantities().items()}
    found = deviations(enclosure(case), given)
    assert found[EVERY] == pytest.approx(by, rel=1e-3)
    assert abs(found["the loss"]) < 100 * UNIT[dtype]
    assert deviations(enclosure(case), {"loss": np.asarray(given["loss"]) * (1 - by)})["the loss"] < -by / 2


def test_the_bias_bounds_what_a_one_sided_function_and_a_one_sided_constant_do() -> None:
    """tanh a little too large for every argument, within its bound, forward and in its derivative."""
    for seed in range(6):
        case = deep(seed=seed)
        enclosed, u = enclosure(case), 2.0**-30  # large beside float64's own rounding
        coarse = Format(bits=30, least=-1022, greatest=1023)
        names = [name for name in enclosed.names() if name not in ("loss", "outputs")]
        allowed = bias(enclosed, coarse, weights(enclosed, names))[EVERY]
        x, activations = case.inputs, []
        parameters = list(case.parameters.values())
        for w, b in zip(parameters[::2], parameters[1::2], strict=True):
            activations.append((x, w))
            x = np.tanh(x @ w + b) * (1 + 8 * u)
        delta = x - np.asarray(case.targets)
        given: dict[str, Any] = {}
        outputs = [a for a, _ in activations[1:]] + [x]
        for number, ((a, w), y) in reversed(list(enumerate(zip(activations, outputs, strict=True)))):
            delta = delta * (1 - y**2)
            given[f"{2 * number}.weight"], given[f"{2 * number}.bias"] = a.T @ delta, delta.sum(0)
            delta = delta @ w.T
        given["inputs"] = delta
        off = abs(deviations(enclosed, {name: given[name] for name in names})[EVERY])
        assert 0 < off <= allowed


def test_the_bias_is_the_same_however_many_roundings_are_passed_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    case = deep("float32", "sigmoid")
    enclosed = enclosure(case)
    sums = weights(enclosed, list(enclosed.names()))
    before = bias(enclosed, Format.of("float32"), sums)
    monkeypatch.setattr(biases, "TOGETHER", 7)
    after = bias(enclosed, Format.of("float32"), sums)
    assert before == pytest.approx(after, rel=1e-9)
    monkeypatch.setattr(biases, "MOST", 5)
    assert set(bias(enclosed, Format.of("float32"), sums).values()) == {math.inf}


def test_a_factor_too_small_for_any_one_case_is_systematic() -> None:
    """Eleven roundings: within what careful arithmetic may be off by in every single case."""
    record = check(declared(lambda case: scaled(case, lambda _: 1 + 1.2e-15)), profile="smoke", shrink_seconds=0)
    assert record.counts == {"correct": 60}
    assert (record.verdict, record.exit_code) == (Verdict.INACCURATE, 4)
    (failure,) = record.failures
    (finding,) = failure.findings
    assert finding.verdict is Verdict.INACCURATE
    assert (
        "inaccurate, systematic: in float64, every gradient is about 1 + 1e-15 times the exact one" in finding.message
    )
    assert FEWEST < failure.cases_alike <= FRESH
    assert f"on {failure.cases_alike} of " in finding.message
    assert f"fewer than one of {round(1 / RISK):,} runs" in finding.message


def test_careful_arithmetic_is_not_accused_even_when_fresh_cases_are_drawn() -> None:
    implementation = adopt(declared(gradients, hidden="tanh", dtypes=DTYPES))
    for dtype in DTYPES:
        run = [(dtype, {EVERY: 1e3 * UNIT[dtype]})] * 30
        assert suspected(run) == (dtype,)
        assert recurring(SUBJECT, implementation, run, seed=0) is None


def test_a_deviation_of_either_sign_is_not_systematic() -> None:
    def either(case: Case) -> float:
        return 1 + (1 if int(case.id, 16) % 2 else -1) * 1.2e-15

    implementation = adopt(declared(lambda case: scaled(case, either)))
    assert recurring(SUBJECT, implementation, [("float64", {EVERY: 1.2e-15})] * 30, seed=0) is None


def test_a_run_without_a_preferred_direction_draws_no_fresh_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systematic, "_fresh", lambda *_: pytest.fail("drawn"))
    implementation = adopt(declared(gradients))
    for r in ([1e-12, -1e-12] * 30, [1e-18] * 60, [1e-12] * 5):
        assert recurring(SUBJECT, implementation, [("float64", {EVERY: x}) for x in r], seed=0) is None

"""Correct implementations are never accused; zero, NaN and planted faults are proved wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.errors import NoSuchExample
from plain_backward import FAULTS, answer  # type: ignore[import-not-found,unused-ignore]

from fastimpl import gradients
from gradproof import Case, Gradients, Supports, Verdict
from verify.judge import judge
from verify.strategies import cases, large_cases

MANY = settings(max_examples=75)


@MANY
@given(cases())
def test_the_fast_implementation_is_correct(case: Case) -> None:
    verdict = judge(case, gradients(case))
    assert verdict.verdict is Verdict.CORRECT, verdict.findings


@MANY
@given(cases())
def test_a_plain_implementation_is_correct(case: Case) -> None:
    verdict = judge(case, answer(case))
    assert verdict.verdict is Verdict.CORRECT, verdict.findings


@settings(max_examples=30)
@given(cases(extremes=True))
def test_the_fast_implementation_is_never_accused_in_extreme_cases(case: Case) -> None:
    verdict = judge(case, gradients(case))
    assert verdict.verdict in (Verdict.CORRECT, Verdict.UNDECIDED), verdict.findings


@settings(max_examples=5)
@given(large_cases(width=(8, 40), batch=(4, 16), depth=(2, 5)))
def test_the_fast_implementation_is_correct_on_larger_networks(case: Case) -> None:
    verdict = judge(case, gradients(case))
    assert verdict.verdict is Verdict.CORRECT, verdict.findings


def shows(case: Case, fault: str) -> bool:
    """Whether anything of the fault is to be seen; if not, there is no need to ask the judge, who takes longer."""
    right, faulty = answer(case).quantities(), answer(case, fault).quantities()
    return not all(np.array_equal(right[name], faulty[name]) for name in right)


def is_wrong(case: Case, fault: str) -> bool:
    return shows(case, fault) and judge(case, answer(case, fault)).verdict is Verdict.WRONG


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_every_fault_is_proved_wrong(fault: str) -> None:
    search = settings(max_examples=400, suppress_health_check=list(HealthCheck), phases=(Phase.generate,))
    try:
        case = find(cases(), lambda case: is_wrong(case, fault), settings=search)
    except NoSuchExample:
        pytest.fail(f"no case shows that {FAULTS[fault]}")
    assert judge(case, answer(case)).verdict is Verdict.CORRECT


TUTORIAL = Supports(
    losses=("half_squared_error/sum", "binary_cross_entropy/batch_mean"),
    hidden=("sigmoid", "tanh", "relu"),
    output=("sigmoid", "identity"),
    depth=(1, 2),
    width=(1, 3),
    penalties=("l2/half",),
)


@pytest.mark.parametrize("fault", ["derivative at a", "transposed weight", "missing bias", "missing penalty", "sign"])
def test_shrunk_faults_fit_on_paper(fault: str) -> None:
    search = settings(max_examples=400, suppress_health_check=list(HealthCheck))
    case = find(cases(TUTORIAL), lambda case: shows(case, fault), settings=search)
    assert judge(case, answer(case, fault)).verdict is Verdict.WRONG
    assert case.batch == 1
    assert list(case.network.parameter_shapes) == ["0.weight", "0.bias"]
    assert case.network.parameter_shapes["0.weight"] == ((2, 2) if fault == "transposed weight" else (1, 1))
    numbers = np.concatenate([array.ravel() for array in (*case.parameters.values(), case.inputs)])
    assert set(numbers) <= {0.0, 1.0, -1.0, 0.5}
    assert (case.network.penalty is not None) == (fault == "missing penalty")


@settings(max_examples=30)
@given(cases())
def test_one_entry_off_by_far_is_wrong_and_located(case: Case) -> None:
    right = answer(case)
    names = [name for name in case.network.trainable if np.size(right.parameters[name]) > 0]
    if not names:
        return
    moved = np.array(right.parameters[names[-1]], dtype=np.float64)
    moved.flat[-1] += 1 + abs(moved.flat[-1])
    verdict = judge(case, Gradients({**right.parameters, names[-1]: moved}, right.loss, right.outputs, right.inputs))
    found = [finding for finding in verdict.findings if finding.verdict is Verdict.WRONG]
    assert [finding.quantity for finding in found] == [names[-1]]
    assert found[0].index == tuple(size - 1 for size in moved.shape)

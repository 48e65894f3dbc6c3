"""The target's own float64 run on the same numbers decides what float32 leaves open."""

from __future__ import annotations

from collections.abc import Callable
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
from verify.judge import Oracle, examine
from verify.loading import adopt
from verify.strategies import seeded_case
from verify.subjects.base import Assessment, assess
from verify.subjects.networks import SUBJECT
from verify.suite.judge.test_judging import Fake, answer, case_of

FIRST = "0.weight"


def deep(dtype: Dtype = "float32") -> Case:
    layers = dense_chain((4,) * 13, (Activation("tanh"),) * 12)
    return seeded_case(Network((4,), layers, Loss("half_squared_error", "sum")), 3, dtype=dtype)


def assessed(
    function: Callable[[Case], Gradients], case: Case, oracle: Oracle | None = None, dtypes: tuple[str, ...] = DTYPES
) -> Assessment:
    declared = target(losses="half_squared_error/sum", hidden="tanh", output="tanh", dtypes=dtypes)(function)
    return assess(SUBJECT, adopt(declared), case, oracle)


def off_by(factor: float, only: str | None = None) -> Callable[[Case], Gradients]:
    """A right answer but for the first layer's weights, times a factor, in one dtype or in both."""

    def function(case: Case) -> Any:
        right = gradients(case)
        scale = factor if only in (None, case.dtype) else 1.0
        off = (np.asarray(right.parameters[FIRST]).astype(np.float64) * scale).astype(case.dtype)
        return Gradients({**right.parameters, FIRST: off}, right.loss, right.outputs, right.inputs)

    return function


def test_what_float32_hides_is_wrong_where_float64_proves_it() -> None:
    faulty, case = off_by(1 + 3e-5), deep()
    assert examine(case, faulty(case)).verdict.verdict is Verdict.CORRECT  # float32 alone cannot tell
    found = assessed(faulty, case)
    assert found.verdict.verdict is Verdict.WRONG
    (finding,) = found.verdict.findings
    assert finding.quantity == FIRST
    assert "in float64 on the same numbers" in finding.message
    assert found.verdict.case_id == case.id


def test_a_right_answer_stays_right() -> None:
    assert assessed(gradients, deep()).verdict.verdict is Verdict.CORRECT


def test_a_target_of_float32_alone_is_not_asked_for_more() -> None:
    assert assessed(off_by(1 + 3e-5), deep(), dtypes=("float32",)).verdict.verdict is Verdict.CORRECT


def test_a_mistake_in_float64_alone_is_none_of_float32() -> None:
    assert assessed(off_by(1 + 3e-5, only="float64"), deep()).verdict.verdict is Verdict.CORRECT
    assert assessed(off_by(1 + 3e-5, only="float64"), deep("float64")).verdict.verdict is Verdict.WRONG


def test_float64_is_not_asked_where_float32_tells_most_digits() -> None:
    asked = []

    def function(case: Case) -> Any:
        asked.append(case.dtype)
        return gradients(case)

    case = case_of(dtype="float32")
    assert not examine(case, gradients(case)).loose
    assessed(function, case)
    assert asked == ["float32"]
    assert examine(deep(), gradients(deep())).loose


def vacuous_in_float32(usual: float) -> Oracle:
    """An oracle that bounds nothing in float32 and everything in float64."""
    exact = {"0.weight": [[1.0, 2.0], [3.0, 4.0]], "0.bias": [0.5, -0.5]}
    wide, narrow = Fake(exact, allowed=1e-12), Fake(exact, allowed=np.inf, usual=usual)

    def enclosure(case: Case, bits: int) -> Any:
        return (wide if case.dtype == "float64" else narrow).enclosure(case, bits)

    def allowance(case: Case, enclosed: Any) -> Any:
        return wide if case.dtype == "float64" else narrow

    return Oracle(enclosure, allowance, lambda case, dtype: (), wide.witness)


@pytest.mark.parametrize(("usual", "verdict"), [(1e-6, Verdict.INACCURATE), (np.inf, Verdict.CORRECT)])
def test_undecided_in_float32_and_right_in_float64_is_lost_digits_at_most(usual: float, verdict: Verdict) -> None:
    def function(case: Case) -> Any:
        digits = 1e-3 if case.dtype == "float32" else 0.0
        return answer(**{"0.bias": np.array([0.5 + digits, -0.5], case.dtype)}, **weights(case))

    case = case_of(dtype="float32")
    assert examine(case, function(case), vacuous_in_float32(usual)).verdict.verdict is Verdict.UNDECIDED
    found = assessed(function, case, vacuous_in_float32(usual))
    assert found.verdict.verdict is verdict
    assert verdict is Verdict.CORRECT or "float64 run on the same numbers is right" in found.verdict.findings[0].message


def weights(case: Case) -> dict[str, Any]:
    return {FIRST: np.array([[1.0, 2.0], [3.0, 4.0]], case.dtype)}


def test_undecided_in_float32_and_wrong_in_float64_is_wrong() -> None:
    def function(case: Case) -> Any:
        return answer(**{"0.bias": np.array([0.7, -0.5], case.dtype)}, **weights(case))

    found = assessed(function, case_of(dtype="float32"), vacuous_in_float32(1e-6))
    assert found.verdict.verdict is Verdict.WRONG
    assert found.cause == ("the last layer", "bias")


def test_numbers_that_are_not_finite_in_float32_alone_are_lost_digits_where_nothing_is_bounded() -> None:
    def function(case: Case) -> Any:
        number = np.inf if case.dtype == "float32" else 0.5
        return answer(**{"0.bias": np.array([number, -0.5], case.dtype)}, **weights(case))

    found = assessed(function, case_of(dtype="float32"), vacuous_in_float32(1e-6))
    assert found.verdict.verdict is Verdict.INACCURATE
    assert "not finite in float32" in found.verdict.findings[0].message


def test_what_computes_in_float32_whatever_it_is_given_is_no_mistake_of_float32() -> None:
    network = Network((1,), (Activation("sigmoid"),), Loss("binary_cross_entropy", "sum"))
    case = Case(network, {}, [[9.7]], targets=[[0.0]], dtype="float32")

    @target(losses="binary_cross_entropy/sum", output="sigmoid", dtypes=DTYPES)
    def narrow(given: Case) -> Gradients:
        p = 1 / (1 + np.exp(-given.inputs.astype(np.float32)))
        dtype = np.dtype(given.dtype)
        return Gradients({}, outputs=p.astype(dtype), loss=-np.log(1 - p).sum().astype(dtype))

    implementation = adopt(narrow)
    assert assess(SUBJECT, implementation, case).verdict.verdict is Verdict.CORRECT
    assert assess(SUBJECT, implementation, case.replace(dtype="float64")).verdict.verdict is Verdict.WRONG

"""What comes of an overflow that ends in finite numbers is reproduced by the formula that overflows, and only that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gradproof.case import Case
from gradproof.gradients import Gradients
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.replay import reproduced
from verify.judge import judge

FAR = {"float64": 800.0, "float32": 100.0}
"""Where exp overflows."""


def hidden_softplus(dtype: Dtype) -> Case:
    layers = (Dense(1, bias=False), Activation("softplus"), Dense(1, bias=False), Activation("sigmoid"))
    network = Network((1,), layers, Loss("half_squared_error", "sum"))
    weights = {"0.weight": [[1.0]], "2.weight": [[1 / FAR[dtype]]]}
    return Case(network, weights, [[FAR[dtype]]], targets=[[0.0]], dtype=dtype)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def log_of_sum(z: Any) -> Any:
    return np.log(1 + np.exp(z))


def answered(case: Case, softplus: Any = log_of_sum, slope: Any = sigmoid) -> Gradients:
    """A plain backpropagation with softplus as it is given."""
    with np.errstate(all="ignore"):
        x, (v, w) = case.inputs, case.parameters.values()
        z = x @ v
        a = softplus(z)
        y = sigmoid(a @ w)
        delta = y * y * (1 - y)
        back = (delta @ w.T) * slope(z)
        return Gradients({"0.weight": x.T @ back, "2.weight": a.T @ delta}, (y * y / 2).sum(), y, back @ v.T)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("slope", "words"),
    [
        (sigmoid, "softplus as log(1 + exp(z))"),
        (lambda z: np.exp(z) / (1 + np.exp(z)), "softplus′ as exp(z)/(1 + exp(z))"),
    ],
)
def test_an_overflow_that_ends_finite_is_inaccurate_and_its_formula_named(slope: Any, words: str, dtype: Dtype) -> None:
    case = hidden_softplus(dtype)
    given = answered(case, slope=slope)
    assert given.outputs == 1  # finite, and far from sigmoid(1)
    verdict = judge(case, given)
    assert verdict.verdict is Verdict.INACCURATE
    (outputs,) = (finding for finding in verdict.findings if finding.quantity == "outputs")
    assert words in outputs.message
    assert f"z = {FAR[dtype]:.4g}" in outputs.message


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_numbers_are_wrong_although_a_formula_overflows(dtype: Dtype) -> None:
    case = hidden_softplus(dtype)
    given = answered(case)
    assert judge(case, replace(given, outputs=np.full((1, 1), 0.9, dtype))).verdict is Verdict.WRONG
    assert judge(case, answered(case, softplus=lambda z: 2 * z)).verdict is Verdict.WRONG
    assert judge(case, answered(case, softplus=lambda z: np.maximum(z, 0))).verdict is Verdict.CORRECT


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_softmax_that_is_not_shifted_may_end_in_zeros(dtype: Dtype) -> None:
    """Two exponentials that are finite, whose sum is not: each over infinity is 0."""
    largest = float(np.log(np.finfo(dtype).max)) - 0.1
    network = Network((2,), (Activation("softmax"),), Loss("half_squared_error", "sum"))
    case = Case(network, {}, [[largest, largest]], targets=[[0.0, 0.0]], dtype=dtype)
    zeros = np.zeros((1, 2), dtype)
    verdict = judge(case, Gradients({}, loss=zeros.sum(), outputs=zeros, inputs=zeros))
    assert verdict.verdict is Verdict.INACCURATE
    assert all("no maximum is subtracted" in finding.message for finding in verdict.findings)
    assert judge(case, Gradients({}, outputs=zeros + np.dtype(dtype).type(0.25))).verdict is Verdict.WRONG
    nearer = case.replace(inputs=[[largest - 2, largest - 2]])
    assert judge(nearer, Gradients({}, outputs=zeros)).verdict is Verdict.WRONG


def test_a_loss_of_logits_by_way_of_probabilities_is_told_by_its_infinity() -> None:
    network = Network((1,), (Activation("identity"),), Loss("binary_cross_entropy_with_logits", "sum"))
    case = Case(network, {}, [[60.0]], targets=[[0.0]])
    verdict = judge(case, Gradients({}, loss=np.float64(np.inf), outputs=np.array([[60.0]]), inputs=np.array([[1.0]])))
    assert verdict.verdict is Verdict.INACCURATE
    assert "computed from probabilities" in verdict.findings[0].message


def test_nothing_is_reproduced_where_no_formula_fails() -> None:
    case = hidden_softplus("float64").replace(inputs=[[1.0]])
    given = answered(case).quantities()
    assert reproduced(case, given, {name: np.ones(np.shape(array), dtype=bool) for name, array in given.items()}) == ""


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_overflow_excuses_no_small_mistake_elsewhere(dtype: Dtype) -> None:
    """Neither softplus is involved in the second output: that one is off by 150 roundings is proved, and stays so."""
    layers = (Dense(2, bias=False), Activation("softplus"), Dense(2, bias=False))
    network = Network((1,), layers, Loss("half_squared_error", "sum"))
    weights = {"0.weight": [[1.0, 0.5]], "2.weight": [[0.5, 0.0], [0.0, 1.0]]}
    case = Case(network, weights, [[FAR[dtype]], [1.0]], targets=[[1.0, 2.0], [0.0, 1.0]], dtype=dtype)
    v, w = case.parameters.values()
    a = np.logaddexp(case.inputs @ v, case.inputs.dtype.type(0))
    right = Gradients({}, outputs=a @ w)
    off = np.dtype(dtype).type(1 + 75 * np.finfo(dtype).eps)
    assert judge(case, right).verdict is Verdict.CORRECT
    assert judge(case, replace(right, outputs=off * (a @ w))).verdict is Verdict.WRONG

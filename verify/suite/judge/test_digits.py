"""Answers that lose digits are told by which formula, at which layer and where; what no formula explains is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastimpl import gradients
from gradproof.case import Case
from gradproof.gradients import Gradients
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from verify.digits import Explanation, summed_up
from verify.judge import Judgement, examine
from verify.strategies import seeded_case

Function = Callable[[Any], Any]


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def softplus(z: Any) -> Any:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


CAREFUL: dict[str, tuple[Function, Function]] = {
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "softplus": (softplus, sigmoid),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "identity": (lambda z: z, np.ones_like),
}


def two_layers(first: str, second: str, z: Any, dtype: Dtype) -> Case:
    layers = (Dense(1, bias=False), Activation(first), Dense(1, bias=False), Activation(second))
    z = np.asarray(z, dtype=dtype).reshape(-1, 1)
    return Case(
        Network((1,), layers), {"0.weight": [[1.0]], "2.weight": [[2.0]]}, z, upstream=np.ones_like(z), dtype=dtype
    )


def answered(case: Case, naive: dict[int, tuple[Function, Function]]) -> Gradients:
    """A plain backpropagation; ``naive`` replaces an activation and its derivative by the layer's number."""
    functions = {i: naive.get(i, CAREFUL[layer.name]) for i, layer in enumerate(case.network.layers) if i % 2}  # type: ignore[union-attr]
    x, (v, w) = case.inputs, case.parameters.values()
    z = x @ v
    a = functions[1][0](z)
    y = functions[3][0](a @ w)
    delta = functions[3][1](a @ w)
    back = (delta @ w.T) * functions[1][1](z)
    return Gradients({"0.weight": x.T @ back, "2.weight": a.T @ delta}, y.sum(), y, back @ v.T)


def naive_sigmoid(z: Any) -> Any:
    return 1 - sigmoid(-z)


NAIVE: dict[str, tuple[Function, Function]] = {
    "sigmoid": (naive_sigmoid, lambda z: naive_sigmoid(z) * (1 - naive_sigmoid(z))),
    "softplus": (lambda z: np.log(1 + np.exp(z)), sigmoid),
    "tanh": (lambda z: 1 - 2 / (np.exp(2 * z) + 1), lambda z: 1 - np.tanh(z) ** 2),
}
FAR = {"sigmoid": -12.0, "softplus": -12.0, "tanh": 1e-5}
WORDS = {"sigmoid": "1 - sigmoid(-z)", "softplus": "log(1 + exp(z))", "tanh": "a quotient of exponentials"}
SIDES = {"sigmoid": "far below 0", "softplus": "far below 0", "tanh": "near 0"}


def said(judgement: Judgement) -> str:
    assert judgement.verdict.verdict is Verdict.INACCURATE
    return judgement.verdict.findings[0].message


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAIVE)
def test_the_formula_that_cancels_is_named_with_its_layer_and_the_argument(name: str, dtype: Dtype) -> None:
    case = two_layers(name, "identity", [FAR[name], 0.5], dtype)
    judgement = examine(case, answered(case, {1: NAIVE[name]}))
    message = said(judgement)
    (explanation,) = judgement.explained
    assert WORDS[name] in explanation.words
    assert (explanation.side, explanation.place) == (SIDES[name], f"layer 1: {name}")
    assert explanation.at == pytest.approx(FAR[name])
    assert f"loses them {SIDES[name]} (layer 1: {name}: z = {FAR[name]:.4g} here)".replace("-", "−") in message
    assert examine(case, answered(case, {})).verdict.verdict is Verdict.CORRECT


def test_of_two_layers_alike_the_one_that_loses_digits_is_named() -> None:
    case = two_layers("softplus", "softplus", [-12.0, -13.0], "float64")
    first, second = (examine(case, answered(case, {i: NAIVE["softplus"]})) for i in (1, 3))
    assert [explanation.place for explanation in first.explained] == ["layer 1: softplus"]
    assert second.verdict.verdict is Verdict.CORRECT  # its argument is near 0


def test_how_many_digits_are_lost_is_said() -> None:
    case = two_layers("softplus", "tanh", [-18.0], "float64")
    message = said(examine(case, answered(case, {1: NAIVE["softplus"]})))
    right = int(message.partition(" are right")[0].rpartition(" ")[2])
    exact = softplus(-18.0)
    off = abs(np.log(1 + np.exp(-18.0)) - exact) / exact
    assert right == pytest.approx(-np.log10(off), abs=1)


def test_a_loss_from_probabilities_is_named() -> None:
    network = Network((1,), (Activation("identity"),), Loss("binary_cross_entropy_with_logits", "sum"))
    case = Case(network, {}, [[20.0], [2.0]], targets=[[0.0], [1.0]])
    p, t = sigmoid(case.inputs), np.array([[0.0], [1.0]])
    given = Gradients({}, -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(), case.inputs, p - t)
    (explanation,) = examine(case, given).explained
    assert "probabilities" in explanation.words
    assert explanation.at == 20


def test_what_no_formula_explains_stays_unexplained() -> None:
    network = Network((3,), dense_chain((3,) * 9, (Activation("sigmoid"),) * 8), Loss("half_squared_error", "sum"))
    case = seeded_case(network, 2)
    right = gradients(case)
    off = {**right.parameters, "0.weight": np.asarray(right.parameters["0.weight"]) * (1 + 3e-13)}
    judgement = examine(case, Gradients(off, right.loss, right.outputs, right.inputs))
    assert judgement.explained == ()
    assert "as many go" not in said(judgement)


def test_a_run_is_summed_up_by_the_formula_that_explains_all_of_it() -> None:
    one, other = (Explanation("a formula", "far below 0", "layer 1: softplus", at) for at in (-20.0, -14.5))
    else_ = Explanation("another", "near 0", "layer 1: tanh", 0.001)
    assert "z is −14.5 or less" in (summed_up([[one], [other, else_]]) or "")
    assert "all 2 inaccurate cases" in (summed_up([[one], [other]]) or "")
    assert "|z| is 0.001 or less" in (summed_up([[else_]]) or "")
    assert summed_up([[one], [else_]]) is None
    assert summed_up([[one], []]) is None
    assert summed_up([[one, else_], [other, else_]]) is None
    assert summed_up([]) is None

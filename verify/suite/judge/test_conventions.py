"""What a target takes a derivative at a kink to be is told, never held against it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import gradproof
from gradproof.case import Case
from gradproof.layers import Dense, Maxout
from gradproof.loss import Loss
from gradproof.network import Network
from gradproof.verdict import Verdict
from refimpl.kinks import Kind
from verify.campaign import check
from verify.conventions import told
from verify.judge import judge
from verify.suite.properties.plain_backward import answer

RELU, ABSOLUTE = Kind("relu", Fraction(0), Fraction(1)), Kind("l1", Fraction(-1), Fraction(1))


def relu_network(slope_at_0: Any, sign_at_0: Any = 0.0, **supports: Any) -> Any:
    """A stack of ReLU layers, right but for what it takes derivatives at 0 to be."""

    @gradproof.target(
        losses="half_squared_error/sum", hidden="relu", output="relu", depth=(1, 2), bias="always", **supports
    )
    def network(case: Case) -> Any:
        stack = case.stack
        activations: list[Any] = [case.inputs]
        sums: list[Any] = []
        for weight, bias in zip(stack.weights, stack.biases, strict=True):
            sums.append(activations[-1] @ weight + bias)
            activations.append(np.maximum(sums[-1], 0))
        delta = activations[-1] - case.targets
        weights: list[Any] = []
        biases: list[Any] = []
        for weight, z, a in reversed(list(zip(stack.weights, sums, activations, strict=False))):
            at_0 = slope_at_0(case) if callable(slope_at_0) else slope_at_0
            delta = delta * np.where(z == 0, at_0, z > 0)
            weights.insert(0, a.T @ delta)
            biases.insert(0, delta.sum(axis=0))
            delta = delta @ weight.T
        penalty = case.network.penalty
        if penalty is not None:
            signs = [np.where(w == 0, sign_at_0, np.sign(w)) for w in stack.weights]
            weights = [d + penalty.strength * sign for d, sign in zip(weights, signs, strict=True)]
        return {"parameters": stack.name(weights, biases), "inputs": delta}

    return network


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_the_convention_of_a_right_network_is_named(slope: float) -> None:
    record = check(relu_network(slope), profile="smoke")
    assert record.verdict is Verdict.CORRECT
    assert f"At 0 the target takes ReLU's derivative to be {slope:g}." in record.notes


def test_each_kind_of_kink_has_its_own() -> None:
    record = check(relu_network(1.0, -1.0, penalties="l1"), profile="smoke")
    assert record.verdict is Verdict.CORRECT
    assert "At 0 the target takes ReLU's derivative to be 1." in record.notes
    assert "At 0 the target takes the derivative of |θ| (the L1 penalty) to be -1." in record.notes


def test_a_target_that_changes_its_mind_is_told_so_and_passes() -> None:
    record = check(relu_network(lambda case: float(case.batch % 2)), profile="smoke")
    assert record.verdict is Verdict.CORRECT
    assert "At 0 the target does not always take ReLU's derivative to be the same." in record.notes


def test_a_value_that_no_slope_gives_is_wrong() -> None:
    record = check(relu_network(2.0), profile="smoke")
    assert record.verdict is Verdict.WRONG
    assert record.counts["wrong"] < record.cases  # away from kinks it is right
    assert {cause.name for failure in record.failures for cause in failure.causes} == {"relu at 0: 2"}


def maxout_network() -> Any:
    @gradproof.target(losses="half_squared_error/sum", hidden="hard_tanh", output="identity", depth=(2, 3), maxout=True)
    def network(case: Case) -> Any:
        return answer(case)

    return network


def test_who_gets_the_gradient_where_several_tie_is_told() -> None:
    record = check(maxout_network(), profile="smoke")
    assert record.verdict is Verdict.CORRECT
    assert (
        "Where several tie for the greatest piece of a maxout unit, in the target the first takes the whole gradient."
    ) in record.notes
    assert "At its ends the target takes hard tanh's derivative to be 0." in record.notes


def test_a_gradient_that_each_tied_piece_gets_is_wrong() -> None:
    pieces = (Dense(2), Maxout(2))
    network = Network((1,), pieces, Loss("half_squared_error", "sum"))
    for bias, verdict in (([0.0, 0.0], Verdict.WRONG), ([0.0, 0.5], Verdict.CORRECT)):
        case = Case(network, {"0.weight": [[1.0, 1.0]], "0.bias": bias}, [[1.0]], targets=[[0.0]])
        assert judge(case, answer(case, "all that tie")).verdict is verdict
        assert judge(case, answer(case)).verdict is Verdict.CORRECT


def test_only_what_tells_something_is_told() -> None:
    every = frozenset({Fraction(0), Fraction(1, 2), Fraction(1)})
    assert told([{RELU: every}]) == ()
    assert told([{RELU: every}, {RELU: frozenset({Fraction(0)})}]) == (
        "At 0 the target takes ReLU's derivative to be 0.",
    )
    assert told([{ABSOLUTE: frozenset({Fraction(0), Fraction(1, 2)})}]) == (
        "At 0 the target takes the derivative of |θ| (the L1 penalty) to be -1 or 0.",
    )
    tie = Kind("tie:maxout", Fraction(0), Fraction(1))
    assert told([{tie: frozenset({Fraction(0), Fraction(1, 2)})}]) == (
        "Where several tie for the greatest piece of a maxout unit, in the target the first takes the whole gradient"
        " or each takes the same share of the gradient.",
    )
    assert told([{tie: frozenset()}]) == (
        "Where several tie for the greatest piece of a maxout unit,"
        " the target does not always pass the gradient on in the same way.",
    )
    leaky = Kind("leaky_relu", Fraction(1, 4), Fraction(1))
    assert told([{leaky: frozenset({Fraction(0)})}]) == (
        "At 0 the target takes the derivative of leaky ReLU with slope 0.25 to be 0.25.",
    )

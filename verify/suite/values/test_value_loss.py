"""Losses with an eps: as text, as JSON, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network
from gradproof.verdict import Verdict
from verify.judge import judge
from verify.suite.properties.plain_backward import answer

BINARY = "binary_cross_entropy"


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        (f"{BINARY}/sum/add=1e-07", Loss(BINARY, "sum", "hard", "add", 1e-7)),
        (f"{BINARY}/sum/soft/clip=0.25", Loss(BINARY, "sum", "soft", "clip", 0.25)),
        (
            "categorical_cross_entropy/batch_mean/add=0.1",
            Loss("categorical_cross_entropy", "batch_mean", None, "add", 0.1),
        ),
        (f"{BINARY}/sum/free", Loss(BINARY, "sum", "free")),
    ],
)
def test_a_loss_is_its_text_and_its_json(text: str, loss: Loss) -> None:
    assert Loss.parse(text) == loss
    assert str(loss) == text
    assert msgspec.json.decode(msgspec.json.encode(loss), type=Loss) == loss


def test_a_loss_without_an_eps_says_nothing_of_one() -> None:
    assert b"eps" not in msgspec.json.encode(Loss(BINARY, "sum"))
    assert b"guard" not in msgspec.json.encode(Loss(BINARY, "sum"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{BINARY}/sum/add", "loss.targets: expected hard or soft or free"),
        (f"{BINARY}/sum/add=little", "then /targets and /add=eps or /clip=eps"),
        (f"{BINARY}/sum/add=0", "loss.eps: expected a number between 0 and 1/2, got 0.0"),
        (f"{BINARY}/sum/clip=0.5", "loss.eps: expected a number between 0 and 1/2, got 0.5"),
        (f"{BINARY}/sum/clip=nan", "loss.eps: expected a number between 0 and 1/2"),
        (f"{BINARY}/sum/floor=0.1", "loss.guard: expected add or clip, for a loss of probabilities, got floor"),
        ("squared_error/sum/add=0.1", "loss.guard: expected add or clip, for a loss of probabilities, got add"),
        (f"{BINARY}_with_logits/sum/add=0.1", "loss.guard: expected add or clip, for a loss of probabilities, got add"),
    ],
)
def test_what_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Loss.parse(text)
    with pytest.raises(ArgumentError, match=r"loss.eps: expected None without a guard"):
        Loss(BINARY, "sum", eps=0.1)


def case_of(loss: str) -> Case:
    network = Network((1,), (Dense(2), Activation("sigmoid")), Loss.parse(loss))
    parameters: dict[str, Any] = {"0.weight": [[1.0, -2.0]], "0.bias": [0.5, 0.25]}
    return Case(network, parameters, [[1.0], [-1.5]], targets=[[1.0, 0.0], [0.0, 1.0]])


def test_an_eps_is_part_of_the_loss() -> None:
    """A gradient that leaves it out, or has another one, is wrong by as much as it makes out."""
    losses = [f"{BINARY}/sum{guard}" for guard in ("", "/add=1e-07", "/add=1e-06", "/clip=0.25")]
    for declared in losses:
        for computed in losses:
            case = case_of(declared)
            verdict = judge(case, answer(case_of(computed))).verdict
            assert verdict is (Verdict.CORRECT if computed == declared else Verdict.WRONG), (declared, computed)


def test_outside_its_ends_a_clip_passes_nothing_back() -> None:
    network = Network((1,), (Activation("sigmoid"),), Loss.parse(f"{BINARY}/sum/clip=0.25"))
    case = Case(network, {}, [[0.0], [-3.0]], targets=[[1.0], [1.0]])
    found = answer(case)
    assert np.asarray(found.inputs).tolist() == [[-0.5], [0.0]]
    assert judge(case, found).verdict is Verdict.CORRECT
    assert judge(case, replace(found, inputs=[[-0.5], [-0.04]])).verdict is Verdict.WRONG

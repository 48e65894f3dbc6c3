"""Targets whose answers depend on more than the case."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np

import gradproof
from gradproof.case import Case

SEEN: dict[str, int] = {}
THING = object()


def answer(case: Any, factor: float = 1.0) -> dict[str, Any]:
    """A linear layer and its squared error, the gradients scaled by this."""
    (W,), (b,) = case.stack.weights, case.stack.biases
    outputs = case.inputs @ W + b
    delta = outputs - case.targets
    gradients = case.stack.name([factor * case.inputs.T @ delta], [factor * delta.sum(axis=0)])
    return {"loss": np.sum(delta**2) / 2, "outputs": outputs, "parameters": gradients}


def scaled(factor: Callable[[Case], float]) -> Callable[[Case], Any]:
    """A target that scales the right gradients so."""
    declared = gradproof.target(
        losses="half_squared_error/sum", output="identity", depth=(1, 1), width=(1, 3), batch=(1, 4)
    )
    return declared(lambda case: answer(case, factor(case)))


@scaled
def pure(case: Case) -> float:
    return 1.0


@scaled
def accumulates(case: Case) -> float:
    SEEN[case.id] = SEEN.get(case.id, 0) + 1
    return float(SEEN[case.id])


@scaled
def keeps_what_came_first(case: Case) -> float:
    SEEN.setdefault(case.id, len(SEEN))
    return 1.0 if len(SEEN) == 1 else 2.0


@scaled
def drops_out(case: Case) -> float:
    return 1 + float(np.random.rand())


@scaled
def rolls_python_s_dice(case: Case) -> float:
    return 1 + random.random()


@scaled
def rolls_dice_of_its_own(case: Case) -> float:
    return 1 + np.random.default_rng().random()


@scaled
def looks_at_addresses(case: Case) -> float:
    return 1 + id(THING) / 2**50


@scaled
def looks_at_hashes(case: Case) -> float:
    return 1 + hash("anything") / 2**63


@scaled
def loses_the_last_digit(case: Case) -> float:
    return 1 + float(np.random.choice([-1, 0, 1])) * 2**-52


@scaled
def right_where_it_was_made(case: Case) -> float:
    return 1.0 if "GRADPROOF_APART" not in os.environ else 3.0

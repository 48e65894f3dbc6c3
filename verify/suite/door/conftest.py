"""A folder as somebody has it, with their network in it, as the current one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from verify.suite.door.folders import Folder

NETWORK = """
import numpy as np

import gradproof


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def backprop(case, slope):
    stack, outputs, kept = case.stack, case.inputs, []
    for W, b in zip(stack.weights, stack.biases):
        z = outputs @ W + b
        kept.append((outputs, z, sigmoid(z)))
        outputs = sigmoid(z)
    loss = np.sum((outputs - case.targets) ** 2) / 2
    upstream, dW, db = outputs - case.targets, [], []
    for (x, z, a), W in zip(kept[::-1], stack.weights[::-1]):
        delta = upstream * slope(z, a)
        dW.insert(0, x.T @ delta)
        db.insert(0, delta.sum(axis=0))
        upstream = delta @ W.T
    return {"loss": loss, "outputs": outputs, "parameters": case.stack.name(dW, db)}


SUPPORTS = dict(losses="half_squared_error/sum", hidden="sigmoid", output="sigmoid", depth=(1, 2))


@gradproof.target(**SUPPORTS)
def right(case):
    return backprop(case, lambda z, a: a * (1 - a))


@gradproof.target(**SUPPORTS)
def wrong(case):
    return backprop(case, lambda z, a: sigmoid(a) * (1 - sigmoid(a)))


@gradproof.target(**SUPPORTS)
class Network:
    made = 0

    def __init__(self):
        Network.made += 1

    def __call__(self, case):
        assert Network.made == 1
        return right(case)


@gradproof.target(**SUPPORTS)
class Needy:
    def __init__(self, sizes):
        self.sizes = sizes


def undeclared(case):
    return right(case)


number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    made = Folder(tmp_path)
    made.write("net.py", NETWORK)
    return made

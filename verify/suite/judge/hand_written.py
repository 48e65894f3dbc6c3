"""A network as people write it by hand, and the mistakes that they make, as targets."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradproof
from gradproof.case import Case

SUPPORTS = {
    "losses": "half_squared_error/batch_mean",
    "hidden": ("sigmoid", "tanh"),
    "output": "sigmoid",
    "depth": (1, 3),
}


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def derivative(name: str, z: Any, a: Any) -> Any:
    return a * (1 - a) if name == "sigmoid" else 1 - a**2


def backprop(case: Case, slope: Any = derivative) -> Any:
    stack = case.stack
    outputs: Any = case.inputs
    targets: Any = case.targets
    biases: Any = stack.biases
    kept: list[Any] = []
    for W, b, name in zip(stack.weights, biases, stack.activations, strict=True):
        z = outputs @ W + b
        a = sigmoid(z) if name == "sigmoid" else np.tanh(z)
        kept.append((outputs, z, a))
        outputs = a
    loss = np.sum((outputs - targets) ** 2) / (2 * case.batch)
    upstream = (outputs - targets) / case.batch
    dW: list[Any] = []
    db: list[Any] = []
    for (x, z, a), W, name in zip(kept[::-1], stack.weights[::-1], stack.activations[::-1], strict=True):
        delta = upstream * slope(name, z, a)
        dW.insert(0, x.T @ delta)
        db.insert(0, delta.sum(axis=0))
        upstream = delta @ W.T
    return {"loss": loss, "outputs": outputs, "inputs": upstream, "parameters": stack.name(dW, db)}


def target(change: Any = lambda case, answer: answer, slope: Any = derivative, **supports: Any) -> Any:
    """The network above as a target, its answer changed by ``change``."""

    @gradproof.target(**{**SUPPORTS, **supports})
    def network(case: Case) -> Any:
        return change(case, backprop(case, slope))

    return network


def at_the_activation(name: str, z: Any, a: Any) -> Any:
    """The derivative taken at the activation in place of the pre-activation."""
    return derivative(name, a, sigmoid(a) if name == "sigmoid" else np.tanh(a))


def on_parameters(change: Any) -> Any:
    def changed(case: Case, answer: Any) -> Any:
        named = {name: change(case, name, value) for name, value in answer["parameters"].items()}
        return {**answer, "parameters": named}

    return changed

"""A network as people write it by hand, and the mistakes that they make, as targets."""

from __future__ import annotations

import numpy as np

import gradproof

SUPPORTS = {
    "losses": "half_squared_error/batch_mean",
    "hidden": ("sigmoid", "tanh"),
    "output": "sigmoid",
    "depth": (1, 3),
}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def derivative(name, z, a):
    return a * (1 - a) if name == "sigmoid" else 1 - a**2


def backprop(case, slope=derivative):
    stack, outputs, kept = case.stack, case.inputs, []
    for W, b, name in zip(stack.weights, stack.biases, stack.activations, strict=True):
        z = outputs @ W + b
        a = sigmoid(z) if name == "sigmoid" else np.tanh(z)
        kept.append((outputs, z, a))
        outputs = a
    loss = np.sum((outputs - case.targets) ** 2) / (2 * case.batch)
    upstream = (outputs - case.targets) / case.batch
    dW, db = [], []
    for (x, z, a), W, name in zip(kept[::-1], stack.weights[::-1], stack.activations[::-1], strict=True):
        delta = upstream * slope(name, z, a)
        dW.insert(0, x.T @ delta)
        db.insert(0, delta.sum(axis=0))
        upstream = delta @ W.T
    return {"loss": loss, "outputs": outputs, "inputs": upstream, "parameters": stack.name(dW, db)}


def target(change=lambda case, answer: answer, slope=derivative, **supports):
    """The network above as a target, its answer changed by ``change``."""

    @gradproof.target(**{**SUPPORTS, **supports})
    def network(case):
        return change(case, backprop(case, slope))

    return network


def at_the_activation(name, z, a):
    """The derivative taken at the activation in place of the pre-activation."""
    return derivative(name, a, sigmoid(a) if name == "sigmoid" else np.tanh(a))


def on_parameters(change):
    def changed(case, answer):
        named = {name: change(case, name, value) for name, value in answer["parameters"].items()}
        return {**answer, "parameters": named}

    return changed

"""A network whose biases are the last row of each weight: inputs get a column of ones."""

import numpy as np


def with_ones(x):
    return np.column_stack([x, np.ones(len(x))])


def gradients(weights, x, t):
    """Outputs, loss and gradients; tanh in every layer, the squared error averaged over samples and outputs."""
    activations = [x]
    for w in weights:
        activations.append(np.tanh(with_ones(activations[-1]) @ w))
    y = activations[-1]
    found, error = [], 2 * (y - t) / y.size
    for w, a, below in zip(weights[::-1], activations[::-1], activations[-2::-1]):
        delta = error * (1 - a**2)
        found.insert(0, with_ones(below).T @ delta)
        error = delta @ w[:-1].T
    return y, np.mean((y - t) ** 2), found

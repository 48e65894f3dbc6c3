"""A network of ``numpy.matrix``, where * is the matrix product; biases are rows."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def run(weights, biases, x, t):
    """Outputs and gradients of half the squared error, summed over the samples."""
    activations = [x]
    for w, b in zip(weights, biases):
        activations.append(sigmoid(activations[-1] * w + b))
    error, dw, db = activations[-1] - t, [], []
    for k in reversed(range(len(weights))):
        delta = np.multiply(error, np.multiply(activations[k + 1], 1 - activations[k + 1]))
        dw.insert(0, activations[k].T * delta)
        db.insert(0, delta.sum(axis=0))
        error = delta * weights[k].T
    return activations[-1], dw, db

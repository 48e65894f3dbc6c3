"""A network in NumPy with inverted dropout: what is kept is divided by 1 - p, so that evaluation needs no factor."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def run(weights, biases, masks, probabilities, x, t):
    """Outputs and gradients of half the squared error, summed; a mask is None where nothing is dropped."""
    inputs, slopes = [x], []
    for w, b, mask, p in zip(weights, biases, masks, probabilities):
        a = sigmoid(inputs[-1] @ w + b)
        kept = 1 if mask is None else mask / (1 - p)
        inputs.append(a * kept)
        slopes.append(a * (1 - a) * kept)
    error, dw, db = inputs[-1] - t, [], []
    for k in reversed(range(len(weights))):
        delta = error * slopes[k]
        dw.insert(0, inputs[k].T @ delta)
        db.insert(0, delta.sum(axis=0))
        error = delta @ weights[k].T
    return inputs[-1], dw, db

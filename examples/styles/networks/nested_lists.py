"""Backpropagation without any library: nested lists of floats, one sample at a time."""

from math import exp


def sigmoid(z):
    return 1 / (1 + exp(-z))


def forward(weights, biases, x):
    """The activations of every layer; ``weights[k][j][i]`` goes from unit i to unit j."""
    activations = [x]
    for w, b in zip(weights, biases):
        x = [sigmoid(sum(w[j][i] * x[i] for i in range(len(x))) + b[j]) for j in range(len(b))]
        activations.append(x)
    return activations


def backward(weights, activations, target):
    """Gradients of half the squared error, layer by layer."""
    dw, db = [], []
    errors = [a - t for a, t in zip(activations[-1], target)]
    for k in reversed(range(len(weights))):
        deltas = [error * a * (1 - a) for error, a in zip(errors, activations[k + 1])]
        dw.insert(0, [[delta * x for x in activations[k]] for delta in deltas])
        db.insert(0, deltas)
        errors = [sum(weights[k][j][i] * deltas[j] for j in range(len(deltas))) for i in range(len(activations[k]))]
    return dw, db

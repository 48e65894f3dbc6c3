"""Functions that pass parameters, caches and gradients along in dicts: W1, b1, dW1, db1. A sample is a column."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward_propagation(X, parameters):
    """The outputs, and a cache of all activations: tanh in hidden layers, sigmoid at the end."""
    depth, cache = len(parameters) // 2, {"A0": X}
    for k in range(1, depth + 1):
        Z = parameters[f"W{k}"] @ cache[f"A{k - 1}"] + parameters[f"b{k}"]
        cache[f"A{k}"] = sigmoid(Z) if k == depth else np.tanh(Z)
    return cache[f"A{depth}"], cache


def compute_cost(A, Y):
    """The cross-entropy, averaged over the m samples."""
    return -np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / Y.shape[1]


def backward_propagation(parameters, cache, Y):
    """The gradients as a dict: dW1, db1, ..."""
    m, depth, grads = Y.shape[1], len(parameters) // 2, {}
    dZ = cache[f"A{depth}"] - Y
    for k in range(depth, 0, -1):
        grads[f"dW{k}"] = dZ @ cache[f"A{k - 1}"].T / m
        grads[f"db{k}"] = np.sum(dZ, axis=1, keepdims=True) / m
        if k > 1:
            dZ = parameters[f"W{k}"].T @ dZ * (1 - cache[f"A{k - 1}"] ** 2)
    return grads

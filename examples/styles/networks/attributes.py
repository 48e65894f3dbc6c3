"""An object with forward and backward that keeps what it computes as attributes. A sample is a column."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Network:
    """``sizes`` of inputs, hidden layers and outputs; weights (units, fan_in), biases (units, 1)."""

    def __init__(self, sizes):
        self.weights = [np.random.randn(n, m) for m, n in zip(sizes, sizes[1:])]
        self.biases = [np.zeros((n, 1)) for n in sizes[1:]]

    def forward(self, x):
        """The outputs for a batch, one sample a column."""
        self.activations = [x]
        for W, b in zip(self.weights, self.biases):
            self.activations.append(sigmoid(W @ self.activations[-1] + b))
        return self.activations[-1]

    def cost(self, y):
        """Half the squared error, averaged over the samples."""
        return 0.5 * np.mean(np.sum((self.activations[-1] - y) ** 2, axis=0))

    def backward(self, y):
        """Leaves the gradients in ``grad_weights`` and ``grad_biases``, layer by layer."""
        self.grad_weights, self.grad_biases = [], []
        error = (self.activations[-1] - y) / y.shape[1]
        for W, a, x in zip(self.weights[::-1], self.activations[::-1], self.activations[-2::-1]):
            delta = error * a * (1 - a)
            self.grad_weights.insert(0, delta @ x.T)
            self.grad_biases.insert(0, delta.sum(axis=1, keepdims=True))
            error = W.T @ delta

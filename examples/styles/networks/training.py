"""Networks that only train: the gradient is never seen. One learns from a batch, one from sample after sample."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class BatchNetwork:
    """Lists ``W`` (fan_in, units) and ``b`` (1, units); a step on half the squared error, summed over the batch."""

    def forward(self, X):
        """The outputs."""
        self.a = [X]
        for W, b in zip(self.W, self.b):
            self.a.append(sigmoid(self.a[-1] @ W + b))
        return self.a[-1]

    def train(self, X, Y, learning_rate):
        """One step of gradient descent, in place."""
        error, steps = self.forward(X) - Y, []
        for W, b, a, below in zip(self.W[::-1], self.b[::-1], self.a[::-1], self.a[-2::-1]):
            delta = error * a * (1 - a)
            steps += [(W, below.T @ delta), (b, delta.sum(axis=0, keepdims=True))]
            error = delta @ W.T
        for parameter, gradient in steps:
            parameter[...] = parameter - learning_rate * gradient


class SampleNetwork:
    """Lists of rows of floats, one a unit, whose last number is the bias; a fixed rate, one sample at a time."""

    learning_rate = 0.5

    def __init__(self, rows):
        self.rows = rows

    def train(self, x, y):
        """One step on one sample; the outputs before it."""
        activations = [x]
        for layer in self.rows:
            x = [sigmoid(sum(w * v for w, v in zip(row, [*x, 1.0]))) for row in layer]
            activations.append(x)
        errors, steps = [a - t for a, t in zip(x, y)], []
        for layer, a, below in zip(self.rows[::-1], activations[::-1], activations[-2::-1]):
            deltas = [error * v * (1 - v) for error, v in zip(errors, a)]
            steps.append((layer, [[delta * v for v in [*below, 1.0]] for delta in deltas]))
            errors = [sum(row[i] * delta for row, delta in zip(layer, deltas)) for i in range(len(below))]
        for layer, gradients in steps:
            for row, gradient in zip(layer, gradients):
                row[:] = [w - self.learning_rate * g for w, g in zip(row, gradient)]
        return activations[-1]

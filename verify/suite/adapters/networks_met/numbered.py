# mypy: ignore-errors
# ruff: noqa: B905, RUF007 - as its authors write it
"""Networks of two layers with an attribute for each array, which update their weights in place, or keep dicts."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class TrainsOnly:
    """W1, b1, W2, b2; samples are rows; learns inside ``train``."""

    def __init__(self, input_size, hidden_size, output_size):
        self.W1 = np.random.randn(input_size, hidden_size)
        self.b1 = np.zeros((1, hidden_size))
        self.W2 = np.random.randn(hidden_size, output_size)
        self.b2 = np.zeros((1, output_size))

    def forward(self, X):
        self.a1 = np.tanh(X @ self.W1 + self.b1)
        self.a2 = sigmoid(self.a1 @ self.W2 + self.b2)
        return self.a2

    def train(self, X, y, learning_rate=0.1, epochs=1):
        for _ in range(epochs):
            d2 = (self.forward(X) - y) * self.a2 * (1 - self.a2)
            d1 = d2 @ self.W2.T * (1 - self.a1**2)
            self.W2 -= learning_rate * self.a1.T @ d2
            self.b2 -= learning_rate * d2.sum(axis=0, keepdims=True)
            self.W1 -= learning_rate * X.T @ d1
            self.b1 -= learning_rate * d1.sum(axis=0, keepdims=True)


class Dicts:
    """params["W1"], ..., samples as columns; ``backward`` returns a dict of dW1, ..."""

    def __init__(self, layers):
        self.params = {}
        for k in range(1, len(layers)):
            self.params[f"W{k}"] = np.random.randn(layers[k], layers[k - 1])
            self.params[f"b{k}"] = np.zeros((layers[k], 1))

    def forward(self, X):
        self.A = [X]
        for k in range(1, len(self.params) // 2 + 1):
            Z = self.params[f"W{k}"] @ self.A[-1] + self.params[f"b{k}"]
            self.A.append(np.maximum(0, Z) if k < len(self.params) // 2 else sigmoid(Z))
        return self.A[-1]

    def compute_cost(self, AL, Y):
        return -np.sum(Y * np.log(AL) + (1 - Y) * np.log(1 - AL)) / Y.shape[1]

    def backward(self, Y):
        grads, m, depth = {}, Y.shape[1], len(self.params) // 2
        dZ = self.A[-1] - Y
        for k in range(depth, 0, -1):
            grads[f"dW{k}"] = dZ @ self.A[k - 1].T / m
            grads[f"db{k}"] = dZ.sum(axis=1, keepdims=True) / m
            if k > 1:
                dZ = self.params[f"W{k}"].T @ dZ * (self.A[k - 1] > 0)
        return grads


class OneSample:
    """Lists, one sample a column; ``backprop`` returns gradients for biases first."""

    def __init__(self, sizes):
        self.sizes = sizes
        self.biases = [np.random.randn(y, 1) for y in sizes[1:]]
        self.weights = [np.random.randn(y, x) for x, y in zip(sizes[:-1], sizes[1:])]

    def feedforward(self, a):
        for b, w in zip(self.biases, self.weights):
            a = sigmoid(np.dot(w, a) + np.reshape(b, (-1, 1)))
        return a

    def backprop(self, x, y):
        activations = [x]
        for b, w in zip(self.biases, self.weights):
            activations.append(sigmoid(np.dot(w, activations[-1]) + b))
        delta = activations[-1] - y
        nabla_b, nabla_w = [], []
        for k in range(len(self.weights) - 1, -1, -1):
            if k < len(self.weights) - 1:
                delta = np.dot(self.weights[k + 1].T, delta) * activations[k + 1] * (1 - activations[k + 1])
            nabla_b.insert(0, delta.sum(axis=1, keepdims=True))
            nabla_w.insert(0, np.dot(delta, activations[k].T))
        return nabla_b, nabla_w


class Broken:
    """Its methods raise, print and want what nobody has."""

    def __init__(self, sizes):
        print("made")
        self.weights = [np.ones((m, n)) for m, n in zip(sizes, sizes[1:])]
        self.biases = [np.ones(n) for n in sizes[1:]]

    def forward(self, x):
        raise RuntimeError("no")

    def backward(self, frobnicator):
        raise RuntimeError("no")

"""A sigmoid network in plain NumPy with one mistake that is easy to make and hard to see, because it still learns.

    gradproof check examples/numpy_network_wrong.py:adapter

Only the activations are kept, and ``backward`` hands them to ``sigmoid_prime``, which takes the pre-activations:
σ'(a) in place of σ'(z). Either ``a * (1 - a)`` or ``sigmoid_prime(z)`` is meant. Both are positive and at most ¼, so
that no sign is wrong in the last layer: OR is learned from every start, and where XOR is not, bad luck gets the blame.
"""

import numpy as np

import gradproof


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))


class NeuralNetwork:
    """Fully connected layers of sigmoid neurons; ``sizes`` are those of inputs, hidden layers and outputs."""

    def __init__(self, sizes, seed=0):
        rng = np.random.default_rng(seed)
        self.W = [rng.normal(size=(n_out, n_in)) for n_in, n_out in zip(sizes, sizes[1:])]
        self.b = [np.zeros((n_out, 1)) for n_out in sizes[1:]]

    def forward(self, X):
        """The outputs for a batch, one sample a column; keeps what backward needs."""
        self.activations = [X]
        for W, b in zip(self.W, self.b):
            self.activations.append(sigmoid(W @ self.activations[-1] + b))
        return self.activations[-1]

    def cost(self, Y):
        """Half the squared error of a sample, averaged over the batch."""
        return np.sum((self.activations[-1] - Y) ** 2) / (2 * Y.shape[1])

    def backward(self, Y):
        """The derivatives of the cost for every layer's weights and biases."""
        dW, db = [], []
        delta = (self.activations[-1] - Y) / Y.shape[1] * sigmoid_prime(self.activations[-1])
        for layer in reversed(range(len(self.W))):
            dW.insert(0, delta @ self.activations[layer].T)
            db.insert(0, delta.sum(axis=1, keepdims=True))
            if layer > 0:
                delta = self.W[layer].T @ delta * sigmoid_prime(self.activations[layer])
        return dW, db

    def train(self, X, Y, rate, epochs):
        """Full-batch gradient descent."""
        for _ in range(epochs):
            self.forward(X)
            dW, db = self.backward(Y)
            self.W = [W - rate * d for W, d in zip(self.W, dW)]
            self.b = [b - rate * d for b, d in zip(self.b, db)]


@gradproof.target(losses="half_squared_error/batch_mean", hidden="sigmoid", output="sigmoid", depth=(1, 4))
def adapter(case):
    net = NeuralNetwork(case.stack.widths)
    net.W, net.b = [W.T for W in case.stack.weights], [b[:, None] for b in case.stack.biases]
    outputs, loss = net.forward(case.inputs.T), net.cost(case.targets.T)
    dW, db = net.backward(case.targets.T)
    return {"loss": loss, "outputs": outputs.T, "parameters": case.stack.name([d.T for d in dW], [d[:, 0] for d in db])}

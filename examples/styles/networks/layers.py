"""Layer objects with forward and backward, each with a dict of its parameters and one of their gradients."""

import numpy as np


class Dense:
    """inputs @ w + b, samples as rows."""

    def __init__(self, w, b):
        self.params, self.grads = {"w": w, "b": b}, {}

    def forward(self, inputs):
        """Keeps the inputs for backward."""
        self.inputs = inputs
        return inputs @ self.params["w"] + self.params["b"]

    def backward(self, grad):
        """Leaves gradients in ``grads``, and returns that for the inputs."""
        self.grads = {"w": self.inputs.T @ grad, "b": grad.sum(axis=0)}
        return grad @ self.params["w"].T


class ReLU:
    """max(0, inputs)."""

    def forward(self, inputs):
        """Keeps the inputs for backward."""
        self.inputs = inputs
        return np.maximum(0, inputs)

    def backward(self, grad):
        """The gradient for the inputs."""
        return grad * (self.inputs > 0)


class Sequential:
    """Layers one behind the other."""

    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        """The outputs."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad):
        """The gradient for the inputs; those for the parameters stay in the layers."""
        for layer in reversed(self.layers):
            grad = layer.backward(grad)
        return grad

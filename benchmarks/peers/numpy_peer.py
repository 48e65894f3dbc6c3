"""NumPy, written by hand: one matrix product forward and two backward a layer, arrays of the caller's precision."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Peer
from benchmarks.tasks import Task
from gradproof.arrays import Floats


class NumpyTrainer:
    """A stack of dense layers; its optimiser's numbers lie in one flat array, so that an update is one expression."""

    def __init__(self, task: Task) -> None:
        case = task.case
        self._task = task
        self._stack = case.stack
        self._adam = task.optimiser.variant == "adam"
        self._inputs, self._targets = case.inputs, np.asarray(case.targets)
        initial = [*self._stack.weights, *(b for b in self._stack.biases if b is not None)]
        self._initial = np.concatenate([array.ravel() for array in initial])
        self._theta, self._gradient = self._initial.copy(), np.empty_like(self._initial)
        self._mean, self._square = np.zeros_like(self._initial), np.zeros_like(self._initial)
        count = len(self._stack.weights)
        views, gradients = self._views(self._theta), self._views(self._gradient)
        self._weights, self._biases = views[:count], views[count:]
        self._d_weights, self._d_biases = gradients[:count], gradients[count:]

    def _views(self, flat: Floats) -> list[Floats]:
        shapes = [w.shape for w in self._stack.weights] + [b.shape for b in self._stack.biases if b is not None]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]

    def run(self, epochs: int) -> None:
        """Shuffled passes over the data."""
        random = np.random.default_rng(0)
        self._theta[...] = self._initial
        self._mean[...] = 0
        self._square[...] = 0
        size, number = self._task.batch, 0
        for _ in range(epochs):
            order = random.permutation(len(self._inputs))
            for start in range(0, len(order), size):
                rows = order[start : start + size]
                number += 1
                if self._adam:
                    self._differentiate_relu(self._inputs[rows], self._targets[rows])
                    self._update_by_adam(number)
                else:
                    self._differentiate_sigmoid(self._inputs[rows], self._targets[rows])
                    self._gradient *= self._task.optimiser.rate
                    self._theta -= self._gradient

    def _differentiate_sigmoid(self, x: Floats, t: Floats) -> None:
        activations = [x]
        for weight, bias in zip(self._weights, self._biases, strict=True):
            z = activations[-1] @ weight
            z += bias
            activations.append(1 / (1 + np.exp(-z)))
        a = activations[-1]
        delta = (a - t) * a * (1 - a)
        for layer in reversed(range(len(self._weights))):
            a = activations[layer]
            np.matmul(a.T, delta, out=self._d_weights[layer])
            delta.sum(axis=0, out=self._d_biases[layer])
            if layer > 0:
                delta = delta @ self._weights[layer].T
                delta *= a * (1 - a)

    def _differentiate_relu(self, x: Floats, t: Floats) -> None:
        activations = [x]
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            z = activations[-1] @ weight
            z += bias
            activations.append(np.maximum(z, 0, out=z))
        delta = activations[-1] @ self._weights[-1]
        delta += self._biases[-1]
        if delta.shape[1] == 1:
            delta = 1 / (1 + np.exp(-delta))
        else:
            delta -= delta.max(axis=1, keepdims=True)
            np.exp(delta, out=delta)
            delta /= delta.sum(axis=1, keepdims=True)
        delta -= t
        delta /= len(t)
        for layer in reversed(range(len(self._weights))):
            a = activations[layer]
            np.matmul(a.T, delta, out=self._d_weights[layer])
            delta.sum(axis=0, out=self._d_biases[layer])
            if layer > 0:
                delta = delta @ self._weights[layer].T
                delta *= a > 0

    def _update_by_adam(self, number: int) -> None:
        rule = self._task.optimiser
        beta1, beta2, epsilon = rule.beta1 or 0.0, rule.beta2 or 0.0, rule.epsilon or 0.0
        g, mean, square = self._gradient, self._mean, self._square
        mean *= beta1
        mean += (1 - beta1) * g
        square *= beta2
        g *= g
        g *= 1 - beta2
        square += g
        root = np.sqrt(square)
        root *= 1 / math.sqrt(1 - beta2**number)
        root += epsilon
        np.divide(mean, root, out=root)
        root *= rule.rate / (1 - beta1**number)
        self._theta -= root

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array."""
        return self._stack.name([w.copy() for w in self._weights], [b.copy() for b in self._biases])


PEER = Peer("numpy", "numpy", "NumPy, written by hand", NumpyTrainer)

"""NumPy, written by hand: one matrix product forward and two backward a layer, arrays of the caller's precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Peer
from benchmarks.tasks import Task
from gradproof.arrays import Floats


class NumpyTrainer:
    """A stack of sigmoid layers with half the squared error, summed over the mini-batch."""

    def __init__(self, task: Task) -> None:
        stack = task.case.stack
        self._stack = stack
        self._weights = [w.copy() for w in stack.weights]
        self._biases = [b.copy() for b in stack.biases if b is not None]
        self._inputs = task.case.inputs
        self._targets = np.asarray(task.case.targets)
        self._batch = task.batch
        self._rate = self._inputs.dtype.type(task.rate)
        self._random = np.random.default_rng(0)

    def run(self, epochs: int) -> None:
        """Shuffled passes over the data."""
        for _ in range(epochs):
            order = self._random.permutation(len(self._inputs))
            for start in range(0, len(order), self._batch):
                rows = order[start : start + self._batch]
                self._step(self._inputs[rows], self._targets[rows])

    def _step(self, x: Floats, t: Floats) -> None:
        activations = [x]
        for weight, bias in zip(self._weights, self._biases, strict=True):
            z = activations[-1] @ weight
            z += bias
            activations.append(1 / (1 + np.exp(-z)))
        a = activations[-1]
        delta = (a - t) * a * (1 - a)
        for layer in reversed(range(len(self._weights))):
            a = activations[layer]
            d_weight, d_bias = a.T @ delta, delta.sum(axis=0)
            if layer > 0:  # through the weights as they were in the forward pass
                delta = (delta @ self._weights[layer].T) * a * (1 - a)
            self._weights[layer] -= self._rate * d_weight
            self._biases[layer] -= self._rate * d_bias

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array."""
        return self._stack.name(self._weights, self._biases)


PEER = Peer("numpy", "numpy", "NumPy, written by hand", NumpyTrainer)

"""PyTorch, eager: addmm and sigmoid forward, autograd backward, the update in place."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Peer
from benchmarks.tasks import Task


class TorchTrainer:
    """A stack of sigmoid layers with half the squared error, summed over the mini-batch; on as many threads as set."""

    def __init__(self, task: Task) -> None:
        import torch

        self._torch = torch
        stack = task.case.stack
        self._stack = stack
        self._weights = [torch.tensor(np.array(w), requires_grad=True) for w in stack.weights]
        self._biases = [torch.tensor(np.array(b), requires_grad=True) for b in stack.biases if b is not None]
        self._inputs = torch.tensor(np.array(task.case.inputs))
        self._targets = torch.tensor(np.array(task.case.targets))
        self._batch = task.batch
        self._rate = task.rate
        self._random = torch.Generator().manual_seed(0)

    def run(self, epochs: int) -> None:
        """Shuffled passes over the data."""
        for _ in range(epochs):
            self._epoch()

    def _epoch(self) -> None:
        torch = self._torch
        trained = [*self._weights, *self._biases]
        for rows in torch.randperm(len(self._inputs), generator=self._random).split(self._batch):
            a, t = self._inputs[rows], self._targets[rows]
            for weight, bias in zip(self._weights, self._biases, strict=True):
                a = torch.sigmoid(torch.addmm(bias, a, weight))
            loss = 0.5 * ((a - t) ** 2).sum()
            with torch.no_grad():
                gradients = torch.autograd.grad(loss, trained)
                torch._foreach_add_(trained, gradients, alpha=-self._rate)

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array."""
        return self._stack.name(
            [w.detach().numpy().copy() for w in self._weights], [b.detach().numpy().copy() for b in self._biases]
        )


PEER = Peer("torch", "torch", "PyTorch eager", TorchTrainer)

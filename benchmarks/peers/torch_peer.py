"""PyTorch, eager: addmm forward, autograd backward, the update of all parameters in place by one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Peer
from benchmarks.tasks import Task


class TorchTrainer:
    """A stack of dense layers. Plain tensors and functions: modules cost more for each call."""

    def __init__(self, task: Task) -> None:
        import torch

        self._torch = torch
        self._task = task
        self._stack = task.case.stack
        self._count = len(self._stack.weights)
        self._initial = [
            torch.tensor(np.array(a)) for a in (*self._stack.weights, *self._stack.biases) if a is not None
        ]
        self._trained = [value.clone().requires_grad_() for value in self._initial]
        self._inputs = torch.tensor(np.array(task.case.inputs))
        targets = np.asarray(task.case.targets)
        self._relu = task.optimiser.variant == "adam"
        self._classes = self._relu and targets.shape[1] > 1
        self._targets = torch.tensor(targets.argmax(axis=1) if self._classes else np.array(targets))

    def loss(self, x: Any, t: Any) -> Any:
        """The loss of a mini-batch with its targets: classes as whole numbers, else as in the case."""
        torch = self._torch
        weights, biases = self._trained[: self._count], self._trained[self._count :]
        if not self._relu:
            for weight, bias in zip(weights, biases, strict=True):
                x = torch.sigmoid(torch.addmm(bias, x, weight))
            return 0.5 * ((x - t) ** 2).sum()
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            x = torch.relu(torch.addmm(bias, x, weight))
        z = torch.addmm(biases[-1], x, weights[-1])
        functional = torch.nn.functional
        return functional.cross_entropy(z, t) if self._classes else functional.binary_cross_entropy_with_logits(z, t)

    def run(self, epochs: int) -> None:
        """Shuffled passes over the data."""
        torch = self._torch
        random = torch.Generator().manual_seed(0)
        with torch.no_grad():
            torch._foreach_copy_(self._trained, self._initial)
        step = self._adam_step() if self._relu else self._sgd_step
        for _ in range(epochs):
            for rows in torch.randperm(len(self._inputs), generator=random).split(self._task.batch):
                step(self._inputs[rows], self._targets[rows])

    def _sgd_step(self, x: Any, t: Any) -> None:
        torch = self._torch
        gradients = torch.autograd.grad(self.loss(x, t), self._trained)
        with torch.no_grad():
            torch._foreach_add_(self._trained, gradients, alpha=-self._task.optimiser.rate)

    def _adam_step(self) -> Any:
        torch, rule = self._torch, self._task.optimiser
        betas = (rule.beta1, rule.beta2)
        adam = torch.optim.Adam(self._trained, lr=rule.rate, betas=betas, eps=rule.epsilon, fused=True)

        def step(x: Any, t: Any) -> None:
            adam.zero_grad(set_to_none=True)
            self.loss(x, t).backward()
            adam.step()

        return step

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array."""
        arrays = [value.detach().numpy().copy() for value in self._trained]
        return self._stack.name(arrays[: self._count], arrays[self._count :])


PEER = Peer("torch", "torch", "PyTorch eager", TorchTrainer)

"""PyTorch, compiled: ``torch.compile`` of the whole step, gather, forward, backward and update, as one graph.

Its fastest form here (a step of 5-8-6-3.relu_adam.float32 takes twice as long without): all parameters in one tensor,
called from C++ (``cpp_wrapper``), and without the guards that look at every call whether shapes and flags are still
those that were compiled for; they are. It needs a C++ compiler, and keeps what it compiled in a folder of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Peer
from benchmarks.tasks import Task
from gradproof.vocabulary import Dtype


class CompiledTorchTrainer:
    """A stack of dense layers."""

    def __init__(self, task: Task) -> None:
        import torch

        self._torch = torch
        self._task = task
        self._stack = stack = task.case.stack
        initial = [np.asarray(a) for a in (*stack.weights, *stack.biases) if a is not None]
        self._shapes = [array.shape for array in initial]
        self._initial = torch.tensor(np.concatenate([array.ravel() for array in initial]))
        self._theta = self._initial.clone()
        self._mean, self._square = torch.zeros_like(self._theta), torch.zeros_like(self._theta)
        rule = task.optimiser
        numbers = (rule.rate, rule.beta1 or 0.0, rule.beta2 or 0.0, rule.epsilon or 0.0)
        self._rule = [torch.tensor(number, dtype=torch.float64) for number in numbers]
        # Of one entry each: what is done in place to a number without axes is lost under cpp_wrapper.
        self._powers = [torch.ones(1, dtype=torch.float64) for _ in range(2)]
        self._inputs = torch.tensor(np.array(task.case.inputs))
        targets = np.asarray(task.case.targets)
        relu = rule.variant == "adam"
        classes = relu and targets.shape[1] > 1
        self._targets = torch.tensor(targets.argmax(axis=1) if classes else np.array(targets))
        for data in (self._inputs, self._targets):
            torch._dynamo.mark_dynamic(data, 0)
        self._step = _compiled(tuple(self._shapes), task.case.dtype, task.batch, relu)

    def run(self, epochs: int) -> None:
        """Shuffled passes over the data."""
        torch = self._torch
        random = torch.Generator().manual_seed(0)
        self._theta.copy_(self._initial)
        for state in (self._mean, self._square):
            state.zero_()
        for power in self._powers:
            power.fill_(1)
        arrays = (self._theta, self._mean, self._square, *self._powers, *self._rule, self._inputs, self._targets)
        with torch.no_grad():
            for _ in range(epochs):
                for rows in torch.randperm(len(self._inputs), generator=random).split(self._task.batch):
                    self._step(*arrays, rows)

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array."""
        parts = np.split(self._theta.numpy().copy(), np.cumsum([math.prod(shape) for shape in self._shapes])[:-1])
        arrays = [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]
        count = len(self._stack.weights)
        return self._stack.name(arrays[:count], arrays[count:])


def _no_guards(guards: Sequence[Any]) -> list[bool]:
    return [False] * len(guards)


@cache
def _compiled(shapes: tuple[tuple[int, ...], ...], dtype: Dtype, batch: int, relu: bool) -> Any:
    """The step for these shapes, any number of samples and any hyperparameters; compiled when first called.

    Without guards torch cannot tell apart two functions that share their bytecode, so each gets a copy of it.
    """
    import torch

    step = _step_of(shapes, relu)
    apart = FunctionType(step.__code__.replace(), step.__globals__, step.__name__, None, step.__closure__)
    return torch.compile(apart, fullgraph=True, options={"cpp_wrapper": True, "guard_filter_fn": _no_guards})


def _step_of(shapes: Sequence[tuple[int, ...]], relu: bool) -> Any:
    import torch

    count = len(shapes) // 2
    sizes = [math.prod(shape) for shape in shapes]
    functional = torch.nn.functional

    def loss(theta: Any, x: Any, t: Any) -> Any:
        arrays = [part.view(shape) for part, shape in zip(theta.split(sizes), shapes, strict=True)]
        weights, biases = arrays[:count], arrays[count:]
        if not relu:
            for weight, bias in zip(weights, biases, strict=True):
                x = torch.sigmoid(torch.addmm(bias, x, weight))
            return 0.5 * ((x - t) ** 2).sum()
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            x = torch.relu(torch.addmm(bias, x, weight))
        z = torch.addmm(biases[-1], x, weights[-1])
        if z.shape[1] == 1:
            return functional.binary_cross_entropy_with_logits(z, t)
        return functional.cross_entropy(z, t)

    def step(
        theta: Any,
        mean: Any,
        square: Any,
        power1: Any,
        power2: Any,
        rate: Any,
        beta1: Any,
        beta2: Any,
        epsilon: Any,
        inputs: Any,
        targets: Any,
        rows: Any,
    ) -> None:
        x, t = inputs[rows], targets[rows]
        gradient = torch.func.grad(lambda now: loss(now, x, t))(theta)
        if not relu:
            theta.sub_(rate * gradient)
            return
        power1.mul_(beta1)
        power2.mul_(beta2)
        for_mean, for_square = ((1 / (1 - power)).to(theta.dtype) for power in (power1, power2))
        mean.mul_(beta1).add_((1 - beta1) * gradient)
        square.mul_(beta2).add_((1 - beta2) * gradient * gradient)
        root = (square * for_square).sqrt() + epsilon
        theta.sub_(rate * (mean * for_mean) / root)

    return step


PEER = Peer("torch.compile", "torch", "PyTorch, the whole step by torch.compile", CompiledTorchTrainer)

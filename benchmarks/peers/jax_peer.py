"""JAX at its fastest: the whole epoch is one compiled function, with lax.scan over the mini-batches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Peer
from benchmarks.tasks import Task

UNROLL = 2
"""Steps that XLA sees at once: of 1, 2, 4 and 8 the fastest, or within 2 % of it, on every task here."""


class JaxTrainer:
    """A stack of sigmoid layers with half the squared error, summed over the mini-batch; shuffled in compiled code."""

    def __init__(self, task: Task) -> None:
        import jax
        import jax.numpy as jnp

        self._jax = jax
        self._wide = task.case.dtype == "float64"
        stack = task.case.stack
        self._stack = stack

        def loss(parameters: Any, x: Any, t: Any) -> Any:
            a = x
            for weight, bias in parameters:
                a = jax.nn.sigmoid(a @ weight + bias)
            return 0.5 * jnp.sum((a - t) ** 2)

        @partial(jax.jit, donate_argnums=(0, 1))
        def epoch(parameters: Any, key: Any, inputs: Any, targets: Any) -> Any:
            def step(parameters: Any, rows: Any) -> Any:
                gradients = jax.grad(loss)(parameters, inputs[rows], targets[rows])
                return jax.tree.map(lambda p, g: p - task.rate * g, parameters, gradients), None

            key, this = jax.random.split(key)
            order = jax.random.permutation(this, len(inputs)).reshape(task.steps, task.batch)
            return jax.lax.scan(step, parameters, order, unroll=UNROLL)[0], key

        self._epoch = epoch
        with jax.enable_x64(self._wide):
            self._parameters: Any = [
                (jnp.array(w), jnp.array(b)) for w, b in zip(stack.weights, stack.biases, strict=True)
            ]
            self._inputs, self._targets = jnp.array(task.case.inputs), jnp.array(task.case.targets)
            self._key = jax.random.key(0)

    def run(self, epochs: int) -> None:
        """Shuffled passes over the data, waited for at the end alone."""
        with self._jax.enable_x64(self._wide):
            for _ in range(epochs):
                self._parameters, self._key = self._epoch(self._parameters, self._key, self._inputs, self._targets)
            self._jax.block_until_ready(self._parameters)

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array."""
        weights, biases = zip(*self._parameters, strict=True)
        return self._stack.name([np.asarray(w) for w in weights], [np.asarray(b) for b in biases])


PEER = Peer("jax", "jax", "JAX, the whole epoch jitted with lax.scan", JaxTrainer)

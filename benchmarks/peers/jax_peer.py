"""JAX at its fastest: all steps of an epoch are one compiled function, with lax.scan over the mini-batches.

What was tried, and what is taken, in microseconds a step: ``python -m benchmarks.peers.jax_peer TASK ...``. The order
of an epoch is drawn by NumPy and given to the compiled function, since XLA's permutation, which sorts, takes up to
two thirds of a small network's epoch; ``jax_jitted_peer`` is the same with it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Peer
from benchmarks.tasks import NAMES, Task, task


@dataclass(frozen=True)
class Form:
    """A way of writing the same epoch.

    flat: all parameters in one array, so that XLA updates them in one loop, at the price of copying the gradients
    together. unroll: steps that XLA sees at once. optax: its Adam, in place of one written by hand.
    shuffle_compiled: the order is drawn by ``jax.random.permutation`` within the compiled function.
    """

    flat: bool
    unroll: int
    optax: bool = False
    shuffle_compiled: bool = False


FORMS: Final = (
    *(Form(flat, unroll) for flat in (True, False) for unroll in (1, 2, 4, 8)),
    Form(True, 4, optax=True),
    Form(False, 1, optax=True),
    Form(True, 4, shuffle_compiled=True),
)
"""Those that were tried."""

_FEW: Final = 10_000
_SOME: Final = 50_000


def fastest(task: Task) -> Form:
    """The form that was the fastest of ``FORMS``, or no slower than what one run differs from another, by size."""
    count = sum(array.size for array in task.case.parameters.values())
    if count < _FEW:
        return Form(flat=True, unroll=4)
    return Form(flat=True, unroll=2) if count < _SOME else Form(flat=False, unroll=2)


class JaxTrainer:
    """A stack of dense layers."""

    def __init__(self, task: Task, form: Form | None = None) -> None:
        import jax
        import jax.numpy as jnp
        from jax.flatten_util import ravel_pytree

        form = form or fastest(task)
        self._jax = jax
        self._task = task
        self._stack = stack = task.case.stack
        self._shuffle = not form.shuffle_compiled
        self._wide = task.case.dtype == "float64"
        with jax.enable_x64(self._wide):
            layers = [(jnp.array(w), jnp.array(b)) for w, b in zip(stack.weights, stack.biases, strict=True)]
            flat, self._layers = ravel_pytree(layers)
            if not form.flat:
                self._layers = lambda parameters: parameters
            self._initial = flat if form.flat else layers
            self._start, update = _update_rule(task, self._initial, form)
            self._inputs, self._targets = jnp.array(task.case.inputs), jnp.array(task.case.targets)
            self._key = jax.random.key(0)
        self._now: Any = self._initial
        loss = _loss(task)
        samples, steps, batch = len(task.case.inputs), task.steps, task.batch

        @partial(jax.jit, donate_argnums=(0, 1))
        def epoch(parameters: Any, state: Any, key: Any, order: Any, inputs: Any, targets: Any) -> Any:
            def step(carried: Any, rows: Any) -> Any:
                parameters, state = carried
                gradients = jax.grad(lambda p: loss(self._layers(p), inputs[rows], targets[rows]))(parameters)
                return update(parameters, gradients, state), None

            if form.shuffle_compiled:
                key, this = jax.random.split(key)
                order = jax.random.permutation(this, samples)
            rows = order.reshape(steps, batch)
            (parameters, state), _ = jax.lax.scan(step, (parameters, state), rows, unroll=form.unroll)
            return parameters, state, key

        self._epoch = epoch

    def run(self, epochs: int) -> None:
        """Shuffled passes over the data, waited for at the end alone."""
        jax, random = self._jax, np.random.default_rng(0)
        with jax.enable_x64(self._wide):
            # The compiled epoch takes its arguments' memory for its results.
            parameters, state = jax.tree.map(jax.numpy.copy, (self._initial, self._start))
            key, order = self._key, np.arange(len(self._inputs), dtype=np.int32)
            for _ in range(epochs):
                if self._shuffle:
                    order = random.permutation(order)
                parameters, state, key = self._epoch(parameters, state, key, order, self._inputs, self._targets)
            self._now = jax.block_until_ready(parameters)

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array."""
        with self._jax.enable_x64(self._wide):
            weights, biases = zip(*self._layers(self._now), strict=True)
        return self._stack.name([np.asarray(w) for w in weights], [np.asarray(b) for b in biases])


def _loss(task: Task) -> Any:
    import jax
    import jax.numpy as jnp

    def half_squared_error(layers: Any, a: Any, t: Any) -> Any:
        for weight, bias in layers:
            a = jax.nn.sigmoid(a @ weight + bias)
        return 0.5 * jnp.sum((a - t) ** 2)

    def cross_entropy(layers: Any, a: Any, t: Any) -> Any:
        for weight, bias in layers[:-1]:
            a = jax.nn.relu(a @ weight + bias)
        weight, bias = layers[-1]
        z = a @ weight + bias
        if z.shape[1] == 1:
            return jnp.mean(jax.nn.softplus(z) - z * t)
        return -jnp.mean(jnp.sum(t * jax.nn.log_softmax(z), axis=1))

    return cross_entropy if task.optimiser.variant == "adam" else half_squared_error


def _update_rule(task: Task, parameters: Any, form: Form) -> tuple[Any, Any]:
    """The optimiser's state before the first step; (parameters, gradients, state) → parameters and state after one."""
    import jax
    import jax.numpy as jnp

    rule = task.optimiser
    rate, beta1, beta2, epsilon = rule.rate, rule.beta1 or 0.0, rule.beta2 or 0.0, rule.epsilon or 0.0
    if rule.variant == "sgd":
        return (), lambda parameters, g, state: (jax.tree.map(lambda p, g: p - rate * g, parameters, g), state)
    if form.optax:
        import optax

        adam = optax.adam(rate, b1=beta1, b2=beta2, eps=epsilon)

        def by_optax(parameters: Any, gradients: Any, state: Any) -> Any:
            updates, state = adam.update(gradients, state, parameters)
            return optax.apply_updates(parameters, updates), state

        return adam.init(parameters), by_optax

    def by_hand(parameters: Any, gradients: Any, state: Any) -> Any:
        means, squares, number = state
        number = number + 1
        means = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, means, gradients)
        squares = jax.tree.map(lambda s, g: beta2 * s + (1 - beta2) * g * g, squares, gradients)
        dtype = task.case.dtype
        for_mean = 1 / (1 - jnp.asarray(beta1, dtype) ** number)
        for_square = 1 / (1 - jnp.asarray(beta2, dtype) ** number)
        parameters = jax.tree.map(
            lambda p, m, s: p - rate * (m * for_mean) / (jnp.sqrt(s * for_square) + epsilon),
            parameters,
            means,
            squares,
        )
        return parameters, (means, squares, number)

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return (zeros, zeros, jnp.zeros((), jnp.int32)), by_hand


PEER = Peer("jax", "jax", "JAX, all steps of an epoch jitted with lax.scan, their order drawn by NumPy", JaxTrainer)


def _main(names: list[str]) -> None:
    """Prints the least microseconds of a step in each form, for these tasks or all."""
    from benchmarks.pinning import pin
    from benchmarks.timing import least_microseconds

    pin(1)
    for name in names or NAMES:
        what = task(name)
        times = least_microseconds(what, {str(form): JaxTrainer(what, form) for form in FORMS})
        print(name, f"(taken: {fastest(what)})")
        for form, taken in sorted(times.items(), key=lambda pair: pair[1]):
            print(f"  {taken:10.2f}  {form}")


if __name__ == "__main__":
    _main(sys.argv[1:])

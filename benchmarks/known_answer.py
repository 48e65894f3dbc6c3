"""Training steps whose result is known exactly, at any size: for what is too large to be enclosed before it is timed.

Weights are ±1 and cancel in pairs of equal inputs, biases are 0; so every pre-activation is exactly 0, every sigmoid
exactly ½ and its derivative exactly ¼. The errors that come back are small multiples of a power of two, and so are all
sums of their products. None has more bits than a float32 number holds, as ``known_step`` makes sure: in whatever order
an implementation sums, it rounds nothing, and a step at the learning rate 1 has one right result to the last bit. What
it tells is whether the products have the right operands and the right shapes; what the functions are worth between
their exact points, the certified cases of smaller networks tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.agreement import DisagreementError
from benchmarks.peers import Trainer
from benchmarks.tasks import Task
from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import Dtype

BITS: Final = 24
"""Of a float32 number."""


@dataclass(frozen=True)
class KnownStep:
    """A task of one step, and the parameters that it leaves, float64."""

    task: Task
    expected: Mapping[str, Floats]

    def refuse_another(self, trainer: Trainer) -> None:
        """Lets a trainer of the task take its step. Raises DisagreementError where a number is not as it must be."""
        trainer.run(1)
        found = trainer.parameters()
        for name, wanted in self.expected.items():
            got = np.asarray(found[name], dtype=np.float64)
            if got.shape != wanted.shape:
                raise DisagreementError(f"{self.task.name}: {name} has shape {got.shape}, expected {wanted.shape}")
            wrong = np.argwhere(got != wanted)
            if len(wrong):
                place = tuple(int(i) for i in wrong[0])
                raise DisagreementError(
                    f"{self.task.name}: after a step {name}{list(place)} is {float(got[place])!r}, exact is "
                    f"{float(wanted[place])!r}; {len(wrong)} of {got.size} entries differ"
                )


def sigmoid_network(widths: tuple[int, ...]) -> Network:
    """Sigmoid throughout, half the squared error summed over the batch: what every peer trains."""
    layers = dense_chain(widths, (Activation("sigmoid"),) * (len(widths) - 1))
    return Network(widths[:1], layers, Loss("half_squared_error", "sum"))


def known_step(name: str, widths: tuple[int, ...], batch: int, dtype: Dtype) -> KnownStep:
    """The step of a network of sigmoid layers of these widths, all but the last even.

    Raises ArgumentError for a width that is odd, and where a sum would have more bits than are exact.
    """
    random = np.random.default_rng(0)
    if any(width % 2 for width in widths[:-1]):
        raise ArgumentError("widths", "even ones before the last", widths)
    network = sigmoid_network(widths)
    x = np.repeat(random.integers(-1, 2, size=(batch, widths[0] // 2)), 2, axis=1).astype(np.float64)
    targets = random.integers(0, 3, size=(batch, widths[-1])) / 2.0
    weights = [_cancelling(random, *shape) for shape in pairwise(widths)]
    parameters: dict[str, npt.ArrayLike] = {}
    expected: dict[str, Floats] = {}
    delta, grid = (0.5 - targets) / 4, 8.0
    paths = [path.removesuffix(".weight") for path in network.parameter_shapes if path.endswith(".weight")]
    for layer in reversed(range(len(weights))):
        weight, path = weights[layer], paths[layer]
        a = x if layer == 0 else np.full((batch, widths[layer]), 0.5)
        d_weight, d_bias = a.T @ delta, delta.sum(axis=0)
        sums = (np.abs(a).T @ np.abs(delta) + 1, np.abs(delta) @ np.abs(weight.T), np.abs(delta).sum(axis=0))
        if max(float(total.max()) for total in sums) * 2 * grid >= 2.0**BITS:  # the ½ of the activations is one more
            raise ArgumentError("widths, batch", f"sums of at most {BITS} bits", (widths, batch))
        parameters |= {f"{path}.weight": weight, f"{path}.bias": np.zeros(widths[layer + 1])}
        expected |= {f"{path}.weight": weight - d_weight, f"{path}.bias": -d_bias}
        delta, grid = delta @ weight.T / 4, grid * 4
    case = Case(network, parameters, x, targets=targets, dtype=dtype)
    return KnownStep(Task(name, case, batch, Optimiser("sgd", 1.0)), expected)


def _cancelling(random: np.random.Generator, fan_in: int, units: int) -> Floats:
    """Weights ±1, each followed by its opposite."""
    signs = random.integers(0, 2, size=(fan_in // 2, units)) * 2.0 - 1.0
    return np.stack([signs, -signs], axis=1).reshape(fan_in, units)

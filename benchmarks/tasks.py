"""What is timed: mini-batch gradient descent on three networks, as one value that every peer is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from gradproof.case import Case
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.vocabulary import DTYPES, Dtype

RATE: Final = 2.0**-6
"""The learning rate that is timed: small enough that sums over the largest batch here descend."""

PROVING_RATE: Final = 2.0**10
"""The learning rate of the one step that is proved: so large that the weights before it hide nothing of the gradient,
and a power of two, so that a step divided by it loses nothing."""


@dataclass(frozen=True)
class Task:
    """Gradient descent on a data set: ``case`` holds all its samples, an epoch visits each once, shuffled.

    case: network, initial parameters, inputs (samples, features) and targets (samples, outputs).
    batch: samples a step; it divides the number of samples, since compiled loops of some peers need equal steps.
    rate: the learning rate η of θ ← θ − η ∂L/∂θ, with the loss's own reduction over the mini-batch.
    """

    name: str
    case: Case
    batch: int
    rate: float = RATE

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return self.case.batch // self.batch

    def one_step(self) -> Task:
        """The same with the first mini-batch as its whole data set and ``PROVING_RATE``: an epoch is one step."""
        targets = self.case.targets
        first = self.case.replace(
            inputs=self.case.inputs[: self.batch], targets=None if targets is None else targets[: self.batch]
        )
        return Task(f"{self.name}.one_step", first, self.batch, PROVING_RATE)


NETWORKS: Final[Mapping[str, tuple[tuple[int, ...], int, int]]] = MappingProxyType(
    {
        "5-8-6-3": ((5, 8, 6, 3), 8, 128),
        "64-10-10": ((64, 10, 10), 32, 64),
        "784-16-16-10": ((784, 16, 16, 10), 10, 128),
    }
)
"""Name → widths, samples a step, steps an epoch. The second has the shape of 8×8 digits, the third of 28×28 ones."""

NAMES: Final = tuple(f"{network}.{dtype}" for network in NETWORKS for dtype in DTYPES)


def task(name: str) -> Task:
    """The task of this name among ``NAMES``: sigmoid throughout, half the squared error summed over the mini-batch.

    Inputs and targets are random numbers from (0, 1) of a fixed seed: what they are does not change a step's cost.
    """
    network_name, _, dtype_name = name.rpartition(".")
    widths, batch, steps = NETWORKS[network_name]
    dtype: Dtype = "float32" if dtype_name == "float32" else "float64"
    layers = dense_chain(widths, (Activation("sigmoid"),) * (len(widths) - 1))
    network = Network((widths[0],), layers, Loss("half_squared_error", "sum"))
    random = np.random.default_rng(0)
    parameters = {
        path: random.normal(size=shape) / math.sqrt(shape[0]) for path, shape in network.parameter_shapes.items()
    }
    samples = batch * steps
    case = Case(
        network,
        parameters,
        random.uniform(size=(samples, widths[0])),
        targets=random.uniform(size=(samples, widths[-1])),
        dtype=dtype,
    )
    return Task(name, case, batch)

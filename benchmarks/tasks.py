"""What is timed: mini-batch training of seven networks in two ways, as one value that every peer is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import DTYPES, Dtype


@dataclass(frozen=True)
class Task:
    """Training on a data set: ``case`` holds all its samples, an epoch visits each once, shuffled.

    case: network, initial parameters, inputs (samples, features) and targets (samples, outputs).
    batch: samples a step; it divides the number of samples, since compiled loops of some peers need equal steps.
    optimiser: its gradient is that of the loss of the mini-batch, with the loss's own reduction over it.
    """

    name: str
    case: Case
    batch: int
    optimiser: Optimiser

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return self.case.batch // self.batch

    def one_step(self, optimiser: Optimiser | None = None) -> Task:
        """The same with the first mini-batch as its whole data set: an epoch is one step, by this optimiser if given.

        What it leaves does not depend on the order of the samples, but for rounding.
        """
        targets = self.case.targets
        first = self.case.replace(
            inputs=self.case.inputs[: self.batch], targets=None if targets is None else targets[: self.batch]
        )
        return Task(f"{self.name}.one_step", first, self.batch, optimiser or self.optimiser)


@dataclass(frozen=True)
class Size:
    """A network to be timed: widths of inputs, hidden layers and outputs, samples a step, steps an epoch.

    The steps are so many that what a compiled epoch of a peer costs to call is small beside it.
    """

    widths: tuple[int, ...]
    batch: int
    steps: int


NETWORKS: Final[Mapping[str, Size]] = MappingProxyType(
    {
        "2-2-1": Size((2, 2, 1), 4, 1024),
        "5-8-6-3": Size((5, 8, 6, 3), 8, 512),
        "64-10-10": Size((64, 10, 10), 32, 128),
        "784-16-16-10": Size((784, 16, 16, 10), 10, 128),
        "784-30-10": Size((784, 30, 10), 10, 128),
        "784-128-64-10": Size((784, 128, 64, 10), 64, 32),
        "784-512-512-10": Size((784, 512, 512, 10), 128, 16),
    }
)
"""Name → size. 64 inputs are an image of 8×8, 784 one of 28×28."""

LARGE: Final = ("784-128-64-10", "784-512-512-10")
"""Networks whose step is spent in matrix products; the only ones in which a second thread has something to do."""

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sigmoid_sgd": "sigmoid throughout, half the squared error, SGD",
        "relu_adam": "ReLU in the hidden layers, softmax cross-entropy from logits, Adam",
    }
)
"""Name → what is trained and how, in words."""

NAMES: Final = tuple(f"{network}.{kind}.{dtype}" for kind in KINDS for network in NETWORKS for dtype in DTYPES)

SGD: Final = Optimiser("sgd", 2.0**-8)
ADAM: Final = Optimiser("adam", 2.0**-24, beta1=0.9, beta2=0.999, epsilon=1e-8)
"""Slow, since a step of Adam moves every weight by about its rate, whatever the gradient: 784 of them by 2⁻¹⁰ each move
a unit from one side of its kink to the other. Units that are off for all samples have no gradient, and their first
moment decays until it stays among the subnormal numbers, with which some processors are slow and some peers do not
compute: what is timed then is that."""


def task(name: str) -> Task:
    """The task of this name among ``NAMES``; the same arrays at every call.

    ``sigmoid_sgd``: half the squared error summed over the mini-batch, of random inputs and targets. ``relu_adam``:
    mean cross-entropy of one-hot targets; where there is one output only, binary cross-entropy, which is what the
    softmax of two logits comes to when one of them is 0. What the numbers are does not change a
    step's cost as long as none are subnormal, see ``ADAM``.
    """
    network_name, kind, dtype_name = name.split(".")
    dtype: Dtype = "float32" if dtype_name == "float32" else "float64"
    size = NETWORKS[network_name]
    make = _sigmoid_sgd if kind == "sigmoid_sgd" else _relu_adam
    case, optimiser = make(size, dtype)
    return Task(name, case, size.batch, optimiser)


def _sigmoid_sgd(size: Size, dtype: Dtype) -> tuple[Case, Optimiser]:
    widths, samples = size.widths, size.batch * size.steps
    layers = dense_chain(widths, (Activation("sigmoid"),) * (len(widths) - 1))
    network = Network((widths[0],), layers, Loss("half_squared_error", "sum"))
    random = np.random.default_rng(0)
    parameters = {
        path: random.normal(size=shape) / math.sqrt(shape[0]) for path, shape in network.parameter_shapes.items()
    }
    inputs, targets = random.uniform(size=(samples, widths[0])), random.uniform(size=(samples, widths[-1]))
    return Case(network, parameters, inputs, targets=targets, dtype=dtype), SGD


def _relu_adam(size: Size, dtype: Dtype) -> tuple[Case, Optimiser]:
    """Two clouds of samples, one the other's negative, and weights that carry the sign on.

    Every hidden unit is on for one cloud and off for the other, its pre-activation mostly far from ReLU's kink: else
    float32 could not tell on which side many of a thousand units lie, and every gradient that any choice gives would
    have to be admitted.
    """
    widths, samples = size.widths, size.batch * size.steps
    outputs = widths[-1]
    layers = dense_chain(widths, (Activation("relu"),) * (len(widths) - 1))[:-1]
    loss = "categorical_cross_entropy_with_logits" if outputs > 1 else "binary_cross_entropy_with_logits"
    network = Network((widths[0],), layers, Loss(loss, "batch_mean"))
    random = np.random.default_rng(0)
    cloud = np.where(random.permutation(samples) % 2 == 0, 1.0, -1.0)
    centre = _signs(widths[0])
    inputs = cloud[:, np.newaxis] * centre + random.normal(scale=0.5, size=(samples, widths[0]))
    parameters: dict[str, Floats] = {}
    carried, weight_of_one = centre, 1.0
    for path, shape in network.parameter_shapes.items():
        noise = random.normal(scale=0.15 / math.sqrt(shape[0]), size=shape)
        if len(shape) == 1:
            parameters[path] = noise
        else:
            units = _signs(shape[1])
            parameters[path] = noise + weight_of_one * np.outer(carried, units) / shape[0]
            carried, weight_of_one = units, 2.0  # half the units of a hidden layer are on
    labels = np.arange(samples) % max(outputs, 2)  # so that the first mini-batch has every class
    targets = np.eye(outputs)[labels] if outputs > 1 else labels[:, np.newaxis].astype(np.float64)
    return Case(network, parameters, inputs, targets=targets, dtype=dtype), ADAM


def _signs(count: int) -> Floats:
    return np.where(np.arange(count) % 2 == 0, 1.0, -1.0)

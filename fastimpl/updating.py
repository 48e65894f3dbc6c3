"""An optimiser as rows of the table: which kernel, and what its columns hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from fastimpl.buffers import Parameters
from fastimpl.kernels.updates import UPDATE_KERNELS, clip_by_norm, decay_gradient
from fastimpl.rows import Row
from fastimpl.table import (
    ABOVE,
    AFTER,
    AHEAD,
    BETA1,
    BETA2,
    CORRECTION,
    COUPLED_L1,
    COUPLED_L2,
    DECOUPLED_L1,
    DECOUPLED_L2,
    EPSILON,
    FACTOR,
    FRESH,
    GRADIENT,
    INSIDE,
    LIMIT,
    MOMENTUM,
    OF_MOMENTS,
    OF_RATE,
    PLAIN,
    SCHEDULED,
    START,
    STARTS,
    STOP,
    STRIDE,
)
from gradproof.network import Network, is_bias
from gradproof.optimiser import Optimiser

UPDATED_FROM: Final = 4096
"""Numbers of a weight from which its own layer updates it, a block at a time, while the block's gradient is in the
cache. Smaller ones are updated all at once at the end of a step."""
DESCENDED_FROM: Final = 512
"""The same for plain descent, which is made within the product that gives the gradient, and costs nothing besides."""

_CELLS: Final[Mapping[str, Mapping[int, int]]] = {
    "sgd": {},
    "momentum": {INSIDE: 1},
    "momentum_torch": {STARTS: 1},
    "momentum_dampened": {},
    "nesterov": {INSIDE: 1, AHEAD: 1},
    "nesterov_torch": {STARTS: 1, AHEAD: 1},
    "rmsprop": {},
    "rmsprop_inside": {INSIDE: 1},
    "adam": {CORRECTION: OF_MOMENTS},
    "adam_inside": {CORRECTION: OF_MOMENTS, INSIDE: 1},
    "adam_epsilon_hat": {CORRECTION: OF_RATE},
    "adam_uncorrected": {},
}
"""Variant → what tells its kernel which of the family it is."""

_REALS: Final = {"momentum": MOMENTUM, "rho": BETA2, "beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON}


def is_plain(optimiser: Optimiser) -> bool:
    """Whether a step is the gradient times the rate, and nothing besides."""
    return optimiser.variant == "sgd" and optimiser.clipping is None and optimiser.decay is None


def updated_within(network: Network, optimiser: Optimiser) -> frozenset[str]:
    """The weights that their own layer may update: large, in one place only, and with nothing to come after.

    A penalty adds to their gradient later; the norm of all gradients, and decay that is clipped with them, need the
    gradients of all layers first.
    """
    clipping = optimiser.clipping
    if clipping is not None and (clipping.by != "value" or clipping.after_decay):
        return frozenset()
    least = DESCENDED_FROM if is_plain(optimiser) else UPDATED_FROM
    uses = [network.parameter_at(position) for position in network.positions]
    return frozenset(
        name
        for name in network.trainable
        if not is_bias(name)
        and name not in network.penalised
        and uses.count(name) == 1
        and math.prod(network.parameter_shapes[name]) >= least
    )


class Updating:
    """The rows that an optimiser adds to a network's table."""

    def __init__(self, network: Network, optimiser: Optimiser) -> None:
        self.network = network
        self.optimiser = optimiser
        self.within = updated_within(network, optimiser)
        decay = optimiser.decay
        undecayed = frozenset() if decay is None else frozenset(decay.excluded)
        self.decayed = frozenset() if decay is None else frozenset(network.trainable) - undecayed
        self.parameters = Parameters.of(network, self.within, undecayed)

    def at_the_end(self) -> Iterator[Row]:
        """The rows of the end of a step, in their order."""
        clipping = self.optimiser.clipping
        if clipping is not None and clipping.after_decay:
            for start, stop in self.parameters.ranges(self.decayed):
                yield Row(decay_gradient, None, {START: start, STOP: stop}, self._coupled())
        if clipping is not None and clipping.by != "value":
            cells = {START: 0, STOP: self.parameters.trained, ABOVE: int(clipping.by == "norm_if_above")}
            yield Row(clip_by_norm, None, cells, {FACTOR: clipping.limit, EPSILON: clipping.epsilon})
        left = frozenset(self.network.trainable) - self.within
        for names in (left & self.decayed, left - self.decayed):
            for start, stop in self.parameters.ranges(names):
                yield self.row(start, stop, decays=names <= self.decayed)

    def by_layers(self) -> Iterator[tuple[str, Row]]:
        """(weight, row) of each weight that its own layer updates."""
        for name in sorted(self.within):
            ((start, stop),) = self.parameters.ranges((name,))
            yield name, self.row(start, stop, decays=name in self.decayed)

    def row(self, start: int, stop: int, *, decays: bool) -> Row:
        """The update of a range of parameters, which all decay or all do not."""
        optimiser, clipping, decay = self.optimiser, self.optimiser.clipping, self.optimiser.decay
        reals = {column: value for name, column in _REALS.items() if (value := optimiser.hyperparameters.get(name))}
        dampening = optimiser.dampening or 0.0
        starts = optimiser.variant in ("momentum_torch", "nesterov_torch")
        reals[FRESH] = 1.0 if starts and optimiser.momentum == 0.0 else 1.0 - dampening
        by_value = clipping is not None and clipping.by == "value"
        reals[LIMIT] = clipping.limit if clipping is not None and by_value else math.inf
        cells = {**_CELLS[optimiser.variant], START: start, STOP: stop, GRADIENT: start}
        cells[STRIDE] = self.parameters.trained
        cells[PLAIN] = int(clipping is None and not decays)
        if decay is not None and decays and decay.place != "gradient":
            reals[DECOUPLED_L2 if decay.kind == "l2" else DECOUPLED_L1] = decay.strength
            cells |= {AFTER: int(decay.place == "decoupled_after"), SCHEDULED: int(decay.place == "decoupled_schedule")}
        elif decay is not None and decays and not (clipping is not None and clipping.after_decay):
            reals |= self._coupled()
        return Row(UPDATE_KERNELS[optimiser.variant], None, cells, reals)

    def _coupled(self) -> dict[int, float]:
        decay = self.optimiser.decay
        if decay is None or decay.place != "gradient":
            return {}
        return {COUPLED_L2 if decay.kind == "l2" else COUPLED_L1: decay.strength}

"""Mini-batch stochastic gradient descent, whole epochs at a time in compiled code."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from fastimpl.plan import COEFFICIENTS_ROW, INPUTS_ROW, TARGETS_ROW, plan
from fastimpl.program import Program, bind
from fastimpl.shuffling import MOST_SAMPLES, MOST_SEED, whole
from fastimpl.walkers import run_epochs
from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.network import Network
from gradproof.vocabulary import Dtype

OnEpoch = Callable[[int, float, Mapping[str, Floats]], bool | None]

_INTERRUPTIBLE_SECONDS: Final = 0.1
"""How long a compiled call should run before Python may see an interrupt; of no effect on any number."""


@dataclass(frozen=True)
class Divergence:
    """The step at which training stopped: its loss was not finite, or its update made a parameter not finite.

    epoch, step: counted from 0, the step within its epoch. loss: of that step.
    """

    epoch: int
    step: int
    loss: float


@dataclass(frozen=True)
class Training:
    """What ``train`` leaves.

    parameters: name → array, frozen ones included. After a divergence they are the last good ones: those whose loss
    the step before was the last finite one, or the initial ones where there was none.
    step_losses: float64 (steps run,), each before its step's update. After a divergence the last one is its step's.
    steps_per_epoch: the last, short batch counts as a step. diverged: None where all went well.
    """

    parameters: Mapping[str, Floats]
    step_losses: npt.NDArray[np.float64]
    steps_per_epoch: int
    batch_sizes: npt.NDArray[np.int64]
    """(steps_per_epoch,): samples of each step of an epoch."""
    diverged: Divergence | None

    @property
    def epoch_losses(self) -> npt.NDArray[np.float64]:
        """(complete epochs,): the mean of each epoch's step losses, each weighted by its batch's share of samples."""
        complete = len(self.step_losses) // self.steps_per_epoch
        if self.diverged is not None:
            complete = min(complete, self.diverged.epoch)
        steps = self.step_losses[: complete * self.steps_per_epoch].reshape(complete, self.steps_per_epoch)
        return epoch_means(steps, self.batch_sizes)


def epoch_means(step_losses: npt.NDArray[np.float64], batch_sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Means over the last axis of the losses (epochs, steps), weighted by the samples of each step."""
    means: npt.NDArray[np.float64] = (step_losses * (batch_sizes / batch_sizes.sum())).sum(axis=-1)
    return means


def train(
    network: Network,
    parameters: Mapping[str, npt.ArrayLike],
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    learning_rate: float,
    epochs: int,
    batch_size: int | None,
    seed: int = 0,
    shuffle: bool = True,
    sample_weights: npt.ArrayLike | None = None,
    dtype: Dtype = "float64",
    on_epoch: OnEpoch | None = None,
) -> Training:
    """Minimises a network's loss by mini-batch gradient descent, θ ← θ − η ∂L/∂θ.

    L is the network's loss of the batch, with its reduction over that batch and its penalty, as ``gradients`` gives
    it for the batch as a case. Frozen parameters do not change.

    Arguments:
        network: with a loss.
        parameters: the initial ones, one array for each of ``network.parameter_shapes``; not changed.
        inputs: (samples, *input_shape).
        targets: (samples, *output_shape).
        learning_rate: η, at least 0; the update is computed with η as a float64 in both dtypes.
        epochs: passes over all samples.
        batch_size: samples of a step; the last step of an epoch takes what is left. 1 is one-at-a-time, None all.
        seed: decides each epoch's order, which ``permutation(samples, seed, epoch)`` returns.
        shuffle: False keeps the samples in the order given.
        sample_weights: (samples,), of the losses of the samples; None for ones.
        dtype: of parameters and arithmetic.
        on_epoch: called after each epoch with its number, its loss (see ``Training.epoch_losses``) and read-only
            copies of the parameters; training ends where it returns True.

    The same arguments give the same bits on one machine with the same number of BLAS threads.

    Raises ArgumentError, before anything is computed, for a network without a loss, wrong names or shapes, numbers
    that are not finite in the dtype, targets that the loss does not admit, and settings out of range. A divergence
    raises nothing: see ``Training.diverged``.
    """
    if network.loss is None:
        raise ArgumentError("network.loss", "a loss to minimise", "None")
    data = Case(network, parameters, inputs, targets=targets, sample_weights=sample_weights, dtype=dtype)
    if data.batch > MOST_SAMPLES:
        raise ArgumentError("inputs", f"at most {MOST_SAMPLES} samples", data.batch)
    rate = _rate(learning_rate)
    whole("epochs", epochs, 0)
    whole("seed", seed, 0, MOST_SEED)
    size = data.batch if batch_size is None else min(whole("batch_size", batch_size, 1), data.batch)
    run = _Run(data, rate, size, int(seed), bool(shuffle), int(epochs))
    while run.epoch < epochs and run.diverged is None:
        run.advance(one=on_epoch is not None)
        if on_epoch is not None and run.diverged is None:
            mean = float(epoch_means(run.losses[run.epoch - 1], run.batch_sizes))
            if on_epoch(run.epoch - 1, mean, run.parameters()) is True:
                break
    return Training(
        parameters=run.parameters(),
        step_losses=run.step_losses(),
        steps_per_epoch=len(run.batch_sizes),
        batch_sizes=run.batch_sizes,
        diverged=run.diverged,
    )


def _rate(learning_rate: float) -> float:
    is_number = isinstance(learning_rate, int | float | np.floating | np.integer)
    if not is_number or isinstance(learning_rate, bool) or not 0 <= learning_rate < float("inf"):
        raise ArgumentError("learning_rate", "a finite number of at least 0", learning_rate)
    return float(learning_rate)


class _Run:
    """A training under way: what the compiled code reads and writes, and how far it is.

    Parameters are copied once a call, never in the loop. Where a step diverges, the parameters before the step ahead
    of it are computed again from the copy, which gives the same bits.
    """

    def __init__(self, data: Case, rate: float, size: int, seed: int, shuffle: bool, epochs: int) -> None:
        self.data = data
        self.program: Program = bind(plan(data.network, "training"), data.dtype, size)
        self.program.set_learning_rate(rate)
        self.order = np.arange(data.batch)
        self.program.feed(INPUTS_ROW, data.inputs, self.order)
        self.program.feed(TARGETS_ROW, data.targets, self.order)
        self.program.feed(COEFFICIENTS_ROW, data.sample_weights, self.order)
        self.theta = self.program.plan.parameters.buffer(data.parameters, data.dtype)
        self.seed, self.shuffle = np.uint64(seed), shuffle
        starts = np.arange(0, data.batch, size)
        self.batch_sizes = np.minimum(size, data.batch - starts)
        self.losses = np.empty((epochs, len(starts)))
        self.epoch = 0
        self.portion = 1
        self.before: list[tuple[int, Floats]] = []
        """(epoch, parameters then) of this call and of the one before it."""
        self.diverged: Divergence | None = None

    def advance(self, *, one: bool) -> None:
        """Trains for one epoch, or for as many as take a moment."""
        epochs = 1 if one else min(self.portion, len(self.losses) - self.epoch)
        steps = epochs * len(self.batch_sizes)
        self.before = [*self.before[-1:], (self.epoch, self.theta.copy())]
        began = time.perf_counter()
        done = self.run(self.epoch, self.epoch + epochs, steps)
        if time.perf_counter() - began < _INTERRUPTIBLE_SECONDS:
            self.portion *= 2
        if done == steps and not np.all(np.isfinite(self.theta)):
            done -= 1
        if done < steps:
            self.stop(self.epoch * len(self.batch_sizes) + done)
        else:
            self.epoch += epochs

    def stop(self, step: int) -> None:
        """Records the divergence of a step, counted from the first of all, and goes back to the good parameters."""
        per_epoch = len(self.batch_sizes)
        self.diverged = Divergence(step // per_epoch, step % per_epoch, float(self.losses.ravel()[step]))
        losses = self.losses.copy()
        good = max(step - 1, 0)
        epoch, theta = max((b for b in self.before if b[0] * per_epoch <= good), key=lambda b: b[0])
        self.theta[...] = theta
        self.run(epoch, len(losses), good - epoch * per_epoch)
        self.losses = losses

    def run(self, first: int, last: int, most: int) -> int:
        """Runs at most ``most`` steps of these epochs. Returns the number of updates made."""
        program, table = self.program, self.program.plan
        return run_epochs(
            program.ops.ctypes.data,
            program.hyper.ctypes.data,
            table.feeds,
            table.stop,
            len(table.rows),
            self.theta.ctypes.data,
            program.dtheta.ctypes.data,
            program.work.ctypes.data,
            self.order.ctypes.data,
            self.data.batch,
            program.capacity,
            self.seed,
            self.shuffle,
            first,
            last,
            most,
            self.losses[first:].ctypes.data,
        )

    def step_losses(self) -> npt.NDArray[np.float64]:
        """The losses of the steps run."""
        if self.diverged is None:
            return self.losses[: self.epoch].ravel().copy()
        steps = self.diverged.epoch * len(self.batch_sizes) + self.diverged.step + 1
        return self.losses.ravel()[:steps].copy()

    def parameters(self) -> Mapping[str, Floats]:
        """Read-only copies of the parameters as they are now, by name."""
        copies = {name: view.copy() for name, view in self.program.plan.parameters.views(self.theta).items()}
        for array in copies.values():
            array.setflags(write=False)
        return MappingProxyType(copies)

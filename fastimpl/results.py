"""What training leaves, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from gradproof.arrays import Floats

Numbers = npt.NDArray[np.float64]

LOSS = "loss"
ACCURACY = "accuracy"
VALIDATION_LOSS = "validation_loss"
VALIDATION_ACCURACY = "validation_accuracy"


@dataclass(frozen=True)
class Divergence:
    """The step at which training stopped: its loss was not finite, or its update made a number not finite.

    epoch, step: counted from 0, the step within its epoch. loss: of that step.
    """

    epoch: int
    step: int
    loss: float


@dataclass(frozen=True, eq=False)
class Best:
    """The epoch of least validation loss: its number, that loss, the parameters after it, and epochs since then."""

    epoch: int
    loss: float
    parameters: Mapping[str, Floats]
    waited: int


@dataclass(frozen=True, eq=False)
class State:
    """All that training goes on from, as if it had never stopped: arrays, numbers and words.

    parameters: name → array, as they are now. moments: state of the optimiser's variant
    (``gradproof.optimiser.OPTIMISERS``) → trained parameter → array. step: updates made. epoch, batch: complete epochs,
    and batches done of the one after. seed: of the order of samples. best: with early stopping, once an epoch is over.
    """

    parameters: Mapping[str, Floats]
    moments: Mapping[str, Mapping[str, Floats]]
    variant: str
    seed: int
    step: int
    epoch: int
    batch: int
    best: Best | None = None


@dataclass(frozen=True)
class Progress:
    """How far a call of ``train`` is: steps and complete epochs of those asked for.

    metrics: name → number of the last complete epoch of this call, as in ``Training.metrics``; empty before there is
    one.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Training:
    """What ``train`` leaves.

    Epochs are counted from 0, on from those of the state that training went on from.

    parameters: name → array, frozen ones included: with early stopping those after the best epoch, else the last.
    After a divergence the last are the last good ones, from which the loss was finite; the initial ones where there
    were none.
    step_losses: float64 (steps run,), each before its step's update. After a divergence the last one is its step's.
    batch_sizes: (steps_per_epoch,), samples of each step of an epoch; the last, short batch counts as a step.
    metrics: name → float64 (complete epochs,): ``loss``, the mean of the epoch's step losses, each weighted by its
    batch's share of samples (in an epoch that began in the state before, of its steps in this one); ``accuracy``,
    ``validation_loss`` and ``validation_accuracy`` where they were measured.
    state: what ``train`` can go on from. After a divergence it is that of the last good parameters.
    diverged: None where all went well.
    best_epoch: the epoch of least validation loss; None without early stopping, or where none was finite. After a
    divergence, of the epochs that ended by the last good parameters: the one before the first step of an epoch that
    diverges is not among them, though ``metrics`` has its validation loss.
    stopped_early: whether early stopping ended it.
    threads: that BLAS took for a product; 1 where our own products were used alone.
    """

    parameters: Mapping[str, Floats]
    step_losses: Numbers
    steps_per_epoch: int
    batch_sizes: npt.NDArray[np.int64]
    metrics: Mapping[str, Numbers]
    state: State
    diverged: Divergence | None
    best_epoch: int | None = None
    stopped_early: bool = False
    threads: int = 1

    @property
    def epoch_losses(self) -> Numbers:
        """(complete epochs,): ``metrics["loss"]``."""
        return self.metrics[LOSS]


def epoch_means(step_losses: Numbers, batch_sizes: npt.NDArray[np.int64], begun: int, epochs: int) -> Numbers:
    """(epochs,): means of the losses of each epoch's steps, weighted by their samples; ``begun`` steps of the first
    are missing.
    """
    if epochs == 0:
        return np.empty(0)
    per_epoch = len(batch_sizes)
    weights = np.tile(batch_sizes, epochs).astype(np.float64)
    weights[:begun] = 0.0
    losses = np.zeros(epochs * per_epoch)
    losses[begun:] = step_losses[: epochs * per_epoch - begun]
    weighted = (weights * losses).reshape(epochs, per_epoch).sum(axis=-1)
    means: Numbers = weighted / weights.reshape(epochs, per_epoch).sum(axis=-1)
    return means


def read_only(arrays: Mapping[str, Floats]) -> Mapping[str, Floats]:
    """Read-only copies."""
    copies = {name: array.copy() for name, array in arrays.items()}
    for array in copies.values():
        array.setflags(write=False)
    return MappingProxyType(copies)

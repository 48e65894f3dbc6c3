"""What training leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gradproof.arrays import Floats


@dataclass(frozen=True)
class Divergence:
    """The step at which training stopped: its loss was not finite, or its update made a number not finite.

    epoch, step: counted from 0, the step within its epoch. loss: of that step.
    """

    epoch: int
    step: int
    loss: float


@dataclass(frozen=True)
class Training:
    """What ``train`` leaves.

    parameters: name → array, frozen ones included. After a divergence they are the last good ones, the last whose loss
    was finite; the initial ones where there were none.
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

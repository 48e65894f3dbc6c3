"""What was measured while a model was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fastimpl.results import LOSS, Divergence, Numbers, Training


def _read_only(array: npt.NDArray[np.float64]) -> Numbers:
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class History:
    """The losses and metrics of a model over all its fits, one behind another; a value, its arrays read-only.

    step_losses: (steps,), the loss of each step's batch before its update.
    epoch_steps: (complete epochs, 2), the first step of each epoch and the one behind its last. A fit that stopped
    within an epoch leaves steps that belong to none.
    metrics: name → (complete epochs,): ``loss``, the mean of the epoch's step losses weighted by their samples, and
    what else a fit measured; NaN in epochs whose fit did not.
    diverged: the step that ended the last fit, its epoch counted over all fits; None where it went well.
    best_epoch: of the last fit where it had early stopping: the epoch, of all, whose parameters it left.
    """

    step_losses: Numbers = field(default_factory=lambda: _read_only(np.empty(0)))
    epoch_steps: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    metrics: Mapping[str, Numbers] = field(default_factory=lambda: MappingProxyType({LOSS: _read_only(np.empty(0))}))
    diverged: Divergence | None = None
    best_epoch: int | None = None

    @property
    def epochs(self) -> int:
        """How many epochs are complete."""
        return len(self.epoch_steps)

    @property
    def epoch_losses(self) -> Numbers:
        """(complete epochs,): ``metrics["loss"]``."""
        return self.metrics[LOSS]

    def extended(self, training: Training) -> History:
        """This history with another training behind it, which counted its epochs on from these."""
        count, steps = len(training.metrics[LOSS]), training.steps_per_epoch
        first = len(self.step_losses) + steps * np.arange(count, dtype=np.int64)
        epoch_steps = np.concatenate([self.epoch_steps, np.stack([first, first + steps], axis=1)])
        epoch_steps.setflags(write=False)
        before, after = np.full(self.epochs, math.nan), np.full(count, math.nan)
        joined = {
            name: _read_only(np.concatenate([self.metrics.get(name, before), training.metrics.get(name, after)]))
            for name in dict.fromkeys([*self.metrics, *training.metrics])
        }
        return History(
            step_losses=_read_only(np.concatenate([self.step_losses, training.step_losses])),
            epoch_steps=epoch_steps,
            metrics=MappingProxyType(joined),
            diverged=training.diverged,
            best_epoch=training.best_epoch,
        )

    def to_dict(self) -> dict[str, object]:
        """All of it as plain lists and numbers, for JSON or a table: None for what was not measured, and the words
        nan, inf and -inf for what is not finite.
        """
        plain = None
        if self.diverged is not None:
            (loss,) = _plain(np.array([self.diverged.loss]))
            plain = {"epoch": self.diverged.epoch, "step": self.diverged.step, "loss": loss}
        return {
            "step_losses": _plain(self.step_losses),
            "epoch_steps": self.epoch_steps.tolist(),
            "metrics": {
                name: [None if n == "nan" else n for n in _plain(numbers)] for name, numbers in self.metrics.items()
            },
            "diverged": plain,
            "best_epoch": self.best_epoch,
        }

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {numbers[-1]:.6g}" for name, numbers in self.metrics.items() if len(numbers))
        return f"<History of {self.epochs} epochs, {len(self.step_losses)} steps{': ' if last else ''}{last}>"


def _plain(numbers: Numbers) -> list[float | str]:
    return [n if math.isfinite(n) else str(n) for n in numbers.tolist()]

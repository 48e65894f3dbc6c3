"""What was measured while a model was trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fastimpl.results import LOSS, Divergence, Numbers, Training


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

    step_losses: Numbers
    epoch_steps: npt.NDArray[np.int64]
    metrics: Mapping[str, Numbers]
    diverged: Divergence | None = None
    best_epoch: int | None = None

    @classmethod
    def empty(cls) -> History:
        """That of a model that was never trained."""
        return cls(np.empty(0), np.empty((0, 2), dtype=np.int64), MappingProxyType({LOSS: np.empty(0)}))

    def __reduce__(self) -> tuple[Callable[..., History], tuple[object, ...]]:
        fields = (self.step_losses, self.epoch_steps, dict(self.metrics), self.diverged, self.best_epoch)
        return _rebuilt, fields  # for copies and other processes

    @property
    def epochs(self) -> int:
        """How many epochs are complete."""
        return len(self.epoch_steps)

    @property
    def epoch_losses(self) -> Numbers:
        """(complete epochs,): ``metrics["loss"]``."""
        return self.metrics[LOSS]

    @classmethod
    def of(cls, training: Training) -> History:
        """The history of one training."""
        first = training.steps_per_epoch * np.arange(len(training.metrics[LOSS]), dtype=np.int64)
        return cls(
            step_losses=training.step_losses,
            epoch_steps=np.stack([first, first + training.steps_per_epoch], axis=1),
            metrics=training.metrics,
            diverged=training.diverged,
            best_epoch=training.best_epoch,
        )

    @classmethod
    def joined(cls, histories: Sequence[History]) -> History:
        """One behind another, at least one; epochs of divergences and best ones are counted over all already."""
        starts = np.cumsum([0, *(len(history.step_losses) for history in histories)])
        names = dict.fromkeys(name for history in histories for name in history.metrics)
        metrics = {
            name: np.concatenate([h.metrics.get(name, np.full(h.epochs, math.nan)) for h in histories])
            for name in names
        }
        step_losses = np.concatenate([history.step_losses for history in histories])
        epoch_steps = np.concatenate([h.epoch_steps + start for h, start in zip(histories, starts[:-1], strict=True)])
        return _rebuilt(step_losses, epoch_steps, metrics, histories[-1].diverged, histories[-1].best_epoch)

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


def _rebuilt(
    step_losses: Numbers,
    epoch_steps: npt.NDArray[np.int64],
    metrics: dict[str, Numbers],
    diverged: Divergence | None,
    best_epoch: int | None,
) -> History:
    for array in (step_losses, epoch_steps, *metrics.values()):
        array.setflags(write=False)
    return History(step_losses, epoch_steps, MappingProxyType(metrics), diverged, best_epoch)


def _plain(numbers: Numbers) -> list[float | str]:
    return [n if math.isfinite(n) else str(n) for n in numbers.tolist()]

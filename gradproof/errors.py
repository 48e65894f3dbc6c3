"""The errors that gradproof raises on bad input: each names the argument, what was expected and what came."""

from __future__ import annotations

import math


class GradproofError(Exception):
    """Base of every error that gradproof raises on purpose."""


class ArgumentError(GradproofError, ValueError):
    """An argument is not what it must be.

    The message is built from its three parts, so that every error of the project reads alike:
    ``batch: expected at least 1, got 0``.
    """

    def __init__(self, argument: str, expected: str, got: object) -> None:
        self.argument = argument
        self.expected = expected
        self.got = got if isinstance(got, str) else repr(got)
        super().__init__(f"{argument}: expected {expected}, got {self.got}")


class NetworkError(ArgumentError):
    """A network that cannot exist: the argument is the path of the layer, parameter or part at fault."""


class RecordError(GradproofError):
    """A recorded file cannot be read: it is not gradproof's, damaged, or of another version."""


class TrainingDivergedError(GradproofError):
    """A training whose numbers left the finite ones; the model holds the last good parameters.

    epoch, step: of the step that diverged, counted from 0, the step within its epoch. loss: of that step; where it is
    finite, the step's update was not.
    """

    def __init__(self, epoch: int, step: int, loss: float) -> None:
        self.epoch = epoch
        self.step = step
        self.loss = loss
        what = "its update made a parameter" if math.isfinite(loss) else f"its loss, {loss!r}, is"
        super().__init__(
            f"training diverged in epoch {epoch}, step {step}: {what} not finite. The model holds the last good "
            "parameters; a smaller rate, clipping or other initial weights may help."
        )

    def __reduce__(self) -> tuple[type[TrainingDivergedError], tuple[int, int, float]]:
        return type(self), (self.epoch, self.step, self.loss)

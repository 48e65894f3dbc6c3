"""The control block of a run, filled from its settings."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from fastimpl.buffers import Parameters, aligned_zeros
from fastimpl.control import (
    ACCURACIES,
    BATCH,
    BATCH_SIZE,
    BEST_AT,
    BEST_EPOCH,
    BEST_LOSS,
    EPOCH,
    ETA,
    FIRST_EPOCH,
    IMPROVEMENT,
    LAST_EPOCH,
    ORDER_AT,
    PARAMETERS,
    PATIENCE,
    PROGRAM,
    RUN_BETA1,
    RUN_BETA2,
    RUN_COLUMNS,
    SAMPLES,
    SETTINGS,
    SETTINGS_COLUMNS,
    SHUFFLED,
    VALIDATION,
    VALIDATION_ACCURACIES,
    VALIDATION_AVERAGES,
    VALIDATION_LOSSES,
    VALIDATION_SAMPLES,
    VALIDATION_SIZE,
    WAITED,
    WORDS,
)
from fastimpl.plan import plan
from fastimpl.program import Program, bind, fed
from fastimpl.results import ACCURACY, VALIDATION_ACCURACY, VALIDATION_LOSS, Numbers
from fastimpl.schedules import tell
from fastimpl.settings import Settings
from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.optimiser import Optimiser

PORTION: Final = 256
"""Samples of the validation set that are run at a time: enough for products to be fast, few for the workspace."""


class Validation:
    """A set of samples whose loss is taken in portions, so that memory does not grow with them.

    counts: whether right answers are counted. times: how often it may be taken. optimiser: the training's amid which it
    is taken. measured: name → (times,), what is left each time.
    """

    def __init__(self, case: Case, counts: bool, times: int, optimiser: Optimiser | None = None) -> None:
        self.case = case
        self.program = bind(plan(case.network, "validation", optimiser, counts), case.dtype, min(case.batch, PORTION))
        self.order = fed(self.program, case)
        names = (VALIDATION_LOSS, VALIDATION_ACCURACY) if counts else (VALIDATION_LOSS,)
        self.measured: dict[str, Numbers] = {name: np.empty(times) for name in names}

    def tell(self, integers: npt.NDArray[np.int64]) -> None:
        """Puts it into a control block."""
        loss = self.case.network.loss
        integers[[VALIDATION_SAMPLES, VALIDATION_SIZE]] = self.case.batch, self.program.capacity
        integers[VALIDATION_AVERAGES] = loss is not None and loss.reduction != "sum"
        integers[VALIDATION] = self.program.control.ctypes.data
        for name, column in ((VALIDATION_LOSS, VALIDATION_LOSSES), (VALIDATION_ACCURACY, VALIDATION_ACCURACIES)):
            if name in self.measured:
                integers[column] = self.measured[name].ctypes.data


class Block:
    """What the compiled loop is told of a run, with the buffers that it refers to.

    integers, reals: the block itself, see ``fastimpl.control``. best: the best epoch's parameters, empty without early
    stopping. measured: name → (epochs,), what each epoch leaves.
    """

    def __init__(self, settings: Settings, program: Program, theta: Floats) -> None:
        self.integers = np.zeros(RUN_COLUMNS, dtype=np.int64)
        self.reals = np.zeros(SETTINGS_COLUMNS)
        self.order = fed(program, settings.data)
        self.measured: dict[str, Numbers] = {}
        self.best: Floats = theta[:0]
        self._program = program
        optimiser, state = settings.optimiser, settings.state
        tell(optimiser.schedule, self.integers, self.reals)
        self.reals[[ETA, RUN_BETA1, RUN_BETA2]] = optimiser.rate, optimiser.beta1 or 0.0, optimiser.beta2 or 0.0
        self._point(SETTINGS, self.reals)
        self._point(PROGRAM, program.control)
        self._point(PARAMETERS, theta)
        self._point(ORDER_AT, self.order)
        first, begun = (0, 0) if state is None else (state.epoch, state.batch)
        self.integers[[SAMPLES, BATCH_SIZE, SHUFFLED]] = settings.data.batch, settings.size, settings.shuffle
        self.integers[[FIRST_EPOCH, EPOCH, BATCH, LAST_EPOCH]] = first, first, begun, first + settings.epochs
        if settings.counts:
            self._measure(ACCURACY, ACCURACIES, settings.epochs)
        if settings.validation is not None:
            # By the same optimiser, since the parameters that are read lie as training has laid them.
            self.validation = Validation(
                settings.validation, settings.counts_validation, settings.epochs, settings.optimiser
            )
            self.validation.tell(self.integers)
            self.measured |= self.validation.measured
        self._tell_patience(settings, theta)

    def _point(self, column: int, buffer: npt.NDArray[np.generic]) -> None:
        self.integers[column] = buffer.ctypes.data

    def _measure(self, name: str, column: int, epochs: int) -> None:
        self.measured[name] = np.empty(epochs)
        self._point(column, self.measured[name])

    def _tell_patience(self, settings: Settings, theta: Floats) -> None:
        self.integers[BEST_EPOCH] = -1
        self.reals[BEST_LOSS] = np.inf
        if settings.early_stopping is None:
            return
        self.integers[PATIENCE] = settings.early_stopping.patience
        self.reals[IMPROVEMENT] = settings.early_stopping.improvement
        self.best = aligned_zeros(len(theta), settings.data.dtype)
        self._point(BEST_AT, self.best)
        self.integers[WORDS] = self.best.nbytes // 8
        best = None if settings.state is None else settings.state.best
        if best is not None:
            parameters: Parameters = self._program.plan.parameters
            self.best[...] = parameters.buffer(best.parameters, settings.data.dtype)
            self.integers[[BEST_EPOCH, WAITED]] = best.epoch, best.waited
            self.reals[BEST_LOSS] = best.loss

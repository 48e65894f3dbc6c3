"""A training under way: compiled stretches of steps, and what to do where one goes wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from fastimpl.control import (
    BATCH_SIZE,
    CAREFUL,
    EPOCH,
    ETA,
    LAST_EPOCH,
    LOSS_NOT_FINITE,
    ORDER_AT,
    PARAMETERS,
    PAUSES,
    PROGRAM,
    RUN_BETA1,
    RUN_BETA2,
    RUN_COLUMNS,
    SAMPLES,
    SETTINGS,
    SETTINGS_COLUMNS,
    SHUFFLED,
    STEP_LOSSES,
)
from fastimpl.plan import COEFFICIENTS_ROW, INPUTS_ROW, TARGETS_ROW, plan
from fastimpl.program import Program, bind
from fastimpl.results import Divergence
from fastimpl.schedules import tell
from fastimpl.table import BETA1_POWER, BETA2_POWER, SEED, STEP
from fastimpl.walkers import count_not_finite, run_steps
from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.optimiser import Optimiser

_INTERRUPTIBLE_SECONDS: Final = 0.1
"""How long a compiled call should run before Python may see an interrupt; of no effect on any number."""

_FIRST_STRETCH: Final = 2e7
"""Multiplications that the first compiled call may make: a few hundredths of a second."""


@dataclass(frozen=True)
class _Moment:
    """Everything that decides how a run goes on, copied."""

    control: npt.NDArray[np.int64]
    clock: npt.NDArray[np.int64]
    now: npt.NDArray[np.float64]
    theta: Floats
    state: Floats

    @property
    def step(self) -> int:
        """How many updates were made."""
        return int(self.clock[STEP])


class Run:
    """What the compiled loop reads and writes. Where a step diverges, the steps before it are made once more.

    That gives the same bits, from a copy that is taken once a stretch, never in the loop.
    """

    def __init__(self, data: Case, optimiser: Optimiser, size: int, seed: int, shuffle: bool, epochs: int) -> None:
        self.program: Program = bind(plan(data.network, "training", optimiser), data.dtype, size)
        self.data = data
        self.order = np.arange(data.batch)
        self.program.feed(INPUTS_ROW, data.inputs, self.order)
        self.program.feed(TARGETS_ROW, data.targets, self.order)
        self.program.feed(COEFFICIENTS_ROW, data.sample_weights, self.order)
        self.theta = self.program.plan.parameters.buffer(data.parameters, data.dtype)
        starts = np.arange(0, data.batch, size)
        self.batch_sizes = np.minimum(size, data.batch - starts)
        self.losses = np.empty(epochs * len(starts))
        self.diverged: Divergence | None = None
        self.control, self.settings = self._blocks(optimiser, shuffle, epochs)
        self.program.clock[SEED] = np.uint64(seed).astype(np.int64)
        self.program.now[[BETA1_POWER, BETA2_POWER]] = 1.0
        work = max(1, self.theta.size * size)
        self.stretch = max(1, int(_FIRST_STRETCH / work))
        self.moments: list[_Moment] = []
        """The beginning of the last stretch, and of the one before it."""

    def _blocks(
        self, optimiser: Optimiser, shuffle: bool, epochs: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        control, settings = np.zeros(RUN_COLUMNS, dtype=np.int64), np.zeros(SETTINGS_COLUMNS)
        tell(optimiser.schedule, control, settings)
        settings[[ETA, RUN_BETA1, RUN_BETA2]] = optimiser.rate, optimiser.beta1 or 0.0, optimiser.beta2 or 0.0
        for column, buffer in (
            (PROGRAM, self.program.control),
            (SETTINGS, settings),
            (PARAMETERS, self.theta),
            (ORDER_AT, self.order),
        ):
            control[column] = buffer.ctypes.data
        control[[SAMPLES, BATCH_SIZE, SHUFFLED]] = self.data.batch, self.program.capacity, shuffle
        control[LAST_EPOCH] = epochs
        return control, settings

    @property
    def step(self) -> int:
        """How many updates were made."""
        return int(self.program.clock[STEP])

    @property
    def epoch(self) -> int:
        """How many epochs are complete."""
        return int(self.control[EPOCH])

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.diverged is not None or self.epoch >= int(self.control[LAST_EPOCH])

    def advance(self, *, one: bool) -> None:
        """Trains for as long as takes a moment; with ``one``, at most to the end of the epoch."""
        self.control[PAUSES] = one
        self.moments = [*self.moments[-1:], self._moment()]
        began = time.perf_counter()
        why = self._run(self.stretch)
        elapsed = time.perf_counter() - began
        if elapsed < 0.5 * _INTERRUPTIBLE_SECONDS:
            self.stretch *= 2
        elif elapsed > 2 * _INTERRUPTIBLE_SECONDS:
            self.stretch = max(1, self.stretch // 2)
        if why == LOSS_NOT_FINITE or self._not_finite():
            self._diverge()

    def _diverge(self) -> None:
        """Finds the step that diverged, records it, and goes back to the last good parameters and state."""
        losses = self.losses.copy()
        self._restore(self.moments[-1])
        self.control[CAREFUL] = 1
        why = self._run(len(losses))
        self.control[CAREFUL] = 0
        made = self.step
        at = made if why == LOSS_NOT_FINITE else made - 1
        good = max(made - 1, 0)
        per_epoch = len(self.batch_sizes)
        self.diverged = Divergence(at // per_epoch, at % per_epoch, float(self.losses[at]))
        moment = max((m for m in self.moments if m.step <= good), key=lambda m: m.step)
        self._restore(moment)
        self._run(good - moment.step)
        self.losses = losses

    def _run(self, most: int) -> int:
        """Makes at most so many steps. Returns why it stopped."""
        self.control[STEP_LOSSES] = self.losses.ctypes.data + self.losses.itemsize * self.step
        return int(run_steps(self.control.ctypes.data, most))

    def _not_finite(self) -> bool:
        return count_not_finite(self.program.control.ctypes.data, self.theta.ctypes.data) > 0

    def _state(self) -> Floats:
        return self.program.dtheta[self.program.plan.parameters.size :]

    def _moment(self) -> _Moment:
        program = self.program
        return _Moment(
            self.control.copy(), program.clock.copy(), program.now.copy(), self.theta.copy(), self._state().copy()
        )

    def _restore(self, moment: _Moment) -> None:
        self.control[...] = moment.control
        self.program.clock[...], self.program.now[...] = moment.clock, moment.now
        self.theta[...] = moment.theta
        self._state()[...] = moment.state

    def step_losses(self) -> npt.NDArray[np.float64]:
        """The losses of the steps run."""
        steps = self.step
        if self.diverged is not None:
            steps = self.diverged.epoch * len(self.batch_sizes) + self.diverged.step + 1
        return self.losses[:steps].copy()

    def parameters(self) -> Mapping[str, Floats]:
        """Read-only copies of the parameters as they are now, by name."""
        copies = {name: view.copy() for name, view in self.program.plan.parameters.views(self.theta).items()}
        for array in copies.values():
            array.setflags(write=False)
        return MappingProxyType(copies)

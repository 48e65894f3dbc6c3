"""A training under way: compiled stretches of steps, and what to do where one goes wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from fastimpl.blocks import Block
from fastimpl.control import (
    BATCH,
    BEST_EPOCH,
    BEST_LOSS,
    CAREFUL,
    EPOCH,
    FIRST_EPOCH,
    LAST_EPOCH,
    LOSS_NOT_FINITE,
    PAUSES,
    STEP_LOSSES,
    STOPPED_EARLY,
    WAITED,
)
from fastimpl.plan import plan
from fastimpl.program import Program, bind
from fastimpl.results import LOSS, Best, Divergence, Numbers, Progress, State, Training, epoch_means, read_only
from fastimpl.settings import Settings
from fastimpl.table import BETA1_POWER, BETA2_POWER, SEED, STEP
from fastimpl.walkers import count_not_finite, power_after, run_steps
from gradproof.arrays import Floats

_INTERRUPTIBLE_SECONDS: Final = 0.1
"""How long a compiled call should run before Python may see an interrupt; of no effect on any number."""

_FIRST_STRETCH: Final = 2e7
"""Multiplications that the first compiled call may make: a few hundredths of a second."""


@dataclass(frozen=True)
class _Moment:
    """Everything that decides how a run goes on, copied. step: updates made by then."""

    step: int
    buffers: tuple[npt.NDArray[np.generic], ...]


class Run:
    """What the compiled loop reads and writes. Where a step diverges, the steps before it are made once more.

    That gives the same bits, from a copy that is taken once a stretch, never in the loop.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        data, state = settings.data, settings.state
        table = plan(data.network, "training", settings.optimiser, counts=settings.counts)
        self.program: Program = bind(table, data.dtype, settings.size, settings.threads)
        self.theta = table.parameters.buffer(data.parameters, data.dtype)
        self.block = Block(settings, self.program, self.theta)
        self.batch_sizes = np.minimum(settings.size, data.batch - np.arange(0, data.batch, settings.size))
        self.begun = 0 if state is None else state.batch
        self.first_step = 0 if state is None else state.step
        self.losses = np.empty(max(settings.epochs * len(self.batch_sizes) - self.begun, 0))
        self._tell_time()
        self.diverged: Divergence | None = None
        self.stopped_early = False
        self.stretch = max(1, int(_FIRST_STRETCH / (self.theta.size * settings.size)))
        self.moments: list[_Moment] = []
        """The beginning of the last stretch, and of the one before it."""

    def _tell_time(self) -> None:
        """Sets the clock, the powers of β and the optimiser's state to what they are after the steps made so far."""
        optimiser, state = self.settings.optimiser, self.settings.state
        self.program.clock[STEP] = self.first_step
        self.program.clock[SEED] = np.uint64(self.settings.seed).astype(np.int64)
        for column, beta in ((BETA1_POWER, optimiser.beta1), (BETA2_POWER, optimiser.beta2)):
            self.program.now[column] = power_after(beta or 0.0, self.first_step)
        if state is not None:
            for word, views in self._moments().items():
                for name, view in views.items():
                    view[...] = state.moments[word][name]

    # How far it is.

    @property
    def step(self) -> int:
        """How many updates this call made."""
        return int(self.program.clock[STEP]) - self.first_step

    @property
    def epoch(self) -> int:
        """How many epochs are complete, of all."""
        return int(self.block.integers[EPOCH])

    @property
    def complete(self) -> int:
        """How many epochs were completed by this call."""
        epoch = self.epoch if self.diverged is None else self.diverged.epoch
        return epoch - int(self.block.integers[FIRST_EPOCH])

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.diverged is not None or self.stopped_early or self.epoch >= int(self.block.integers[LAST_EPOCH])

    # Going on.

    def advance(self, *, one: bool) -> None:
        """Trains for as long as takes a moment; with ``one``, at most to the end of the epoch."""
        self.block.integers[PAUSES] = one
        self._keep()
        began = time.perf_counter()
        why = self._run(self.stretch)
        elapsed = time.perf_counter() - began
        if elapsed < 0.5 * _INTERRUPTIBLE_SECONDS:
            self.stretch = min(2 * self.stretch, len(self.losses))
        elif elapsed > 2 * _INTERRUPTIBLE_SECONDS:
            self.stretch = max(1, self.stretch // 2)
        if why == LOSS_NOT_FINITE or self._not_finite():
            self._diverge()
        else:
            self.stopped_early = why == STOPPED_EARLY

    def _diverge(self) -> None:
        """Finds the step that diverged, records it, and goes back to the last good parameters and state."""
        self._restore(self.moments[-1])
        self.block.integers[CAREFUL] = 1
        why = self._run(len(self.losses))
        made = self.step
        at = made if why == LOSS_NOT_FINITE else made - 1
        epoch, step = divmod(self.begun + at, len(self.batch_sizes))
        good = max(made - 1, 0)
        moment = max((m for m in self.moments if m.step <= good), key=lambda m: m.step)
        self._restore(moment)
        self._run(good - moment.step)
        first = int(self.block.integers[FIRST_EPOCH])
        self.diverged = Divergence(first + epoch, step, float(self.losses[at]))

    def _run(self, most: int) -> int:
        """Makes at most so many steps. Returns why it stopped."""
        self.block.integers[STEP_LOSSES] = self.losses.ctypes.data + self.losses.itemsize * self.step
        with self.program.run_threads():
            return int(run_steps(self.block.integers.ctypes.data, most))

    def _not_finite(self) -> bool:
        return count_not_finite(self.program.control.ctypes.data, self.theta.ctypes.data) > 0

    # Copies.

    def _buffers(self) -> tuple[npt.NDArray[np.generic], ...]:
        """Everything that decides how it goes on."""
        program, block = self.program, self.block
        state = program.dtheta[program.plan.parameters.trained :]
        return block.integers, block.reals, block.best, program.clock, program.now, self.theta, state

    def _keep(self) -> None:
        """Copies everything into the older of the two moments, whose memory is used again."""
        buffers = self._buffers()
        if len(self.moments) < 2:
            self.moments.append(_Moment(self.step, tuple(buffer.copy() for buffer in buffers)))
            return
        older, newer = self.moments
        for copy, buffer in zip(older.buffers, buffers, strict=True):
            np.copyto(copy, buffer)
        self.moments = [newer, _Moment(self.step, older.buffers)]

    def _restore(self, moment: _Moment) -> None:
        for buffer, copy in zip(self._buffers(), moment.buffers, strict=True):
            buffer[...] = copy
        self.block.integers[PAUSES] = 0

    # Results.

    def _moments(self) -> dict[str, dict[str, Floats]]:
        """The optimiser's state: word → trained parameter → view."""
        layout, trainable = self.program.plan.parameters, self.settings.data.network.trainable
        return {
            word: layout.views(self.program.dtheta[(number + 1) * layout.trained :], trainable)
            for number, word in enumerate(self.settings.optimiser.word.state)
        }

    def parameters(self, *, best: bool = False) -> Mapping[str, Floats]:
        """Read-only copies by name: of the parameters as they are now, or of the best epoch's."""
        return read_only(self.program.plan.parameters.views(self.block.best if best else self.theta))

    def metrics(self) -> Mapping[str, Numbers]:
        """Name → (complete epochs,)."""
        complete = self.complete
        means = epoch_means(self.losses, self.batch_sizes, self.begun, complete)
        return MappingProxyType({LOSS: means} | {k: v[:complete].copy() for k, v in self.block.measured.items()})

    def progress(self) -> Progress:
        """How far it is."""
        done, steps, complete = self.step, len(self.batch_sizes), self.complete
        metrics: dict[str, float] = {}
        if complete:
            begun = self.begun if complete == 1 else 0
            last = self.losses[max((complete - 1) * steps - self.begun, 0) :]
            metrics = {LOSS: float(epoch_means(last, self.batch_sizes, begun, 1)[0])}
            metrics |= {name: float(values[complete - 1]) for name, values in self.block.measured.items()}
        return Progress(done, len(self.losses), complete, self.settings.epochs, MappingProxyType(metrics))

    def _best(self) -> Best | None:
        integers = self.block.integers
        if integers[BEST_EPOCH] < 0:
            return None
        loss = float(self.block.reals[BEST_LOSS])
        return Best(int(integers[BEST_EPOCH]), loss, self.parameters(best=True), int(integers[WAITED]))

    def state(self) -> State:
        """All that it would go on from."""
        return State(
            parameters=self.parameters(),
            moments=MappingProxyType({word: read_only(views) for word, views in self._moments().items()}),
            variant=self.settings.optimiser.variant,
            seed=self.settings.seed,
            step=self.first_step + self.step,
            epoch=self.epoch,
            batch=int(self.block.integers[BATCH]),
            best=self._best(),
        )

    def result(self) -> Training:
        """What it leaves."""
        losses = self.step
        if self.diverged is not None:
            epochs = self.diverged.epoch - int(self.block.integers[FIRST_EPOCH])
            losses = epochs * len(self.batch_sizes) + self.diverged.step + 1 - self.begun
        state = self.state()
        return Training(
            parameters=state.parameters if state.best is None else state.best.parameters,
            step_losses=self.losses[:losses].copy(),
            steps_per_epoch=len(self.batch_sizes),
            batch_sizes=self.batch_sizes,
            metrics=self.metrics(),
            state=state,
            diverged=self.diverged,
            best_epoch=None if state.best is None else state.best.epoch,
            stopped_early=self.stopped_early,
            threads=self.program.threads,
        )

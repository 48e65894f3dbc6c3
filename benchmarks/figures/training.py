"""One training step of ours beside the same step of everybody else's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.peers import peers
from benchmarks.tasks import NAMES
from benchmarks.timing import TimingError, time_steps
from gradproof.record import Figure

OURS: Final = "fastimpl"


def training_step(task: str, progress: Progress) -> Figure:
    """Microseconds for one step of gradient descent, peers interleaved on one core and one thread."""
    times = time_steps((task,), progress)[task]
    if OURS in times.refused:
        raise TimingError(f"{task}: no speed of a wrong result: {times.refused[OURS]}")
    others = {name: taken for name, taken in times.microseconds.items() if name != OURS}
    ours = times.microseconds[OURS]
    known = peers()
    notes = [f"{known[name].what}: {taken / ours:.1f} times ours" for name, taken in others.items()]
    notes += [f"{known[name].what}: not timed, its step is wrong ({why})" for name, why in times.refused.items()]
    notes += [f"BLAS: {', '.join(times.blas)}"]
    return figure(f"training_step.{task}", ours, "us", peers=others, note="; ".join(notes))


def _of(task: str) -> Measure:
    measure = partial(training_step, task)
    measure.__doc__ = f"One training step of {task}: gather, forward, backward and update; beside every installed peer."
    return measure


FIGURES: Final[Mapping[str, Measure]] = {f"training_step.{task}": _of(task) for task in NAMES}

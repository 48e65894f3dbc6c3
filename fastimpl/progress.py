"""How far a training is, for a person who watches: a bar on a terminal, lines elsewhere where they are asked for."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

QUIET_SECONDS: Final = 0.5
"""Trainings shorter than this draw nothing; the drawing library is not even loaded."""
FRAME_SECONDS: Final = 0.1
"""How often a terminal is drawn anew at most."""
LINE_SECONDS: Final = 2.0
"""How often a line is written at most."""


@dataclass(frozen=True)
class FitProgress:
    """How far ``Model.fit`` is.

    epoch, step: complete epochs and steps of this fit. epochs, steps: those asked for. metrics: name → number of the
    last complete epoch, ``loss`` among them, empty before the first is. elapsed, remaining: seconds, the second
    estimated from the first, as if every step took as long and early stopping saved none.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    metrics: Mapping[str, float]
    elapsed: float
    remaining: float

    def __str__(self) -> str:
        shown = [f"{name} {number:.4g}" for name, number in self.metrics.items()]
        return ", ".join([f"epoch {self.epoch} of {self.epochs}", *shown])


Watcher = Callable[[FitProgress], None]


@contextlib.contextmanager
def watched(progress: bool | None) -> Iterator[Watcher | None]:
    """Who is told how far a fit is; None where nobody is.

    progress: None draws a bar where standard error is a terminal; True writes lines where it is none; False neither.
    """
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if progress is False or sys.stderr is None or not (terminal or progress):
        yield None
    elif terminal:
        with contextlib.ExitStack() as stack:
            yield _Bar(stack)
    else:
        yield _lines()


class _Bar:
    """A bar that is drawn from where it is told, never by a thread, and stays when the fit is over."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._due = time.monotonic() + QUIET_SECONDS
        self._draw: Watcher | None = None

    def __call__(self, now: FitProgress) -> None:
        if self._draw is None and time.monotonic() >= self._due:
            self._draw = self._started()
        last = now.step == now.steps
        if self._draw is not None and (last or time.monotonic() >= self._due):
            self._draw(now)
            self._due = time.monotonic() + FRAME_SECONDS

    def _started(self) -> Watcher:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rest]}"))
        bar = self._stack.enter_context(Progress(*columns, console=Console(file=sys.stderr), auto_refresh=False))
        task = bar.add_task("", total=None, rest="")

        def draw(now: FitProgress) -> None:
            numbers = [f"{name} {number:.4g}" for name, number in now.metrics.items()]
            times = [f"{now.elapsed:.0f} s", *([f"{now.remaining:.0f} s left"] if now.step < now.steps else [])]
            words = f"epoch {now.epoch}/{now.epochs}"
            bar.update(task, description=words, completed=now.step, total=now.steps, rest="  ".join(times + numbers))
            bar.refresh()

        return draw


def _lines() -> Watcher:
    due = time.monotonic() + LINE_SECONDS

    def tell(now: FitProgress) -> None:
        nonlocal due
        if time.monotonic() >= due or now.step == now.steps:
            due = time.monotonic() + LINE_SECONDS
            print(f"{now}, {now.elapsed:.1f} s, {now.remaining:.1f} s left", file=sys.stderr, flush=True)

    return tell

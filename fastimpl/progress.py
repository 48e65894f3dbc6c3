"""How far a training is, for a person who watches: a bar on a terminal, lines elsewhere where they are asked for."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import Progress

QUIET_SECONDS: Final = 0.5
"""Trainings shorter than this draw nothing; the drawing library is not even loaded."""
FRAME_SECONDS: Final = 0.1
"""How often a terminal is drawn anew at most."""
SILENT_SECONDS: Final = 1.0
"""After so long without a word a bar says what takes so long."""
LINE_SECONDS: Final = 2.0
"""How often a line is written at most."""


@dataclass(frozen=True)
class FitProgress:
    """How far ``Model.fit`` is.

    epoch, step: complete epochs and steps of this fit. epochs, steps: those asked for. metrics: name → number of the
    last complete epoch, ``loss`` among them, empty before the first is. elapsed: seconds since it began, compiling
    included. remaining: seconds, as if every step took as long as those since the first report did and early stopping
    saved none; NaN at the first.
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
        bar = _Bar()
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield _lines()


class _Bar:
    """A bar that is drawn from where it is told, and stays when the fit is over.

    A first fit may compile for seconds before it tells anything: a timer then says so, and draws nothing else.
    """

    def __init__(self) -> None:
        self._due = time.monotonic() + QUIET_SECONDS
        self._bar: Progress | None = None
        self._over = False
        self._lock = threading.Lock()
        self._timer = threading.Timer(SILENT_SECONDS, self._say_why)
        self._timer.daemon = True
        self._timer.start()

    def __call__(self, now: FitProgress) -> None:
        self._timer.cancel()
        if time.monotonic() < self._due and (self._bar is None or now.step < now.steps):
            return
        numbers = [f"{name} {number:.4g}" for name, number in now.metrics.items()]
        left = [] if now.step == now.steps or math.isnan(now.remaining) else [f"{now.remaining:.0f} s left"]
        with self._lock:
            self._draw(
                f"epoch {now.epoch}/{now.epochs}",
                "  ".join([f"{now.elapsed:.0f} s", *left, *numbers]),
                now.step,
                now.steps,
            )
        self._due = time.monotonic() + FRAME_SECONDS

    def close(self) -> None:
        """Leaves the terminal as it was, the bar on it."""
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._bar is not None:
                self._bar.stop()

    def _say_why(self) -> None:
        with self._lock:
            if not self._over and self._bar is None:
                self._draw("starting", "what is needed for the first time is compiled, and kept", 0, None)

    def _draw(self, description: str, rest: str, done: int, total: int | None) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rest]}"))
            self._bar = Progress(*columns, console=Console(file=sys.stderr), auto_refresh=False)
            self._task = self._bar.add_task(description, total=total, rest=rest)
            self._bar.start()
        self._bar.update(self._task, description=description, rest=rest, completed=done, total=total)
        self._bar.refresh()


def _lines() -> Watcher:
    due = time.monotonic() + LINE_SECONDS

    def tell(now: FitProgress) -> None:
        nonlocal due
        if time.monotonic() >= due or now.step == now.steps:
            due = time.monotonic() + LINE_SECONDS
            left = "" if math.isnan(now.remaining) else f", {now.remaining:.1f} s left"
            print(f"{now}, {now.elapsed:.1f} s{left}", file=sys.stderr, flush=True)

    return tell

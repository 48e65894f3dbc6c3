"""How far a run is, on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from gradproof.verdict import Verdict

if TYPE_CHECKING:
    from verify.progress import Progress

QUIET_SECONDS = 2.0
"""Runs shorter than this say nothing on the way where nobody watches."""
LINE_SECONDS = 5.0
"""How often longer ones say how far they are."""
FRAME_SECONDS = 0.1
"""How often a terminal is drawn anew."""


@contextlib.contextmanager
def watched() -> Iterator[Callable[[Progress], None]]:
    """How far a run is, on standard error: drawn where a person watches, else a line now and then in long runs."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    # Drawn by us alone, from between two calls of the target: a thread would draw into what the target prints.
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counted]}"),
        TimeElapsedColumn(),
    )
    console = Console(file=sys.stderr)
    with Bar(
        *columns, console=console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task("loading", total=None, counted="")
        bar.refresh()
        drawn = 0.0

        def draw(progress: Progress) -> None:
            nonlocal drawn
            now = time.monotonic()
            if now - drawn >= FRAME_SECONDS or progress.stage != "checking" or progress.done == progress.total:
                drawn = now
                counted = _counted(progress)
                bar.update(
                    task, description=progress.stage, completed=progress.done, total=progress.total, counted=counted
                )
                bar.refresh()

        yield draw


class _Lines:
    """Progress for a log: nothing in a short run, a line now and then in a long one."""

    def __init__(self) -> None:
        self.due = time.monotonic() + QUIET_SECONDS

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + LINE_SECONDS
        things = "cases" if progress.stage == "checking" else "failures"
        counted = _counted(progress)
        click.echo(
            f"gradproof: {progress.stage}, {progress.done} of {progress.total} {things}"
            f"{', ' + counted if counted else ''}",
            err=True,
        )


def _counted(progress: Progress) -> str:
    """``2 wrong, 1 crashed``; nothing where all is correct so far."""
    return ", ".join(f"{n} {verdict}" for verdict, n in progress.counts.items() if n and verdict != Verdict.CORRECT)

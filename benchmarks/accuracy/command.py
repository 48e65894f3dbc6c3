"""``python -m benchmarks accuracy``."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Final

import click

from benchmarks.accuracy import exhaustive, sampled
from benchmarks.accuracy.functions import FUNCTIONS
from benchmarks.accuracy.record import AccuracyRecord
from benchmarks.figures.common import PACKAGES
from gradproof import __version__
from gradproof.record import encode, machine, now, write

EACH: Final = 40
"""Float64 numbers of each binade."""
EVERY: Final = 10.0
"""Seconds between two lines of progress."""


class _Progress:
    """A line to standard error, every ten seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.done = 0
        self.told = self.began = perf_counter()

    def advance(self) -> None:
        self.done += 1
        if perf_counter() - self.told >= EVERY:
            self.told = perf_counter()
            binades = f"{self.done} of {len(exhaustive.BINADES)} binades"
            click.echo(f"{self.name} float32: {binades}, {self.told - self.began:.0f} s", err=True)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", type=click.Choice(list(FUNCTIONS)))
@click.option("--list", "list_names", is_flag=True, help="Print the names of the functions.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write a record for each function into this folder.",
)
def accuracy(names: tuple[str, ...], list_names: bool, out: Path | None) -> None:
    """Measure how accurate fastimpl's functions are: every float32, and numbers of every binade of float64.

    The named functions, or all; about a minute each. Progress goes to standard error. The exit code is 1 where one is
    not as accurate as it has to be.
    """
    if list_names:
        click.echo("\n".join(FUNCTIONS))
        return
    missed = []
    for name in names or FUNCTIONS:
        single = exhaustive.measure(name, progress=_Progress(name).advance)
        double = sampled.measure(name, EACH)
        for measured in (single, double):
            click.echo(measured.line())
            if not measured.met:
                missed.append(f"{name} {measured.dtype}")
        if out is not None:
            command = f"python -m benchmarks accuracy {name} --out {out.as_posix()}"
            record = AccuracyRecord((single, double), command, now(), machine(PACKAGES), __version__)
            write(out / f"{name}.json", encode(record))
    if missed:
        raise click.ClickException(f"beyond their bounds: {', '.join(missed)}")

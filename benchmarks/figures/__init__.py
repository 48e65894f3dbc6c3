"""Every figure that the documentation quotes: one name, one function that measures it.

``FIGURES`` holds them all; a new one is a function in the file of its kind and a line in that file's table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.figures import (
    campaigns,
    certified,
    commands,
    compilation,
    differences,
    digits,
    dots,
    elementwise,
    isolation,
    kinks,
    memory,
    sensitivity,
    symbolic,
    throughput,
    training,
)
from benchmarks.figures.common import PACKAGES, Measure, Progress
from gradproof import __version__
from gradproof.errors import ArgumentError, GradproofError
from gradproof.record import Figure, FiguresRecord, machine, now

FIGURES: Final[Mapping[str, Measure]] = {
    **commands.FIGURES,
    **symbolic.FIGURES,
    **training.FIGURES,
    **throughput.FIGURES,
    **digits.FIGURES,
    **memory.FIGURES,
    **elementwise.FIGURES,
    **compilation.FIGURES,
    **certified.FIGURES,
    **differences.FIGURES,
    **dots.FIGURES,
    **sensitivity.FIGURES,
    **kinks.FIGURES,
    **campaigns.FIGURES,
    **isolation.FIGURES,
}


def measure(names: Sequence[str], progress: Progress) -> tuple[FiguresRecord, Mapping[str, GradproofError]]:
    """Measures the named figures, or all where none is named, one after the other; those of steps together.

    A name that figures begin with, up to a dot, stands for all of them: ``training_step``.
    Returns the record of those that could be measured, and why the others could not.
    Raises ArgumentError for a name that is no figure's, before anything is measured.
    """
    wanted = _expanded(names) if names else tuple(FIGURES)
    started = now()
    measured: dict[str, Figure] = {}
    failed: dict[str, GradproofError] = {}
    for name in wanted:
        if name in measured or name in failed:
            continue
        progress(name)
        if name in training.FIGURES:
            found, reasons = training.measure([each for each in wanted if each in training.FIGURES], progress)
            measured |= found
            failed |= reasons
            continue
        try:
            measured[name] = FIGURES[name](progress)
        except GradproofError as error:
            failed[name] = error
    figures = tuple(measured[name] for name in wanted if name in measured)
    return FiguresRecord(figures, started, machine(PACKAGES), __version__), failed


def _expanded(names: Sequence[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in names:
        meant = [each for each in FIGURES if each == name or each.startswith(f"{name}.")]
        if not meant:
            raise ArgumentError("name", f"a figure among {', '.join(FIGURES)}, or what several begin with", name)
        found |= dict.fromkeys(meant)
    return tuple(found)


def refuse_another_machine(record: FiguresRecord) -> None:
    """Raises ArgumentError unless a record is of this machine, with the Python and the packages that are here now.

    Times of others do not belong beside those that are measured here.
    """
    here = machine(PACKAGES)
    for what in ("system", "processor", "cores", "python"):
        old, new = getattr(record.machine, what), getattr(here, what)
        if old != new:
            raise ArgumentError("record", f"one of this machine, {what} {new}", old)
    for package, version in here.packages.items():
        old = record.machine.packages.get(package, version)
        if old != version:
            raise ArgumentError("record", f"one measured with {package} {version}", old)


def merged(before: FiguresRecord, after: FiguresRecord) -> FiguresRecord:
    """The first record with the figures of the second in place of its own, and those that are new behind them.

    What follows from other figures is worked out anew; the rest is the second's.
    """
    figures = {figure.name: figure for figure in (*before.figures, *after.figures)}
    return FiguresRecord(training.derived_again(tuple(figures.values())), after.started, after.machine, after.gradproof)


def described() -> dict[str, str]:
    """Figure → what it is, the first line of its function's docstring."""
    return {name: (function.__doc__ or "").strip().partition("\n")[0] for name, function in FIGURES.items()}

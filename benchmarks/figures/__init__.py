"""Every figure that the documentation quotes: one name, one function that measures it.

``FIGURES`` holds them all; a new one is a function in the file of its kind and a line in that file's table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.figures import campaigns, certified, commands, dots, isolation, kinks, sensitivity, symbolic, training
from benchmarks.figures.common import PACKAGES, Measure, Progress
from gradproof import __version__
from gradproof.errors import ArgumentError, GradproofError
from gradproof.record import Figure, FiguresRecord, machine, now

FIGURES: Final[Mapping[str, Measure]] = {
    **commands.FIGURES,
    **symbolic.FIGURES,
    **training.FIGURES,
    **certified.FIGURES,
    **dots.FIGURES,
    **sensitivity.FIGURES,
    **kinks.FIGURES,
    **campaigns.FIGURES,
    **isolation.FIGURES,
}


def measure(names: Sequence[str], progress: Progress) -> tuple[FiguresRecord, Mapping[str, GradproofError]]:
    """Measures the named figures, or all where none is named, one after the other.

    Returns the record of those that could be measured, and why the others could not.
    Raises ArgumentError for a name that is no figure's, before anything is measured.
    """
    for name in names:
        if name not in FIGURES:
            raise ArgumentError("name", f"a figure among {', '.join(FIGURES)}", name)
    started = now()
    measured: list[Figure] = []
    failed: dict[str, GradproofError] = {}
    for name in names or FIGURES:
        progress(name)
        try:
            measured.append(FIGURES[name](progress))
        except GradproofError as error:
            failed[name] = error
    return FiguresRecord(tuple(measured), started, machine(PACKAGES), __version__), failed


def described() -> dict[str, str]:
    """Figure → what it is, the first line of its function's docstring."""
    return {name: (function.__doc__ or "").strip().partition("\n")[0] for name, function in FIGURES.items()}

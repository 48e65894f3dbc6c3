"""How long the closed forms take."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from time import perf_counter
from typing import Final

from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.tasks import task
from gradproof.case import Case
from gradproof.record import Figure

RUNS: Final = 3


def _first_samples(case: Case, samples: int) -> Case:
    targets = case.targets
    return case.replace(inputs=case.inputs[:samples], targets=None if targets is None else targets[:samples])


def _closed_forms(samples: int, progress: Progress) -> float:
    from refimpl.symbolic import symbolic

    case = _first_samples(task("5-8-6-3.float64").case, samples)
    times: list[float] = []
    for run in range(RUNS):
        progress(f"closed forms of 5-8-6-3, batch {samples}, run {run + 1} of {RUNS}")
        start = perf_counter()
        symbolic(case)
        times.append(perf_counter() - start)
    return median(times)


def batch_1(progress: Progress) -> Figure:
    """Deriving every gradient of 5-8-6-3 symbolically, one sample."""
    return figure("symbolic.5-8-6-3.batch_1", _closed_forms(1, progress), "s", at_most=0.28)


def batch_4(progress: Progress) -> Figure:
    """Deriving every gradient of 5-8-6-3 symbolically, four samples."""
    return figure("symbolic.5-8-6-3.batch_4", _closed_forms(4, progress), "s", at_most=1.6)


FIGURES: Final[Mapping[str, Measure]] = {
    "symbolic.5-8-6-3.batch_1": batch_1,
    "symbolic.5-8-6-3.batch_4": batch_4,
}

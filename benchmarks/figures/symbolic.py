"""How long the closed forms take."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from statistics import median
from time import perf_counter
from typing import Final

from benchmarks.commands import run
from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.tasks import task
from gradproof.record import Figure

RUNS: Final = 5
NOTE: Final = f"median of {RUNS} new processes, imports not counted"


def batch_1(progress: Progress) -> Figure:
    """Deriving the straight-line program of loss and every gradient of 5-8-6-3, one sample."""
    return figure("symbolic.5-8-6-3.batch_1", _deriving(1, progress), "s", at_most=0.28, note=NOTE)


def batch_4(progress: Progress) -> Figure:
    """Deriving the straight-line program of loss and every gradient of 5-8-6-3, four samples."""
    return figure("symbolic.5-8-6-3.batch_4", _deriving(4, progress), "s", at_most=1.6, note=NOTE)


def _deriving(samples: int, progress: Progress) -> float:
    """Seconds; each run in a process of its own, since SymPy keeps what it has once worked out."""
    progress(f"deriving 5-8-6-3, batch {samples}, {RUNS} times")
    command = [sys.executable, "-m", "benchmarks.figures.symbolic", str(samples)]
    return median(float(run(command)[1]) for _ in range(RUNS))


def _derive(samples: int) -> float:
    from refimpl.symbolic import symbolic

    network = task("5-8-6-3.sigmoid_sgd.float64").case.network
    start = perf_counter()
    symbolic(network, samples)
    return perf_counter() - start


FIGURES: Final[Mapping[str, Measure]] = {
    "symbolic.5-8-6-3.batch_1": batch_1,
    "symbolic.5-8-6-3.batch_4": batch_4,
}

if __name__ == "__main__":
    print(_derive(int(sys.argv[1])))

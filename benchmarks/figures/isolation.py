"""What it costs to call a target in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.commands import CHECKOUT, require_checkout
from benchmarks.figures.common import Measure, Progress, figure
from gradproof.case import Case
from gradproof.record import Figure
from gradproof.target import Supports
from verify.calling import Answer, call
from verify.isolation.isolated import Apart, isolated
from verify.isolation.process import Limits
from verify.loading import Implementation, load
from verify.strategies import cases
from verify.subjects.networks import SUBJECT

TARGET: Final = str(CHECKOUT / "examples" / "numpy_network.py") + ":adapter"
CASES: Final = 300
STARTS: Final = 10


def isolation_per_case(progress: Progress) -> Figure:
    """What isolation adds to a call of the NumPy example, the median over 300 cases, each called in both ways."""
    require_checkout()
    here = load(TARGET)
    drawn = _drawn(here)
    differences, plain = [], []
    with isolated(TARGET) as apart:
        for implementation in (here, apart):  # the first call of each warms it up
            _seconds(implementation, drawn[0])
        for number, case in enumerate(drawn):
            if number % 50 == 0:
                progress(f"{number} of {len(drawn)} cases")
            first, second = (here, apart) if number % 2 else (apart, here)
            times = {id(i): _seconds(i, case) for i in (first, second)}
            plain.append(times[id(here)])
            differences.append(times[id(apart)] - times[id(here)])
    note = (
        f"the call itself takes {1000 * median(plain):.2f} ms; the slowest of all adds {1000 * max(differences):.1f} ms"
    )
    return figure("isolation_per_case", 1000 * median(differences), "ms", at_most=2, note=note)


def isolation_restart(progress: Progress) -> Figure:
    """How long until a target is called again after its process has ended, the median of ten."""
    require_checkout()
    case = _drawn(load(TARGET))[0]
    times = []
    with Apart(TARGET, Limits()) as apart:
        apart.call(SUBJECT, case)
        for _ in range(STARTS):
            apart.renew()
            started = time.perf_counter()
            apart.call(SUBJECT, case)
            times.append(time.perf_counter() - started)
    return figure("isolation_restart", 1000 * median(times), "ms")


def _drawn(implementation: Implementation) -> list[Case]:
    supports = implementation.supports
    assert isinstance(supports, Supports)
    drawn: list[Case] = []

    @seed(0)
    @settings(
        max_examples=CASES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(supports))
    def draw(case: Case) -> None:
        drawn.append(case)

    draw()
    return drawn


def _seconds(implementation: Implementation, case: Case) -> float:
    started = time.perf_counter()
    answer = call(SUBJECT, implementation, case)
    seconds = time.perf_counter() - started
    assert isinstance(answer, Answer), answer
    return seconds


FIGURES: Final[Mapping[str, Measure]] = {
    "isolation_per_case": isolation_per_case,
    "isolation_restart": isolation_restart,
}

"""The campaigns in short: some of their cases, those that the whole campaign begins with.

``python -m benchmarks campaign`` runs the whole of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.campaigns import accusations as accusing
from benchmarks.campaigns import inclusion as including
from benchmarks.campaigns.running import run
from benchmarks.figures.common import Measure, Progress, figure
from gradproof.record import Figure
from gradproof.verdict import Verdict

CASES: Final = 600
SEED: Final = 0


def accusations(progress: Progress) -> Figure:
    """Answers of correct implementations that are called wrong, of those to 600 random cases of depth 1 to 12."""
    found, _ = run(accusing.WORK, CASES, SEED, None, lambda done, found, seconds: progress(accusing.line(found)))
    accused = found.count(Verdict.INACCURATE) + found.count(Verdict.ORACLE_CONFLICT) + found.count(accusing.FAILED)
    rows = [row for row in accusing.summary(found).rows if not row.depth]
    shown = [
        f"{row.dtype}: error over rigorous (typical) allowance {row.rigorous.median:.2g} ({row.typical.median:.2g}) in "
        f"the median, {row.rigorous.percentile_99:.2g} ({row.typical.percentile_99:.2g}) at 99 %, at most "
        f"{row.rigorous.largest:.2g} ({row.typical.largest:.2g})"
        for row in rows
    ]
    return figure(
        "campaign.accusations",
        found.count(Verdict.WRONG),
        "answers",
        at_most=0,
        provided=accused == 0,
        note=f"{accusing.line(found)}; {'; '.join(shown)}; the whole: python -m benchmarks campaign accusations",
    )


def inclusion(progress: Progress) -> Figure:
    """Numbers of a second source, at hundreds of digits, that lie outside their enclosure, over 600 random cases."""
    found, _ = run(including.WORK, CASES, SEED, None, lambda done, found, seconds: progress(including.line(found)))
    return figure(
        "campaign.inclusion",
        found.misses,
        "numbers",
        at_most=0,
        note=f"{including.line(found)}; the whole: python -m benchmarks campaign inclusion",
    )


FIGURES: Final[Mapping[str, Measure]] = {"campaign.accusations": accusations, "campaign.inclusion": inclusion}

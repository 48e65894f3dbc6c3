"""Verdicts on a handful of cases of what a target declares: no shrinking, no naming."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from gradproof import Case, Supports, Verdict
from verify import drawing
from verify.loading import Implementation, adopt
from verify.strategies import cases
from verify.subjects.base import Assessment, assess
from verify.subjects.networks import SUBJECT


def assessments(target: Implementation | Callable[[Case], Any], count: int) -> list[tuple[Case, Assessment]]:
    implementation = target if isinstance(target, Implementation) else adopt(target)
    assert isinstance(implementation.supports, Supports)
    drawn: list[Case] = []
    drawing.survey(cases(implementation.supports), 0, count, drawn.append)
    return [(case, assess(SUBJECT, implementation, case)) for case in drawn]


def verdicts(target: Implementation | Callable[[Case], Any], count: int = 20) -> Counter[Verdict]:
    return Counter(assessment.verdict.verdict for _, assessment in assessments(target, count))

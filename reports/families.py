"""A check as tests that passed or failed, one for each family of cases: what test reports and gradebooks want."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gradproof.record import CheckRecord, Failure, FamilyResult
from gradproof.verdict import Verdict, overall
from reports.plain import failure_text
from reports.text import line
from reports.view import MEANINGS, counts_text

Outcome = Literal["passed", "failed", "broken", "known", "not run"]

ALL = "all"

BROKEN = (Verdict.CRASHED, Verdict.TIMED_OUT, Verdict.BROKE_PROTOCOL, Verdict.ORACLE_CONFLICT)
"""Verdicts without an answer to be right or wrong."""


@dataclass(frozen=True)
class FamilyTest:
    """One family of a target's cases."""

    name: str
    outcome: Outcome
    verdict: str
    message: str
    """One line."""
    text: str
    """The failures in full; empty where there are none."""


def family_tests(record: CheckRecord, width: int) -> Iterator[FamilyTest]:
    """The families of a record, each with the failures that were shown of it; what belongs to none, under ``all``.

    Raises RecordError or ArgumentError where a case in the record is damaged.
    """
    results = dict(record.families)
    others = [failure for failure in record.failures if not failure.families]
    if others or not results:
        verdict = overall(failure.verdict for failure in others) if results else record.verdict
        results[ALL] = FamilyResult(verdict, record.cases, record.counts)
    for name, result in results.items():
        shown = others if name == ALL else [failure for failure in record.failures if name in failure.families]
        yield FamilyTest(
            name=line(name),
            outcome=_outcome(result),
            verdict="nothing ran" if result.verdict is None else str(result.verdict),
            message=_message(result, shown),
            text="\n\n".join(failure_text(failure, width) for failure in shown),
        )


def _outcome(result: FamilyResult) -> Outcome:
    if result.verdict is None:
        return "not run"
    if result.verdict is Verdict.CORRECT:
        return "passed"
    if result.known is not None:
        return "known"
    return "broken" if result.verdict in BROKEN else "failed"


def _message(result: FamilyResult, shown: list[Failure]) -> str:
    if result.verdict is None:
        return "no case of this family was drawn"
    counted = counts_text(result.cases, result.counts)
    if result.known is not None:
        return f"{line(result.known)}; {counted}"
    said = line(shown[0].summary) if shown else MEANINGS[result.verdict]
    return counted if result.verdict is Verdict.CORRECT else f"{said} ({counted})"

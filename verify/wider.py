"""The target's own float64 run decides about its formula, where float32 alone tells little.

A case's float32 numbers are exact in float64. Where the float32 answer is undecided, or careful arithmetic at float32
may be off by more than half of the digits, which could hide a mistake, the target is asked about the same numbers in
float64, if it computes in it. What is proved wrong there is a mistake in the formula, and the float32 answer is wrong
with it where it is nearer to that than to the exact number; unless all numbers are float32's there too, for what
computes in float32 whatever it is given rounds no less. Where the float64 run is right, so is the formula: what the
float32 answer is off by is lost digits, and it is inaccurate at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec
import numpy as np

from gradproof.arrays import Array
from gradproof.case import Case
from gradproof.gradients import Gradients
from gradproof.target import Supports
from gradproof.verdict import CaseVerdict, Finding, Verdict
from verify.calling import NoAnswer
from verify.isolation.purity import Recorder
from verify.judge import Judgement, Oracle, examine
from verify.loading import Implementation
from verify.subjects.base import Subject

WIDER: Final = "float64"


def reconsidered(
    subject: Subject[Case, Any],
    implementation: Implementation,
    case: Case,
    answer: Mapping[str, Array],
    judgement: Judgement,
    oracle: Oracle | None,
) -> Judgement:
    """The judgement of an answer once its float64 run was heard; itself where that tells nothing."""
    undecided = judgement.verdict.verdict is Verdict.UNDECIDED
    open_still = undecided or (judgement.loose and judgement.verdict.verdict in (Verdict.CORRECT, Verdict.INACCURATE))
    supports = implementation.supports
    assert isinstance(supports, Supports)
    if case.dtype == WIDER or WIDER not in supports.dtypes or not open_still:
        return judgement
    wide = subject.call(_unrecorded(implementation), case.replace(dtype=WIDER))
    if isinstance(wide, NoAnswer) or not answer.keys() <= wide.quantities.keys():
        return judgement
    heard = subject.examine(case.replace(dtype=WIDER), wide.quantities, oracle)
    match heard.verdict.verdict:
        case Verdict.WRONG:
            wrong = [f for f in heard.verdict.findings if f.verdict is Verdict.WRONG and _alike(f, answer)]
            if wrong and not _rounded(wide.quantities, case):
                findings = tuple(map(_said_of_float32, wrong))
                return replace(
                    judgement, verdict=CaseVerdict(case.id, Verdict.WRONG, findings), cause=heard.cause, explained=()
                )
        case Verdict.CORRECT | Verdict.INACCURATE if undecided:
            return examine(case, Gradients.of(answer), oracle, formula_right=True)
    return judgement


def _unrecorded(implementation: Implementation) -> Implementation:
    """The implementation without what keeps its answers to the survey: this case is none of it."""
    elsewhere = implementation.elsewhere
    return elsewhere.implementation if isinstance(elsewhere, Recorder) else implementation


def _rounded(wide: Mapping[str, Array], case: Case) -> bool:
    """Whether all numbers of a float64 run are of float32: what computes so whatever it is given rounds no less."""
    with np.errstate(over="ignore"):
        return all(np.array_equal(array, array.astype(case.dtype), equal_nan=True) for array in wide.values())


def _alike(finding: Finding, answer: Mapping[str, Array]) -> bool:
    """Whether the float32 answer is nearer to the float64 one than to the exact number."""
    if finding.got is None or finding.exact is None or finding.exact.startswith("["):
        return False
    narrow, wide, exact = float(answer[finding.quantity][finding.index]), float(finding.got), float(finding.exact)
    return abs(narrow - wide) < abs(narrow - exact)


def _said_of_float32(finding: Finding) -> Finding:
    message = f"{finding.message}; in float64 on the same numbers, where float32 rounds too much to tell"
    return msgspec.structs.replace(finding, message=message)

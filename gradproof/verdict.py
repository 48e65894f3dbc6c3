"""What is found about an answer, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """What is proved about an answer. The order is that of precedence: a run's verdict is its first one here."""

    WRONG = "wrong"
    """Proved: outside every value that careful arithmetic could give."""
    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    BROKE_PROTOCOL = "broke protocol"
    """What came back is no answer: other names, shapes or dtypes than asked for, or the case was changed."""
    ORACLE_CONFLICT = "oracle conflict"
    """gradproof's own sources of truth disagree: our fault, never the user's."""
    UNDECIDED = "undecided"
    """The bound on careful arithmetic says nothing here."""
    INACCURATE = "inaccurate"
    """The right formula, with more digits lost than careful arithmetic loses."""
    CORRECT = "correct"


PRECEDENCE = tuple(Verdict)

EXIT_CODES = {
    Verdict.CORRECT: 0,
    Verdict.WRONG: 1,
    Verdict.CRASHED: 3,
    Verdict.TIMED_OUT: 3,
    Verdict.BROKE_PROTOCOL: 3,
    Verdict.INACCURATE: 4,
    Verdict.UNDECIDED: 6,
    Verdict.ORACLE_CONFLICT: 6,
}
EXIT_USAGE = 2
EXIT_NOTHING_RAN = 5


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The first of these verdicts in the order of precedence; correct where there are none."""
    return min(verdicts, key=PRECEDENCE.index, default=Verdict.CORRECT)


class Finding(msgspec.Struct, frozen=True):
    """What was seen of one quantity: its worst entry, or why there is none to compare.

    Numbers are decimal text, since JSON has neither NaN nor thirty digits.
    """

    verdict: Verdict
    quantity: str
    """``loss``, ``outputs``, ``inputs`` (the gradient for the inputs), a parameter's name, or ``target``."""
    message: str
    layer: str | None = None
    """The layer in words, ``layer 0: dense 2``, where the quantity is a parameter's gradient."""
    index: tuple[int, ...] = ()
    got: str | None = None
    exact: str | None = None
    """The exact number; at a kink the interval of all admissible ones."""
    error: str | None = None
    """|got − exact|, rounded."""
    allowed: str | None = None
    """What careful arithmetic may be off by, on this entry of this case."""
    entries: int = 0
    """Number of entries of this quantity."""
    bad: int = 0
    """How many of them share the verdict."""


class CaseVerdict(msgspec.Struct, frozen=True):
    """The verdict on an implementation's answer for one case: the first in precedence of its findings'."""

    case_id: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    """All that is not correct, in the order of the computation's quantities."""

"""Gradients as an assertion, for somebody's own tests under whatever runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradproof.rooms import ours
from gradproof.verdict import Verdict

if TYPE_CHECKING:
    from gradproof.record import CheckRecord

SCREEN_WIDTH = 100
"""Characters in a line of a failure's text."""


class GradientsNotCorrect(AssertionError):  # noqa: N818
    """A target's gradients are not proved correct. Its text is the screen of ``gradproof check``."""

    def __init__(self, record: CheckRecord, text: str) -> None:
        self.record = record
        super().__init__(text)


GradientsNotCorrect.__module__ = "gradproof"  # where users find it, and what test runners print before its text


def assert_correct(target: str | Callable[..., Any], *, profile: str = "smoke", seed: int = 0) -> CheckRecord:
    """Asserts that a target's gradients are correct on random cases of all that it supports; gives the record.

    Each failing case is kept below ``.gradproof`` in the current folder, so that the command in the text replays it.
    A project's own modules called ``verify`` or ``reports`` are in nobody's way.

    Arguments:
        target: as ``gradproof.check`` takes it: the decorated object itself, or a text that names it.
        profile: ``smoke``, ``default`` or ``thorough``: 60, 500 or 5000 cases.
        seed: decides which cases are drawn.

    Raises GradientsNotCorrect, an AssertionError, unless every case is correct; what ``gradproof.check`` raises on bad
    input.
    """
    __tracebackhide__ = True
    with ours():
        from verify.campaign import check

        record = check(target, profile=profile, seed=seed)
        error = refuted(record)
    if error is not None:
        raise error
    return record


def refuted(record: CheckRecord) -> GradientsNotCorrect | None:
    """The error that says what a record found, its failing cases kept; None where all is correct."""
    if record.verdict is Verdict.CORRECT:
        return None
    from reports.plain import check_text
    from verify.keeping import keep_cases

    kept = keep_cases(record)
    return GradientsNotCorrect(kept, check_text(kept, SCREEN_WIDTH))

"""Annotations of GitHub Actions: each failure beside the line of the source where the target is defined."""

from __future__ import annotations

from pathlib import Path

from gradproof.places import definition
from gradproof.record import CheckRecord, Failure
from gradproof.verdict import Verdict
from reports.plain import headline
from reports.view import failure_view

DOUBTFUL = (Verdict.INACCURATE, Verdict.UNDECIDED)


def github(record: CheckRecord) -> str:
    """A workflow command for each failure, or one notice where there is none.

    Errors for what is wrong or no answer, warnings for what is inaccurate or undecided, notices for what is known.
    Raises RecordError or ArgumentError where a case in the record is damaged.
    """
    known = {family for family, result in record.families.items() if result.known is not None}
    place = _place(record.target)
    if not record.failures:
        return _command("notice", place, f"gradproof: {record.verdict or 'nothing ran'}", headline(record))
    return "".join(_annotation(failure, known, place) for failure in record.failures)


def _annotation(failure: Failure, known: set[str], place: dict[str, str]) -> str:
    view = failure_view(failure, known)
    level = "warning" if failure.verdict in DOUBTFUL else "error"
    if failure.families and known.issuperset(failure.families):
        level = "notice"
    causes = [text for cause in view.causes for text in (cause.words, cause.mend) if text]
    message = "\n".join((view.summary, *causes, view.alike.removesuffix("; the smallest one found:"), view.replay))
    return _command(level, place, f"gradproof: {failure.verdict}", message)


def _place(target: str) -> dict[str, str]:
    place = definition(target)
    if place is None:
        return {}
    here = Path.cwd()
    file = place.file.relative_to(here) if place.file.is_relative_to(here) else place.file
    return {"file": file.as_posix(), "line": str(place.line)}


def _command(level: str, place: dict[str, str], title: str, message: str) -> str:
    """One workflow command; characters that end a value or start another command are escaped as the runner wants."""
    values = ",".join(f"{key}={_property(value)}" for key, value in {**place, "title": title}.items())
    return f"::{level} {values}::{_data(message)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

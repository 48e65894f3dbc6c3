"""Failures that are known: a file in TOML that names families of cases, each with the reason why they fail.

::

    [[known_failures]]
    id = "*-float32"                          # families, as gradproof check and pytest name them; * stands for any text
    reason = "the softmax is not shifted, #12 mends it"
    issue = "https://example.org/issues/12"   # may be left out
    target = "net.py:*"                       # may be left out: then every target that the file is used for
    verdict = "inaccurate"                    # may be left out: then any verdict but correct

An entry promises that every family that it matches fails. One that matches nothing, or a family that passes, is stale:
an error, so that the file never says more than is true.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from gradproof.checks import meant
from gradproof.errors import ArgumentError
from gradproof.record import CheckRecord
from gradproof.verdict import EXIT_CODES, PRECEDENCE, Verdict, overall

KNOWN_FAILURES_FILE = Path("gradproof.toml")
"""The file that is used where none is named and this one is there."""

TABLE = "known_failures"


class KnownFailure(msgspec.Struct, frozen=True):
    """One entry."""

    id: str
    """A pattern of families' ids: ``*`` stands for any text, ``?`` for any character."""
    reason: str
    issue: str | None = None
    target: str = "*"
    """A pattern of targets."""
    verdict: Verdict | None = None
    """The verdict that is known; None for any but correct."""

    def concerns(self, target: str) -> bool:
        """Whether this is an entry for a target of this name."""
        return _fits(target, self.target)

    def matches(self, family: str) -> bool:
        """Whether it names this family."""
        return _fits(family, self.id)

    def excuses(self, verdict: Verdict | None) -> bool:
        """Whether a family with this verdict fails as is known; one of which nothing ran does neither."""
        return verdict not in (None, Verdict.CORRECT) and self.verdict in (None, verdict)

    def words(self) -> str:
        """The reason, and the issue where there is one."""
        return f"{self.reason} ({self.issue})" if self.issue else self.reason


class KnownFailures(msgspec.Struct, frozen=True):
    """The entries of a file, in its order."""

    entries: tuple[KnownFailure, ...] = ()
    file: str = ""

    def entry_for(self, target: str, family: str) -> KnownFailure | None:
        """The first entry for this target that names this family."""
        return next((entry for entry in self.entries if entry.concerns(target) and entry.matches(family)), None)

    def stale(self, verdicts: Mapping[str, Mapping[str, Verdict | None]]) -> list[str]:
        """What is wrong with the file, one line an entry, after ``verdicts``: target → family → verdict."""
        passing = [
            f"{self.file}: the entry {entry.id!r} of {TABLE} matches {family!r} of {target}, which passes: "
            "narrow its id, or remove it"
            for target, families in verdicts.items()
            for family, verdict in families.items()
            if verdict is Verdict.CORRECT and (entry := self.entry_for(target, family)) is not None
        ]
        return [*self.unmatched({target: tuple(families) for target, families in verdicts.items()}).values(), *passing]

    def unmatched(self, families: Mapping[str, Iterable[str]]) -> dict[str, str]:
        """The entries for these targets (target → its families) that match none of them: id → what to do."""
        messages = {}
        for entry in self.entries:
            there = [family for target, ids in families.items() if entry.concerns(target) for family in ids]
            if there and not any(map(entry.matches, there)):
                close = get_close_matches(entry.id, there, n=1, cutoff=0.0)[0]
                messages[entry.id] = (
                    f"{self.file}: the entry {entry.id!r} of {TABLE} matches none of {len(there)} families, "
                    f"of which {close!r} is the closest: mend its id, or remove it"
                )
        return messages


def settled(record: CheckRecord, known: KnownFailures) -> tuple[CheckRecord, list[str]]:
    """A record in which families that fail as is known say so, with the exit code of what is left; and what is stale.

    The verdict stays what it is: known failures are failures.
    """
    entries = {family: known.entry_for(record.target, family) for family in record.families}
    families = {
        family: replace(result, known=entry.words())
        if (entry := entries[family]) is not None and entry.excuses(result.verdict)
        else result
        for family, result in record.families.items()
    }
    verdicts = {family: result.verdict for family, result in families.items()}
    if any(result.known for result in families.values()):
        outside = (failure.verdict for failure in record.failures if not failure.families)
        rest = (v for family, v in verdicts.items() if v is not None and families[family].known is None)
        left = overall((*outside, *rest))
        record = replace(record, families=families, exit_code=EXIT_CODES[left])
    return record, known.stale({record.target: verdicts})


def read_known_failures(file: Path | str) -> KnownFailures:
    """The known failures that a file names. Raises ArgumentError, with the key and what is known, where it is amiss."""
    try:
        data = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(str(file), "a file of known failures", error.strerror or str(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(str(file), "TOML", str(error)) from None
    _refuse_unknown(str(file), data, (TABLE,))
    listed = data.get(TABLE, [])
    if not isinstance(listed, list):
        raise ArgumentError(f"{file}: {TABLE}", f"tables, each under [[{TABLE}]]", type(listed).__name__)
    return KnownFailures(tuple(_entry(f"{file}: {TABLE}[{n}]", entry) for n, entry in enumerate(listed)), str(file))


def _fits(text: str, pattern: str) -> bool:
    """Whether a text fits a pattern in which ``*`` and ``?`` alone mean something: ids have brackets in them."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _entry(where: str, entry: Any) -> KnownFailure:
    if not isinstance(entry, dict):
        raise ArgumentError(where, "a table with id and reason", entry)
    _refuse_unknown(where, entry, KnownFailure.__struct_fields__)
    for key in ("id", "reason"):
        if key not in entry:
            raise ArgumentError(f"{where}.{key}", "a text; every entry has an id and a reason", "none")
    for key, value in entry.items():
        if not isinstance(value, str) or not value.strip():
            raise ArgumentError(f"{where}.{key}", "a text", value)
    verdict = entry.get("verdict")
    failing = [str(verdict) for verdict in PRECEDENCE if verdict is not Verdict.CORRECT]
    if verdict is not None and verdict not in failing:
        raise ArgumentError(f"{where}.verdict", " or ".join(failing), verdict)
    return KnownFailure(**{**entry, "verdict": None if verdict is None else Verdict(verdict)})


def _refuse_unknown(where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    names = tuple(known)
    for key in table:
        if key not in names:
            got = f"the key {key!r}{meant(key, names)}"
            raise ArgumentError(where, f"the keys {', '.join(names)} and no other", got)

"""Conformance runs: a collector for each target, and a test item for each family of cases that it supports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gradproof.asserting import GradientsNotCorrect, refuted
from gradproof.errors import GradproofError
from gradproof.known import KnownFailures, read_known_failures
from gradproof.places import definition
from gradproof.pytest_plugin import PREFIX, known_failures_file
from gradproof.rooms import ours

if TYPE_CHECKING:
    from gradproof.record import CheckRecord
    from verify.loading import Implementation


def collectors(session: pytest.Session, targets: Sequence[str]) -> list[pytest.Collector]:
    """A collector for each target, and one for the file of known failures where there is one.

    targets: ``path.py:name`` or ``package.module:name``, ``::family`` behind it where only one family is asked for.
    """
    file = known_failures_file(session.config)
    try:
        known = KnownFailures() if file is None else read_known_failures(file)
    except GradproofError as error:
        raise pytest.UsageError(str(error)) from None
    asked: dict[str, list[str]] = {}
    for text in dict.fromkeys(targets):
        target, _, family = text.partition("::")
        asked.setdefault(target, []).append(family)
    nodes: list[Any] = [
        TargetNode.from_parent(
            session,
            name=target,
            nodeid=f"{PREFIX}{target}",
            only=() if "" in families else tuple(families),
            known=known,
        )
        for target, families in asked.items()
    ]
    if known.entries:
        node = KnownFailuresNode.from_parent(
            session, name=known.file, nodeid=f"{PREFIX}{Path(known.file).name}", targets=tuple(nodes), known=known
        )
        nodes.append(node)
    return nodes


class TargetNode(pytest.Collector):
    """A target, with an item for each of its families."""

    def __init__(self, *, only: tuple[str, ...], known: KnownFailures, **node: Any) -> None:
        super().__init__(**node)
        self.only = only
        self.known = known
        self.families: tuple[str, ...] = ()
        """Ids of all its families, once it is collected."""
        self.implementation: Implementation | None = None

    @property
    def text(self) -> str:
        """The target as it is loaded: a file that is not in the current folder is looked for in the root folder."""
        place, _, name = self.name.rpartition(":")
        below = self.config.rootpath / place
        elsewhere = place.endswith(".py") and not Path(place).is_file() and below.is_file()
        return f"{below}:{name}" if elsewhere else self.name

    def collect(self) -> Iterable[pytest.Item]:
        """The items. A target that cannot be had, and a family that it has not, are errors of collection."""
        try:
            with ours():
                from verify.campaign import families
                from verify.loading import load

                self.implementation = load(self.text)
                self.families = families(self.implementation)
        except GradproofError as error:
            raise self.CollectError(str(error)) from None
        unknown = [family for family in self.only if family not in self.families]
        if unknown:
            raise self.CollectError(f"{self.name} has no family {unknown[0]!r}; it has {', '.join(self.families)}")
        return [
            FamilyItem.from_parent(self, name=family)
            for family in self.families
            if not self.only or family in self.only
        ]


class FamilyItem(pytest.Item):
    """One family of a target's cases."""

    parent: TargetNode

    def runtest(self) -> None:
        """Checks the family. Raises GradientsNotCorrect unless all is correct, or fails as is known."""
        with ours():
            record = self._record()
            error = refuted(record)
        self.user_properties.append(("verdict", str(record.verdict)))
        self.user_properties.append(("cases", record.cases))
        known = self.parent.known.entry_for(self.parent.name, self.name)
        if record.verdict is None:
            pytest.skip("no case of this family could be drawn")
        elif error is None and known is not None:
            stale = self.parent.known.stale({self.parent.name: {self.name: record.verdict}})
            pytest.fail(f"a known failure passes\n{stale[0]}", pytrace=False)
        elif error is not None and known is not None and known.excuses(record.verdict):
            pytest.xfail(known.words())
        elif error is not None:
            raise error

    def _record(self) -> CheckRecord:
        from verify.campaign import check_family

        options, implementation = self.config.option, self.parent.implementation
        assert implementation is not None  # collected
        return check_family(implementation, self.name, profile=options.gradproof_profile, seed=options.gradproof_seed)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The screen alone: how gradproof got there is of no use to anybody."""
        if isinstance(excinfo.value, GradientsNotCorrect):
            return str(excinfo.value)
        if isinstance(excinfo.value, GradproofError):
            return f"{type(excinfo.value).__name__}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the target is defined."""
        place = definition(self.parent.text)
        title = f"{self.parent.name} {self.name}"
        return (self.config.rootpath, None, title) if place is None else (place.file, place.line - 1, title)


class KnownFailuresNode(pytest.Collector):
    """The file of known failures, with an item for each entry that matches nothing. Collected after the targets."""

    def __init__(self, *, targets: tuple[TargetNode, ...], known: KnownFailures, **node: Any) -> None:
        super().__init__(**node)
        self.targets = targets
        self.known = known

    def collect(self) -> Iterable[pytest.Item]:
        """The items; none where a target could not be collected, or where every entry matches something."""
        if not all(target.families for target in self.targets):
            return []
        unmatched = self.known.unmatched({target.name: target.families for target in self.targets})
        return [StaleEntry.from_parent(self, name=name, message=message) for name, message in unmatched.items()]


class StaleEntry(pytest.Item):
    """An entry of the file of known failures that matches nothing: it fails."""

    def __init__(self, *, message: str, **node: Any) -> None:
        super().__init__(**node)
        self.message = message

    def runtest(self) -> None:
        """Says which entry, and what to do."""
        pytest.fail(self.message, pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The file itself."""
        return Path(self.parent.known.file), None, self.nodeid  # type: ignore[union-attr]

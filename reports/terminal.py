"""What a person sees on a terminal after ``gradproof check`` and ``gradproof replay``.

Colour only repeats what words and signs say: the screens read the same in a log file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gradproof.cases import AnyCase
from gradproof.record import Cause, CheckRecord, Failure
from gradproof.verdict import Finding, Verdict, overall
from reports.numbers import Digits
from reports.text import encodable, line
from reports.view import (
    MEANINGS,
    CauseView,
    CheckView,
    FailureView,
    FindingView,
    case_facts,
    case_numbers,
    cause_view,
    check_view,
    failure_view,
    finding_view,
    machine_facts,
    messages,
)

INDENT = 2
LEAST_WIDTH = 20
"""Lines are not broken into shorter ones than this, however narrow the terminal."""

NUMBER_COLUMN = 30
"""Characters that a number of 20 digits with sign, point and exponent needs at most."""

COLOURS: Final = MappingProxyType(
    {
        Verdict.CORRECT: "green",
        Verdict.WRONG: "red",
        Verdict.CRASHED: "red",
        Verdict.TIMED_OUT: "red",
        Verdict.BROKE_PROTOCOL: "red",
        Verdict.ORACLE_CONFLICT: "magenta",
        Verdict.UNDECIDED: "yellow",
        Verdict.INACCURATE: "yellow",
    }
)


def render_check(record: CheckRecord, console: Console) -> None:
    """Prints a check: its verdict and what was done; each failure with its numbers and the command that replays it.

    Raises RecordError or ArgumentError, before anything is printed, where a case in the record is damaged.
    """
    view = check_view(record)
    screen = _Screen(console)
    screen.blank()
    _head(screen, view)
    for number, failure in enumerate(view.failures, start=1):
        screen.rule(f"failure {number} of {len(view.failures)}: {failure.verdict}, case {failure.case_id}")
        _failure(screen, failure, view.verdict)
    if view.failures:
        screen.rule("")
        screen.line(f"{view.word}: {view.target}; {view.counted}", style="bold")
    screen.line(_facts(record), style="dim")
    screen.blank()


def render_failure(failure: Failure, console: Console) -> None:
    """Prints one failure of a check. Raises RecordError or ArgumentError, before that, where its case is damaged."""
    view = failure_view(failure)
    _failure(_Screen(console), view, None)


def render_case(
    case: AnyCase,
    findings: Sequence[Finding],
    console: Console,
    target: str | None = None,
    causes: Sequence[Cause] = (),
) -> None:
    """Prints the verdict on one case (correct where nothing was found), what was found, and all the case's numbers.

    causes: what a check found to explain the answer, where one did.
    """
    screen = _Screen(console)
    screen.blank()
    views = tuple(map(finding_view, findings))
    verdict = overall(finding.verdict for finding in findings)
    screen.verdict(verdict, str(verdict), line(target) if target else f"case {case.id}")
    screen.blank()
    screen.line(MEANINGS[verdict])
    screen.blank()
    if causes:
        _causes(screen, tuple(map(cause_view, causes)))
        screen.blank()
    _findings(screen, views, messages(views, ""))
    _case(screen, case, case.id)
    screen.blank()


def _head(screen: _Screen, view: CheckView) -> None:
    screen.verdict(view.verdict, view.word, view.target)
    screen.blank()
    screen.line(view.meaning)
    screen.line(f"{view.counted}. {view.effort} ({view.settings}).")
    screen.blank()
    if view.notes:
        screen.line("Notes", style="bold")
        screen.bullets(view.notes)
        screen.blank()


def _facts(record: CheckRecord) -> str:
    facts = machine_facts(record.machine, record.gradproof)
    return "; ".join(f"{what} {text}" if what in ("gradproof", "Python") else text for what, text in facts)


def _failure(screen: _Screen, failure: FailureView, said: Verdict | None) -> None:
    """``said``: the verdict whose meaning is said already."""
    screen.line(failure.summary, style="bold")
    if failure.verdict != said:
        screen.line(failure.meaning)
    _causes(screen, failure.causes)
    screen.line(failure.alike)
    screen.blank()
    _findings(screen, failure.findings, failure.messages)
    _case(screen, failure.case, failure.case_id)
    screen.blank()
    screen.line("Replay", style="bold")
    screen.copyable(failure.replay)
    if failure.script:
        screen.line("or, without gradproof:", style="dim")
        screen.copyable(failure.script)
    screen.blank()


def _causes(screen: _Screen, causes: Sequence[CauseView]) -> None:
    for cause in causes:
        screen.line(cause.words, style="bold")
        screen.bullets(filter(None, (cause.mend, cause.same, cause.evidence)))


def _findings(screen: _Screen, findings: Sequence[FindingView], texts: Sequence[str]) -> None:
    compared = [finding for finding in findings if finding.compared]
    if compared:
        screen.findings(compared)
        screen.blank()
    sentences = [text for text in texts if "\n" not in text]
    if sentences:
        screen.bullets(sentences)
        screen.blank()
    for text in texts:
        if text not in sentences:
            screen.block(text)
            screen.blank()


def _case(screen: _Screen, case: AnyCase, case_id: str) -> None:
    screen.line(f"Case {case_id}: {case_facts(case)}", style="bold")
    for part in case.text().split("\n"):
        screen.line(line(part))
    screen.blank()
    screen.arrays(case)


def _broken(text: str) -> str:
    """A long interval over two lines."""
    return text if len(text) < NUMBER_COLUMN else text.replace(", ", ",\n ")


class _Screen:
    """Prints clean text as it is (no markup, no emoji codes, no highlighting), in signs that the console can write."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._encoding = console.encoding

    def blank(self) -> None:
        self._console.print()

    def line(self, text: str, style: str = "") -> None:
        self._lines(text, Text(" " * INDENT), style)

    def block(self, text: str) -> None:
        """Text of several lines, its lines kept apart from ours by a bar."""
        bar = self._text(f"{' ' * INDENT}│ ", "dim")
        for part in text.split("\n"):
            self._lines(part or " ", bar)

    def bullets(self, texts: Iterable[str]) -> None:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for text in texts:
            grid.add_row(self._text("·"), self._text(text))
        self._indented(grid)

    def rule(self, title: str) -> None:
        width = self._console.width
        room = width - len(title) - 5
        text = self._text(f"{'─' * 3} {title} {'─' * room}" if title and room > 0 else title or "─" * width, "bold")
        self._console.print(text, overflow="fold")
        if title:
            self.blank()

    def verdict(self, verdict: Verdict | None, word: str, target: str) -> None:
        colour = COLOURS[verdict] if verdict is not None and word == str(verdict) else "yellow"
        badge = Text(f" {word.upper()} ", style=f"bold reverse {colour}")
        self._console.print(Text.assemble(" ", badge, "  ", self._text(target, "bold")), overflow="fold")

    def copyable(self, text: str) -> None:
        """Never broken into lines by us, so that it can be copied whole."""
        self._console.print(Text(" " * INDENT) + self._text(text, "cyan"), soft_wrap=True)

    def findings(self, findings: Sequence[FindingView]) -> None:
        """Got over exact, so that their digits can be compared, a caret under each that differs."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), header_style="bold")
        placed = any(finding.layer for finding in findings)
        table.add_column(
            self._text("quantity\nlayer\nhow much" if placed else "quantity\nhow much\n "), overflow="fold"
        )
        table.add_column(self._text("got\nexact\n^ differs"), no_wrap=True)
        table.add_column(self._text("|error|\nallowed\n "), no_wrap=True)
        for number, finding in enumerate(findings):
            where = "\n".join(filter(None, (finding.where, finding.layer, finding.share)))
            texts = [
                self._text(where),
                self._pair(finding.got, finding.exact),
                self._text(f"{finding.error}\n{finding.allowed}"),
            ]
            if number < len(findings) - 1:
                texts[0].append("\n")
            table.add_row(*texts)
        self._indented(table)

    def arrays(self, case: AnyCase) -> None:
        names = [name for name, _ in case_numbers(case, LEAST_WIDTH)]
        gutter = min(max(map(len, names)), self._console.width // 3) + 2
        width = max(LEAST_WIDTH, self._console.width - INDENT - gutter)
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(overflow="fold", max_width=gutter)
        grid.add_column(overflow="fold")
        for name, text in case_numbers(case, width):
            grid.add_row(self._text(line(name)), self._text(text))
        self._indented(grid)

    def _pair(self, got: Digits, exact: Digits) -> Text:
        # The column gives way to a narrow terminal last; when it must, its text still folds and nothing is cut off.
        text = Text(no_wrap=False, overflow="fold")
        for digits, style in ((got, "bold red"), (exact, "bold green")):
            text.append(self._signs(_broken(digits.pad + digits.agrees)))
            text.append(self._signs(digits.differs), style=style)
            text.append(f"{digits.exponent}\n")
        cut = got.agrees or exact.agrees
        start = max(len(digits.pad + digits.agrees) for digits in (got, exact)) if cut else 0
        end = max(len(digits.pad + digits.agrees + digits.differs) for digits in (got, exact))
        text.append(f"{' ' * start}{'^' * (end - start)}", style="dim")
        text.rstrip()
        return text

    def _lines(self, text: str, start: Text, style: str = "") -> None:
        for piece in self._text(text, style).wrap(self._console, max(LEAST_WIDTH, self._console.width - len(start))):
            self._console.print(Text.assemble(start, piece), soft_wrap=True)

    def _indented(self, renderable: Text | Table) -> None:
        self._console.print(Padding(renderable, (0, 0, 0, INDENT), expand=False), highlight=False)

    def _text(self, text: str, style: str = "") -> Text:
        return Text(self._signs(text), style=style, overflow="fold")

    def _signs(self, text: str) -> str:
        return encodable(text, self._encoding)

"""Recorded results as two files for people: Markdown, and HTML that needs nothing but itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from gradproof.errors import ArgumentError
from gradproof.record import CheckRecord, write
from gradproof.verdict import PRECEDENCE, Verdict
from reports import markdown
from reports.numbers import Digits, count
from reports.recorded import Benchmarks, Recorded, read
from reports.tables import figure_view, groups
from reports.text import line
from reports.view import (
    KNOWN,
    NOTHING_RAN,
    CheckView,
    FailureView,
    FindingView,
    case_facts,
    case_numbers,
    check_view,
    machine_facts,
    word,
)

MARKDOWN = "report.md"
HTML = "report.html"
WIDTH = 96
"""Characters in a line of a case's numbers."""

KINDS: Final = MappingProxyType(
    {
        **{str(verdict): ("bad", "✗") for verdict in Verdict},
        str(Verdict.CORRECT): ("good", "✓"),
        str(Verdict.INACCURATE): ("doubt", "≈"),
        str(Verdict.UNDECIDED): ("doubt", "?"),
        NOTHING_RAN: ("doubt", "?"),
        KNOWN: ("doubt", "≈"),
        "met": ("good", "✓"),
        "missed": ("bad", "✗"),
    }
)
"""How a verdict, and whether a figure meets its goal, looks: a colour's name and a sign, never colour alone."""


def write_report(paths: Iterable[Path | str], out_dir: Path | str) -> list[Path]:
    """Writes ``report.md`` and ``report.html`` into ``out_dir`` from recorded files, and returns both paths.

    ``paths``: JSON of ``gradproof check``, of ``python -m benchmarks figures`` and of ``pytest --benchmark-json``, in
    any mixture; of a folder, the ``*.json`` directly in it. The same input gives the same bytes.

    Raises ArgumentError where there is no file, and RecordError, naming the file, where one cannot be read; nothing
    is written then.
    """
    out = Path(out_dir)
    if out.exists() and not out.is_dir():
        raise ArgumentError("out_dir", "a folder", f"the file {out}")
    content = _content(read(paths))
    pages = {out / MARKDOWN: _markdown(content), out / HTML: _html(content)}
    for path, text in pages.items():
        write(path, text.encode())
    return list(pages)


def markdown_text(records: Iterable[CheckRecord]) -> str:
    """Checks as the Markdown of a report. Raises RecordError or ArgumentError where a case in one is damaged."""
    return _markdown(_content(Recorded(tuple(records), (), ())))


def html_text(records: Iterable[CheckRecord]) -> str:
    """Checks as the page of a report. Raises RecordError or ArgumentError where a case in one is damaged."""
    return _html(_content(Recorded(tuple(records), (), ())))


def _markdown(content: dict[str, Any]) -> str:
    return _markdown_environment().get_template("report.md.j2").render(content).strip() + "\n"


def _html(content: dict[str, Any]) -> str:
    return _html_environment().get_template("report.html.j2").render(content).strip() + "\n"


@dataclass(frozen=True)
class _Failure:
    view: FailureView
    compared: tuple[FindingView, ...]
    placed: bool
    """Whether a finding has a layer."""
    facts: str
    computes: str
    numbers: str
    """Every number of the case."""
    sentences: tuple[str, ...]
    """The messages of one line; the others are ``blocks``."""
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class _Check:
    view: CheckView
    cases: str
    entries: str
    seconds: str
    profile: str
    seed: int
    failures: tuple[_Failure, ...]


@dataclass(frozen=True)
class _Machine:
    records: str
    """Which kinds of results were recorded there."""
    facts: dict[str, str]


def _content(recorded: Recorded) -> dict[str, Any]:
    machines = _machines(recorded)
    return {
        "summary": _summary(recorded),
        "date": _date(recorded),
        "checks": tuple(map(_check, recorded.checks)),
        "figures": tuple(figure_view(figure) for record in recorded.figures for figure in record.figures),
        "groups": groups(benchmark for record in recorded.benchmarks for benchmark in record.benchmarks),
        "machines": machines,
        "facts": tuple(dict.fromkeys(what for machine in machines for what in machine.facts)),
    }


def _check(record: CheckRecord) -> _Check:
    view = check_view(record)
    return _Check(
        view=view,
        cases=count(record.cases),
        entries=count(record.entries),
        seconds=f"{record.seconds:,.1f}",
        profile=line(record.profile),
        seed=record.seed,
        failures=tuple(map(_failure, view.failures)),
    )


def _failure(view: FailureView) -> _Failure:
    numbers = case_numbers(view.case, WIDTH)
    gutter = max(len(name) for name, _ in numbers) + 2
    rows = [f"{line(name):<{gutter}}{text}".replace("\n", "\n" + " " * gutter) for name, text in numbers]
    return _Failure(
        view=view,
        compared=tuple(finding for finding in view.findings if finding.compared),
        placed=any(finding.layer for finding in view.findings),
        facts=case_facts(view.case),
        computes="\n".join(map(line, view.case.text().split("\n"))),
        numbers="\n".join(rows),
        sentences=tuple(message for message in view.messages if "\n" not in message),
        blocks=tuple(message for message in view.messages if "\n" in message),
    )


def _summary(recorded: Recorded) -> str:
    parts = []
    if recorded.checks:
        found = Counter(map(word, recorded.checks))
        order = (*map(str, PRECEDENCE), KNOWN, NOTHING_RAN)
        verdicts = ", ".join(f"{found[each]} {each}" for each in order if found[each])
        parts.append(f"{count(len(recorded.checks), 'check')}: {verdicts}.")
    figures = [figure for record in recorded.figures for figure in record.figures]
    if figures:
        goals = [figure for figure in figures if figure.met is not None]
        met = sum(figure.met is True for figure in goals)
        with_goals = f", {met} of {count(len(goals), 'goal')} met" if goals else ""
        parts.append(f"{count(len(figures), 'figure')}{with_goals}.")
    timed = sum(len(record.benchmarks) for record in recorded.benchmarks)
    if timed:
        parts.append(f"{count(timed, 'benchmark')}.")
    return " ".join(parts) or "The files hold no results."


def _date(recorded: Recorded) -> str:
    """The day, or the first and the last day, in UTC, on which this was recorded."""
    texts = [*(record.started for record in recorded.records), *(run.datetime for run in recorded.benchmarks)]
    days = sorted({day for text in texts if (day := _day(text))})
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""


def _day(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date().isoformat()
    except (ValueError, OverflowError):
        return ""


def _machines(recorded: Recorded) -> tuple[_Machine, ...]:
    """Each machine, with the versions on it, once."""
    found: dict[tuple[tuple[str, str], ...], Counter[str]] = {}
    for record in recorded.records:
        kind = "check" if isinstance(record, CheckRecord) else "figures"
        found.setdefault(machine_facts(record.machine, record.gradproof), Counter())[kind] += 1
    for benchmarks in recorded.benchmarks:
        found.setdefault(_benchmark_machine(benchmarks), Counter())["benchmarks"] += 1
    return tuple(_Machine(", ".join(map(_times, kinds.items())), dict(facts)) for facts, kinds in found.items())


def _times(kind: tuple[str, int]) -> str:
    what, number = kind
    return count(number, what) if what == "check" else f"{what}, {number} files" if number > 1 else what


def _benchmark_machine(record: Benchmarks) -> tuple[tuple[str, str], ...]:
    info = record.machine_info
    cores = f"{count(info.cpu.count, 'core')}" if info.cpu.count else ""
    facts = {
        "Python": line(info.python_version),
        "packages": line(f"pytest-benchmark {record.version}"),
        "system": line(f"{info.system} {info.machine}"),
        "processor": ", ".join(filter(None, (line(info.cpu.brand_raw), cores))),
    }
    return tuple((what, text) for what, text in facts.items() if text)


def _options() -> dict[str, Any]:
    return {
        "loader": PackageLoader("reports", "templates"),
        "undefined": StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
    }


@cache  # compiled once a process; templates are part of the package and do not change
def _html_environment() -> Environment:
    environment = Environment(autoescape=True, **_options())
    environment.filters["kind"] = lambda word: KINDS[word][0]
    environment.filters["sign"] = lambda word: KINDS[word][1]
    environment.filters["length_of"] = lambda share: f"{max(0.5, 100 * share):.1f}" if share else "0"
    return environment


@cache
def _markdown_environment() -> Environment:
    # Every value that a template prints passes through ``finalize``: forgetting to escape is impossible there.
    environment = Environment(autoescape=False, finalize=markdown.escape, **_options())  # noqa: S701
    environment.filters["code"] = markdown.code
    environment.filters["fence"] = markdown.fence
    environment.filters["digits"] = _markdown_digits
    return environment


def _markdown_digits(digits: Digits) -> markdown.Markdown:
    return markdown.parted_code(digits.agrees, digits.differs, digits.exponent)

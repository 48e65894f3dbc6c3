"""What a person is told of a check, in words and numbers: the same on a terminal, in Markdown and in HTML.

Everything here is clean text (``reports.text``), still to be escaped for where it goes.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final

from gradproof.cases import AnyCase, from_data
from gradproof.gradients import label
from gradproof.record import Cause, CheckRecord, Failure, Machine
from gradproof.verdict import PRECEDENCE, Finding, Verdict
from reports.numbers import Digits, aligned, array_text, count, duration
from reports.text import clean, command, line, shorten

MEANINGS: Final = MappingProxyType(
    {
        Verdict.CORRECT: "No number is further from the exact one than careful arithmetic may be.",
        Verdict.WRONG: "Proved: no careful arithmetic, whatever it rounds, gives these numbers.",
        Verdict.INACCURATE: "The formula is right, but more digits are lost than careful arithmetic loses.",
        Verdict.CRASHED: "The target raised an error instead of answering.",
        Verdict.TIMED_OUT: "The target did not answer in time.",
        Verdict.BROKE_PROTOCOL: "What came back is no answer to the case.",
        Verdict.UNDECIDED: "Some numbers are proved neither right nor wrong: nothing bounds careful arithmetic there.",
        Verdict.ORACLE_CONFLICT: "gradproof's own sources of truth disagree. This is a defect of gradproof: report it.",
    }
)
NOTHING_RAN = "nothing ran"
KNOWN = "known to fail"

NAME_WIDTH = 120
"""Names of targets, layers and parameters are cut to this many characters."""


@dataclass(frozen=True)
class FindingView:
    """One quantity's worst entry."""

    verdict: str
    where: str
    """``∂L/∂0.weight[1, 0]``, or ``loss``."""
    layer: str
    share: str
    """``wrong in 3 of 4 entries``; empty where nothing was counted."""
    message: str
    """Text of several lines."""
    compared: bool
    """Whether there are numbers to show."""
    got: Digits
    exact: Digits
    error: str
    allowed: str


@dataclass(frozen=True)
class CauseView:
    """Why an answer is wrong."""

    words: str
    """``layer 0: the derivative of sigmoid is taken at the activation a, not at the pre-activation z``."""
    mend: str
    """Empty where the cause is unknown."""
    evidence: str
    same: str
    """Other words for the same; empty where there are none."""


@dataclass(frozen=True)
class FailureView:
    """A failing case."""

    verdict: Verdict
    meaning: str
    summary: str
    alike: str
    """How many cases of the run share the verdict."""
    causes: tuple[CauseView, ...]
    findings: tuple[FindingView, ...]
    messages: tuple[str, ...]
    """What the findings say beyond the summary, each once."""
    case_id: str
    case: AnyCase
    replay: str
    script: str
    """The command that does the same without gradproof; empty where there is none."""


@dataclass(frozen=True)
class CheckView:
    """A check of one target."""

    target: str
    verdict: Verdict | None
    word: str
    """The verdict, or that nothing ran."""
    meaning: str
    counted: str
    """How many cases have which verdict."""
    effort: str
    settings: str
    failures: tuple[FailureView, ...]
    notes: tuple[str, ...]


def check_view(record: CheckRecord) -> CheckView:
    """A record in words. Raises RecordError or ArgumentError where a case in it is damaged."""
    known = {family: result.known for family, result in record.families.items() if result.known is not None}
    return CheckView(
        target=shorten(line(record.target), NAME_WIDTH),
        verdict=record.verdict,
        word=word(record),
        meaning=_meaning(record),
        counted=counted(record),
        effort=f"{count(record.entries, 'number')} compared in {duration(record.seconds)}",
        settings=f"profile {line(record.profile)}, seed {record.seed}",
        failures=tuple(failure_view(failure, known) for failure in record.failures),
        notes=tuple(filter(None, map(line, (*_known_failures(known), *record.notes)))),
    )


def word(record: CheckRecord) -> str:
    """The verdict; that nothing ran; or that all which fails is known to fail."""
    if record.verdict is None:
        return NOTHING_RAN
    return KNOWN if record.verdict is not Verdict.CORRECT and record.exit_code == 0 else str(record.verdict)


def _known_failures(known: Mapping[str, str]) -> list[str]:
    return [f"Known to fail: {family}, {reason}" for family, reason in known.items()]


def _meaning(record: CheckRecord) -> str:
    if record.verdict is None:
        return "No case was checked."
    known = " But all that fails is known to fail." if word(record) == KNOWN else ""
    return f"{MEANINGS[record.verdict]}{known}"


def counted(record: CheckRecord) -> str:
    """``500 cases: 499 correct, 1 wrong``; the worst verdict first."""
    return counts_text(record.cases, record.counts)


def counts_text(number_of_cases: int, counts: Mapping[str, int]) -> str:
    """The same of counts: verdict → number of cases."""
    known = {str(verdict): place for place, verdict in enumerate(PRECEDENCE)}
    there = [(verdict, number) for verdict, number in counts.items() if number]
    there.sort(key=lambda pair: (known.get(pair[0], len(known)), pair[0]))
    cases = count(number_of_cases, "case")
    if not there:
        return cases
    if len(there) == 1 and there[0][1] == number_of_cases:
        return f"{cases}, {'all ' if number_of_cases > 1 else ''}{line(there[0][0])}"
    return f"{cases}: {', '.join(f'{count(number)} {line(verdict)}' for verdict, number in there)}"


def failure_view(failure: Failure, known: Container[str] = ()) -> FailureView:
    """A failure in words. Raises RecordError or ArgumentError where its case is damaged.

    known: the families that are known to fail.
    """
    is_known = bool(failure.families) and all(family in known for family in failure.families)
    findings = tuple(map(finding_view, failure.findings))
    summary = line(failure.summary)
    return FailureView(
        verdict=failure.verdict,
        meaning=MEANINGS[failure.verdict],
        summary=summary,
        alike=f"{'A known failure: ' if is_known else ''}{count(failure.cases_alike, 'case')} ended like this; "
        "the smallest one found:",
        causes=tuple(map(cause_view, failure.causes)),
        findings=findings,
        messages=messages(findings, summary),
        case_id=line(failure.case_id),
        case=from_data(failure.case),
        replay=command(failure.replay),
        script=command(failure.script or ""),
    )


def cause_view(cause: Cause) -> CauseView:
    """A cause in words."""
    compared = f"{count(cause.cases, 'answer')} ({count(cause.wrong)} of them found wrong, {count(cause.fresh)} new)"
    unknown = cause.kind == "unknown"
    place = "cause unknown" if unknown else line(cause.layer or "")
    same = "; or ".join(map(line, cause.same_as))
    return CauseView(
        words=f"{place}: {line(cause.words)}" if place else line(cause.words),
        mend="" if cause.mend is None else f"mend: {line(cause.mend)}",
        evidence=f"compared with {compared}"
        if unknown
        else f"it reproduces all of {compared}, and no other known does",
        same=f"the same on all that the target supports: {same}" if same else "",
    )


def finding_view(finding: Finding) -> FindingView:
    """A finding in words."""
    got, exact = aligned(finding.got, finding.exact)
    index = f"[{', '.join(map(str, finding.index))}]" if finding.index else ""
    entries = "entry" if finding.entries == 1 else "entries"
    return FindingView(
        verdict=str(finding.verdict),
        where=quantity(finding) + index,
        layer=shorten(line(finding.layer or ""), NAME_WIDTH),
        share=f"{finding.verdict} in {count(finding.bad)} of {count(finding.entries)} {entries}"
        if finding.entries
        else "",
        message=clean(finding.message),
        compared=finding.got is not None or finding.exact is not None,
        got=got,
        exact=exact,
        error=_measure(finding.error),
        allowed=_measure(finding.allowed),
    )


def quantity(finding: Finding) -> str:
    """What is compared, as mathematics."""
    return label(shorten(line(finding.quantity), NAME_WIDTH))


def messages(findings: Iterable[FindingView], summary: str) -> tuple[str, ...]:
    """Each message once, those left out that the summary already holds."""
    distinct = dict.fromkeys(finding.message for finding in findings if finding.message)
    return tuple(message for message in distinct if " ".join(message.split()) not in summary)


def case_facts(case: AnyCase) -> str:
    """``float64, batch 1, tagged kink``."""
    tags = f", tagged {line(', '.join(case.tags))}" if case.tags else ""
    return f"{line(case.facts())}{tags}"


def case_numbers(case: AnyCase, width: int) -> tuple[tuple[str, str], ...]:
    """Every number of a case: (name, text) each, the text of lines no wider than ``width`` where that can be.

    In the order of the case's arrays. One number to an entry is written in full; of large arrays the shape and the
    first entries.
    """
    return tuple((name, array_text(array, width)) for name, array in case.arrays().items())


def machine_facts(machine: Machine, gradproof: str) -> tuple[tuple[str, str], ...]:
    """(what, text) each, where there is a text."""
    packages = ", ".join(f"{line(name)} {line(version)}" for name, version in sorted(machine.packages.items()))
    facts = {
        "gradproof": line(gradproof),
        "Python": line(machine.python),
        "packages": packages,
        "system": line(machine.system),
        "processor": f"{line(machine.processor)}, {count(machine.cores, 'core')}",
    }
    return tuple((what, text) for what, text in facts.items() if text)


def _measure(text: str | None) -> str:
    if text is None:
        return "–"
    plain = line(text)
    try:
        number = Decimal(plain)
    except InvalidOperation:
        return shorten(plain, 20)
    if not number.is_finite() or number == 0 or (len(plain) <= 8 and "e" not in plain.lower()):
        return shorten(plain, 20)
    mantissa, _, exponent = f"{number:.1e}".partition("e")
    return f"{mantissa}e{int(exponent):+03d}"

"""The main job: many random cases of all that a target supports, each judged, the failures shrunk.

First a survey, in which every case is called and judged and no failure stops it; then, for each way in which the target
fails, the smallest case that fails alike. Both come from one seed: the same seed gives the same record.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import msgspec
from hypothesis.strategies import SearchStrategy

import gradproof
from gradproof.cases import AnyCase
from gradproof.errors import ArgumentError
from gradproof.record import CheckRecord, Failure, FamilyResult, machine, now
from gradproof.verdict import EXIT_CODES, EXIT_NOTHING_RAN, PRECEDENCE, Verdict, overall
from verify import drawing
from verify.calling import Cause
from verify.isolation.isolated import Apart
from verify.isolation.purity import impurity, recorded
from verify.isolation.ready import another, at_hand
from verify.judge import Oracle
from verify.loading import Implementation
from verify.progress import Progress
from verify.subjects import subject_of
from verify.subjects.base import Assessment, assess

PROFILES: Final[Mapping[str, int]] = MappingProxyType({"smoke": 60, "default": 500, "thorough": 5000})
"""Number of distinct cases of each profile."""

FEWEST = 12
"""Cases that a family has at least, where each is checked for itself."""

SHRINK_SECONDS = 10.0
"""How long a whole run may shrink; a bound for slow targets, which the next one keeps others from."""
SHRINK_CALLS = 400
"""How many new cases each of the two ways of shrinking may call the target on, for each failure."""
FAILURES_EACH = 3
"""How many ways of failing are shrunk and shown, for each verdict."""

PRINTED = 200
"""Characters of a failing target's output that are noted."""

PACKAGES = ("numpy", "python-flint", "sympy", "hypothesis")
"""What a verdict depends on, besides gradproof itself."""


@dataclass
class _Group:
    """Cases that fail alike."""

    verdict: Verdict
    cause: Cause
    cases: list[AnyCase] = field(default_factory=list)

    def covers(self, other: _Group) -> bool:
        """Whether the other fails in the same place, in a part of what fails here: a zero hid the rest."""
        return self.cause[:1] == other.cause[:1] and set(other.cause) < set(self.cause)


def check(
    target: str | Callable[..., Any],
    *,
    profile: str = "default",
    seed: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
    isolate: bool = False,
    time_limit: float | None = None,
    memory_limit: int | None = None,
    shrink_seconds: float = SHRINK_SECONDS,
    oracle: Oracle | None = None,
) -> CheckRecord:
    """Proves a gradient implementation right or wrong on random cases of all that it declares to support.

    Nothing is printed and no file is written. The same seed gives the same record, but for times.

    Arguments:
        target: ``path.py:name``, ``package.module:name``, or the decorated function, class or object itself.
        profile: ``smoke``, ``default`` or ``thorough``: 60, 500 or 5000 cases, with ``thorough`` also such in which
            usual formulas overflow or underflow.
        seed: decides which cases are drawn.
        on_progress: called with a ``Progress`` after each case, and after each failure that was shrunk.
        isolate: call the target, named by a text, in a process of its own: what ends that process is a finding.
        time_limit: seconds that it may take for a case there; without one, a hundred times its slowest case so far, at
            least 5 and at most 30.
        memory_limit: MiB that its process may hold; without one, most of what is free.
        shrink_seconds: how long failures may be shrunk, all together.
        oracle: in place of refimpl's, to try the judge itself.

    Raises ArgumentError for an unknown profile, TargetError where the target cannot be had, ArgumentError where no
    case can be drawn from what it declares, and for isolation of an object or limits without isolation, and
    TamperedError where the target replaces functions that the judge uses too. A target that fails is a finding, not an
    exception.
    """
    if profile not in PROFILES:
        raise ArgumentError("profile", " or ".join(PROFILES), profile)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ArgumentError("seed", "a whole number", seed)
    with at_hand(target, isolate=isolate, time_limit=time_limit, memory_limit=memory_limit) as implementation:
        return check_implementation(
            implementation,
            profile=profile,
            seed=seed,
            on_progress=on_progress,
            shrink_seconds=shrink_seconds,
            oracle=oracle,
            again=target if isinstance(target, str) else None,
        )


def check_implementation(
    implementation: Implementation,
    *,
    profile: str,
    seed: int,
    on_progress: Callable[[Progress], None] | None = None,
    shrink_seconds: float = SHRINK_SECONDS,
    oracle: Oracle | None = None,
    again: str | None = None,
) -> CheckRecord:
    """The same of what is loaded already. ``again``: the text that finds it in another process, to compare answers.

    The smoke profile starts no other process.
    """
    with another(None if profile == "smoke" else again) as apart:
        campaign = _Campaign(implementation, profile, seed, on_progress or _ignore, oracle, apart=apart)
        return campaign.run(shrink_seconds)


def families(implementation: Implementation) -> tuple[str, ...]:
    """The ids of the families that cases of all that an implementation supports belong to.

    Raises ArgumentError where no case can be drawn from what it declares.
    """
    return tuple(subject_of(implementation.supports).families(implementation.supports))


def check_family(
    implementation: Implementation,
    family: str,
    *,
    profile: str = "smoke",
    seed: int = 0,
    shrink_seconds: float = SHRINK_SECONDS,
) -> CheckRecord:
    """Checks an implementation on one of its families, on its share of the profile's cases, and ``FEWEST`` at least.

    The same arguments give the same record, but for times.
    """
    parts = subject_of(implementation.supports).families(implementation.supports)
    narrowed = replace(implementation, supports=parts[family])
    cases = max(FEWEST, PROFILES[profile] // len(parts))
    return _Campaign(narrowed, profile, seed, _ignore, None, family, cases).run(shrink_seconds)


def _ignore(progress: Progress) -> None:
    pass


class _Campaign:
    """One run of ``check``."""

    def __init__(
        self,
        implementation: Implementation,
        profile: str,
        seed: int,
        on_progress: Callable[[Progress], None],
        oracle: Oracle | None,
        family: str | None = None,
        cases: int | None = None,
        apart: Apart | None = None,
    ) -> None:
        self.subject = subject_of(implementation.supports)
        self.profile = profile
        self.asked = PROFILES[profile] if cases is None else cases
        self.implementation, self.recorder = recorded(implementation, self.asked)
        self.apart = apart
        """The target in another process, to compare answers; None where there is none."""
        self.family = family
        """The only family whose cases are surveyed; None for all."""
        self.seed = seed
        self.on_progress = on_progress
        self.oracle = oracle
        self.counts: Counter[Verdict] = Counter()
        self.families = {name: Counter[Verdict]() for name in ((family,) if family else families(implementation))}
        self.known: dict[str, Assessment] = {}
        """Case id → what is known of it: shrinking starts by walking through the survey again."""
        self.groups: dict[tuple[Verdict, Cause], _Group] = {}
        self.surveyed: list[Assessment] = []
        self.judged: list[AnyCase] = []
        """Cases whose answers were compared in the survey, to name mistakes by."""
        self.notes: list[str] = []

    def run(self, shrink_seconds: float) -> CheckRecord:
        started, clock = now(), time.perf_counter()
        drawing.survey(self.strategy(), self.seed, self.asked, self.visit)
        self.note_survey()
        impure = self.impure()
        recurring = self.systematic()
        failures = self.by_cause(self.explained(self.failures(shrink_seconds))) + impure + recurring
        done = self.counts.total()
        verdict = overall((*self.counts, *(failure.verdict for failure in recurring))) if done else None
        return CheckRecord(
            target=self.implementation.text,
            verdict=verdict,
            exit_code=EXIT_NOTHING_RAN if verdict is None else EXIT_CODES[verdict],
            cases=done,
            counts={str(v): self.counts[v] for v in PRECEDENCE if self.counts[v]},
            entries=sum(assessment.entries for assessment in self.surveyed),
            failures=failures,
            notes=tuple(self.notes),
            profile=self.profile,
            seed=self.seed,
            started=started,
            seconds=round(time.perf_counter() - clock, 3),
            machine=machine(PACKAGES),
            gradproof=gradproof.__version__,
            families={name: _family_result(counts) for name, counts in self.families.items()},
        )

    def strategy(self) -> SearchStrategy[Any]:
        drawn = self.subject.strategy(self.implementation.supports)
        extremes = self.subject.extremes(self.implementation.supports) if self.profile == "thorough" else None
        if extremes is not None:
            drawn = drawn | drawn | drawn | extremes
        return drawn if self.family is None else drawn.filter(self.belongs)

    def belongs(self, case: AnyCase) -> bool:
        """Whether a case is of the family asked for."""
        return self.subject.family(case) == self.family

    def assess(self, case: AnyCase) -> Assessment:
        if case.id not in self.known:
            self.known[case.id] = assess(self.subject, self.implementation, case, self.oracle)
        return self.known[case.id]

    def visit(self, case: AnyCase) -> None:
        """One case of the survey."""
        assessment = self.assess(case)
        verdict = assessment.verdict.verdict
        self.surveyed.append(assessment)
        if assessment.gave:
            self.judged.append(case)
        self.counts[verdict] += 1
        self.families.setdefault(self.subject.family(case), Counter())[verdict] += 1
        if verdict is not Verdict.CORRECT:
            key = (verdict, assessment.cause)
            self.groups.setdefault(key, _Group(*key)).cases.append(case)
        self.on_progress(Progress("checking", self.counts.total(), self.asked, self.counts))
        if self.recorder.exhausted:
            raise drawing.Enough

    def impure(self) -> tuple[Failure, ...]:
        """The smallest case whose answer was another when it was asked again, with another verdict; the rest is noted.

        Such a case counts by the graver verdict.
        """
        found = impurity(self.subject, self.recorder, self.apart, self.oracle)
        if found is None:
            return ()
        graver = [(c, v, f) for c, v, f in found.bad if v is overall((v, self.assess(c).verdict.verdict))]
        if not graver:
            self.notes.append(found.told())
            return ()
        for case, verdict, _ in graver:
            for counts in (self.counts, self.families[self.subject.family(case)]):
                counts[self.assess(case).verdict.verdict] -= 1
                counts[verdict] += 1
        worst = overall(verdict for _, verdict, _ in graver)
        alike = [(case, findings) for case, verdict, findings in graver if verdict is worst]
        case, findings = min(alike, key=lambda each: self.subject.size(each[0]))
        message, families = findings[0].message, tuple(sorted({self.subject.family(case) for case, _ in alike}))
        failure = Failure(
            worst, message, case.to_data(), case.id, findings, self.again(), len(alike), families=families
        )
        return (failure,)

    def systematic(self) -> tuple[Failure, ...]:
        """A deviation that recurs on fresh cases, asked for where everything that was surveyed is right but for digits.

        It counts for the run's verdict; none of the survey's cases does.
        """
        asked_for = self.family is None and self.oracle is None
        if not asked_for or not set(+self.counts) <= {Verdict.CORRECT, Verdict.INACCURATE}:
            return ()
        answers = [(case, self.assess(case)) for case in self.judged]
        found = self.subject.systematic(self.implementation, answers, self.seed)
        if found is None:
            return ()
        case, finding, alike = found
        data, again = case.to_data(), self.again()
        return (Failure(finding.verdict, finding.message, data, case.id, (finding,), again, alike),)

    def failures(self, shrink_seconds: float) -> tuple[Failure, ...]:
        """The smallest case found of each way of failing, the gravest verdict first."""
        shown = self.shown_groups()
        failures = []
        end = time.perf_counter() + shrink_seconds
        for number, (group, alike) in enumerate(shown):
            self.on_progress(Progress("shrinking", number, len(shown), self.counts))
            left = max(0.0, end - time.perf_counter())
            search = _Search(self, group, left / (len(shown) - number))
            failures.append(self.failure(search.smallest(), group, alike))
            if search.out_of_time:
                self.notes.append(f"Shrinking case {failures[-1].case_id} ran out of time; a smaller one may fail too.")
        if shown:
            self.on_progress(Progress("shrinking", len(shown), len(shown), self.counts))
        return tuple(failures)

    def explained(self, failures: tuple[Failure, ...]) -> tuple[Failure, ...]:
        """The failures with the causes of wrong answers, where the oracle is the one that mistakes are evaluated by."""
        wrong = [self.subject.from_data(f.case) for f in failures if f.verdict is Verdict.WRONG]
        if not wrong or self.oracle is not None:
            return failures
        failing = {case: self.assess(case).verdict.findings for case in wrong}
        judged = [(case, self.assess(case).verdict.findings) for case in self.judged]
        found = self.subject.causes(self.implementation, failing, judged, self.seed)
        return tuple(msgspec.structs.replace(f, causes=found.get(f.case_id, ())) for f in failures)

    def by_cause(self, failures: tuple[Failure, ...]) -> tuple[Failure, ...]:
        """The failures, the gravest verdict first, those of one cause together, the smallest case first each time."""
        sizes = {f.case_id: self.subject.size(self.subject.from_data(f.case)) for f in failures}
        causes = {f.case_id: tuple((c.name, c.layer) for c in f.causes if c.name) or (f.case_id,) for f in failures}
        least: dict[Any, Any] = {}
        for failure in failures:
            cause, own = causes[failure.case_id], sizes[failure.case_id]
            least[cause] = min(own, least.get(cause, own))

        def place(failure: Failure) -> tuple[Any, ...]:
            cause = causes[failure.case_id]
            return PRECEDENCE.index(failure.verdict), least[cause], repr(cause), sizes[failure.case_id]

        return tuple(sorted(failures, key=place))

    def shown_groups(self) -> list[tuple[_Group, int]]:
        """The groups to shrink, each with the number of its cases, and of those of groups that it covers."""
        shown: list[tuple[_Group, int]] = []
        for verdict in PRECEDENCE:
            groups = sorted((g for g in self.groups.values() if g.verdict is verdict), key=lambda g: -len(g.cases))
            widest = [group for group in groups if not any(other.covers(group) for other in groups)]
            shown += [
                (group, len(group.cases) + sum(len(g.cases) for g in groups if group.covers(g)))
                for group in widest[:FAILURES_EACH]
            ]
            rest = sum(len(group.cases) for group in widest[FAILURES_EACH:])
            if rest:
                self.notes.append(f"{rest} more cases are not shown, each {verdict} in yet another way.")
        return shown

    def failure(self, case: AnyCase, group: _Group, cases_alike: int) -> Failure:
        assessment = self.assess(case)
        findings = assessment.verdict.findings
        if assessment.printed.strip():
            printed = " ".join(assessment.printed.split())
            self.notes.append(f"On case {case.id} the target printed: {printed[:PRINTED]}")
        return Failure(
            verdict=group.verdict,
            summary=self.subject.summary(case, findings),
            case=case.to_data(),
            case_id=case.id,
            findings=findings,
            replay=self.again(),
            cases_alike=cases_alike,
            families=tuple(sorted({self.subject.family(each) for each in group.cases})),
        )

    def again(self) -> str:
        """The command that runs all this again."""
        text = self.implementation.text
        if self.family is not None:
            return f"pytest {shlex.quote(f'gradproof::{text}::{self.family}')} --gradproof-seed {self.seed}"
        if not self.implementation.findable:
            return f"gradproof.check({text.rpartition(':')[2]}, profile={self.profile!r}, seed={self.seed})"
        return f"gradproof check {shlex.quote(text)} --profile {self.profile} --seed {self.seed}"

    def note_survey(self) -> None:
        """Notes on what the survey saw besides verdicts."""
        done = self.counts.total()
        if self.recorder.exhausted:
            self.notes.append(
                f"The target was asked {done} of {self.asked} cases and no more: {self.recorder.exhausted}."
            )
        elif done < self.asked:
            self.notes.append(f"Only {done} distinct cases could be drawn from what the target supports.")
        self.notes += self.subject.notes(self.implementation.supports, self.surveyed)


def _family_result(counts: Counter[Verdict]) -> FamilyResult:
    return FamilyResult(
        verdict=overall(+counts) if +counts else None,
        cases=counts.total(),
        counts={str(verdict): counts[verdict] for verdict in PRECEDENCE if counts[verdict]},
    )


class _Search:
    """The search for the smallest case that fails as a group of cases does."""

    def __init__(self, campaign: _Campaign, group: _Group, seconds: float) -> None:
        self.campaign = campaign
        self.group = group
        self.best = min(group.cases, key=campaign.subject.size)
        self.end = time.perf_counter() + seconds
        self.calls = 0
        self.out_of_time = False

    def smallest(self) -> AnyCase:
        campaign = self.campaign
        middle = (self.end - time.perf_counter()) / 2
        self.end -= middle
        drawing.shrink(campaign.strategy(), campaign.seed, campaign.asked, self.alike)
        self.end += middle
        self.calls = 0
        with contextlib.suppress(drawing.Enough):
            campaign.subject.simplify(self.best, campaign.implementation.supports, self.alike)
        return self.best

    def alike(self, case: AnyCase) -> bool:
        """Whether a case fails as the group does; the smallest that did is kept."""
        if case.id not in self.campaign.known:
            self.out_of_time = time.perf_counter() > self.end
            if self.out_of_time or self.calls >= SHRINK_CALLS:
                raise drawing.Enough
            self.calls += 1
        assessment = self.campaign.assess(case)
        if (assessment.verdict.verdict, assessment.cause) != (self.group.verdict, self.group.cause):
            return False
        if self.campaign.subject.size(case) < self.campaign.subject.size(self.best):
            self.best = case
        return True

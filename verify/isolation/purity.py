"""Whether a target's answer depends on the case alone.

Some of a survey's cases are asked again: twice more in the same process, after all the others, and once in a fresh
process with another order of hashes, other addresses, another state of the global random generators, and the cases in
the other order. Where an answer changes, further fresh processes, alike but for one thing, tell by what.

A change is not wrong in itself: threads may add up in another order. What is said of it follows from the judge: where
every answer is right, it is noted; where one is not, the target is right by chance, and that one is a failure.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from gradproof.gradients import TARGET
from gradproof.verdict import Finding, Verdict
from verify.calling import Answer, Asking, NoAnswer, call
from verify.isolation.isolated import Apart
from verify.isolation.worker import seed_generators
from verify.loading import Implementation
from verify.subjects.base import Subject

SHARE: Final = 32
"""One case of so many is asked again, three times: at most a tenth more calls."""
MOST: Final = 32
"""How many are asked again at most."""
GARBAGE: Final = 20_000
HASH_SEEDS: Final = (101, 202)
RANDOM_SEEDS: Final = (1, 2)

GLOBAL_RANDOM = "it depends on the global random state (of random or numpy.random)"
CALLS_BEFORE = "it depends on the calls before it"
CASES_BEFORE = "it depends on the cases before it"
HASHES = "it differs between processes: it depends on the order of hashes, which PYTHONHASHSEED decides"
ADDRESSES = "it differs between processes: it depends on the addresses of objects, or on time"
RANDOM = "it is random: it differs from call to call, whatever the global random state"
SELDOM = "it differs now and then"

Outcome = Answer | NoAnswer


@dataclass(frozen=True)
class Change:
    """A case that is not always answered alike."""

    case: Any
    other: Outcome
    """The first answer that differs from the survey's."""


@dataclass
class Recorder:
    """Calls an implementation, and keeps what it answers to some of the cases of a survey."""

    implementation: Implementation
    every: int
    surveying: bool = True
    """Whether answers are still kept."""
    kept: dict[str, tuple[Any, Outcome]] = field(default_factory=dict)
    """Case id → the case, and the answer in the survey, in the order of the survey."""
    calls: int = 0

    @property
    def exhausted(self) -> str:
        """As that of the implementation."""
        elsewhere = self.implementation.elsewhere
        return "" if elsewhere is None else elsewhere.exhausted

    def call(self, asking: Asking[Any], case: Any) -> Outcome:
        """As ``verify.calling.call``, which calls this."""
        outcome = call(asking, self.implementation, case)
        if self.surveying:
            if self.calls % self.every == 0 and len(self.kept) < MOST and isinstance(outcome, Answer):
                self.kept[case.id] = case, outcome
            self.calls += 1
        return outcome


def recorded(implementation: Implementation, asked: int) -> tuple[Implementation, Recorder]:
    """An implementation that keeps some of its answers, for a survey of so many cases."""
    recorder = Recorder(implementation, max(1, min(SHARE, asked // 2)))
    return replace(implementation, elsewhere=recorder), recorder


def same(one: Outcome, other: Outcome) -> bool:
    """Whether two outcomes are the same, bit for bit; two failures are where they fail alike."""
    if isinstance(one, NoAnswer) or isinstance(other, NoAnswer):
        return isinstance(one, NoAnswer) and isinstance(other, NoAnswer) and one.cause == other.cause
    if one.quantities.keys() != other.quantities.keys():
        return False
    pairs = ((array, other.quantities[name]) for name, array in one.quantities.items())
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


@dataclass(frozen=True)
class Impurity:
    """What is found of answers that change."""

    by: str
    """What they depend on, in words."""
    asked: int
    """How many cases were asked again."""
    changed: int
    """How many of them were answered differently."""
    bad: tuple[tuple[Any, Verdict, tuple[Finding, ...]], ...]
    """Those whose other answer has another verdict than the first: the case, that verdict, and its findings."""

    def told(self) -> str:
        """A note, where no verdict follows."""
        return (
            f"{self.changed} of {self.asked} cases were answered differently when asked again, with the same verdict: "
            f"{self.by}."
        )


def impurity(subject: Subject[Any, Any], recorder: Recorder, fresh: Apart | None, oracle: Any) -> Impurity | None:
    """What changes in a target's answers when it is asked again, after a survey; None where nothing does.

    fresh: the target in processes with the first of HASH_SEEDS; None where there is none to be had.
    """
    recorder.surveying = False
    found = changes(subject, recorder, fresh)
    if not found:
        return None
    bad = []
    for change in found:
        first, other = (
            _judged(subject, change.case, o, oracle) for o in (recorder.kept[change.case.id][1], change.other)
        )
        if first[0] is not other[0]:
            bad.append((change.case, *other))
    first_bad = {case.id for case, _, _ in bad[:1]}
    tried = next((change for change in found if change.case.id in first_bad), found[0])
    by = explained(subject, recorder, tried, fresh)
    return Impurity(by, len(recorder.kept), len(found), tuple((c, v, (_finding(v, by), *f)) for c, v, f in bad))


def _judged(
    subject: Subject[Any, Any], case: Any, outcome: Outcome, oracle: Any
) -> tuple[Verdict, tuple[Finding, ...]]:
    if isinstance(outcome, NoAnswer):
        return outcome.verdict, outcome.findings
    verdict = subject.examine(case, outcome.quantities, oracle).verdict
    return verdict.verdict, verdict.findings


def _finding(verdict: Verdict, by: str) -> Finding:
    return Finding(verdict, TARGET, f"{verdict} when asked again, and not when first asked: {by}")


def changes(asking: Asking[Any], recorder: Recorder, fresh: Apart | None) -> list[Change]:
    """The kept cases that are answered differently when they are asked again.

    fresh: the target in processes with the first of HASH_SEEDS; None where there is none to be had.
    """
    differing: dict[str, Change] = {}
    for case, first in recorder.kept.values():
        for outcome in [call(asking, recorder.implementation, case) for _ in range(2)]:
            if not same(first, outcome):
                differing.setdefault(case.id, Change(case, outcome))
    if fresh is not None:
        for case, first in reversed(recorder.kept.values()):
            outcome = fresh.call(asking, case, RANDOM_SEEDS[0])
            if not same(first, outcome):
                differing.setdefault(case.id, Change(case, outcome))
    return [differing[case_id] for case_id in recorder.kept if case_id in differing]


def explained(asking: Asking[Any], recorder: Recorder, change: Change, fresh: Apart | None) -> str:
    """What a changing answer depends on, in words, by trials."""
    if fresh is None:
        return _explained_here(asking, recorder.implementation, change.case)
    before = [case for case, _ in recorder.kept.values() if case != change.case]
    return _Trial(asking, fresh).verdict(change.case, before)


@dataclass(frozen=True)
class _Trial:
    """Fresh processes that are alike but for one thing: the thing whose change changes the answer is what it is."""

    asking: Asking[Any]
    apart: Apart
    """Whose processes have addresses and hashes in common, each as new as the one before."""

    def answers(self, *asked: tuple[Any, int]) -> list[Outcome]:
        """What a new process answers to cases, one after the other, each with its seed for the global generators."""
        self.apart.renew()
        return [self.apart.call(self.asking, case, seed) for case, seed in asked]

    def elsewhere(self, hash_seed: int, *asked: tuple[Any, int]) -> list[Outcome]:
        """The same, with other addresses."""
        with Apart(self.apart.text, self.apart.limits, hash_seed=hash_seed) as other:
            return _Trial(self.asking, other).answers(*asked)

    def verdict(self, case: Any, before: Sequence[Any]) -> str:
        one, other = RANDOM_SEEDS
        first, again, reseeded = self.answers((case, one), (case, one), (case, other))
        if same(first, again) and not same(again, reseeded):
            return GLOBAL_RANDOM
        twin, twin_again = self.elsewhere(HASH_SEEDS[0], (case, one), (case, one))
        if not same(first, again):
            return CALLS_BEFORE if same(first, twin) and same(again, twin_again) else RANDOM
        if not same(first, twin):
            return ADDRESSES
        if not same(first, self.elsewhere(HASH_SEEDS[1], (case, one))[0]):
            return HASHES
        if not same(first, self.answers(*((c, one) for c in before), (case, one))[-1]):
            return CASES_BEFORE
        return SELDOM


def _explained_here(asking: Asking[Any], implementation: Implementation, case: Any) -> str:
    """The same, as far as it can be told within this process: the case is asked with the global generators set."""
    first, again, reseeded = (_seeded(asking, implementation, case, seed) for seed in (*RANDOM_SEEDS[:1] * 2, 2))
    if not same(first, again):
        return f"{CALLS_BEFORE}, or is random"
    return CASES_BEFORE if same(again, reseeded) else GLOBAL_RANDOM


def _seeded(asking: Asking[Any], implementation: Implementation, case: Any, seed: int) -> Outcome:
    states = random.getstate(), np.random.get_state()
    seed_generators(seed)
    try:
        return call(asking, implementation, case)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])

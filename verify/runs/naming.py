"""Which tabulated variant, or which known mistake, an optimiser makes: the one that fits every step of every run.

A candidate turns a run into the optimiser and the trajectory by which the same numbers would be right. It is discarded
as soon as one number of one step is not what it would give, within what careful arithmetic may be off by; and some
wrong run must be decided by it, since what nothing bounds fits everything. Right runs count as wrong ones do. What
remains is tried on runs drawn from another seed. Named is a candidate that remains alone, or several that are the same
by mathematics on every run (``canonical``); else the cause is unknown, and what is known is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradproof.optimiser import OPTIMISERS
from gradproof.record import Cause
from gradproof.run import Run, StepSupports
from gradproof.verdict import Finding, Verdict, overall
from verify import drawing
from verify.calling import NoAnswer, call
from verify.loading import Implementation
from verify.runs.candidates import CANDIDATES, Candidate, Piece, canonical
from verify.runs.reading import trajectory
from verify.runs.strategy import runs
from verify.trajectories import Trajectory, judge_trajectory

WRONG_RUNS = 40
RIGHT_RUNS = 20
FRESH_RUNS = 40
LEAST_WRONG = 3
"""Fewer wrong runs than this may look like a mistake by coincidence: nothing is named by them."""
ALTERNATIVES = 3
"""How many that cannot be told apart are listed."""

Explanation = tuple[Candidate, ...]
"""One candidate, or two of different aspects that are made together."""


@dataclass(frozen=True)
class _Evidence:
    run: Run
    path: Trajectory
    wrong: bool

    def verdict(self, explanation: Explanation) -> Verdict:
        """Whether the numbers of every step are what these candidates together would give."""
        pieces: list[Piece] = [(self.run.optimiser, self.path)]
        for candidate in explanation:
            pieces = [new for optimiser, path in pieces for new in candidate.change(optimiser, path)]
        return overall(judge_trajectory(optimiser, path).verdict for optimiser, path in pieces)

    def canonical(self, explanation: Explanation) -> object:
        """What two explanations have in common that are the same by mathematics on this run."""
        optimiser = self.run.optimiser
        for candidate in explanation:
            if candidate.aspect not in ("rule", "decay", "clipping", "schedule", "betas"):
                return tuple(each.name for each in explanation)
            ((optimiser, _),) = candidate.change(optimiser, self.path)[:1]
        return canonical(optimiser)


def named(
    implementation: Implementation,
    failing: Mapping[Run, tuple[Finding, ...]],
    judged: Sequence[tuple[Run, tuple[Finding, ...]]],
    seed: int,
) -> dict[str, tuple[Cause, ...]]:
    """By id of the failing runs, the one cause that explains all of them, or what is known.

    judged: the survey's runs with what was found. seed: the survey's; fresh runs are drawn from another.
    """
    assert isinstance(implementation.supports, StepSupports)
    wrong = [run for run, findings in judged if _is_wrong(findings)][:WRONG_RUNS]
    right = [run for run, findings in judged if not findings][:RIGHT_RUNS]
    evidence = list(_evidence(implementation, [(run, True) for run in (*failing, *wrong)]))
    evidence += _evidence(implementation, [(run, False) for run in right])
    evidence.sort(key=lambda one: not one.wrong)
    left = _filtered([(candidate,) for candidate in CANDIDATES], evidence)
    if not left:
        pairs = itertools.combinations(CANDIDATES, 2)
        left = _filtered([(one, other) for one, other in pairs if one.aspect != other.aspect], evidence)
    seen = {one.run.id for one in evidence} | {run.id for run, _ in judged}
    fresh: list[_Evidence] = []
    if left:
        fresh += _evidence(implementation, [(run, False) for run in _drawn(implementation.supports, seed + 1, seen)])
        left = _filtered(left, fresh)
    cause = _cause(left, [*evidence, *fresh], len(wrong) + len(failing), len(fresh))
    return {run.id: (cause,) for run in failing if any(one.run.id == run.id for one in evidence)}


def _is_wrong(findings: Iterable[Finding]) -> bool:
    return any(finding.verdict is Verdict.WRONG for finding in findings)


def _drawn(supports: StepSupports, seed: int, seen: set[str]) -> list[Run]:
    found: list[Run] = []

    def visit(run: Run) -> None:
        if run.id not in seen:
            found.append(run)
        if len(found) == FRESH_RUNS:
            raise drawing.Enough

    drawing.survey(runs(supports), seed, FRESH_RUNS + len(seen), visit)
    return found


def _evidence(implementation: Implementation, asked: Iterable[tuple[Run, bool]]) -> list[_Evidence]:
    """The runs whose every number is finite, with what the steps left."""
    from verify.subjects.runs import SUBJECT

    found = []
    for run, wrong in asked:
        answer = call(SUBJECT, implementation, run)
        if isinstance(answer, NoAnswer) or not all(np.all(np.isfinite(a)) for a in answer.quantities.values()):
            continue
        found.append(_Evidence(run, trajectory(run, answer.quantities), wrong))
    return found


def _filtered(explanations: Iterable[Explanation], evidence: Sequence[_Evidence]) -> list[Explanation]:
    """Those that no number of any run proves wrong, and that at least one wrong run is decided by."""
    left = list(explanations)
    decided: set[int] = set()
    for one in evidence:
        verdicts = [(explanation, one.verdict(explanation)) for explanation in left]
        left = [explanation for explanation, verdict in verdicts if verdict is not Verdict.WRONG]
        decided |= {id(explanation) for explanation, verdict in verdicts if verdict is Verdict.CORRECT and one.wrong}
        if not left:
            break
    return [explanation for explanation in left if id(explanation) in decided or not any(one.wrong for one in evidence)]


def _cause(left: Sequence[Explanation], evidence: Sequence[_Evidence], wrong: int, fresh: int) -> Cause:
    counts = (len(evidence), wrong, fresh)
    if not left:
        words = "no tabulated variant and no known mistake gives these numbers at every step"
        return Cause("unknown", None, None, words, None, (), *counts)
    same = all(one.canonical(left[0]) == one.canonical(other) for other in left[1:] for one in evidence)
    if not same or wrong < LEAST_WRONG:
        why = "too few wrong runs to be sure" if same else "several fit every step of every run"
        listed = "; or ".join(_words(explanation, evidence[0].run) for explanation in left[:ALTERNATIVES])
        return Cause("unknown", None, None, f"{why}: {listed}", None, (), *counts)
    first, *others = left
    return Cause(
        kind="convention" if all(candidate.convention for candidate in first) else "mistake",
        name=" and ".join(candidate.name for candidate in first),
        layer=None,
        words=_words(first, evidence[0].run),
        mend="; ".join(_filled(candidate, candidate.mend, evidence[0].run) for candidate in first),
        same_as=tuple(_words(other, evidence[0].run) for other in others[:ALTERNATIVES]),
        cases=counts[0],
        wrong=wrong,
        fresh=fresh,
    )


def _words(explanation: Explanation, run: Run) -> str:
    return ", and ".join(_filled(candidate, candidate.words, run) for candidate in explanation)


def _filled(candidate: Candidate, words: str, run: Run) -> str:
    """Words with what another rule computes in place of what the declared one does: only where they differ."""
    if not candidate.name.startswith("rule/"):
        return words
    other = OPTIMISERS[candidate.name.removeprefix("rule/")].says.split("; ")
    declared = run.optimiser.word.says.split("; ")
    its = "; ".join(part for part in other if part not in declared)
    own = "; ".join(part for part in declared if part not in other)
    return words.replace("{its}", its).replace("{declared}", own)

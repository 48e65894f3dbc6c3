"""Naming a mistake: which one of the catalogue gives the wrong numbers, on every case, those drawn for it included.

A candidate is a mistake at a place (``verify.mistakes``). On each case its answer is enclosed, and bounded, as the
truth is; a candidate is discarded as soon as one number of one case is further from what it would give than careful
arithmetic may be off by. Right answers count as wrong ones do: a mistake must explain both. What then remains is
compared on cases drawn from another seed. Named is a candidate that remains alone, or several whose answers are the
same numbers on every case, to all the bits computed: nothing that the target supports tells these apart, and the
plainest speaks for all, conventions first. In every other case the cause is unknown, and what is known is said.

Where no single mistake explains everything, two are tried: one that explains all but the biases' gradients (or the
loss, or penalised cases) with one that explains these; one that explains the cases of one sample (or of one output)
with a factor in the number of samples (of outputs); and two of which each explains a failing case by itself.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from gradproof.arrays import Array
from gradproof.case import Case
from gradproof.gradients import LOSS, RADIUS
from gradproof.layers import Activation, Branches, Dense, Residual
from gradproof.network import is_bias
from gradproof.record import Cause
from gradproof.target import Supports
from gradproof.verdict import Finding, Verdict
from verify import drawing
from verify.calling import NoAnswer
from verify.loading import Implementation
from verify.mistakes.catalogue import candidates
from verify.mistakes.mistake import Alike, Candidate
from verify.mistakes.moves import Move, ParameterGradient, PenaltyGradient, ThroughActivation
from verify.mistakes.prediction import Prediction
from verify.reading import enumerated
from verify.strategies import cases
from verify.subjects.networks import SUBJECT as NETWORKS

WRONG_CASES = 60
RIGHT_CASES = 40
"""How many wrong and how many right cases of a run a candidate must reproduce, besides the failures shown."""
FRESH_CASES = 40
"""How many new ones."""
MORE_CASES = 360
"""How many more may be drawn to tell apart what remains."""
FRESH_SECONDS = 5.0
"""How long cases may be drawn for it; a bound for slow targets."""
LEAST_WRONG = 3
"""Fewer wrong answers than this may look like a mistake by coincidence: nothing is named by them."""
PAIRS = 2000
"""How many pairs of mistakes are tried on the first failing case."""
ALTERNATIVES = 3
"""How many that cannot be told apart are listed."""
ELSEWHERE = ", which changes nothing in this case"

Explanation = tuple[Candidate, ...]
"""One mistake, or two that are made together."""


@dataclass(frozen=True)
class Surveyed:
    """A case of a run, with the quantities that were found wrong."""

    case: Case
    wrong: frozenset[str]

    @classmethod
    def of(cls, case: Case, findings: Iterable[Finding]) -> Surveyed:
        """A case with what the judge found."""
        return cls(case, frozenset(f.quantity for f in findings if f.verdict is Verdict.WRONG))


@dataclass(frozen=True)
class Diagnosis:
    """What explains a run's wrong answers; ``explanation`` None where nothing of the catalogue does."""

    explanation: Explanation | None
    same: tuple[Explanation, ...]
    """Others that give the same numbers on every case."""
    open: tuple[Explanation, ...]
    """Where nothing is named: what reproduces every case, and is not all the same or rests on too few wrong ones."""
    cases: int
    wrong: int
    fresh: int
    known: str
    """Where nothing is named: what is known all the same."""
    told: frozenset[str]
    """Ids of the failures shown whose answers are numbers, so that they could be compared."""

    def causes(self, case: Case) -> tuple[Cause, ...]:
        """The causes of one failing case, in words; none where its answer could not be compared."""
        if case.id not in self.told:
            return ()
        if self.explanation is None:
            words = "no known mistake reproduces these numbers on every case"
            if self.open:
                listed = "; or ".join(dict.fromkeys(map(_plain, self.open[:ALTERNATIVES])))
                enough = self.wrong >= LEAST_WRONG
                why = "several known mistakes reproduce every number" if enough else "too few wrong answers to be sure"
                words = f"{why}: {listed}"
            return (Cause("unknown", None, None, f"{words}{self.known}", None, (), self.cases, self.wrong, self.fresh),)
        touched = Prediction(case, {}, right=None).touched(self.explanation)
        moved = {c: [move for candidate, move in touched if candidate is c] for c in self.explanation}
        # What this case does not show comes last; it is told all the same, since no other failure may be shown.
        return tuple(
            self._cause(c, moved[c], case, "" if moved[c] or not touched else ELSEWHERE)
            for c in sorted(self.explanation, key=lambda c: not moved[c])
        )

    def _cause(self, candidate: Candidate, moves: list[Move], case: Case, aside: str) -> Cause:
        mistake = candidate.mistake
        same = tuple(dict.fromkeys(_plain(other) for other in self.same if _names(other) != _names(self.explanation)))
        touched = {move.place.removeprefix("layer ") for move in moves}
        layers = [site.path for site in case.network.sites if site.path in touched]
        where = f"layer{'s' if len(layers) > 1 else ''} {enumerated(layers)}" if layers and mistake.local else None
        return Cause(
            kind="convention" if mistake.convention else "mistake",
            name=mistake.name,
            layer=where,
            words=_filled(mistake.words, candidate, moves, case) + _where(candidate) + aside,
            mend=_filled(mistake.mend, candidate, moves, case),
            same_as=same[:ALTERNATIVES],
            cases=self.cases,
            wrong=self.wrong,
            fresh=self.fresh,
        )


class _Evidence:
    """One case with its answer, and what of it was found wrong (None: it was not judged)."""

    def __init__(self, case: Case, answer: dict[str, Array], wrong: frozenset[str] | None) -> None:
        self.case, self.answer, self.wrong = case, answer, wrong
        self.quantities = tuple(name for name in answer if not name.startswith(RADIUS))
        self._predictions: dict[frozenset[str], Prediction] = {}

    def asked(self, names: Iterable[str]) -> Prediction | None:
        """The prediction of some of the quantities; None where there are none of these."""
        key = frozenset(names)
        if not key:
            return None
        if key not in self._predictions:
            right = None if self.wrong is None else not self.wrong & key
            first = next(iter(self._predictions.values()), None)
            part = {name: array for name, array in self.answer.items() if name.removeprefix(RADIUS) in key}
            # What is wrong comes first: most mistakes would not give it, and nothing else need be asked of them.
            part = dict(sorted(part.items(), key=lambda item: item[0] not in (self.wrong or ())))
            self._predictions[key] = (
                Prediction(self.case, part, right=right) if first is None else first.part(part, right)
            )
        return self._predictions[key]


Part = Callable[[str], bool]
"""Which quantities are compared."""


def _everything(_: str) -> bool:
    return True


def diagnose(
    implementation: Implementation, failing: Sequence[Surveyed], survey: Sequence[Surveyed], seed: int
) -> Diagnosis:
    """What explains the wrong answers of a run.

    Arguments:
        implementation: is called again on the cases that are compared, and on new ones.
        failing: the failures shown, shrunk, the gravest first; at least one.
        survey: the run's cases, in order.
        seed: of the run; new cases are drawn from another one.
    """
    return _Diagnostician(implementation, failing, survey, seed).run()


class _Diagnostician:
    def __init__(
        self, implementation: Implementation, failing: Sequence[Surveyed], survey: Sequence[Surveyed], seed: int
    ) -> None:
        self.implementation = implementation
        assert isinstance(implementation.supports, Supports)
        self.supports = implementation.supports
        self.seed = seed
        self.survey = survey
        self.candidates = candidates(self.supports)
        self.failing = list(self._evidence(failing))
        self.seen = {surveyed.case.id for surveyed in (*failing, *survey)}
        wrong = [surveyed for surveyed in survey if surveyed.wrong][:WRONG_CASES]
        right = [surveyed for surveyed in survey if not surveyed.wrong][:RIGHT_CASES]
        alternating = itertools.chain.from_iterable(itertools.zip_longest(wrong, right))
        self.evidence = [*self.failing, *self._evidence(filter(None, alternating))]
        self.fresh: list[_Evidence] = []

    def _evidence(self, survey: Iterable[Surveyed]) -> Iterator[_Evidence]:
        for surveyed in survey:
            answer = self._answer(surveyed.case)
            if answer is not None:
                yield _Evidence(surveyed.case, answer, surveyed.wrong)

    def _answer(self, case: Case) -> dict[str, Array] | None:
        """What a target answers to a case, if it is numbers, all of them finite."""
        answer = NETWORKS.call(self.implementation, case)
        if isinstance(answer, NoAnswer):
            return None
        named = {n: np.asarray(a) for n, a in answer.quantities.items() if n not in case.network.frozen}
        finite = all(np.all(np.isfinite(array.astype(np.float64))) for array in named.values())
        return named if finite else None

    def run(self) -> Diagnosis:
        remaining: list[Explanation] = []
        if any(one.wrong for one in self.evidence):
            remaining = self._filter(((candidate,) for candidate in self.candidates), self.evidence)
            remaining = remaining or self._filter(self._pairs(), self.evidence)
        if remaining:
            remaining = self._told_apart(remaining)
        wrong = sum(bool(evidence.wrong) for evidence in self.evidence)
        told = frozenset(one.case.id for one in self.failing)
        counts = (len(self.evidence) + len(self.fresh), wrong, len(self.fresh))
        if not remaining:
            return Diagnosis(None, (), (), *counts, self._known(), told)
        first, *others = remaining
        if wrong < LEAST_WRONG or not all(self._same(first, other) for other in others):
            return Diagnosis(None, (), tuple(remaining), *counts, "", told)
        return Diagnosis(first, tuple(others), (), *counts, "", told)

    def _filter(
        self, explanations: Iterable[Explanation], evidence: Iterable[_Evidence], part: Part = _everything
    ) -> list[Explanation]:
        """Those that reproduce all of the evidence, as far as it is asked for."""
        remaining = list(explanations)
        for one in evidence:
            prediction = one.asked(filter(part, one.quantities))
            if prediction is not None:
                remaining = [explanation for explanation in remaining if prediction.reproduces(explanation)]
            if not remaining:
                break
        return remaining

    def _pairs(self) -> Iterator[Explanation]:
        """Two mistakes that together may explain what none explains alone."""
        singles: list[Explanation] = [(candidate,) for candidate in self.candidates]
        domains: tuple[tuple[Part, Callable[[Case], bool], Callable[[Candidate], bool]], ...] = (
            (lambda name: not is_bias(name), lambda case: True, _is_about_biases),
            (lambda name: name != LOSS, lambda case: True, lambda candidate: not candidate.touches_gradients),
            (_everything, lambda case: case.network.penalty is None, _is_about_penalties),
            *((_everything, admits, _is_factor(alike)) for alike, admits in ALIKE.items()),
        )
        for part, admits, second in domains:
            evidence = [one for one in self.evidence if admits(one.case)]
            if not any(one.wrong and any(map(part, one.wrong)) for one in evidence):
                continue
            for (one,) in self._filter(singles, evidence, part):
                yield from ((other, one) for other in self.candidates if second(other) and other is not one)
        if len(self.failing) > 1:
            alone = [self._filter(singles, [one]) for one in self.failing]
            for some, more in itertools.combinations(alone, 2):
                pairs = ((one, other) for (one,) in some for (other,) in more if one is not other)
                yield from itertools.islice(pairs, PAIRS)

    def _told_apart(self, remaining: list[Explanation]) -> list[Explanation]:
        """What new cases leave of the explanations; more of them while what remains is not all the same."""
        end = time.perf_counter() + FRESH_SECONDS
        left = remaining

        def visit(case: Case) -> None:
            nonlocal left
            if case.id in self.seen:
                return
            answer = self._answer(case)
            if answer is not None:
                self.fresh.append(_Evidence(case, answer, None))
                left = self._filter(left, self.fresh[-1:])
            if not left or time.perf_counter() > end:
                raise drawing.Enough
            if answer is not None and len(self.fresh) % FRESH_CASES == 0 and self._all_same(left):
                raise drawing.Enough

        drawing.survey(cases(self.supports), self.seed + 1, FRESH_CASES + MORE_CASES, visit)
        return left

    def _all_same(self, explanations: Sequence[Explanation]) -> bool:
        return all(self._same(explanations[0], other) for other in explanations[1:])

    def _same(self, one: Explanation, other: Explanation) -> bool:
        """Whether two give the same numbers on every case, to all the bits computed."""
        for evidence in (*self.evidence, *self.fresh):
            prediction = evidence.asked(evidence.quantities)
            if prediction is not None and not prediction.agree(one, other):
                return False
        return True

    def _known(self) -> str:
        """What sets the wrong cases apart, as the end of a sentence."""
        judged = [(surveyed.case, bool(surveyed.wrong)) for surveyed in self.survey]
        for words, others, holds in FEATURES:
            inside = [wrong for case, wrong in judged if holds(case)]
            outside = [wrong for case, wrong in judged if not holds(case)]
            if outside and any(inside) and not any(outside):
                which = "every case" if all(inside) else f"{sum(inside)} of {len(inside)} cases"
                return f"; wrong: {which} {words}; right: all {others}"
        return ""


def _has(kind: str) -> tuple[str, str, Callable[[Case], bool]]:
    def holds(case: Case) -> bool:
        layers = [site.layer for site in case.network.sites]
        return any(isinstance(layer, Activation) and layer.name == kind for layer in layers)

    return (f"with {kind}", f"without {kind}", holds)


FEATURES: tuple[tuple[str, str, Callable[[Case], bool]], ...] = (
    ("with a penalty", "without", lambda case: case.network.penalty is not None),
    ("with sample weights", "without", lambda case: case.sample_weights is not None),
    ("with shared parameters", "without", lambda case: bool(case.network.shared)),
    ("with frozen parameters", "without", lambda case: bool(case.network.frozen)),
    ("with dropout", "without", lambda case: bool(case.masks)),
    ("with a residual connection", "without", lambda c: any(isinstance(s.layer, Residual) for s in c.network.sites)),
    ("with branches", "without", lambda case: any(isinstance(s.layer, Branches) for s in case.network.sites)),
    *(_has(kind) for kind in ("softmax", "elu", "gelu", "gelu_tanh", "silu", "hard_tanh")),
    *(_has(kind) for kind in ("leaky_relu", "relu", "softplus", "tanh", "sigmoid")),
    ("of several samples", "of one sample", lambda case: case.batch > 1),
    ("of several outputs", "of one output", lambda case: int(np.prod(case.network.output_shape)) > 1),
    (
        "of several dense layers",
        "of one dense layer",
        lambda case: sum(isinstance(site.layer, Dense) for site in case.network.sites) > 1,
    ),
    ("with biases", "without", lambda case: any(map(is_bias, case.network.parameter_shapes))),
    ("in float32", "in float64", lambda case: case.dtype == "float32"),
)
"""What wrong cases may have in common: words for those that have it and for the others."""


ALIKE: Mapping[Alike, Callable[[Case], bool]] = MappingProxyType(
    {
        "one sample": lambda case: case.batch == 1,
        "one output": lambda case: math.prod(case.network.output_shape) == 1,
        "one entry": lambda case: case.batch * math.prod(case.network.output_shape) == 1,
    }
)
"""Cases on which a factor is 1, so that whatever else is wrong shows there by itself."""


def _is_factor(alike: Alike) -> Callable[[Candidate], bool]:
    return lambda candidate: candidate.mistake.alike == alike


def _is_about_biases(candidate: Candidate) -> bool:
    return "bias" in candidate.mistake.name and candidate.mistake.moves[0][0] is ParameterGradient


def _is_about_penalties(candidate: Candidate) -> bool:
    return candidate.mistake.moves[0][0] is PenaltyGradient


def _names(explanation: Explanation | None) -> tuple[str, ...]:
    return tuple(candidate.mistake.name for candidate in explanation or ())


def _plain(explanation: Explanation) -> str:
    """An explanation in words, without a case at hand."""
    parts = []
    for candidate in explanation:
        words = candidate.mistake.words.replace("{f}", candidate.kind or "the activation")
        for place, said in (("{loss}", "another loss"), ("{N}", ""), ("{K}", ""), ("{NK}", ""), ("{rest}", "")):
            words = words.replace(place, said)
        parts.append(words + _where(candidate))
    return ", and ".join(parts)


def _where(candidate: Candidate) -> str:
    return {
        "every layer": "",
        "the output layer": " (in the output layer only)",
        "hidden layers": " (in hidden layers only)",
    }[candidate.place]


def _filled(words: str, candidate: Candidate, moves: Sequence[Move], case: Case) -> str:
    met = dict.fromkeys(str(move.layer.name) for move in moves if isinstance(move, ThroughActivation))
    kinds = [candidate.kind] if candidate.kind else list(met)
    declared = "an upstream gradient" if case.network.loss is None else str(case.network.loss)
    outputs = math.prod(case.network.output_shape)
    said = {
        "{f}": enumerated(kinds) or "the activation",
        "{loss}": declared,
        "{N}": f" ({case.batch})",
        "{K}": f" ({outputs})",
        "{NK}": f" ({case.batch * outputs})",
        "{rest}": "" if case.network.penalty is None else "; the penalty's part is right",
    }
    for place, word in said.items():
        words = words.replace(place, word)
    return words

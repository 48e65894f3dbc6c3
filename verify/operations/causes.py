"""Why a function is wrong: what reproduces its answers on every case, fresh ones included; else what sets cases apart.

Tried, in this order, are: that it keeps something of an earlier call; that it computes, exactly, something else than is
declared (another activation or loss, gradients overwritten that are to be added to); that it reads an array's memory
without its strides; and each mistake of the catalogue (``verify.mistakes``). What is named reproduces every answer that
can be compared, right or wrong; three at least are wrong, in 32 bits or more, where bounds are narrow. Otherwise the
cause is unknown, and what all wrong cases have and right ones lack is said instead.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import numpy as np
from msgspec.structs import replace

from gradproof.arrays import Array
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import LOSS, OUTPUTS
from gradproof.layers import Activation
from gradproof.layouts import WORDS
from gradproof.loss import Loss
from gradproof.operation_case import UPSTREAM, OperationCase
from gradproof.operations import OperationSupports, activation_of
from gradproof.operations import words as words_of
from gradproof.precisions import BITS
from gradproof.record import Cause
from gradproof.target import UPSTREAM as UPSTREAM_LOSS
from gradproof.target import Supports
from gradproof.verdict import Finding, Verdict
from gradproof.vocabulary import ACTIVATIONS, LOSSES, REDUCTIONS, TargetKind
from refimpl.formats import Format
from refimpl.operations import operation_enclosure
from verify import drawing
from verify.calling import NoAnswer
from verify.diagnosis import FRESH_CASES, FRESH_SECONDS, LEAST_WRONG, RIGHT_CASES, WRONG_CASES, Diagnosis
from verify.loading import Implementation
from verify.mistakes.catalogue import candidates
from verify.mistakes.mistake import Candidate
from verify.mistakes.prediction import Prediction
from verify.operations.calling import AGAIN
from verify.operations.features import told_apart
from verify.operations.judging import SECOND_CALL, examine
from verify.operations.shrinking import changed, named
from verify.reading import enumerated
from verify.strategies import SLOPES

ODD_SIZES: Final = 9
"""From this size on, every size that cases may have is among the new ones that a name must stand."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """One case with its answer, and what of it was found wrong (None: it was not judged)."""

    case: OperationCase
    answer: Mapping[str, Array]
    wrong: frozenset[str] | None

    @property
    def first(self) -> dict[str, Array]:
        """The answer of the first call."""
        return {name: array for name, array in self.answer.items() if not name.startswith(AGAIN)}


Reproduces = Callable[[Evidence], bool | None]
"""Whether a supposition gives the numbers of an answer; None where it has nothing to say of the case."""


@dataclass(frozen=True, eq=False)
class Supposition:
    """Something that may explain wrong answers. ``told`` is the cause but for how much was compared."""

    told: Callable[[OperationCase], tuple[Cause, ...]]
    reproduces: Reproduces
    same: Callable[[Supposition, Evidence], bool] = lambda other, evidence: False
    """Whether another one gives the same numbers on a case, to all the bits computed."""
    gives: Callable[[OperationCase], OperationCase | None] | None = None
    partial: bool = False
    """Whether wrong cases may be left out of which it says nothing."""
    exact: bool = False
    """Whether it gives an answer to the last bit, and not within what careful arithmetic may be off by."""

    def speaks_of(self, evidence: Evidence) -> bool:
        """Whether it reproduces a wrong answer so closely that hardly anything else would: 16 bits do not tell much."""
        close = self.exact or BITS[evidence.case.dtype] >= BITS["float32"]
        return close and bool(evidence.wrong) and bool(self.reproduces(evidence))


def causes(
    subject: Any,
    implementation: Implementation,
    failing: Mapping[OperationCase, tuple[Finding, ...]],
    judged: Sequence[tuple[OperationCase, tuple[Finding, ...]]],
    seed: int,
) -> Mapping[str, tuple[Cause, ...]]:
    """By case id, why the failures shown are wrong. ``judged``: the survey's cases, with what was found."""
    kept = {case.id for case, findings in failing.items() if _keeps_state(findings)}
    search = _Search(subject, implementation, failing, judged, seed)
    found = {case.id: search.causes(case) for case in failing if case.id not in kept}
    wrong = sum(_keeps_state(findings) for _, findings in judged)
    state = Cause(
        "mistake",
        "keeps state",
        None,
        "the same call answers otherwise the second time: something of the first call is kept and used",
        "compute everything from the arguments; start from zeros, not from what an earlier call left",
        (),
        len(judged),
        wrong,
        0,
    )
    return found | dict.fromkeys(kept, (state,))


def _keeps_state(findings: Iterable[Finding]) -> bool:
    return any(finding.layer == SECOND_CALL for finding in findings)


class _Search:
    def __init__(
        self,
        subject: Any,
        implementation: Implementation,
        failing: Mapping[OperationCase, tuple[Finding, ...]],
        judged: Sequence[tuple[OperationCase, tuple[Finding, ...]]],
        seed: int,
    ) -> None:
        self.subject, self.implementation, self.seed = subject, implementation, seed
        self.judged = judged
        assert isinstance(implementation.supports, OperationSupports)
        self.supports = implementation.supports
        self.seen = {case.id for case, _ in (*failing.items(), *judged)}
        wrong = [(case, _wrong(findings)) for case, findings in judged if _wrong(findings)]
        right = [(case, _wrong(findings)) for case, findings in judged if not _wrong(findings)]
        shown = [(case, _wrong(findings)) for case, findings in failing.items()]
        spread = [right[number] for number in np.linspace(0, len(right) - 1, min(RIGHT_CASES, len(right)), dtype=int)]
        # Small ones first: they leave few suppositions to try on the others.
        picked = sorted([*shown, *wrong[:WRONG_CASES], *spread], key=lambda pair: pair[0].inputs.size)
        self.evidence = [one for case, bad in picked if (one := self.asked(case, bad)) is not None]
        self.fresh: list[Evidence] = []
        self._found: tuple[list[Supposition], bool] | None = None

    def asked(self, case: OperationCase, wrong: frozenset[str] | None) -> Evidence | None:
        """What the target answers to a case, if it is numbers, all of them finite."""
        answer = self.subject.call(self.implementation, case)
        if isinstance(answer, NoAnswer):
            return None
        found = dict(answer.quantities)
        return Evidence(case, found, wrong) if all(np.all(np.isfinite(a)) for a in found.values()) else None

    def causes(self, case: OperationCase) -> tuple[Cause, ...]:
        """The causes of one failing case."""
        found, sure = self.found()
        counts = {
            "cases": len(self.evidence) + len(self.fresh),
            "wrong": sum(bool(one.wrong) for one in self.evidence),
            "fresh": len(self.fresh),
        }
        if found and sure:
            causes = found[0].told(case)
            others = [cause.words for other in found[1:] for cause in other.told(case)]
            return tuple(_counted(cause, counts, tuple(dict.fromkeys((*cause.same_as, *others)))) for cause in causes)
        words = "no known mistake reproduces these numbers on every case"
        if found:
            several = "several known mistakes reproduce every number"
            listed = "; or ".join(dict.fromkeys(cause.words for one in found[:3] for cause in one.told(case)))
            few = "too few wrong answers of 32 bits or more to be sure"
            words = f"{several if len(found) > 1 else few}: {listed}"
        surveyed = [(one, bool(_wrong(findings))) for one, findings in self.judged]
        apart = told_apart([*surveyed, *self._probed()])
        later = sum(_keeps_state(findings) for _, findings in self.judged)
        if later:
            cases = f"{later} cases" if later > 1 else "1 case"
            apart = f"in {cases} only a second call is wrong, so something of earlier calls is kept"
        unknown = Cause("unknown", None, None, "; ".join(filter(None, (words, apart))), None, (), 0, 0, 0)
        return (_counted(unknown, counts, ()),)

    def found(self) -> tuple[list[Supposition], bool]:
        """What reproduces every answer, and whether it may be named."""
        if self._found is None:
            self._found = ([], False)
            for suppositions in self._suppositions():
                left = self._told_apart(self._left(suppositions, self.evidence))
                if left:
                    wrong = [one for one in self.evidence if left[0].speaks_of(one)]
                    same = all(left[0].same(o, one) for o in left[1:] for one in self.evidence if one.wrong)
                    self._found = (left, same and len(wrong) >= LEAST_WRONG)
                    break
        return self._found

    def _suppositions(self) -> Iterator[list[Supposition]]:
        yield [*_otherwise(self.supports)]
        yield [*_unstrided(self)]
        yield [*_catalogue(self.supports)]

    def _left(self, suppositions: Iterable[Supposition], evidence: Iterable[Evidence]) -> list[Supposition]:
        """Those that reproduce all of the evidence that they say anything of, and something that is wrong."""
        left = list(suppositions)
        spoken: set[int] = set()
        for one in evidence:
            kept = []
            for supposition in left:
                says = supposition.reproduces(one)
                if says is False or (says is None and one.wrong and not supposition.partial):
                    continue
                if says and one.wrong:
                    spoken.add(id(supposition))
                kept.append(supposition)
            left = kept
            if not left:
                break
        judged = any(one.wrong is not None for one in evidence)
        return [supposition for supposition in left if id(supposition) in spoken or not judged]

    def _told_apart(self, left: list[Supposition]) -> list[Supposition]:
        """What new cases leave of them."""
        if not left or self.fresh:
            return self._left(left, self.fresh) if self.fresh else left
        end = time.perf_counter() + FRESH_SECONDS

        def visit(case: OperationCase) -> None:
            if case.id not in self.seen and (one := self.asked(case, None)) is not None:
                self.fresh.append(one)
            if time.perf_counter() > end:
                raise drawing.Enough

        for part in self._wide():
            drawing.survey(self.subject.strategy(part), self.seed + 1, 1, visit)
        drawing.survey(self.subject.strategy(self.supports), self.seed + 1, FRESH_CASES, visit)
        return self._left(left, self.fresh)

    def _probed(self) -> list[tuple[OperationCase, bool]]:
        """Cases of each large size, and whether the answer to them is wrong."""
        found: list[tuple[OperationCase, bool]] = []
        end = time.perf_counter() + FRESH_SECONDS

        def visit(case: OperationCase) -> None:
            one = self.asked(case, None)
            if one is not None and not case.empty:
                found.append((case, bool(_wrong(examine(case, one.answer).verdict.findings))))
            if time.perf_counter() > end:
                raise drawing.Enough

        for part in self._wide():
            drawing.survey(self.subject.strategy(part), self.seed + 1, 2, visit)
        return found

    def _wide(self) -> Iterator[OperationSupports]:
        """The declaration, with one large size of inputs: kernels that work in blocks are right in whole ones alone."""
        if self.supports.input_shape is not None:
            return
        least, most = self.supports.sizes
        small = (least, max(least, min(most, ODD_SIZES)))
        for size in self.supports.some_sizes():
            if size > ODD_SIZES:
                shape = (*(small[:1] * (self.supports.shape_axes - 1)), size)
                with contextlib.suppress(ArgumentError):  # layers that stand on other sizes
                    yield replace(self.supports, input_shape=shape, sizes=small, layouts=("contiguous",))


def _wrong(findings: Iterable[Finding]) -> frozenset[str]:
    return frozenset(finding.quantity for finding in findings if finding.verdict is Verdict.WRONG)


def _counted(cause: Cause, counts: Mapping[str, int], same: tuple[str, ...]) -> Cause:
    return Cause(cause.kind, cause.name, cause.layer, cause.words, cause.mend, same, **counts)


def _cause(kind: Any, name: str, words: str, mend: str) -> Cause:
    return Cause(kind, name, None, words, mend, (), 0, 0, 0)


# ---- something else than is declared ----


def _otherwise(supports: OperationSupports) -> Iterator[Supposition]:
    """That the answer is exact for another declaration, whole or in its gradients alone."""
    if supports.gradients == "added":
        words = "gradients overwrite what the arrays held before; they are declared to be added to it"
        cause = _cause("mistake", "overwrites", words, "accumulate with +=")
        yield _exact_for(cause, lambda case: case.replace(gradients="returned", into={}, layouts=_own(case)))
    if supports.gradients == "written":
        words = "gradients are added to what the arrays held before; they are declared to be written over it"
        cause = _cause("mistake", "accumulates", words, "assign, or fill the array with zeros first")
        yield _exact_for(cause, lambda case: case.replace(gradients="added"))
    declared = " -> ".join(words_of(supports.loss, supports.templates))
    for words, other in _other_operations(supports):
        whole = _cause(
            "convention",
            f"exact for {words}",
            f"the numbers are exact for {words}; declared is {declared}",
            f"declare {words}, or compute {declared}",
        )
        half = _cause(
            "convention",
            f"gradients exact for {words}",
            f"the gradients are exact for {words}, and the values for {declared}, which is declared",
            f"differentiate {declared}",
        )
        yield _exact_for(whole, other)
        yield _exact_for(half, other, gradients_only=True)


def _own(case: OperationCase) -> dict[str, Any]:
    return {name: layout for name, layout in case.layouts.items() if not name.startswith("into.")}


def _exact_for(
    cause: Cause, other: Callable[[OperationCase], OperationCase | None], *, gradients_only: bool = False
) -> Supposition:
    """That an answer is right for another case, which ``other`` makes of each; None where it makes none."""

    @cache
    def made(case: OperationCase) -> OperationCase | None:
        try:
            return other(case)
        except ArgumentError:
            return None

    def reproduces(evidence: Evidence) -> bool | None:
        there = made(evidence.case)
        if there is None:
            return None
        values = [name for name in evidence.first if name in (LOSS, OUTPUTS)]
        if gradients_only and (not values or (evidence.wrong and not evidence.wrong.isdisjoint(values))):
            return None if not values else False
        compared = {n: a for n, a in evidence.first.items() if not (gradients_only and n in values)}
        verdict = examine(there, compared).verdict.verdict
        return verdict in (Verdict.CORRECT, Verdict.INACCURATE, Verdict.UNDECIDED)

    def same(another: Supposition, evidence: Evidence) -> bool:
        here = made(evidence.case)
        there = another.gives(evidence.case) if another.gives is not None else None
        if here is None or there is None:
            return False
        ours, theirs = operation_enclosure(here), operation_enclosure(there)
        pairs = [
            (a, b)
            for name in evidence.first
            if not (gradients_only and name in (LOSS, OUTPUTS))
            for a, b in zip(ours.balls(name).reshape(-1), theirs.balls(name).reshape(-1), strict=True)
        ]
        return all(bool(a - b == 0) or a.overlaps(b) for a, b in pairs)

    return Supposition(lambda case: (cause,), reproduces, same, made)


def _other_operations(
    supports: OperationSupports,
) -> Iterator[tuple[str, Callable[[OperationCase], OperationCase | None]]]:
    """Operations of the same shapes: with another activation, or another loss or reduction."""
    places = [number for number, part in enumerate(supports.templates) if activation_of(part) is not None]
    for place in places:
        for activation in _activations():
            yield str(activation), partial(_with_activation, place, activation)
    if supports.loss is not None:
        for name in LOSSES:
            for reduction in REDUCTIONS:
                if (name, reduction) != (supports.loss.name, supports.loss.reduction):
                    yield f"{name}/{reduction}", partial(_with_loss, name, reduction)


def _activations() -> Iterator[Activation]:
    for name, word in ACTIVATIONS.items():
        for parameter in SLOPES if word.parameter is not None else (None,):
            yield Activation(name, parameter)


def _with_activation(place: int, activation: Activation, case: OperationCase) -> OperationCase | None:
    layers = list(case.operation.layers)
    if layers[place] == activation:
        return None
    layers[place] = activation
    return case.computing(case.operation.replace(layers=tuple(layers)))


def _with_loss(name: str, reduction: Any, case: OperationCase) -> OperationCase | None:
    loss = case.operation.loss
    assert loss is not None
    if case.empty:
        return None
    kind: TargetKind = "real" if LOSSES[name].targets == "real" else "free"
    return case.computing(case.operation.replace(loss=Loss(name, reduction, kind)))


# ---- strides ----


def _unstrided(search: _Search) -> Iterator[Supposition]:
    """That the memory of some arrays is read as if they were contiguous: the function says so itself, given what is
    read then in contiguous arrays.
    """
    arrays = {name for one in search.evidence for name in one.case.layouts if not _is_contiguous(one.case, name)}
    groups = [(name,) for name in sorted(arrays)] + ([tuple(sorted(arrays))] if len(arrays) > 1 else [])
    for group in groups:
        words = f"the strides of {_listed(group)} are ignored: memory is read as if it were contiguous"
        mend = "use the array's strides, or copy it into a contiguous one first (numpy.ascontiguousarray)"
        cause = _cause("mistake", f"ignores the strides of {_listed(group)}", words, mend)
        yield Supposition(partial(_always, cause), partial(_reads_unstrided, search, group), exact=True)


def _always(cause: Cause, case: OperationCase) -> tuple[Cause, ...]:
    return (cause,)


def _reads_unstrided(search: _Search, names: tuple[str, ...], evidence: Evidence) -> bool | None:
    case = evidence.case
    read = [name for name in names if name in case.layouts and not _is_contiguous(case, name)]
    if not read:
        return None if evidence.wrong else True
    lying, arrays = case.lying(), named(case)
    misread = {}
    for name in read:
        found = lying[name].misread().astype(np.float64)
        misread[name] = found.reshape(arrays[name].shape)
    layouts = {name: layout for name, layout in case.layouts.items() if name not in read}
    try:
        supposed = search.asked(changed(case, misread, layouts=layouts), None)
    except ArgumentError:  # what is read is no case of the operation
        return None
    if supposed is None or set(supposed.first) != set(evidence.first):
        return False
    return all(np.array_equal(array, supposed.first[name]) for name, array in evidence.first.items())


def _is_contiguous(case: OperationCase, name: str) -> bool:
    return WORDS[case.layouts[name]].contiguous


def _listed(names: Sequence[str]) -> str:
    return enumerated(["the upstream gradient" if name == UPSTREAM else name for name in names])


# ---- the catalogue ----


def _catalogue(supports: OperationSupports) -> Iterator[Supposition]:
    """The known mistakes of networks, where the operation is layers of a network."""
    if supports.gradients != "returned" or not supports.templates:
        return
    kinds = tuple(filter(None, map(activation_of, supports.templates))) or ("identity",)
    loss = UPSTREAM_LOSS if supports.loss is None else str(supports.loss)
    predictions: dict[int, Prediction] = {}
    kept: list[Evidence] = []

    def prediction(evidence: Evidence) -> Prediction | None:
        if id(evidence) not in predictions:
            case = as_network(evidence.case)
            if case is None:
                return None
            paths = evidence.case.operation.parameters
            answer = {paths.get(name, name): array for name, array in evidence.first.items()}
            right = None if evidence.wrong is None else not evidence.wrong
            target = Format.of(evidence.case.dtype, evidence.case.accumulates)
            predictions[id(evidence)] = Prediction(case, answer, right=right, target=target)
            kept.append(evidence)
        return predictions[id(evidence)]

    def supposition(candidate: Candidate) -> Supposition:
        def reproduces(evidence: Evidence) -> bool | None:
            found = prediction(evidence)
            return None if found is None else found.reproduces((candidate,))

        def same(another: Supposition, evidence: Evidence) -> bool:
            found, other = prediction(evidence), made[id(another)]
            return found is None or found.agree((candidate,), (other,))

        def told(case: OperationCase) -> tuple[Cause, ...]:
            network_case = as_network(case)
            if network_case is None:
                network_case = next(p.case for p in predictions.values())
            shown = frozenset({network_case.id})
            found = Diagnosis((candidate,), (), (), 0, 0, 0, "", shown).causes(network_case)
            alone = len(case.operation.layers) == 1
            return tuple(Cause(c.kind, c.name, None if alone else c.layer, c.words, c.mend, (), 0, 0, 0) for c in found)

        supposed = Supposition(told, reproduces, same, partial=True)
        made[id(supposed)] = candidate
        return supposed

    made: dict[int, Candidate] = {}
    declared = Supports(losses=(loss,), hidden=kinds, output=kinds, depth=(1, 1))
    yield from map(supposition, candidates(declared))


def as_network(case: OperationCase) -> Case | None:
    """The same case as one of a network; None where there is none of this kind."""
    network = case.operation.network
    if network is None or case.empty or case.gradients != "returned":
        return None
    paths = case.operation.parameters
    return Case(
        network,
        {paths[name]: array for name, array in case.parameters.items()},
        case.inputs,
        targets=case.targets,
        upstream=case.upstream,
        dtype="float64",  # which holds numbers of every precision
    )

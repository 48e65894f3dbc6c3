"""Naming an engine's mistake: which one of the catalogue gives the wrong numbers, on every graph, new ones included.

A candidate is discarded as soon as one number of one graph is further from what it would give than careful arithmetic
may be off by; right answers count as wrong ones do. Where no single mistake explains everything, mistakes in several
operators are put together, each explaining a graph that the others do not. What remains is compared on graphs drawn
from another seed. Named is what remains alone, or several that give the same numbers on every graph. In every other
case the cause is unknown, and what is known is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from gradproof.arrays import Array
from gradproof.engines import EngineSupports
from gradproof.graph import Graph
from gradproof.operators import REDUCTIONS
from gradproof.record import Cause
from verify import drawing
from verify.engines.mistakes.catalogue import candidates
from verify.engines.mistakes.mistake import Candidate
from verify.engines.mistakes.reverse import concerns
from verify.engines.prediction import Evidence, agree, reproduces
from verify.engines.shrinking import size
from verify.engines.strategies import graphs
from verify.loading import Implementation

WRONG_GRAPHS = 60
RIGHT_GRAPHS = 40
"""How many wrong and how many right graphs of a run a candidate must reproduce, besides the failures shown."""
FRESH_GRAPHS = 40
"""How many new ones."""
MORE_GRAPHS = 360
"""How many more may be drawn to tell apart what remains."""
FRESH_SECONDS = 5.0
"""How long graphs may be drawn for it; a bound for slow engines."""
TRIES = 3000
"""How many times mistakes may be put together."""
TOGETHER = 3
"""How many mistakes may be made at once."""
LEAST_WRONG = 3
"""Fewer wrong answers than this may look like a mistake by coincidence: nothing is named by them."""
ALTERNATIVES = 3
"""How many that cannot be told apart are listed."""

Ask = Callable[[Graph], Mapping[str, Array] | None]
"""An engine's answer to a graph; None where there is none to compare."""
Judge = Callable[[Graph, Mapping[str, Array]], bool]
"""Whether an answer is wrong."""

Explanation = tuple[Candidate, ...]
"""Mistakes that are made together, in one style."""


@dataclass
class Diagnosis:
    """The search for what explains an engine's wrong answers."""

    implementation: Implementation
    ask: Ask
    judge: Judge
    seed: int
    evidence: list[Evidence] = field(default_factory=list)
    fresh: list[Evidence] = field(default_factory=list)

    def causes(self, failing: Sequence[Graph], survey: Sequence[tuple[Graph, bool]]) -> dict[str, tuple[Cause, ...]]:
        """By id of a failing graph, its causes; none for graphs whose answer cannot be compared.

        survey: the graphs of a run that were compared, and whether they were found wrong.
        """
        self.gather(failing, survey)
        remaining = self.told_apart(self.explanations())
        if not remaining:
            unknown = self.unknown(f"no known mistake reproduces these numbers on every graph{self.known(survey)}")
            return {graph.id: (unknown,) for graph in failing}
        first, *others = remaining
        if not all(_names(first) == _names(other) or self.same(first, other) for other in others):
            listed = "; or ".join(dict.fromkeys(_joined(one).words for one in remaining[:ALTERNATIVES]))
            return {
                graph.id: (self.unknown(f"several known mistakes reproduce every number: {listed}"),)
                for graph in failing
            }
        if not all(self.shown(one) >= LEAST_WRONG for one in first):
            unknown = self.unknown(f"too few wrong answers to be sure: {_joined(first).words}")
            return {graph.id: (unknown,) for graph in failing}
        same = tuple(dict.fromkeys(_joined(one).words for one in others if _names(one) != _names(first)))
        return {graph.id: self.named(graph, first, same) for graph in failing}

    def gather(self, failing: Sequence[Graph], survey: Sequence[tuple[Graph, bool]]) -> None:
        """What candidates must reproduce, the smallest wrong graphs first."""
        ids = {graph.id for graph in failing}
        wrong = sorted((graph for graph, bad in survey if bad and graph.id not in ids), key=size)
        right = [graph for graph, bad in survey if not bad]
        for graph in (*sorted(failing, key=size), *_spread(wrong, WRONG_GRAPHS)):
            self.add(graph, wrong=True)
        for graph in _spread(right, RIGHT_GRAPHS):
            self.add(graph, wrong=False)

    def add(self, graph: Graph, *, wrong: bool) -> None:
        """Asks the engine again, for its answer."""
        answer = self.ask(graph)
        if answer is not None:
            self.evidence.append(Evidence(graph, answer, wrong))

    def explanations(self) -> list[Explanation]:
        """What reproduces all of the evidence: single mistakes, or else several together."""
        known = candidates(self.implementation.supports)  # type: ignore[arg-type]
        singles: list[Explanation] = [(one,) for one in known if self.first_missed((one,)) is None]
        return singles or list(self.together([one for one in known if one.operators]))

    def first_missed(self, explanation: Explanation) -> int | None:
        """The first of the evidence that an explanation does not reproduce."""
        candidate = _joined(explanation)
        missed = (n for n, one in enumerate(self.evidence) if reproduces(one, candidate) is False)
        return next(missed, None)

    def together(self, known: Sequence[Candidate]) -> Iterator[Explanation]:
        """Mistakes in several operators, put together one by one."""
        tries = 0
        waiting: list[Explanation] = [()]
        while waiting:
            partial = waiting.pop(0)
            missed = self.first_missed(partial)
            if missed is None:
                yield partial
                continue
            for one in known if len(partial) < TOGETHER else ():
                if tries == TRIES:
                    return
                if not all(_apart(one, other) for other in partial):
                    continue
                tries += 1
                longer = (*partial, one)
                candidate = _joined(longer)
                # Only what explains the graph that was missed, and none of those before it anew, leads on.
                if all(reproduces(seen, candidate) is not False for seen in self.evidence[missed::-1]):
                    waiting.append(longer)

    def told_apart(self, remaining: list[Explanation]) -> list[Explanation]:
        """What new graphs leave of the explanations; more of them while what remains is not all the same."""
        if not remaining:
            return remaining
        end = time.perf_counter() + FRESH_SECONDS
        left = remaining
        seen = {one.graph.id for one in self.evidence}

        def visit(graph: Graph) -> None:
            nonlocal left
            answer = None if graph.id in seen else self.ask(graph)
            if answer is not None:
                self.fresh.append(Evidence(graph, answer, self.judge(graph, answer)))
                left = [one for one in left if reproduces(self.fresh[-1], _joined(one)) is not False]
            alone = len({_names(one) for one in left}) == 1 and len(self.fresh) >= FRESH_GRAPHS
            if not left or alone or time.perf_counter() > end:
                raise drawing.Enough

        supports = self.implementation.supports
        assert isinstance(supports, EngineSupports)
        drawing.survey(graphs(supports), self.seed + 1, FRESH_GRAPHS + MORE_GRAPHS, visit)
        if left and len({_names(one) for one in left}) > 1:
            # Of few operators, so that what tells these apart comes up soon.
            end = time.perf_counter() + FRESH_SECONDS
            drawing.survey(graphs(_narrowed(supports, left)), self.seed + 2, FRESH_GRAPHS + MORE_GRAPHS, visit)
        return left

    def same(self, one: Explanation, other: Explanation) -> bool:
        """Whether two give the same numbers on every graph, to all the bits computed."""
        ours, theirs = _joined(one), _joined(other)
        return all(agree(evidence.graph, ours, theirs) for evidence in (*self.evidence, *self.fresh))

    def shown(self, one: Candidate) -> int:
        """How many wrong answers a mistake has a part in."""
        return sum(evidence.wrong and concerns(one, evidence.graph) for evidence in (*self.evidence, *self.fresh))

    def named(self, graph: Graph, explanation: Explanation, same: tuple[str, ...]) -> tuple[Cause, ...]:
        """The mistakes, those first that have a part in one failing graph."""
        counts = self.counts()
        return tuple(
            Cause(
                "convention" if one.convention else "mistake",
                one.name,
                None,
                one.words if concerns(one, graph) else f"in other graphs: {one.words}",
                one.mend,
                same,
                *counts,
            )
            for one in sorted(explanation, key=lambda one: not concerns(one, graph))
        )

    def unknown(self, words: str) -> Cause:
        """What is known where no mistake is named."""
        return Cause("unknown", None, None, words, None, (), *self.counts())

    def counts(self) -> tuple[int, int, int]:
        """Graphs compared, how many of them wrong, how many new."""
        every = (*self.evidence, *self.fresh)
        return len(every), sum(one.wrong for one in every), len(self.fresh)

    def known(self, survey: Sequence[tuple[Graph, bool]]) -> str:
        """What sets the wrong graphs apart, as the end of a sentence."""
        forms = dict.fromkeys(o.form for graph, wrong in survey if wrong for o in graph.operations)
        features = [(f"with {form}", _has(form)) for form in forms] + list(FEATURES)
        for words, holds in features:
            inside = [wrong for graph, wrong in survey if holds(graph)]
            outside = [wrong for graph, wrong in survey if not holds(graph)]
            if outside and any(inside) and not any(outside):
                which = "every graph" if all(inside) else f"{sum(inside)} of {len(inside)} graphs"
                return f"; wrong: {which} {words}; right: all others"
        smallest = min((one.graph for one in self.evidence if one.wrong), key=size, default=None)
        if smallest is None:
            return ""
        return f"; the smallest wrong graph has {', '.join(dict.fromkeys(o.form for o in smallest.operations))}"


def _has(form: str) -> Callable[[Graph], bool]:
    return lambda graph: any(operation.form == form for operation in graph.operations)


def _shares(graph: Graph) -> bool:
    places = [place for operation in graph.operations for place in operation.places]
    return len(set(places)) < len(places)


def _broadcasts(graph: Graph) -> bool:
    return any(
        graph.shapes[place] != graph.shapes[len(graph.leaves) + number]
        for number, operation in enumerate(graph.operations)
        if len(operation.operands) == 2 and operation.operator != "@"
        for place in operation.places
    )


FEATURES: tuple[tuple[str, Callable[[Graph], bool]], ...] = (
    ("with a tensor that is used more than once", _shares),
    ("with broadcasting", _broadcasts),
    ("of several steps", lambda graph: len(graph.steps) > 1),
    ("with several calls of backward", lambda graph: len(graph.backward) > 1),
    ("with broadcasting, or a tensor that is used more than once", lambda graph: _shares(graph) or _broadcasts(graph)),
    ("in float32", lambda graph: graph.dtype == "float32"),
)
"""What wrong graphs may have in common, besides an operator."""


def _joined(explanation: Explanation) -> Candidate:
    """Mistakes as one candidate; without any, a right engine."""
    if not explanation:
        return Candidate("", "", "")
    first, *others = explanation
    for other in others:
        first = first.together(other)
    return first


def _apart(one: Candidate, other: Candidate) -> bool:
    """Whether two mistakes may be made together: in other forms, in one style."""
    forms = {form for mistake in other.operators for form in mistake.forms}
    return one.style == other.style and not any(form in forms for m in one.operators for form in m.forms)


def _narrowed(supports: EngineSupports, explanations: Sequence[Explanation]) -> EngineSupports:
    """A declaration of the operators alone that some mistakes are about, and of what makes single numbers of arrays."""
    forms = {form for one in explanations for each in one for m in each.operators for form in m.forms}
    own = {word for word in supports.operators if word in REDUCTIONS or any(map(_is_of(word), forms))}
    kept = tuple(word for word in supports.operators if word in own)
    return msgspec.structs.replace(supports, operators=kept) if own - set(REDUCTIONS) else supports


def _is_of(word: str) -> Callable[[str], bool]:
    """Whether a form is one of a declared word's."""
    special = {"neg": ("-x",), "**": ("x ** 2",), "x**y": ("x ** y",), "2**x": ("2 ** x",), "x[[i,j]]": ("x[[i, j]]",)}
    if word in special:
        return special[word].__contains__
    name = word.partition("(")[0]
    if word in ("+", "-", "*", "/", "@"):
        return lambda form: f" {name} " in form
    return lambda form: form == word or f".{name}" in form


def _names(explanation: Explanation) -> tuple[str, ...]:
    return tuple(sorted(candidate.name for candidate in explanation))


def _spread(graphs: Sequence[Graph], count: int) -> list[Graph]:
    """So many of them, evenly from first to last."""
    if len(graphs) <= count:
        return list(graphs)
    return [graphs[int(place)] for place in np.linspace(0, len(graphs) - 1, count)]

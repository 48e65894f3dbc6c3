"""Naming an engine's mistakes: those of the catalogue that give the wrong numbers, on every graph, new ones included.

A candidate is discarded as soon as one number of one graph is further from what it would give than careful arithmetic
may be off by; right answers count as wrong ones do. Where no single mistake explains everything, mistakes in several
operators are told apart (``verify.engines.separation``). What remains is compared on graphs drawn from another seed.
Named is what remains alone, or several that give the same numbers on every graph. In every other case the cause is
unknown, and what is known is said; of a mistake that is too seldom seen, only if it reproduces every graph it is in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
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
from verify.engines.mistakes.reverse import concerns
from verify.engines.prediction import Evidence, agree, reproduces
from verify.engines.separation import Explanation, Fits, separated
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
ROUNDS = 3
"""How often the search may begin anew, with the new graphs that nothing reproduced."""
LEAST_WRONG = 3
"""Fewer wrong answers than this may look like a mistake by coincidence: nothing is named by them."""
ALTERNATIVES = 3
"""How many that cannot be told apart are listed."""

Ask = Callable[[Graph], Mapping[str, Array] | None]
"""An engine's answer to a graph; None where there is none to compare."""
Judge = Callable[[Graph, Mapping[str, Array]], bool]
"""Whether an answer is wrong."""


@dataclass
class Diagnosis:
    """The search for what explains an engine's wrong answers."""

    implementation: Implementation
    ask: Ask
    judge: Judge
    seed: int
    evidence: list[Evidence] = field(default_factory=list)
    fresh: list[Evidence] = field(default_factory=list)
    fits: Fits = field(default_factory=Fits)

    def causes(self, failing: Sequence[Graph], survey: Sequence[tuple[Graph, bool]]) -> dict[str, tuple[Cause, ...]]:
        """By id of a failing graph, its causes; a mistake that no failing graph has is told with the first of them.

        survey: the graphs of a run that were compared, and whether they were found wrong.
        """
        self.gather(failing, survey)
        if not any(one.wrong for one in self.evidence):
            again = self.unknown("asked for the same graphs again, the engine gives no answer that could be compared")
            return {graph.id: (again,) for graph in failing}
        remaining = self.remaining()
        if not remaining:
            unknown = self.unknown(f"no known mistake reproduces these numbers on every graph{self.known(survey)}")
            return {graph.id: (unknown,) for graph in failing}
        first, *others = remaining
        others = [one for one in others if one.names != first.names]
        if any(len(other.mistakes) != len(first.mistakes) for other in others):
            listed = "; or ".join(dict.fromkeys(one.joined.words for one in remaining[:ALTERNATIVES]))
            unknown = self.unknown(f"several known mistakes reproduce every number: {listed}")
            return {graph.id: (unknown,) for graph in failing}
        causes = [self.cause(first, place, others) for place in range(len(first.mistakes))]
        return self.placed(failing, first, causes)

    def placed(
        self, failing: Sequence[Graph], explanation: Explanation, causes: Sequence[Cause]
    ) -> dict[str, tuple[Cause, ...]]:
        """Each cause with the failing graphs that it has a part in."""
        evidence = {one.graph.id: one for one in self.evidence}
        found: dict[str, list[Cause]] = {}
        homeless = dict(enumerate(causes))
        said: frozenset[str] = frozenset()
        for graph in failing:
            own = []
            for place, cause in enumerate(causes):
                if graph.id in evidence and self.fits.part(evidence[graph.id], explanation, place):
                    own.append(cause)
                    homeless.pop(place, None)
            said |= explanation.open if not explanation.covers(graph) else frozenset()
            found[graph.id] = own or [self.unknown(f"no known mistake reproduces these numbers{_with(explanation)}")]
        if explanation.open - said:
            homeless[len(causes)] = self.unknown(f"no known mistake reproduces the numbers{_with(explanation)}")
        for cause in homeless.values():
            found[failing[0].id].append(msgspec.structs.replace(cause, words=f"in other graphs: {cause.words}"))
        return {name: tuple(dict.fromkeys(own)) for name, own in found.items()}

    def cause(self, first: Explanation, place: int, others: Sequence[Explanation]) -> Cause:
        """The mistake at one place of an explanation, or what is known of it."""
        mistake = first.mistakes[place]
        rivals = [other for other in others if other.mistakes[place].name != mistake.name]
        words = tuple(dict.fromkeys(other.mistakes[place].words for other in rivals))
        if not all(self.same(first, other) for other in rivals):
            listed = "; or ".join((mistake.words, *words)[:ALTERNATIVES])
            return self.unknown(f"several known mistakes reproduce every number: {listed}")
        every = (*self.evidence, *self.fresh)
        shown = sum(self.fits.part(one, first, place) for one in every)
        if shown < LEAST_WRONG:
            concerned = [one for one in every if one.wrong and concerns(mistake, one.graph)]
            if shown and all(self.fits(one, first) for one in concerned):
                return self.unknown(f"too few wrong answers to be sure: {mistake.words}")
            return self.unknown("no known mistake reproduces these numbers on enough graphs to be sure")
        return Cause(
            "convention" if mistake.convention else "mistake",
            mistake.name,
            None,
            mistake.words,
            mistake.mend,
            words,
            *self.counts(first),
        )

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

    def remaining(self) -> list[Explanation]:
        """What explains the run and new graphs; where new ones contradict all that did, they are evidence as well."""
        for number in range(ROUNDS):
            explanations = self.explanations()
            left = self.told_apart(explanations, self.seed + 1 + 2 * number)
            if left or not explanations:
                return left
            self.evidence += self.fresh
            self.fresh = []
        return []

    def explanations(self) -> list[Explanation]:
        """What reproduces all of the evidence: single mistakes, or else several, told apart."""
        known = candidates(self.implementation.supports)  # type: ignore[arg-type]
        singles = [Explanation((one,)) for one in known]
        left = [one for one in singles if all(reproduces(seen, one.joined) is not False for seen in self.evidence)]
        return left or separated(known, self.evidence, self.fits)

    def told_apart(self, remaining: list[Explanation], seed: int) -> list[Explanation]:
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
                left = [one for one in left if self.fits(self.fresh[-1], one) is not False]
            alone = len({one.names for one in left}) == 1 and len(self.fresh) >= FRESH_GRAPHS
            if not left or alone or time.perf_counter() > end:
                raise drawing.Enough

        supports = self.implementation.supports
        assert isinstance(supports, EngineSupports)
        drawing.survey(graphs(supports), seed, FRESH_GRAPHS + MORE_GRAPHS, visit)
        if left and len({one.names for one in left}) > 1:
            # Of few operators, so that what tells these apart comes up soon.
            end = time.perf_counter() + FRESH_SECONDS
            drawing.survey(graphs(_narrowed(supports, left)), seed + 1, FRESH_GRAPHS + MORE_GRAPHS, visit)
        return left

    def same(self, one: Explanation, other: Explanation) -> bool:
        """Whether two give the same numbers on every graph, to all the bits computed."""
        ours, theirs = one.joined, other.joined
        return all(agree(evidence.graph, ours, theirs) for evidence in (*self.evidence, *self.fresh))

    def unknown(self, words: str) -> Cause:
        """What is known where no mistake is named."""
        return Cause("unknown", None, None, words, None, (), *self.counts())

    def counts(self, explanation: Explanation | None = None) -> tuple[int, int, int]:
        """Graphs compared, how many of them wrong, how many new; only those that an explanation covers."""
        kept = [one for one in self.evidence if explanation is None or explanation.covers(one.graph)]
        new = [one for one in self.fresh if explanation is None or explanation.covers(one.graph)]
        return len(kept) + len(new), sum(one.wrong for one in (*kept, *new)), len(new)

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


def _with(explanation: Explanation) -> str:
    """What an explanation leaves open, as the end of a sentence."""
    return f" of graphs with {' or '.join(sorted(explanation.open))}" if explanation.open else ""


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


def _narrowed(supports: EngineSupports, explanations: Sequence[Explanation]) -> EngineSupports:
    """A declaration of the operators alone that some mistakes are about, and of what makes single numbers of arrays."""
    forms = {form for one in explanations for each in one.mistakes for m in each.operators for form in m.forms}
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


def _spread(graphs: Sequence[Graph], count: int) -> list[Graph]:
    """So many of them, evenly from first to last."""
    if len(graphs) <= count:
        return list(graphs)
    return [graphs[int(place)] for place in np.linspace(0, len(graphs) - 1, count)]

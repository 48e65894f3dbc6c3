"""Several mistakes in one engine, told apart: each named by the graphs that have it.

A graph's answer depends on the mistakes in its own operators alone. So the smallest graph that is not explained yet
asks for a mistake in one of its operators; of those that reproduce it, the one that reproduces most is taken, and so
on. Where nothing in the catalogue does, the operator that goes wrong most often in what is left stays open, and graphs
that have it say nothing more. What is left in the end, right answers included, all mistakes together reproduce.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from gradproof.graph import Graph
from verify.engines.mistakes.mistake import Candidate, Style
from verify.engines.mistakes.passes import STYLES
from verify.engines.mistakes.reverse import concerns, expanded, reached
from verify.engines.prediction import Evidence, reproduces
from verify.engines.shrinking import size

MOST_MISTAKES: Final = 12
"""How many mistakes one engine is thought to make at once."""


@dataclass(frozen=True)
class Explanation:
    """Mistakes that are made together, in one style; ``open``: forms that go wrong by none that is known."""

    mistakes: tuple[Candidate, ...]
    open: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the mistakes."""
        return tuple(sorted(candidate.name for candidate in self.mistakes))

    @property
    def joined(self) -> Candidate:
        """The mistakes as one candidate; without any, a right engine."""
        if not self.mistakes:
            return Candidate("", "", "")
        first, *others = self.mistakes
        for other in others:
            first = first.together(other)
        return first

    def covers(self, graph: Graph) -> bool:
        """Whether a graph has none of the open forms."""
        return not self.open or not self.open & forms(graph, self.joined.style)

    def without(self, place: int) -> Explanation:
        """All but one of the mistakes."""
        return replace(self, mistakes=self.mistakes[:place] + self.mistakes[place + 1 :])


def forms(graph: Graph, style: Style) -> frozenset[str]:
    """The forms of a graph's operations, as they are asked for and as an engine of a style does them."""
    return frozenset(o.form for operations in (graph.operations, expanded(graph, style)[0]) for o in operations)


@dataclass
class Fits:
    """Whether explanations reproduce answers, each asked once."""

    known: dict[tuple[int, tuple[int, ...]], bool | None] = field(default_factory=dict)
    kept: list[object] = field(default_factory=list)
    """What the keys are identities of."""

    def __call__(self, evidence: Evidence, explanation: Explanation) -> bool | None:
        """None where it is not known, or where the explanation leaves the graph open."""
        if not explanation.covers(evidence.graph):
            return None
        mistakes = [mistake for one in explanation.mistakes for mistake in one.operators]
        met = reached(evidence.graph, mistakes, explanation.joined.style)
        own = tuple(one for one in explanation.mistakes if not one.operators or _forms_of(one) & met)
        key = id(evidence), tuple(map(id, own))
        if key not in self.known:
            self.kept += (evidence, *own)
            self.known[key] = reproduces(evidence, Explanation(own).joined) if own else not evidence.wrong
        return self.known[key]

    def part(self, evidence: Evidence, explanation: Explanation, place: int) -> bool:
        """Whether a wrong answer is reproduced with one of the mistakes, and is not without it."""
        if not evidence.wrong or not self(evidence, explanation):
            return False
        return self(evidence, explanation.without(place)) is False


def separated(known: Sequence[Candidate], evidence: Sequence[Evidence], fits: Fits) -> list[Explanation]:
    """Mistakes in operators that together reproduce all but what is left open, in the styles that leave least open.

    The first is what was found; in each of the others one mistake is another that does as well.
    """
    found: list[tuple[int, list[Explanation]]] = []
    for style in STYLES:
        own = _of_style(known, style)
        search = Search(own, sorted(evidence, key=lambda one: size(one.graph)), fits, style)
        best = search.found()
        if best is not None:
            unexplained = sum(one.wrong and not best.covers(one.graph) for one in evidence)
            found.append((unexplained, [best, *search.rivals(best)]))
    least = min((unexplained for unexplained, _ in found), default=0)
    return [one for unexplained, explanations in found if unexplained == least for one in explanations]


def _of_style(known: Iterable[Candidate], style: Style) -> list[Candidate]:
    """The mistakes that an engine of a style can make; those that show alike in every style are known in one."""
    own = {(one.name, one.operators): one for one in known if one.operators and one.style == style}
    plain = (one for one in known if one.operators and one.style == Style())
    for one in plain:
        own.setdefault((one.name, one.operators), replace(one, style=style))
    return list(own.values())


@dataclass
class Search:
    """The search in one style. evidence: the smallest graphs first."""

    known: Sequence[Candidate]
    evidence: Sequence[Evidence]
    fits: Fits
    style: Style

    def found(self) -> Explanation | None:
        """Mistakes that reproduce what is not left open; None where no mistake is found."""
        now = Explanation(())
        while (missed := self.missed(now)) is not None:
            longer = self.longer(now) or self.exchanged(now, missed)
            if longer is None:
                open_forms = now.open | {self.blamed(missed, now)}
                kept = tuple(one for one in now.mistakes if not _forms_of(one) & open_forms)
                longer = Explanation(kept, open_forms)
            now = longer
        return now if now.mistakes else None

    def longer(self, now: Explanation) -> Explanation | None:
        """One more mistake, which reproduces the smallest graph that any one does; None where there is none.

        A graph with all the forms of one that none does is not asked: what explains the others may explain it, too.
        """
        if len(now.mistakes) == MOST_MISTAKES:
            return None
        waiting: list[frozenset[str]] = []
        for one in self.evidence:
            own = forms(one.graph, self.style)
            if self.fits(one, now) is not False or any(own >= other for other in waiting):
                continue
            options = list(self.options(one, now))
            if options:
                return max(options, key=self.score)
            waiting.append(own)
        return None

    def exchanged(self, now: Explanation, missed: Evidence) -> Explanation | None:
        """What reproduces a graph by another mistake in one's place and one more; None where it reproduces less."""
        found = [
            longer
            for place, mistake in enumerate(now.mistakes)
            if concerns(mistake, missed.graph)
            for other in self.in_place_of(now, place)
            for longer in self.options(missed, other)
        ]
        best = max(found, key=self.score, default=now)
        return best if self.score(best)[0] > self.score(now)[0] else None

    def missed(self, now: Explanation) -> Evidence | None:
        """The first that is not reproduced; graphs with an open form are not asked."""
        return next((one for one in self.evidence if self.fits(one, now) is False), None)

    def options(self, missed: Evidence, now: Explanation) -> Iterator[Explanation]:
        """What reproduces one more, by one more mistake, in other forms."""
        taken = {form for one in now.mistakes for form in _forms_of(one)} | now.open
        for one in self.known:
            if concerns(one, missed.graph) and not _forms_of(one) & taken:
                longer = replace(now, mistakes=(*now.mistakes, one))
                if self.fits(missed, longer):
                    yield longer

    def score(self, explanation: Explanation) -> tuple[int, int]:
        """How many wrong answers it reproduces, less the right ones that it does not; then, how few it leaves.

        Left are wrong answers to graphs that its last mistake is about.
        """
        last = explanation.joined if not explanation.mistakes else explanation.mistakes[-1]
        found = [(one, self.fits(one, explanation)) for one in self.evidence]
        gained = sum(one.wrong and fit is True for one, fit in found)
        lost = sum(not one.wrong and fit is False for one, fit in found)
        left = sum(one.wrong and fit is False and concerns(last, one.graph) for one, fit in found)
        return gained - lost, -left

    def blamed(self, missed: Evidence, now: Explanation) -> str:
        """Of a graph's forms the one of whose graphs most are not reproduced."""

        def share(form: str) -> float:
            own = [self.fits(one, now) for one in self.evidence if form in forms(one.graph, self.style)]
            return own.count(False) / len(own)

        return max(sorted(forms(missed.graph, self.style) - now.open), key=share)

    def rivals(self, best: Explanation) -> Iterator[Explanation]:
        """The same with one mistake in another's place, where that reproduces all as well."""
        for place in range(len(best.mistakes)):
            yield from (other for other in self.in_place_of(best, place) if self.missed(other) is None)

    def in_place_of(self, now: Explanation, place: int) -> Iterator[Explanation]:
        """The same with another mistake in one's place that reproduces the smallest graph which takes it."""
        shown = next((one for one in self.evidence if self.fits.part(one, now, place)), None)
        rest = {form for one in now.without(place).mistakes for form in _forms_of(one)} | now.open
        if shown is None:
            return
        for one in self.known:
            if one is now.mistakes[place] or not concerns(one, shown.graph) or _forms_of(one) & rest:
                continue
            other = replace(now, mistakes=(*now.mistakes[:place], one, *now.mistakes[place + 1 :]))
            if self.fits(shown, other):
                yield other


def _forms_of(one: Candidate) -> frozenset[str]:
    return frozenset(form for mistake in one.operators for form in mistake.forms)

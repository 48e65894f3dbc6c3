"""What is asked of a kind of things that can be checked: its cases, how a target is called on one, and the verdict.

The campaign (``verify.campaign``) surveys, groups, shrinks and records without knowing the kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec

from gradproof.arrays import Array
from gradproof.cases import AnyCase, AnyCaseData
from gradproof.declaration import Declaration
from gradproof.record import Cause as NamedCause
from gradproof.verdict import CaseVerdict, Finding
from verify.calling import Answer, Cause, NoAnswer, call
from verify.loading import Implementation
from verify.reading import Fault

if TYPE_CHECKING:  # a target's own process, which calls and judges nothing, does without
    from hypothesis.strategies import SearchStrategy

    from verify import conventions
    from verify.deviations import Deviations
    from verify.digits import Explanation
    from verify.judge import Judgement

C = TypeVar("C", bound=AnyCase)
S = TypeVar("S", bound=Declaration)
Alike = Callable[[C], bool]
"""Whether a case fails as the first one does."""


@dataclass(frozen=True)
class Assessment:
    """What is known of a target's answer to one case."""

    verdict: CaseVerdict
    cause: Cause
    entries: int
    """Numbers compared."""
    kinks: int
    """Kinks met."""
    gave: frozenset[str]
    """Quantities in the answer; none where there was none to judge."""
    printed: str
    conventions: conventions.Met = field(default_factory=dict)
    explained: tuple[Explanation, ...] = ()
    """Formulas that lose as many digits as an inaccurate answer did."""
    deviations: Deviations = field(default_factory=dict)
    """By how much the answer's numbers are larger than the exact ones, in the mean."""


class Subject(ABC, Generic[C, S]):
    """One kind of things that can be checked. An object without state."""

    kind: ClassVar[str]
    """The tag of its cases' data."""

    @abstractmethod
    def from_data(self, data: AnyCaseData) -> C:
        """The case that was kept as this data."""

    @abstractmethod
    def strategy(self, supports: S) -> SearchStrategy[C]:
        """Cases of all that is declared and of nothing else, which shrink towards the plainest.

        Raises ArgumentError where none can be drawn.
        """

    def families(self, supports: S) -> Mapping[str, S]:
        """What is declared in parts, each with a verdict and a test item of its own: id → the part to draw from.

        Every case that is declared belongs to one of them (``family``); from a part, cases of others may come too. Ids
        are stable: they tell the part apart in words, ``add-float32-transposed``, and have no blanks in them.
        """
        dtypes: tuple[str, ...] = getattr(supports, "dtypes", ())
        return {dtype: msgspec.structs.replace(supports, dtypes=(dtype,)) for dtype in dtypes}

    def family(self, case: C) -> str:
        """The id of the family that a case belongs to."""
        return str(case.dtype)

    def extremes(self, supports: S) -> SearchStrategy[C] | None:
        """Cases in which usual formulas overflow or underflow, besides others; None where the kind knows none."""
        return None

    # How a target is called; see ``verify.calling.call``.

    @abstractmethod
    def copied(self, case: C) -> C:
        """A copy to hand to a target, its arrays read-only, none of them shared with the case."""

    def lent(self, handed: C) -> Mapping[str, Array]:
        """The arrays of a copy, which a target must not change, under names for messages."""
        return dict(handed.arrays())

    def run(self, function: Callable[..., Any], handed: C) -> Any:
        """Calls somebody's function."""
        return function(handed)

    @abstractmethod
    def read(self, answer: Any, case: C) -> Mapping[str, Array] | list[Fault]:
        """An answer as arrays by quantity, copied, of the shapes asked for; or all by which it breaks the protocol."""

    @abstractmethod
    def misfit(self, case: C, quantities: Mapping[str, Array]) -> str:
        """What is wrong with the names and shapes of an answer that ``read`` accepted in a target's own process.

        In words behind "its answer"; '' where nothing is. A target may have broken whatever runs there, ``read``
        included; what passes here can be examined.
        """

    def place(self, case: C, quantity: str) -> str | None:
        """Where in the case a quantity belongs, in words (``layer 0: dense 2``); None where nowhere in particular."""
        return None

    def call(self, implementation: Implementation, case: C) -> Answer | NoAnswer:
        """A target's answer to a case, or why there is none."""
        return call(self, implementation, case)

    # What is said of an answer.

    @abstractmethod
    def examine(self, case: C, answer: Mapping[str, Array], oracle: Any = None) -> Judgement:
        """The verdict on an answer that follows the protocol. ``oracle``: in place of the certified one."""

    def reconsidered(
        self, implementation: Implementation, case: C, answer: Mapping[str, Array], judgement: Judgement, oracle: Any
    ) -> Judgement:
        """The judgement once the target was asked otherwise about the same numbers; itself where that tells nothing."""
        return judgement

    def summary(self, case: C, findings: tuple[Finding, ...]) -> str:
        """One line that says what is wrong and where."""
        return findings[0].message.partition("\n")[0]

    def notes(self, supports: S, assessments: Sequence[Assessment]) -> list[str]:
        """What a survey saw besides verdicts."""
        return []

    def causes(
        self,
        implementation: Implementation,
        failing: Mapping[C, tuple[Finding, ...]],
        judged: Sequence[tuple[C, tuple[Finding, ...]]],
        seed: int,
    ) -> Mapping[str, tuple[NamedCause, ...]]:
        """By case id, the causes of wrong answers: known mistakes that explain them, or what is known otherwise.

        failing: the failures shown, with what was found. judged: the survey's cases that were compared, likewise.
        """
        return {}

    def systematic(
        self, implementation: Implementation, answers: Sequence[tuple[C, Assessment]], seed: int
    ) -> tuple[C, Finding, int] | None:
        """A deviation that recurs on fresh cases, where no answer was wrong: the smallest that shows it, and how many.

        answers: the survey's cases whose answers were compared. None where nothing recurs, or the kind knows no such.
        """
        return None

    # How a failing case is made small.

    def size(self, case: C) -> tuple[Any, ...]:
        """What makes a case hard to check on paper: numbers, digits and magnitude, the least first."""
        numbers = [float(number) for array in case.arrays().values() for number in array.ravel()]
        digits = sum(len(str(number).removesuffix(".0")) for number in numbers)
        return len(numbers), len(case.text()), digits, sum(map(abs, numbers))

    def simplify(self, case: C, supports: S, alike: Alike[C]) -> None:
        """Offers ``alike`` simpler cases than what Hypothesis found; whoever asks keeps the smallest that it likes.

        ``alike`` may raise ``drawing.Enough`` to end the search.
        """


def assess(subject: Subject[C, Any], implementation: Implementation, case: C, oracle: Any = None) -> Assessment:
    """Calls an implementation on one case and judges what comes back."""
    answer = subject.call(implementation, case)
    if isinstance(answer, NoAnswer):
        verdict = CaseVerdict(case.id, answer.verdict, answer.findings)
        return Assessment(verdict, answer.cause, 0, 0, frozenset(), answer.printed)
    judgement = subject.examine(case, answer.quantities, oracle)
    judgement = subject.reconsidered(implementation, case, answer.quantities, judgement, oracle)
    return Assessment(
        verdict=judgement.verdict,
        cause=judgement.cause,
        entries=judgement.entries,
        kinks=judgement.kinks,
        gave=frozenset(answer.quantities),
        printed=answer.printed,
        conventions=judgement.conventions,
        explained=judgement.explained,
        deviations=judgement.deviations,
    )

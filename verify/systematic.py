"""Deviations that recur: right answers, case by case, that are off in one direction on every case.

Of each case and of each group of its numbers x (every gradient, say), r = Σ (got − x)·sign(x) / Σ |x| is taken: what
came is 1 + r times as large as the exact numbers, in the mean. Rounding errors of careful arithmetic leave r about as
often above as below b, where b is what roundings that all go one way make of it (a library function's, a rounded
constant's); and ``refimpl.bias`` bounds |b| by B. So r > B, in a case that has nothing to do with others, has a
probability of at most ½, and r < −B too. In ``FRESH`` such cases the number of those with r > B is no larger than a
binomial number at ½: whatever the size of rounding errors, and without a tolerance. Where so many have it that this
has a probability of RISK at most, shared between all groups, dtypes and both directions of a whole run of ``check``,
the deviation is systematic: more than rounding explains. It is never proved to be a mistake: the answers are
inaccurate, not wrong.

Cases are independent of the run's and of one another: each is drawn by a seed of its own, so that no search for
failures has chosen it. They are drawn only where the run itself shows a preference for one direction, which makes the
risk smaller still.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from gradproof.case import Case
from gradproof.gradients import TARGET, Gradients
from gradproof.target import Supports
from gradproof.verdict import Finding, Verdict
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.allowance import SLACK, allowance
from refimpl.bias import bias
from refimpl.enclosure import enclosure
from refimpl.formats import Format
from verify import drawing
from verify.calling import Answer
from verify.deviations import EVERY, GROUPS, LOSS_GROUP, OUTPUTS_GROUP, Deviations, weights
from verify.judge import certified, examine
from verify.loading import Implementation

FRESH: Final = 60
"""Cases drawn to confirm a deviation."""
FEWEST: Final = 40
"""With fewer of them to go by, because of kinks say, nothing is said."""
DRAWS: Final = 240
"""Seeds that may be tried for them: small declarations repeat themselves."""
RISK: Final = 1e-6
"""Probability that a run of ``check`` on careful arithmetic finds any deviation systematic."""
SUSPICION: Final = 1e-3
"""How improbable a preference for one direction must be, in the run itself, for fresh cases to be drawn."""
SCREENED: Final = 8
"""In the run itself deviations count from so many roundings on."""


def least(cases: int, risk: float) -> int:
    """The smallest k for which k heads or more in so many throws have a probability of at most ``risk``."""
    tail = 0.0
    for k in range(cases, -1, -1):
        tail += math.comb(cases, k) / 2.0**cases
        if tail > risk:
            return k + 1
    return 0


@dataclass(frozen=True)
class Recurring:
    """A deviation that recurs: in how many of the fresh cases r is beyond B in this direction, and r in them."""

    group: str
    dtype: Dtype
    cases: int
    by: tuple[float, ...]

    def told(self) -> str:
        """In words."""
        low, middle, high = (abs(q) for q in statistics.quantiles(self.by, n=4))
        larger, several = self.by[0] > 0, self.group.startswith("the gradients") or self.group == OUTPUTS_GROUP
        exact = "the exact ones" if several else "the exact one"
        if f"{low:.0e}" == f"{high:.0e}":
            relation = f"about 1 {'+' if larger else '−'} {_short(middle)} times {exact}"
        else:
            ends = sorted((low, high))
            by = f"relatively by {_short(ends[0])} to {_short(ends[1])}"
            relation = f"{'larger' if larger else 'smaller'} than {exact} in the mean, {by} mostly,"
        return (
            f"in {self.dtype}, {self.group} {'are' if several else 'is'} {relation} on "
            f"{len(self.by)} of {self.cases} fresh cases"
        )


def _short(number: float) -> str:
    return f"{number:.1g}"


def suspected(run: Sequence[tuple[Dtype, Deviations]]) -> tuple[Dtype, ...]:
    """The dtypes in which a run's own deviations prefer one direction."""
    found = []
    for dtype in DTYPES:
        unit = float(np.finfo(dtype).eps) / 2
        for group in GROUPS:
            r = [each[group] for which, each in run if which == dtype and group in each]
            most = max(sum(x > SCREENED * unit for x in r), sum(x < -SCREENED * unit for x in r))
            if r and most >= least(len(r), SUSPICION):
                found.append(dtype)
                break
    return tuple(found)


@dataclass(frozen=True)
class _Heard:
    """A fresh case: r, and what careful arithmetic may make of it, by group."""

    case: Case
    r: Deviations
    bound: Mapping[str, float]


class Judging(Protocol):
    """What is asked of a kind of cases."""

    def strategy(self, supports: Any) -> Any: ...  # noqa: D102
    def call(self, implementation: Implementation, case: Case) -> Any: ...  # noqa: D102
    def size(self, case: Case) -> Any: ...  # noqa: D102


def recurring(
    subject: Judging, implementation: Implementation, run: Sequence[tuple[Dtype, Deviations]], seed: int
) -> tuple[Case, Finding, int] | None:
    """A deviation that recurs on fresh cases, with the smallest that shows it and how many do; None where none does.

    run: of each answer of a run that is right or inaccurate, the dtype and its deviations.
    """
    shown: list[tuple[Recurring, list[_Heard]]] = []
    for dtype in suspected(run):
        heard = list(_fresh(subject, implementation, dtype, seed))
        found = list(_recurring(heard, dtype))
        # What holds of every gradient need not be said of some.
        whole = any(each.group == EVERY for each in found)
        shown += [(each, heard) for each in found if not whole or each.group in (EVERY, LOSS_GROUP, OUTPUTS_GROUP)]
    if not shown:
        return None
    first, heard = shown[0]
    sign = 1 if first.by[0] > 0 else -1
    bad = [h for h in heard if first.group in h.r and sign * h.r[first.group] > h.bound[first.group]]
    smallest = min(bad, key=lambda h: subject.size(h.case))
    message = (
        f"inaccurate, systematic: {'; '.join(each.told() for each, _ in shown)}: more than rounding explains, which "
        f"has no direction (careful arithmetic is so accused in fewer than one of {round(1 / RISK):,} runs); here by "
        f"{abs(smallest.r[first.group]):.3g} relatively, and rounding that all goes one way explains "
        f"{smallest.bound[first.group]:.3g}"
    )
    return smallest.case, Finding(Verdict.INACCURATE, TARGET, message), len(bad)


def _recurring(heard: Sequence[_Heard], dtype: Dtype) -> Iterator[Recurring]:
    for group in GROUPS:
        known = [(h.r[group], h.bound[group]) for h in heard if group in h.r and math.isfinite(h.bound[group])]
        if len(known) < FEWEST:
            continue
        needed = least(len(known), RISK / (2 * len(GROUPS) * len(DTYPES)))
        for sign in (1, -1):
            by = tuple(r for r, bound in known if sign * r > bound)
            if len(by) >= needed:
                yield Recurring(group, dtype, len(known), by)


def _fresh(subject: Judging, implementation: Implementation, dtype: Dtype, seed: int) -> Iterator[_Heard]:
    """Distinct cases of a dtype, drawn by seeds of their own, with what came of them, where no kink is near."""
    supports = implementation.supports
    assert isinstance(supports, Supports)
    narrowed = msgspec.structs.replace(supports, dtypes=(dtype,))
    oracle = certified()
    for case in _drawn(subject.strategy(narrowed), seed):
        enclosed = enclosure(case)
        allowed = allowance(case, enclosed=enclosed)
        if enclosed.met_kinks or allowed.near_kinks:
            continue
        answer = subject.call(implementation, case)
        if not isinstance(answer, Answer):
            continue
        once = replace(oracle, enclosure=lambda *_, e=enclosed: e, allowance=lambda *_, a=allowed: a)
        judged = examine(case, Gradients.of(answer.quantities), once)
        if judged.deviations:
            names = [name for name in answer.quantities if name in enclosed.names()]
            bounds = bias(enclosed, Format.of(dtype), weights(enclosed, names))
            for group in {LOSS_GROUP, OUTPUTS_GROUP} & bounds.keys():
                bounds[group] += SLACK * Format.of(dtype).unit  # the seed's slack reaches gradients alone
            yield _Heard(case, judged.deviations, bounds)


def _drawn(strategy: Any, seed: int) -> Iterator[Case]:
    """Up to FRESH distinct cases, each the second that a seed of its own draws: the first is the plainest of all."""
    seen: set[str] = set()
    for number in range(DRAWS):
        drawn: list[Case] = []
        drawing.survey(strategy, _seed(seed, number), 2, drawn.append)
        if drawn[-1:] and drawn[-1].id not in seen:
            seen.add(drawn[-1].id)
            yield drawn[-1]
        if len(seen) == FRESH:
            return


def _seed(seed: int, number: int) -> int:
    """A seed that neither the run nor another number has."""
    return int(np.random.SeedSequence([abs(seed), number, len("systematic")]).generate_state(2, np.uint64)[0])

"""Correct implementations before the oracle: how often one is accused, and how near errors come to what is allowed.

Each case is answered by one of the implementations that are installed, in turn, and judged as ``gradproof check``
judges it: as many different cases as the time allows, rather than one case many times. Nothing may be *wrong*.
*Inaccurate* is what a finite number is that exceeds the typical allowance: no oftener than ``refimpl.typical`` states.
Apart from both, numbers that are not finite where a usual formula overflows on this very case (the logarithm of a
probability that rounds to 0, say) are counted as *overflowed*: true, and no accusation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.campaigns.histogram import Ratios
from benchmarks.campaigns.running import Work
from benchmarks.implementations import COMPILES, Implementation, implementation, installed
from benchmarks.random_cases import Sizes, drawn
from gradproof.case import Case
from gradproof.errors import GradproofError
from gradproof.gradients import Gradients
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES
from refimpl.allowance import Allowance
from refimpl.enclosure import Enclosure
from verify.judge import Judgement, Oracle, certified, examine

SIZES: Final = Sizes()
TURN: Final = SIZES.depth * len(DTYPES) * len(SIZES.manners)
"""Cases until every depth, dtype and manner had its turn with every other."""
COMPILED_SHARE: Final = 4
"""One turn in so many has its network from a few, and goes to an implementation that compiles each network."""
COMPILED_NETWORKS: Final = 48
KEPT: Final = 20
"""Accusations that are kept in words."""
OVERFLOWED: Final = "overflowed"
FAILED: Final = "failed"
"""An implementation that raised."""


class Accusation(msgspec.Struct, frozen=True):
    """A case in which a correct implementation was accused: its number, whose answer it was, and why."""

    number: int
    implementation: str
    verdict: str
    case: str
    """Network, dtype and manner, in words."""
    message: str


class Group(msgspec.Struct, frozen=True):
    """Cases of one dtype and depth: error over allowance of every number that is finite and has a finite allowance."""

    cases: int = 0
    verdicts: dict[str, int] = {}
    """What is said of the answers."""
    rigorous: Ratios = Ratios()
    typical: Ratios = Ratios()

    def __add__(self, other: Group) -> Group:
        return Group(
            self.cases + other.cases,
            _summed(self.verdicts, other.verdicts),
            self.rigorous + other.rigorous,
            self.typical + other.typical,
        )


class Found(msgspec.Struct, frozen=True):
    """What is found in some cases: by ``dtype/depth``, by implementation, and the first accusations."""

    cases: int = 0
    groups: dict[str, Group] = {}
    implementations: dict[str, dict[str, int]] = {}
    accusations: tuple[Accusation, ...] = ()

    def __add__(self, other: Found) -> Found:
        names = {**self.implementations, **other.implementations}
        return Found(
            self.cases + other.cases,
            {
                key: self.groups.get(key, Group()) + other.groups.get(key, Group())
                for key in {**self.groups, **other.groups}
            },
            {name: _summed(self.implementations.get(name, {}), other.implementations.get(name, {})) for name in names},
            (*self.accusations, *other.accusations)[:KEPT],
        )

    def count(self, verdict: str) -> int:
        """How many answers have a verdict."""
        return sum(counts.get(verdict, 0) for counts in self.implementations.values())

    @property
    def answers(self) -> int:
        """How many answers were judged."""
        return sum(sum(counts.values()) for counts in self.implementations.values())


def _summed(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


def campaign_case(seed: int, number: int) -> tuple[Case, bool]:
    """The case of this number, and whether it goes to those that compile."""
    turn, place = divmod(number, TURN)
    compiled = turn % COMPILED_SHARE == COMPILED_SHARE - 1
    # Of the same depth; whole turns are compiled, so that each network comes in every dtype and manner.
    each = COMPILED_NETWORKS // SIZES.depth
    network = place % SIZES.depth + SIZES.depth * (turn // COMPILED_SHARE % each) if compiled else None
    return drawn(seed, number, SIZES, network), compiled


def asked(number: int, available: Sequence[str]) -> str:
    """Which of the available implementations answers the case of this number: whole turns each, one after another."""
    turn = number // TURN
    compiled = turn % COMPILED_SHARE == COMPILED_SHARE - 1
    others = [name for name in available if name not in COMPILES]
    compiling = [name for name in available if name in COMPILES]
    if compiled and compiling:
        return compiling[turn // COMPILED_SHARE % len(compiling)]
    return others[(turn - turn // COMPILED_SHARE) % len(others)]


def search(seed: int, first: int, last: int) -> Found:
    """Cases first … last − 1."""
    found = Found()
    available = installed()
    for number in range(first, last):
        case, _ = campaign_case(seed, number)
        found += judged(case, number, [asked(number, available)])
    return found


def judged(case: Case, number: int, names: list[str]) -> Found:
    """What is said of the answers of the named implementations to one case."""
    oracle = SharedOracle(certified())
    verdicts: dict[str, dict[str, int]] = {}
    rigorous, typical = Ratios(), Ratios()
    accusations = []
    for name in names:
        said, message = FAILED, ""
        try:
            with np.errstate(all="ignore"):
                answer = _imported(name)(case)
        except Exception as error:  # whatever it is: the campaign goes on, and tells
            message = f"{type(error).__name__}: {error}"
        else:
            judgement = examine(case, answer, oracle.oracle())
            near, far = oracle.ratios(answer)
            rigorous, typical = rigorous + Ratios.of(near), typical + Ratios.of(far)
            said = _said(judgement, answer, far)
            message = "; ".join(finding.message for finding in judgement.verdict.findings)
        verdicts[name] = {said: 1}
        if said in (Verdict.WRONG, Verdict.INACCURATE, Verdict.ORACLE_CONFLICT, FAILED):
            words = f"{case.network} | {case.dtype}, {case.batch} samples, {' '.join(case.tags)}"
            accusations.append(Accusation(number, name, said, words, message))
    together = dict(Counter(said for counts in verdicts.values() for said in counts))
    key = f"{case.dtype}/{number % SIZES.depth + 1}"
    return Found(1, {key: Group(1, together, rigorous, typical)}, verdicts, tuple(accusations))


def _said(judgement: Judgement, answer: Gradients, typical: npt.NDArray[np.float64]) -> str:
    verdict = judgement.verdict.verdict
    if verdict is Verdict.INACCURATE and not np.any(typical > 1):
        return OVERFLOWED
    return str(verdict)


@cache
def _imported(name: str) -> Implementation:
    found = implementation(name)
    if name == "torch":
        import torch

        torch.set_num_threads(1)
    return found


class SharedOracle:
    """An oracle that encloses a case once for all answers to it."""

    def __init__(self, certified: Oracle) -> None:
        self._certified = certified
        self._enclosures: dict[int, Any] = {}
        self._allowances: dict[int, Any] = {}
        self._unaccused: dict[int, tuple[str, ...]] = {}
        self._first: tuple[Enclosure, Allowance] | None = None

    def oracle(self) -> Oracle:
        """The oracle to hand to the judge, for one case and any number of answers."""
        shared = (self._enclosure, self._allowance, self._certified.overflowing, self._witness)
        return Oracle(*shared, self._certified.naive, self._certified.replayed)

    def _enclosure(self, case: Case, bits: int) -> Any:
        if bits not in self._enclosures:
            self._enclosures[bits] = self._certified.enclosure(case, bits)
        return self._enclosures[bits]

    def _allowance(self, case: Case, enclosed: Any) -> Any:
        if id(enclosed) not in self._allowances:
            self._allowances[id(enclosed)] = self._certified.allowance(case, enclosed)
            self._first = (enclosed, self._allowances[id(enclosed)])
        return self._allowances[id(enclosed)]

    def _witness(self, enclosed: Any, accused: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
        if accused:
            return self._certified.witness(enclosed, accused)
        if id(enclosed) not in self._unaccused:
            self._unaccused[id(enclosed)] = self._certified.witness(enclosed, accused)
        return self._unaccused[id(enclosed)]

    def ratios(self, answer: Gradients) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Error over rigorous and over typical allowance, of every number where they are finite.

        As for the judge, the spacing of floats around the answer is always typical.
        """
        if self._first is None:
            raise GradproofError("nothing was judged yet")
        enclosed, allowed = self._first
        near, far = [np.zeros(0)], [np.zeros(0)]
        for name, array in answer.quantities().items():
            if name not in allowed.rigorous:
                continue
            given = np.asarray(array)
            got = given.astype(np.float64)
            off = enclosed.distance(name, got)
            bound, usual = allowed.rigorous[name], allowed.typical[name]
            known = np.isfinite(got) & np.isfinite(bound) & (bound > 0)
            spacing = np.spacing(np.abs(given[np.isfinite(got) & known])).astype(np.float64)
            near.append(off[known] / bound[known])
            far.append(off[known] / np.fmax(usual[known], spacing))
        return np.concatenate([part.reshape(-1) for part in near]), np.concatenate([part.reshape(-1) for part in far])


class Spread(msgspec.Struct, frozen=True):
    """Of error over allowance: quantiles, each from its bin's upper end, and the largest exactly."""

    median: float
    percentile_99: float
    largest: float

    @classmethod
    def of(cls, ratios: Ratios) -> Spread:
        """The spread of a distribution."""
        return cls(ratios.quantile(0.5), ratios.quantile(0.99), ratios.largest)


class Row(msgspec.Struct, frozen=True):
    """Cases of one dtype and depth, or of all depths (0), in short."""

    dtype: str
    depth: int
    cases: int
    verdicts: dict[str, int]
    numbers: int
    rigorous: Spread
    typical: Spread


class Summary(msgspec.Struct, frozen=True):
    """What a campaign found."""

    answers: int
    implementations: dict[str, dict[str, int]]
    rows: tuple[Row, ...]
    accusations: tuple[Accusation, ...]


def summary(found: Found) -> Summary:
    """Quantiles in place of distributions."""
    rows = [_row(key, group) for key, group in found.groups.items()]
    for dtype in DTYPES:
        groups = [group for key, group in found.groups.items() if key.startswith(f"{dtype}/")]
        if groups:
            rows.append(_row(f"{dtype}/0", sum(groups[1:], groups[0])))
    rows.sort(key=lambda row: (DTYPES.index(row.dtype), row.depth))
    return Summary(found.answers, found.implementations, tuple(rows), found.accusations)


def _row(key: str, group: Group) -> Row:
    dtype, depth = key.split("/")
    spreads = (Spread.of(ratios) for ratios in (group.rigorous, group.typical))
    return Row(dtype, int(depth), group.cases, group.verdicts, group.rigorous.total, *spreads)


def paragraph(cases: int, found: Summary) -> str:
    """What a whole campaign found, as documentation says it."""
    total: Counter[str] = Counter()
    for counts in found.implementations.values():
        total.update(counts)
    said = ", ".join(f"{total[word]:,} {word}" for word in sorted(total, key=lambda word: -total[word]))
    spreads = "; ".join(
        f"{row.dtype}: {row.rigorous.median:.2g} in the median, {row.rigorous.percentile_99:.2g} at 99 % and "
        f"{row.rigorous.largest:.2g} at most ({row.typical.median:.2g}, {row.typical.percentile_99:.2g} and "
        f"{row.typical.largest:.2g} of the typical one)"
        for row in found.rows
        if not row.depth
    )
    return (
        f"{cases:,} random cases of 1 to {SIZES.depth} layers, in both dtypes, of ordinary, saturated, tiny and huge "
        f"weights, answered by {', '.join(found.implementations)} in turn: {said}. *Overflowed* is a number that is "
        f"not finite where a usual formula overflows; *undecided*, one that nothing bounds. Error over the rigorous "
        f"allowance, {spreads}."
    )


def line(found: Found) -> str:
    """What was found, in one line."""
    total = {verdict: found.count(verdict) for counts in found.implementations.values() for verdict in counts}
    said = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(total.items()))
    return f"{found.answers:,} answers to {found.cases:,} cases: {said}"


WORK: Final = Work(search, Found.__add__, Found, Found)

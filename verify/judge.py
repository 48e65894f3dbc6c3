"""The verdict on an answer: each number against its enclosure and against what careful arithmetic may be off by.

No tolerance stands here. An entry is wrong when its distance from every admissible number exceeds the rigorous
allowance of ``refimpl.allowance``, and that of every formula in use, careful or not (``refimpl.naive``), and that is
proved: all sides are bounds in the right direction. Within them, an entry is inaccurate when it exceeds the typical
allowance, else fine, judged by an enclosure that is itself no wider than the allowance; where it is wider, precision
rises until it is not.

Before a verdict stands, the oracle's second route (``refimpl.taylor``) is asked about the enclosure that it rests on,
and about each entry that is called wrong. Where the two disagree, the verdict is an oracle conflict: our fault.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gradproof.arrays import Array
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS, OUTPUTS, TARGET, Gradients, label
from gradproof.network import Network
from gradproof.verdict import CaseVerdict, Finding, Verdict, overall
from gradproof.vocabulary import Dtype
from refimpl.kinks import Kind
from verify import conventions
from verify.calling import Cause
from verify.deviations import Deviations, deviations
from verify.digits import Explanation, explanations, told
from verify.reading import layer_of
from verify.resemblance import Fits, resemblance

FIRST_BITS = 128
LAST_BITS = 4096
"""Where precision stops rising; an entry that is not decided there stays undecided."""
DIGITS = 20
"""Decimal digits of an exact number that a finding quotes."""

RIGHT_IN_FLOAT64 = "; the float64 run on the same numbers is right"

Float64 = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Index = tuple[int, ...]


class Enclosed(Protocol):
    """What the judge asks of an enclosure; ``refimpl.enclosure.Enclosure`` says what each member means."""

    @property
    def met_kinks(self) -> int: ...  # noqa: D102
    def distance(self, name: str, got: npt.ArrayLike) -> Float64: ...  # noqa: D102
    def distance_upper(self, name: str, got: npt.ArrayLike) -> Float64: ...  # noqa: D102
    def lower(self, name: str) -> Float64: ...  # noqa: D102
    def upper(self, name: str) -> Float64: ...  # noqa: D102
    def kinks(self, name: str) -> Booleans: ...  # noqa: D102
    @property
    def kinds_met(self) -> frozenset[Kind]: ...  # noqa: D102
    def under(self, choose: Callable[[Kind], Fraction]) -> Any: ...  # noqa: D102
    def decimal(self, name: str, index: tuple[int, ...] = (), digits: int = DIGITS) -> str: ...  # noqa: D102


class Allowed(Protocol):
    """What the judge asks of an allowance; ``refimpl.allowance.Allowance`` says what it means."""

    @property
    def rigorous(self) -> Mapping[str, Float64]: ...  # noqa: D102
    @property
    def typical(self) -> Mapping[str, Float64]: ...  # noqa: D102


class Lax(Protocol):
    """What formulas in use may be off by; ``refimpl.naive.NaiveAllowance`` says what it means."""

    @property
    def bound(self) -> Mapping[str, Float64]: ...  # noqa: D102
    @property
    def unbounded(self) -> Mapping[str, Booleans]: ...  # noqa: D102


@dataclass(frozen=True)
class Oracle:
    """The sources of truth that a verdict rests on."""

    enclosure: Callable[[Case, int], Enclosed]
    allowance: Callable[[Case, Any], Allowed]
    """Of a case that is enclosed already."""
    overflowing: Callable[[Case, Dtype], tuple[str, ...]]
    witness: Callable[[Any, Mapping[str, Index]], tuple[str, ...]]
    """What a second route says against an enclosure, asked about one entry of each quantity that is called wrong."""
    naive: Callable[[Case, Any], Lax] | None = None
    """Of a case that is enclosed; asked only where careful arithmetic is ruled out. None: nothing else counts."""
    replayed: Callable[[Case, Mapping[str, Array], Mapping[str, Booleans]], str] | None = None
    """Formulas in words that overflow on a case and give just these numbers of an answer; asked where a formula in use
    overflows. Empty where there are none. None: none are known."""
    explained: Callable[[Case, Any, Mapping[str, Array]], tuple[Explanation, ...]] | None = None
    """Formulas that lose as many digits as an inaccurate answer to a case that is enclosed. None: none are known."""


def certified() -> Oracle:
    """The oracle of refimpl."""
    from refimpl.allowance import allowance
    from refimpl.enclosure import enclosure
    from refimpl.naive import by_probabilities, naive_allowance
    from refimpl.replay import reproduced
    from refimpl.taylor import witness
    from refimpl.variants import overflowing as overflowing_as_written

    def overflowing(case: Case, dtype: Dtype) -> tuple[str, ...]:
        other = by_probabilities(case)
        found = overflowing_as_written(case, dtype) + (overflowing_as_written(other, dtype) if other else ())
        return tuple(dict.fromkeys(found))

    return Oracle(
        enclosure=enclosure,
        allowance=lambda case, enclosed: allowance(case, enclosed=enclosed),
        overflowing=overflowing,
        witness=witness,
        naive=naive_allowance,
        replayed=reproduced,
        explained=explanations,
    )


@dataclass(frozen=True)
class Judgement:
    """A verdict with what a campaign wants to know beside it."""

    verdict: CaseVerdict
    cause: Cause
    entries: int
    """Numbers compared."""
    kinks: int
    """Kinks met."""
    conventions: conventions.Met = field(default_factory=dict)
    """What the answer took the slopes at kinks to be."""
    explained: tuple[Explanation, ...] = ()
    """Formulas that lose as many digits as an inaccurate answer did."""
    loose: bool = False
    """Whether careful arithmetic may be off by more than half of the digits of a quantity's largest number."""
    deviations: Deviations = field(default_factory=dict)
    """Of an answer that is right or inaccurate: by how much its numbers are larger than the exact ones, in the mean."""


def judge(case: Case, answer: Gradients, oracle: Oracle | None = None) -> CaseVerdict:
    """The verdict on an answer to a case: every quantity that is given, entry by entry.

    A failure of the oracle itself is the verdict ``oracle conflict``, never an exception and never the answer's fault.
    Raises ArgumentError, naming the quantity, where an answer has names or shapes that the case does not ask for.
    """
    return examine(case, answer, oracle).verdict


def examine(case: Case, answer: Gradients, oracle: Oracle | None = None, *, formula_right: bool = False) -> Judgement:
    """The same as ``judge``, with the cause, and how much was compared.

    formula_right: whether it is known from elsewhere that the implementation's formulas are right, so that what nothing
    bounds is lost digits.
    """
    given, radii = _given(case, answer), _radii(answer)

    def hearing() -> Hearing:
        return Hearing(case, given, certified() if oracle is None else oracle, radii, formula_right=formula_right)

    return heard(case.id, given, hearing)


def heard(case_id: str, given: Mapping[str, Array], hearing: Callable[[], Hearing]) -> Judgement:
    """What comes of a hearing, for a case of any kind; ``given`` is the answer, whose form was checked before."""
    entries = sum(array.size for array in given.values())
    try:
        held = hearing()
        findings = held.findings()
    except Exception as error:  # whatever it is, it is ours: the answer's form was checked before
        frame = traceback.extract_tb(error.__traceback__)[-1]
        message = (
            f"gradproof itself fails on this case: {type(error).__name__}: {error} "
            f"({frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name})\n{traceback.format_exc().rstrip()}"
        )
        finding = Finding(Verdict.ORACLE_CONFLICT, TARGET, message)
        return Judgement(
            CaseVerdict(case_id, finding.verdict, (finding,)), (type(error).__name__, frame.name), entries, 0
        )
    verdict = overall(finding.verdict for finding in findings)
    first = [finding.quantity for finding in findings if finding.verdict is verdict]
    kinks = held.enclosed.met_kinks
    taken = conventions.met(held.enclosed, given, held.allowed) if kinks and verdict is Verdict.CORRECT else {}
    said = CaseVerdict(case_id, verdict, findings)
    return Judgement(
        said, held.cause(first), entries, kinks, taken, held.explained, held.loose(), held.deviations(verdict)
    )


def first_wrong(network: Network, quantities: list[str]) -> list[str]:
    """Of the quantities that are not right, those where it starts.

    The order is that of the computation: outputs, loss, and then back from the loss, the layer nearest to it first;
    the inputs' gradient last. A layer's parameters go together.
    """
    for name in (OUTPUTS, LOSS):
        if name in quantities:
            return [name]
    paths = [name.rpartition(".")[0] for name in network.trainable if name in quantities]
    if paths:
        return [name for name in network.trainable if name in quantities and name.rpartition(".")[0] == paths[-1]]
    return quantities


def _cause(network: Network, quantities: list[str]) -> Cause:
    """Where it goes wrong first, whatever the size of the case, and the roles of what is wrong there."""
    first = first_wrong(network, quantities)
    if not first or "." not in first[0]:
        return tuple(first[:1])
    path = first[0].rpartition(".")[0]
    last = list(network.parameter_shapes)[-1].rpartition(".")[0]
    return ("the last layer" if path == last else "a layer before the last", *(n.rpartition(".")[2] for n in first))


def _given(case: Case, answer: Gradients) -> dict[str, Array]:
    network = case.network
    shapes: dict[str, tuple[int, ...]] = {LOSS: (), OUTPUTS: (case.batch, *network.output_shape)}
    shapes |= {name: network.parameter_shapes[name] for name in network.trainable} | {INPUTS: case.inputs.shape}
    given = {name: np.asarray(value) for name, value in answer.quantities().items() if name not in network.frozen}
    for name, array in given.items():
        if name not in shapes:
            raise ArgumentError(name, f"a quantity among {', '.join(shapes)}", "an answer under this name")
        if array.dtype.kind not in "fiu":
            raise ArgumentError(name, "real numbers", f"dtype {array.dtype}")
        if array.shape != shapes[name]:
            raise ArgumentError(name, f"shape {shapes[name]}", f"shape {array.shape}")
    return {name: given[name] for name in shapes if name in given}


def _radii(answer: Gradients) -> dict[str, Float64]:
    shapes = {name: np.shape(value) for name, value in answer.quantities().items()}
    radii = {name: np.asarray(value, dtype=np.float64) for name, value in answer.radii.items()}
    for name, radius in radii.items():
        if radius.shape != shapes.get(name):
            raise ArgumentError(f"radii[{name!r}]", f"the shape of that quantity, {shapes.get(name)}", radius.shape)
        if not np.all(np.isfinite(radius) & (radius >= 0)):
            raise ArgumentError(f"radii[{name!r}]", "finite numbers of at least 0", "others")
    return radii


@dataclass(frozen=True)
class _Ruling:
    """What is proved about each entry of one quantity; an entry in none of the arrays is fine."""

    low: Float64
    allowed: Float64
    wrong: Booleans
    inaccurate: Booleans
    undecided: Booleans
    too_wide: Booleans
    """Not decided by this enclosure; a narrower one may."""
    overflown: Booleans | None = None
    """Inaccurate, beyond every bound: what a formula gives once it overflowed."""

    def overflowed(self) -> Booleans:
        return np.zeros(self.low.shape, dtype=bool) if self.overflown is None else self.overflown

    def worst(self) -> Index:
        """The entry that is furthest off, measured by what is allowed, among those that share the verdict."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            times = np.nan_to_num(self.low / self.allowed, nan=0.0, posinf=np.inf)
        times = np.where(self.where(self.verdict()), times, -1.0)
        return tuple(int(i) for i in np.unravel_index(int(np.argmax(times)), times.shape))

    def verdict(self) -> Verdict:
        if np.any(self.wrong):
            return Verdict.WRONG
        if np.any(self.undecided | self.too_wide):
            return Verdict.UNDECIDED
        return Verdict.INACCURATE if np.any(self.inaccurate) else Verdict.CORRECT

    def where(self, verdict: Verdict) -> Booleans:
        if verdict is Verdict.WRONG:
            return self.wrong
        return self.inaccurate if verdict is Verdict.INACCURATE else self.undecided | self.too_wide


class Hearing:
    """One answer before the judge. What depends on the kind of the case stands at the end, for other kinds to say."""

    def __init__(
        self,
        case: Any,
        given: Mapping[str, Array],
        oracle: Oracle,
        radii: Mapping[str, Float64],
        *,
        formula_right: bool = False,
    ) -> None:
        self.formula_right = formula_right
        self.case = case
        self.given = given
        self.oracle = oracle
        self.radii = radii
        self.bits = FIRST_BITS
        self.enclosed = oracle.enclosure(case, self.bits)
        allowance = oracle.allowance(case, self.enclosed)
        # What is within a radius of what came may be what the implementation computed: so much more is allowed.
        self.allowed, self.typical = (
            {name: bound[name] + radii.get(name, 0.0) for name in given}
            for bound in (allowance.rigorous, allowance.typical)
        )
        self._formulas: tuple[str, ...] | None = None
        self._lax: Lax | None = None
        self.overflowed = ""
        self.explained: tuple[Explanation, ...] = ()

    def findings(self) -> tuple[Finding, ...]:
        """All that is not correct, in the order of the answer; one finding where the oracle contradicts itself."""
        rulings = {name: self.rule(name) for name in self.given}
        while any(np.any(ruling.too_wide) for ruling in rulings.values()) and 2 * self.bits <= LAST_BITS:
            self.bits *= 2
            self.enclosed = self.oracle.enclosure(self.case, self.bits)
            rulings = {n: self.rule(n) if np.any(ruling.too_wide) else ruling for n, ruling in rulings.items()}
        rulings = self.replayed(rulings)
        self.overflowed = self.reproducing(rulings)
        self.explained = self.explaining(rulings)
        failed = {name: ruling for name, ruling in rulings.items() if ruling.verdict() is not Verdict.CORRECT}
        accused = {name: ruling.worst() for name, ruling in failed.items() if ruling.verdict() is Verdict.WRONG}
        doubts = self.oracle.witness(self.enclosed, accused)
        if doubts:
            message = f"gradproof's two routes to the exact gradient disagree: {'; '.join(doubts)}"
            return (Finding(Verdict.ORACLE_CONFLICT, TARGET, message),)
        return tuple(self.finding(name, ruling, list(failed)) for name, ruling in failed.items())

    def rule(self, name: str) -> _Ruling:
        """What is proved about each entry of a quantity."""
        got, allowed = self.given[name].astype(np.float64), self.allowed[name]
        if allowed.shape != got.shape or np.any(np.isnan(allowed)) or np.any(allowed < 0):
            raise ArithmeticError(f"the allowance of {name} is no bound: {allowed}")
        finite = np.isfinite(got)
        low, high = self.enclosed.distance(name, got), self.enclosed.distance_upper(name, got)
        with np.errstate(invalid="ignore", over="ignore"):
            width = np.where(np.isinf(high), np.inf, high - low)
            # A float next to the exact number is as good as can be: also where nothing bounds careful arithmetic, and
            # where the exact number is 0 and its ball, however narrow, is not.
            spacing = self.spacing(got)
        vacuous = np.isinf(allowed)
        scale = np.where(vacuous, spacing, allowed)
        wrong = finite & ~vacuous & (low > allowed)
        if np.any(wrong):
            wrong = wrong & ~self._right_mathematics(name, low)
        decided = wrong | (low > scale) | (high <= np.maximum(scale, spacing)) | (width <= scale)
        if np.any(~decided & finite):
            decided = decided | self.enclosed.kinks(name)
        typical = np.where(np.isinf(self.typical[name]), spacing, np.maximum(self.typical[name], spacing))
        undecided = finite & vacuous & decided & (low > typical)
        inaccurate = finite & ~vacuous & ~wrong & (low > typical)
        if not np.all(finite):
            lost = ~finite & ~self._rounds_to(name, got)
            if self.formulas():
                inaccurate = inaccurate | lost
            else:
                open_still = self._unbounded(name) if np.any(lost & ~vacuous) else np.zeros(got.shape, dtype=bool)
                undecided = undecided | (lost & vacuous)
                inaccurate = inaccurate | (lost & ~vacuous & open_still)
                wrong = wrong | (lost & ~vacuous & ~open_still)
        if self.formula_right:
            inaccurate = inaccurate | (undecided & ~(finite & np.isinf(self.typical[name])))
            undecided = np.zeros(got.shape, dtype=bool)
        return _Ruling(low, allowed, wrong, inaccurate, undecided, finite & ~decided & ~inaccurate)

    def _right_mathematics(self, name: str, low: Float64) -> Booleans:
        """Where some formula in use may be off by as much; asked only once careful arithmetic is ruled out."""
        lax = self._formulas_in_use()
        if lax is None:
            return np.zeros(low.shape, dtype=bool)
        return np.asarray(low <= lax.bound[name] + self.radii.get(name, 0.0))

    def _unbounded(self, name: str) -> Booleans:
        """Where some formula in use may lose all digits of what is divided by, or of what a logarithm is taken."""
        lax = self._formulas_in_use()
        if lax is None:
            return np.zeros(self.given[name].shape, dtype=bool)
        return np.asarray(lax.unbounded[name] | np.isinf(lax.bound[name]))

    def _formulas_in_use(self) -> Lax | None:
        if self._lax is None and self.oracle.naive is not None:
            self._lax = self.oracle.naive(self.case, self.enclosed)
        return self._lax

    def replayed(self, rulings: dict[str, _Ruling]) -> dict[str, _Ruling]:
        """Finite numbers that one choice of formulas gives that overflow on this case are no proof of a mistake."""
        wrong = {n: ruling.wrong & np.isfinite(self.given[n].astype(np.float64)) for n, ruling in rulings.items()}
        wrong = {name: entries for name, entries in wrong.items() if np.any(entries)}
        if not wrong or self.oracle.replayed is None or not self.formulas():
            return rulings
        if not self.oracle.replayed(self.case, self.given, wrong):
            return rulings
        for name, entries in wrong.items():
            ruling = rulings[name]
            rulings[name] = replace(
                ruling, wrong=ruling.wrong & ~entries, inaccurate=ruling.inaccurate | entries, overflown=entries
            )
        return rulings

    def reproducing(self, rulings: Mapping[str, _Ruling]) -> str:
        """Formulas that overflow on this case and give what came of overflow; empty where none do."""
        if self.oracle.replayed is None:
            return ""
        lost = {
            name: ruling.inaccurate & (~np.isfinite(self.given[name].astype(np.float64)) | ruling.overflowed())
            for name, ruling in rulings.items()
        }
        if not any(np.any(entries) for entries in lost.values()):
            return ""
        return self.oracle.replayed(self.case, self.given, lost)

    def explaining(self, rulings: Mapping[str, _Ruling]) -> tuple[Explanation, ...]:
        """Formulas that lose as many digits as this answer; none where more is the matter, or less than a digit."""
        verdict = overall(ruling.verdict() for ruling in rulings.values())
        if self.oracle.explained is None or verdict is not Verdict.INACCURATE or self.overflowed:
            return ()
        finite = {n: array for n, array in self.given.items() if np.all(np.isfinite(array.astype(np.float64)))}
        lost = (self._kept(n, rulings[n].inaccurate) for n in finite if np.any(rulings[n].inaccurate))
        if all(keeps <= kept for kept, keeps in lost):
            return ()
        return self.oracle.explained(self.case, self.enclosed, finite)

    def formulas(self) -> tuple[str, ...]:
        """Documented naive formulas that overflow on this case; asked only once a number is not finite."""
        if self._formulas is None:
            self._formulas = self.oracle.overflowing(self.case, self.case.dtype)
        return self._formulas

    def finding(self, name: str, ruling: _Ruling, failed: list[str]) -> Finding:
        """A ruling that is not correct in words and numbers; ``failed`` are all quantities that have such a one."""
        verdict = ruling.verdict()
        bad = ruling.where(verdict)
        got = self.given[name]
        index = ruling.worst()
        allowed = self.typical[name] if verdict is Verdict.INACCURATE else ruling.allowed
        return Finding(
            verdict=verdict,
            quantity=name,
            message=f"{_share(label(name), bad)} {verdict}{self._facts(name, verdict, ruling, failed)}",
            layer=self.layer(name),
            index=index,
            got=repr(float(got[index])),
            exact=self.enclosed.decimal(name, index, DIGITS),
            error=f"{ruling.low[index]:.3g}",
            allowed=f"{allowed[index]:.3g}",
            entries=got.size,
            bad=int(np.count_nonzero(bad)),
        )

    def _facts(self, name: str, verdict: Verdict, ruling: _Ruling, failed: list[str]) -> str:
        """What is certain beyond the verdict, as the end of a sentence."""
        bad = ruling.where(verdict)
        got, allowed = self.given[name], self.allowed[name]
        if verdict is Verdict.INACCURATE:
            return self._lost(name, ruling)
        if verdict is Verdict.UNDECIDED:
            if np.any(np.isinf(allowed[bad])):
                return "; nothing bounds the rounding errors of careful arithmetic here"
            return f"; {self.bits} bits do not tell"
        facts = ""
        if not np.all(np.isfinite(got[bad].astype(np.float64))):
            facts += f"; not finite, and no usual formula overflows in {self.case.dtype} on this case"
        lower, upper = self.enclosed.lower(name), self.enclosed.upper(name)

        def fits(numbers: npt.ArrayLike) -> Booleans:
            return np.asarray(self.enclosed.distance(name, numbers) <= allowed)

        fact = self.resemblance(name, bad, lower / 2 + upper / 2, fits)
        facts += f"; {fact}" if fact else ""
        return facts + self._place(name, failed)

    def _lost(self, name: str, ruling: _Ruling) -> str:
        """Where digits go, or how many are left of those that careful arithmetic keeps."""
        got, bad = self.given[name].astype(np.float64), ruling.inaccurate
        if ruling.overflown is not None or not np.all(np.isfinite(got[bad])):
            subject = "" if ruling.overflown is not None else "not finite: "
            if self.overflowed:
                return f"; {subject}{self.overflowed} overflows on this case, and gives just this"
            if not self.formulas():
                known = RIGHT_IN_FLOAT64 if self.formula_right else ", where formulas in use may lose every digit"
                return f"; not finite in {self.case.dtype}{known}"
            return f"; not finite, where usual formulas overflow on this case: {' and '.join(self.formulas())}"
        kept, keeps = self._kept(name, bad)
        fewer = keeps - kept
        digits = "part of a digit" if fewer <= 0 else "1 digit" if fewer == 1 else f"{fewer} digits"
        return (
            f"; the formula may be right, but it loses {digits}: {kept} are right where careful arithmetic keeps "
            f"{keeps}{told(self.explained)}{RIGHT_IN_FLOAT64 if self.formula_right else ''}"
        )

    def _kept(self, name: str, bad: Booleans) -> tuple[int, int]:
        """How many digits are right in the worst of these entries, and how many careful arithmetic keeps there."""
        exact = np.maximum(np.abs(self.enclosed.lower(name)), np.abs(self.enclosed.upper(name)))[bad]
        off, careful = self.enclosed.distance(name, self.given[name].astype(np.float64))[bad], self.typical[name][bad]
        worst = int(np.argmax(off / careful))
        kept, keeps = (_digits(error[worst], exact[worst]) for error in (off, careful))
        return kept, keeps

    def _place(self, name: str, failed: list[str]) -> str:
        """Whether it starts here, where the answer shows that."""
        first = self.first_wrong(failed)
        if name not in first:
            return ""
        if len(failed) == 1 and len(self.given) > 1:
            return "; everything else that is given is right"
        if name == OUTPUTS:
            return "; so the forward pass goes wrong already"
        if "." in name and len(failed) > len(first):
            return "; going back from the loss, it goes wrong here first"
        return ""

    def _rounds_to(self, name: str, got: Float64) -> Booleans:
        """Where an infinite number is what the exact one rounds to, being beyond the largest of the dtype."""
        largest = self.largest()
        high = (got == np.inf) & (self.enclosed.lower(name) >= largest)
        low = (got == -np.inf) & (self.enclosed.upper(name) <= -largest)
        return np.asarray(high | low)

    def loose(self) -> bool:
        """Whether careful arithmetic below float64 may be off by half of the digits of a quantity's largest number."""
        spacing = float(self.spacing(np.array(1.0)))
        if spacing <= np.finfo(np.float64).eps:
            return False  # nothing wider can be asked
        half = math.sqrt(spacing)
        for name, allowed in self.allowed.items():
            size = np.maximum(np.abs(self.enclosed.lower(name)), np.abs(self.enclosed.upper(name)))
            if np.max(allowed, initial=0.0) > half * np.max(size, initial=0.0) > 0:
                return True
        return False

    def deviations(self, verdict: Verdict) -> Deviations:
        """By how much groups of numbers are larger than the exact ones; none of what is wrong, not finite or a set."""
        finite = all(np.all(np.isfinite(array.astype(np.float64))) for array in self.given.values())
        if verdict not in (Verdict.CORRECT, Verdict.INACCURATE) or not finite or self.enclosed.met_kinks:
            return {}
        return deviations(self.enclosed, self.given)

    # What depends on the kind of the case.

    def spacing(self, got: Float64) -> Float64:
        """The distance from each number to its next neighbour in the case's dtype."""
        return np.asarray(np.spacing(np.abs(got).astype(self.case.dtype)), dtype=np.float64)

    def largest(self) -> float:
        """The largest finite number of the case's dtype."""
        return float(np.finfo(self.case.dtype).max)

    def layer(self, name: str) -> str | None:
        """The layer that a quantity belongs to, in words; None where it belongs to none."""
        return layer_of(self.case.network, name)

    def first_wrong(self, quantities: list[str]) -> list[str]:
        """Of the quantities that are not right, those where it starts."""
        return first_wrong(self.case.network, quantities)

    def cause(self, quantities: list[str]) -> Cause:
        """What is alike between this case and others that fail like it; ``quantities`` are what fails."""
        return _cause(self.case.network, quantities)

    def resemblance(self, name: str, bad: Booleans, middle: Float64, fits: Fits) -> str:
        """What the wrong entries of a quantity certainly have to do with the exact ones; empty where nothing."""
        outputs = math.prod(self.case.network.output_shape)
        return resemblance(self.case.batch, outputs, self.given[name], bad, middle, fits)


def _digits(error: float, exact: float) -> int:
    """Significant decimal digits that an error leaves of a number."""
    return max(0, math.floor(-math.log10(error / exact))) if 0 < error < exact else 0


def _share(what: str, bad: Booleans) -> str:
    count = int(np.count_nonzero(bad))
    if bad.size == 1:
        return f"{what} is"
    if count == bad.size:
        return f"all {count} entries of {what} are"
    return f"{count} of {bad.size} entries of {what} {'is' if count == 1 else 'are'}"

"""The certified view: loss, outputs and every gradient entry, each in a ball that provably contains it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from flint import arb

from gradproof.case import Case
from gradproof.errors import ArgumentError, GradproofError
from gradproof.layers import Shape
from refimpl.arithmetic import Values, run_all
from refimpl.balls import BallArithmetic, exact_balls, precision
from refimpl.kinks import Kind, Met, Polynomial, TooManyTermsError, chosen, corner_ends, expanded, places
from refimpl.language import Node, ordered
from refimpl.program import Program, leaf_values, program_of

LEAST_BITS = 53
MOST_BITS = 8192
"""Where precision stops rising for a rounding, which is then undecided."""
SIGN_BITS = 1024
"""Where it stops rising for the sign of a hinge's argument, which then counts as 0."""

Float64 = npt.NDArray[np.float64]


class PrecisionError(GradproofError):
    """A number cannot be told at the highest precision that is tried."""


@dataclass(frozen=True, eq=False)
class Given:
    """A program with what it is given."""

    computation: Program
    leaves: Callable[[], dict[str, Values]]
    """The balls of the leaves by name, at the working precision of the surrounding ``precision`` block."""
    affine: bool
    """Whether each result is affine in each single choice at a kink: corners tell a set then (``refimpl.kinks``)."""
    most_bits: int = MOST_BITS
    """Where precision stops rising for an unbounded ball."""


@dataclass(frozen=True, eq=False)
class ProgramEnclosure:
    """Balls around the exact results of a program, at a precision in bits.

    At a kink a ball holds every admissible value, for choices made at each kink independently (``refimpl.kinks``).
    """

    given: Given
    bits: int
    """The precision asked for."""
    places: tuple[Met, ...]
    """The kinks met: hinges whose argument is 0, rows of which several entries tie, or what SIGN_BITS do not tell."""
    working_bits: int
    """The precision computed with: that asked for, or higher where a sign or a finite ball needed it."""
    order: tuple[Node, ...]
    """Every node of the computation, operands first."""
    values: Mapping[int, Values]
    """The balls of every node, by its identity."""
    polynomials: Mapping[int, Polynomial]
    """Results that depend on choices at kinks, by identity, written in these as far as they can be."""
    ends: Mapping[int, tuple[Values, Values]]
    """For results, by identity: the least and the greatest admissible value of each entry, where corners tell them."""

    @property
    def computation(self) -> Program:
        """The program."""
        return self.given.computation

    @property
    def met_kinks(self) -> int:
        """Number of kinks met."""
        return len(self.places)

    def names(self) -> tuple[str, ...]:
        """The quantities, in the order of the computation."""
        return tuple(self.computation.results)

    def shape(self, name: str) -> Shape:
        """The shape of a quantity."""
        return self.computation.results[name].shape

    def balls(self, name: str) -> Values:
        """A quantity as an object array of ``flint.arb``; at a kink around all admissible values."""
        return self.values[id(self.computation.results[name])]

    def interval(self, name: str) -> tuple[Values, Values]:
        """Balls around the least and around the greatest admissible value of each entry.

        One and the same array, unless a kink makes a set of an entry.
        """
        balls = self.balls(name)
        return self.ends.get(id(self.computation.results[name]), (balls, balls))

    def distance(self, name: str, got: npt.ArrayLike) -> Float64:
        """A lower bound of |got − x| over the admissible x of each entry; inf for a number that is not finite.

        0 where the ball says nothing (MOST_BITS did not make it finite).
        """
        return self._map(name, got, _nearest_distance)

    def distance_upper(self, name: str, got: npt.ArrayLike) -> Float64:
        """An upper bound of |got − x| over the admissible x of each entry; inf for a number that is not finite."""
        return self._map(name, got, _farthest_distance)

    def lower(self, name: str) -> Float64:
        """A float64 at or below each enclosed number."""
        return self._each(self.interval(name)[0], lambda ball: downward(ball.lower()) if ball.is_finite() else -np.inf)

    def upper(self, name: str) -> Float64:
        """A float64 at or above each enclosed number."""
        return self._each(self.interval(name)[1], lambda ball: upward(ball.upper()) if ball.is_finite() else np.inf)

    def kinks(self, name: str) -> npt.NDArray[np.bool_]:
        """Where a kink makes a set of an entry: its least and greatest values differ.

        Where corners do not tell: where its ball stays as wide when the precision doubles.
        """
        if not self.met_kinks:
            return np.zeros(self.shape(name), dtype=bool)
        low, high = (end.reshape(-1) for end in self.interval(name))
        if id(self.computation.results[name]) not in self.ends:
            finer = self._finer.balls(name).reshape(-1)
            found = [
                bool(fine.rad() > 0 and 2 * fine.rad() > ball.rad()) for ball, fine in zip(low, finer, strict=True)
            ]
        else:
            found = [bool(least < greatest) for least, greatest in zip(low, high, strict=True)]
        return np.array(found, dtype=bool).reshape(self.shape(name))

    @cached_property
    def _finer(self) -> ProgramEnclosure:
        return enclosed_program(self.given, self.bits, 2 * self.working_bits)

    @cached_property
    def kinds_met(self) -> frozenset[Kind]:
        """The kinds of the kinks met."""
        return frozenset(place.kind for place in self.places)

    @property
    def outer_hull(self) -> bool:
        """Whether corners do not tell every set, so that one may be wider than what is admissible."""
        return any(id(node) not in self.ends for node in self.computation.results.values())

    def under(self, choose: Callable[[Kind], Fraction]) -> Self:
        """What an implementation gives that makes the same choice at every kink of a kind.

        choose: the choice c in [0, 1] for a kind: at a hinge the slope below + c · (above − below), so that 0 takes
        ReLU's slope at 0 to be 0; at a tie 0 gives everything to the first, ½ to each the same, 1 to the last.

        Of results that cannot be written in the choices (``outer_hull``) it is all that is admissible.
        """
        values = dict(self.values)
        with precision(self.working_bits):
            for node in self.computation.results.values():
                if id(node) in self.polynomials:
                    values[id(node)] = chosen(self.polynomials[id(node)], self.places, choose)
        results = self.computation.results.values()
        return replace(self, values=values, ends={id(node): (values[id(node)],) * 2 for node in results})

    def nearest(self, name: str) -> Float64:
        """Each exact number correctly rounded to float64, ties to even.

        Precision rises until it is proved; raises PrecisionError for a set at a kink, and where MOST_BITS do not
        tell (an exact tie of irrational origin, say).
        """
        if np.any(self.kinks(name)):
            raise PrecisionError(f"{name}: a kink makes a set of at least one entry, which has no nearest float64")
        enclosed = self
        while True:
            with precision(enclosed.working_bits):
                rounded = [_nearest(enclosed._single(name, index)) for index in np.ndindex(self.shape(name))]
            if all(number is not None for number in rounded):
                return np.array(rounded, dtype=np.float64).reshape(self.shape(name))
            if enclosed.working_bits >= MOST_BITS:
                raise PrecisionError(f"{name}: {MOST_BITS} bits do not decide the rounding of every entry")
            enclosed = enclosed._finer

    def decimal(self, name: str, index: tuple[int, ...] = (), digits: int = 20) -> str:
        """An entry in decimal, every digit proved but the last (±1); at a kink the interval ``[low, high]``.

        Precision rises until that many digits are proved. Where MOST_BITS do not prove them (a sum that cancels to
        exactly 0 by irrational terms, say), what is known: ``[+/- 1e-2460]``.
        """
        if digits < 1:
            raise ArgumentError("digits", "at least 1", digits)
        if self.kinks(name)[index]:
            least, greatest = (end[index] for end in self.interval(name))
            with precision(self.working_bits):
                low, high = (end.str(digits, radius=False) for end in (least.lower(), greatest.upper()))
            return f"[{low}, {high}]"
        enclosed, needed = self, math.ceil(digits * math.log2(10)) + 2
        while enclosed.working_bits < MOST_BITS and enclosed._single(name, index).rel_accuracy_bits() < needed:
            enclosed = enclosed._finer
        ball = enclosed._single(name, index)
        with precision(max(enclosed.working_bits, needed)):
            return str(ball.str(digits, radius=ball.rel_accuracy_bits() < needed))

    def _single(self, name: str, index: tuple[int, ...]) -> Any:
        """The ball of an entry of which kinks make no set: its ends', where choices at kinks cancel in it."""
        least, greatest = (end[index] for end in self.interval(name))
        with precision(self.working_bits):
            return least if least is greatest else least.union(greatest)

    def _each(self, balls: Values, function: Callable[[Any], float]) -> Float64:
        with precision(self.working_bits):
            numbers = [function(ball) for ball in balls.reshape(-1)]
        return np.array(numbers, dtype=np.float64).reshape(balls.shape)

    def _map(self, name: str, got: npt.ArrayLike, function: Callable[[Any, Any, Any], float]) -> Float64:
        given = np.asarray(got, dtype=np.float64)
        if given.shape != self.shape(name):
            raise ArgumentError(name, f"shape {self.shape(name)}", f"shape {given.shape}")
        low, high = (end.reshape(-1) for end in self.interval(name))
        with precision(self.working_bits):
            numbers = [
                function(arb(number), least, greatest) if math.isfinite(number) else np.inf
                for number, least, greatest in zip(given.ravel().tolist(), low, high, strict=True)
            ]
        return np.array(numbers, dtype=np.float64).reshape(given.shape)


@dataclass(frozen=True, eq=False)
class Enclosure(ProgramEnclosure):
    """Balls around the exact numbers of a case, at a precision in bits.

    The quantities are ``loss`` (), ``outputs`` (batch, …), each trainable parameter's gradient, and ``inputs``, the
    gradient for the inputs (batch, …). At a kink a ball holds every admissible value: all that backpropagation gives
    for slopes between the one-sided ones, chosen at each kink independently (``refimpl.kinks``).
    """

    case: Case


def _nearest_distance(number: Any, least: Any, greatest: Any) -> float:
    if not (least.is_finite() and greatest.is_finite()):
        return 0.0
    below, above = (least - number).lower(), (number - greatest).lower()
    return max(0.0, downward(below), downward(above))


def _farthest_distance(number: Any, least: Any, greatest: Any) -> float:
    if not (least.is_finite() and greatest.is_finite()):
        return math.inf
    return max(upward((least - number).abs_upper()), upward((number - greatest).abs_upper()))


def enclosure(case: Case, bits: int = 128) -> Enclosure:
    """Encloses loss, outputs and gradients of a case in ball arithmetic at ``bits`` bits of working precision.

    Inputs and parameters are the exact binary numbers that they are. Whether an argument of a ReLU is 0 is decided by
    exactness: the precision rises, for the whole program, until each sign is told or the argument is exactly 0; what
    SIGN_BITS do not tell counts as a kink, which can only enlarge the set. Precision rises likewise, to MOST_BITS,
    while a ball is unbounded: log(1 − p) needs more bits than 1 − p has leading zeros.

    Raises ArgumentError for fewer than LEAST_BITS or more than MOST_BITS bits.
    """
    check_bits(bits)
    enclosed = enclosed_program(Given(program_of(case), lambda: _leaves(case), affine=True), bits, bits)
    return Enclosure(**{field.name: getattr(enclosed, field.name) for field in fields(enclosed)}, case=case)


def check_bits(bits: int) -> None:
    """Raises ArgumentError for fewer than LEAST_BITS or more than MOST_BITS bits."""
    if not LEAST_BITS <= bits <= MOST_BITS:
        raise ArgumentError("bits", f"{LEAST_BITS} to {MOST_BITS}", bits)


def enclosed_program(given: Given, bits: int, working: int) -> ProgramEnclosure:
    """Encloses a program's results, asked for at ``bits`` bits and computed with ``working`` bits or more."""
    results = tuple(given.computation.results.values())
    order = ordered(results)
    while True:
        arithmetic = BallArithmetic()
        with precision(working):
            leaves = given.leaves()
            values = run_all(order, arithmetic, leaves)
        untold = arithmetic.kinks > arithmetic.exact_kinks and working < SIGN_BITS
        if not untold and (working >= given.most_bits or _all_finite(values[id(node)] for node in results)):
            break
        working *= 2
    with precision(working):
        met = places(order, values)
        polynomials = _polynomials(given, results, order, values, met, leaves)
        ends = _ends(results, values, met, polynomials)
    return ProgramEnclosure(given, bits, met, working, order, values, polynomials or {}, ends)


def _polynomials(
    given: Given,
    results: tuple[Node, ...],
    order: tuple[Node, ...],
    values: Mapping[int, Values],
    met: tuple[Met, ...],
    leaves: Mapping[str, Values],
) -> Mapping[int, Polynomial] | None:
    """The results that depend on choices at kinks, written in these; None where that is not possible."""
    if not met:
        return {}
    if not given.affine:
        return None
    try:
        found = expanded(order, values, met, leaves)
    except TooManyTermsError:
        return None
    return {id(node): found[id(node)] for node in results if id(node) in found}


def _ends(
    results: tuple[Node, ...],
    values: Mapping[int, Values],
    met: tuple[Met, ...],
    polynomials: Mapping[int, Polynomial] | None,
) -> dict[int, tuple[Values, Values]]:
    """The least and the greatest admissible values of results, as far as corners tell them."""
    if polynomials is None:
        return {}
    found: dict[int, tuple[Values, Values]] = {}
    for node in results:
        alone = (values[id(node)], values[id(node)])
        ends = corner_ends(polynomials[id(node)], met) if id(node) in polynomials else alone
        if ends is not None:
            found[id(node)] = ends
    return found


def _leaves(case: Case) -> dict[str, Values]:
    return {name: exact_balls(array) for name, array in leaf_values(case).items()}


def _all_finite(arrays: Iterable[Values]) -> bool:
    return all(all(map(arb.is_finite, array.reshape(-1).tolist())) for array in arrays)


def downward(end: Any) -> float:
    """A float64 at or below an exact ball, at most one step away."""
    near = float(end)
    return near if arb(near) <= end else math.nextafter(near, -math.inf)


def upward(end: Any) -> float:
    """A float64 at or above an exact ball, at most one step away."""
    near = float(end)
    return near if arb(near) >= end else math.nextafter(near, math.inf)


def _nearest(ball: Any) -> float | None:
    """The float64 nearest to every number of a ball; None where they round to different ones.

    Rounding is monotone, so the ends decide; Arb rounds an exact number to the nearest float64, ties to even.
    """
    if not ball.is_finite():
        return None
    low, high = float(ball.lower()), float(ball.upper())
    return low if low == high else None

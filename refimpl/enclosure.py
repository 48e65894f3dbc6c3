"""The certified view: loss, outputs and every gradient entry, each in a ball that provably contains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb

from gradproof.case import Case
from gradproof.errors import ArgumentError, GradproofError
from gradproof.layers import Shape
from refimpl.arithmetic import Values, run_all
from refimpl.balls import BallArithmetic, exact_balls, precision
from refimpl.language import ordered
from refimpl.program import leaf_values, program_of

LEAST_BITS = 53
MOST_BITS = 8192
"""Where precision stops rising for a rounding, which is then undecided."""
SIGN_BITS = 1024
"""Where it stops rising for the sign of a hinge's argument, which then counts as 0."""

Float64 = npt.NDArray[np.float64]


class PrecisionError(GradproofError):
    """A number cannot be told at the highest precision that is tried."""


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Balls around the exact numbers of a case, at a precision in bits.

    The quantities are ``loss`` (), ``outputs`` (batch, …), each trainable parameter's gradient, and ``inputs``, the
    gradient for the inputs (batch, …). At a kink a ball holds every admissible value: all that backpropagation gives
    for slopes between the one-sided ones, chosen at each kink independently.
    """

    case: Case
    bits: int
    """The precision asked for."""
    met_kinks: int
    """Number of kinks met: hinges whose argument is 0, or cannot be told from 0 with SIGN_BITS."""
    _balls: Mapping[str, Values]

    def names(self) -> tuple[str, ...]:
        """The quantities, in the order of the computation."""
        return tuple(self._balls)

    def shape(self, name: str) -> Shape:
        """The shape of a quantity."""
        return self._balls[name].shape

    def balls(self, name: str) -> Values:
        """A quantity as an object array of ``flint.arb``."""
        return self._balls[name]

    def distance(self, name: str, got: npt.ArrayLike) -> Float64:
        """A lower bound of |got − x| over the enclosed x of each entry; inf for a number that is not finite."""
        return self._map(name, got, lambda number, ball: _down(abs(arb(number) - ball).lower()))

    def distance_upper(self, name: str, got: npt.ArrayLike) -> Float64:
        """An upper bound of |got − x| over the enclosed x of each entry; inf for a number that is not finite."""
        return self._map(name, got, lambda number, ball: _up(abs(arb(number) - ball).upper()))

    def lower(self, name: str) -> Float64:
        """A float64 at or below each enclosed number."""
        return self._each(name, lambda ball: _down(ball.lower()))

    def upper(self, name: str) -> Float64:
        """A float64 at or above each enclosed number."""
        return self._each(name, lambda ball: _up(ball.upper()))

    def kinks(self, name: str) -> npt.NDArray[np.bool_]:
        """Where a kink makes a set of an entry: its ball stays as wide when the precision doubles."""
        if not self.met_kinks:
            return np.zeros(self.shape(name), dtype=bool)
        finer = self._finer.balls(name).reshape(-1)
        pairs = zip(self._balls[name].reshape(-1), finer, strict=True)
        stays = [bool(fine.rad() > 0 and 2 * fine.rad() > coarse.rad()) for coarse, fine in pairs]
        return np.array(stays, dtype=bool).reshape(self.shape(name))

    @cached_property
    def _finer(self) -> Enclosure:
        return enclosure(self.case, 2 * self.bits)

    def nearest(self, name: str) -> Float64:
        """Each exact number correctly rounded to float64, ties to even.

        Precision rises until it is proved; raises PrecisionError for a set at a kink, and where MOST_BITS do not
        tell (an exact tie of irrational origin, say).
        """
        if np.any(self.kinks(name)):
            raise PrecisionError(f"{name}: a kink makes a set of at least one entry, which has no nearest float64")
        enclosed, bits = self, self.bits
        while True:
            with precision(bits):
                rounded = [_nearest(ball) for ball in enclosed.balls(name).reshape(-1)]
            if all(number is not None for number in rounded):
                return np.array(rounded, dtype=np.float64).reshape(self.shape(name))
            bits *= 2
            if bits > MOST_BITS:
                raise PrecisionError(f"{name}: {MOST_BITS} bits do not decide the rounding of every entry")
            enclosed = enclosure(self.case, bits)

    def decimal(self, name: str, index: tuple[int, ...] = (), digits: int = 20) -> str:
        """An entry in decimal, every digit proved but the last (±1); at a kink the interval ``[low, high]``."""
        ball = self._balls[name][index]
        with precision(self.bits):
            if self.kinks(name)[index]:
                low, high = (end.str(digits, radius=False) for end in (ball.lower(), ball.upper()))
                return f"[{low}, {high}]"
            return str(ball.str(digits, radius=False))

    def _each(self, name: str, function: Any) -> Float64:
        with precision(self.bits):
            numbers = [function(ball) for ball in self._balls[name].reshape(-1)]
        return np.array(numbers, dtype=np.float64).reshape(self.shape(name))

    def _map(self, name: str, got: npt.ArrayLike, function: Any) -> Float64:
        given = np.asarray(got, dtype=np.float64)
        if given.shape != self.shape(name):
            raise ArgumentError(name, f"shape {self.shape(name)}", f"shape {given.shape}")
        finite = np.isfinite(given).ravel().tolist()
        with precision(self.bits):
            numbers = [
                function(number, ball) if fine else np.inf
                for number, ball, fine in zip(
                    given.ravel().tolist(), self._balls[name].reshape(-1), finite, strict=True
                )
            ]
        return np.array(numbers, dtype=np.float64).reshape(given.shape)


def enclosure(case: Case, bits: int = 128) -> Enclosure:
    """Encloses loss, outputs and gradients of a case in ball arithmetic at ``bits`` bits of working precision.

    Inputs and parameters are the exact binary numbers that they are. Whether an argument of a ReLU is 0 is decided by
    exactness: the precision rises, for the whole program, until each sign is told or the argument is exactly 0; what
    SIGN_BITS do not tell counts as a kink, which can only enlarge the set.

    Raises ArgumentError for fewer than LEAST_BITS or more than MOST_BITS bits.
    """
    if not LEAST_BITS <= bits <= MOST_BITS:
        raise ArgumentError("bits", f"{LEAST_BITS} to {MOST_BITS}", bits)
    computation = program_of(case)
    results = tuple(computation.results.values())
    order = ordered(results)
    working = bits
    while True:
        arithmetic = BallArithmetic()
        with precision(working):
            leaves = {name: exact_balls(array) for name, array in leaf_values(case).items()}
            values = run_all(order, arithmetic, leaves)
        if arithmetic.kinks == arithmetic.exact_kinks or working >= SIGN_BITS:
            break
        working *= 2
    found = {name: values[id(node)] for name, node in computation.results.items()}
    return Enclosure(case, bits, arithmetic.kinks, found)


def _exact(ball: Any) -> Fraction:
    """The midpoint of a ball as a rational: midpoints are binary numbers."""
    mantissa, exponent = ball.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _down(end: Any) -> float:
    """A float64 at or below an exact ball, at most one step away."""
    near = float(end)
    return near if arb(near) <= end else float(np.nextafter(near, -np.inf))


def _up(end: Any) -> float:
    """A float64 at or above an exact ball, at most one step away."""
    near = float(end)
    return near if arb(near) >= end else float(np.nextafter(near, np.inf))


def _float(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return float("inf") if exact > 0 else float("-inf")


def _nearest(ball: Any) -> float | None:
    """The float64 nearest to every number of a ball; None where they round to different ones."""
    low, high = (_float(_exact(end)) for end in (ball.lower(), ball.upper()))
    return low if low == high else None

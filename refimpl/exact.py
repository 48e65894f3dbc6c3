"""The exact numbers of a symbolic program at a case: proved decimal digits, and float64 correctly rounded.

The program's SymPy expressions are evaluated in ball arithmetic by ``refimpl.expressions.Balls``, a route apart from
that of ``refimpl.enclosure``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb, fmpq

from gradproof.case import Case
from gradproof.errors import ArgumentError
from refimpl.arithmetic import Values, entrywise
from refimpl.balls import exact_balls, precision
from refimpl.enclosure import MOST_BITS, SIGN_BITS, PrecisionError
from refimpl.expressions import Balls, symbols_of
from refimpl.program import leaf_values
from refimpl.symbolic import Symbolic, symbolic

SET_DIGITS = 8
"""A ball's radius has 30 bits, so that the ends of a set are known to some nine digits."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation of a program at a precision: balls by quantity, and which entries depend on a choice at a kink."""

    bits: int
    undecided: int
    symbols: Mapping[Any, Any]
    """The ball of every symbol of the program."""
    balls: Mapping[str, Values]
    sets: Mapping[str, npt.NDArray[np.bool_]]

    def untold(self, limit: int) -> bool:
        """Whether a step's argument could neither be told from 0 nor is exactly 0, below a limit of bits."""
        return self.undecided > 0 and self.bits < limit

    def accurate(self, bits: int) -> bool:
        """Whether every entry that is no set is known to this relative accuracy."""
        return all(
            in_set or ball.rel_accuracy_bits() >= bits
            for name, array in self.balls.items()
            for ball, in_set in zip(array.reshape(-1), self.sets[name].reshape(-1), strict=True)
        )


@dataclass(frozen=True, eq=False)
class Numbers:
    """The exact numbers of a case, by the symbolic program."""

    view: Symbolic
    case: Case
    digits: int
    _found: Evaluation

    def balls(self, name: str) -> Values:
        """A quantity as an object array of ``flint.arb``."""
        return self._found.balls[name]

    def sets(self, name: str) -> npt.NDArray[np.bool_]:
        """Where the formula holds a choice at a kink that is met, so that the ball encloses a set."""
        return self._found.sets[name]

    def decimal(self, name: str, index: tuple[int, ...] = ()) -> str:
        """An entry to ``digits`` digits, the last one ±1; a set as ``[low, high]`` around it, to SET_DIGITS digits.

        Where precision did not suffice, its ball.
        """
        ball = self._found.balls[name][index]
        needed = math.ceil(self.digits * math.log2(10)) + 2
        with precision(max(self._found.bits, needed)):
            if self._found.sets[name][index] and ball.rad() > 0:
                digits = min(self.digits, SET_DIGITS)
                low, high = (end.str(digits, radius=False) for end in (ball.lower(), ball.upper()))
                return f"[{low}, {high}]"
            return str(ball.str(self.digits, radius=ball.rel_accuracy_bits() < needed))

    def value(self, symbol: Any) -> str:
        """The number of any symbol of the program, to ``digits`` digits or as many as are proved."""
        with precision(self._found.bits):
            return str(self._found.symbols[symbol].str(self.digits, radius=False))

    def nearest(self, name: str) -> npt.NDArray[np.float64]:
        """Each number correctly rounded to float64, ties to even; raises PrecisionError where it is a set or untold."""
        found = self._found
        while True:
            with precision(found.bits):
                ends = [(float(b.lower()), float(b.upper())) for b in found.balls[name].reshape(-1)]
            if all(low == high for low, high in ends):
                return np.array([low for low, _ in ends]).reshape(found.balls[name].shape)
            if np.any(found.sets[name]):
                raise PrecisionError(f"{name}: a kink makes a set of at least one entry, which has no nearest float64")
            if found.bits >= MOST_BITS:
                raise PrecisionError(f"{name}: {found.bits} bits do not decide the rounding of every entry")
            found = _evaluated(self.view, self.case, 2 * found.bits)


def numbers(view: Symbolic, case: Case, digits: int) -> Numbers:
    """See ``Symbolic.numbers``."""
    for argument, expected, got in (
        ("case.network", view.network, case.network),
        ("case.batch", view.batch, case.batch),
        ("case.sample_weights", view.weighted, case.sample_weights is not None),
        ("case.masks", view.masked, bool(case.masks)),
    ):
        if expected != got:
            raise ArgumentError(argument, str(expected), str(got))
    if digits < 1:
        raise ArgumentError("digits", "at least 1", digits)
    if view.functions:  # the same symbols, with the definitions in place of σ
        view = symbolic(view.network, view.batch, weighted=view.weighted, masked=view.masked)
    needed = math.ceil(digits * math.log2(10)) + 2
    most = max(MOST_BITS, 2 * needed)
    bits = max(64, needed + 32)
    while True:
        found = _evaluated(view, case, bits)
        if bits >= most or (not found.untold(SIGN_BITS) and found.accurate(needed)):
            return Numbers(view, case, digits, found)
        bits *= 2


def _evaluated(view: Symbolic, case: Case, bits: int) -> Evaluation:
    values = leaf_values(case)
    reached: set[Any] = set()
    with precision(bits):
        balls = Balls({symbol: arb(fmpq(v.numerator, v.denominator)) for symbol, v in view.constants.items()})
        for name, symbols in view.leaves.items():
            balls.symbols.update(zip(symbols.reshape(-1), exact_balls(values[name]).reshape(-1), strict=True))
        for assignment in view.program:
            met = len(balls.kinks)
            balls.symbols[assignment.symbol] = balls.ball(assignment.expression)
            if len(balls.kinks) > met or not reached.isdisjoint(symbols_of(assignment.expression)):
                reached.add(assignment.symbol)
    quantities = {name: view.symbols(name) for name in view.names()}.items()
    return Evaluation(
        bits,
        balls.untold,
        balls.symbols,
        {name: entrywise(balls.ball, symbols) for name, symbols in quantities},
        {name: entrywise(reached.__contains__, symbols).astype(bool) for name, symbols in quantities},
    )

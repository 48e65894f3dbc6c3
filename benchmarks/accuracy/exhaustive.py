"""Every float32: what is not certainly within the bound, or beyond it, goes to the oracle, number by number."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import numba
import numpy as np

from benchmarks.accuracy.arrays import Evaluator, evaluate
from benchmarks.accuracy.certified import BINADE, CERTAIN, numbers, pieces
from benchmarks.accuracy.functions import FUNCTIONS
from benchmarks.accuracy.oracle import same, units
from benchmarks.accuracy.record import Accuracy

CHUNK: Final = 2**12
"""Numbers at a time: they stay in the nearest cache."""
_SIGN: Final = 2**31
_INFINITE: Final = 255
"""Exponent field of infinity and NaN."""

Progress = Callable[[], None]
"""Called after each binade."""

BINADES: Final = tuple(sign | field * BINADE for sign in (0, _SIGN) for field in range(_INFINITE))
"""The bits of the first number of each binade of either sign; the subnormal numbers are one."""


@numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
def _errors(
    x: Any, got: Any, middle: float, half: float, coefficients: Any, u: Any, exact: Any, bits: Any, per_unit: Any
) -> None:
    """|got − exact| in units in the last place of a float32, into ``exact``; ``bits`` are those of ``per_unit``."""
    largest = 2.0**128
    for i in range(x.size):
        u[i] = (float(x[i]) - middle) / half
        exact[i] = 0.0
    for k in range(coefficients.size - 1, -1, -1):
        c = coefficients[k]
        for i in range(x.size):
            exact[i] = exact[i] * u[i] + c
    for i in range(x.size):
        value = abs(exact[i])
        per_unit[i] = min(max(value, 2.0**-126), 2.0**127)
        exact[i] = min(max(exact[i], -largest), largest)
    for i in range(x.size):
        bits[i] = ((2 * 1023 + 23) << 52) - (bits[i] & 0x7FF0000000000000)
    for i in range(x.size):
        number = min(max(float(got[i]), -largest), largest)
        exact[i] = abs(number - exact[i]) * per_unit[i]


def measure(name: str, binades: tuple[int, ...] = BINADES, progress: Progress = lambda: None) -> Accuracy:
    """The accuracy of a function at every float32 of these binades, and at infinity, NaN and its ends."""
    started = perf_counter()
    search = _Search(name)
    for start in binades:
        for piece in pieces(search.function, start):
            if len(piece.coefficients) == 0:
                search.ask(float(numbers(piece.start, 1)[0]))
                continue
            for first in range(piece.start, piece.start + piece.count, CHUNK):
                count = min(CHUNK, piece.start + piece.count - first)
                search.compare(numbers(first, count), piece.middle, piece.half, piece.coefficients)
        progress()
    return search.result(perf_counter() - started)


class _Search:
    """A comparison under way: what is worst so far, and how many are beyond the bound."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.function = FUNCTIONS[name]
        self.bound = self.function.within("float32")
        self._evaluators: dict[int, Evaluator] = {}
        self._u, self._exact, self._per_unit = (np.empty(CHUNK) for _ in range(3))
        self.inputs = self.rounded = self.doubtful = self.beyond = 0
        self.worst, self.worst_input = -1.0, 0.0

    def evaluator(self, size: int) -> Evaluator:
        if size not in self._evaluators:
            self._evaluators[size] = Evaluator(self.name, "float32", size, self.function.parameter)
        return self._evaluators[size]

    def compare(self, x: Any, middle: float, half: float, coefficients: Any) -> None:
        """Adds a run of numbers, given the polynomial that is their exact value within CERTAIN units."""
        run = self.evaluator(len(x))
        run.inputs[...] = x
        run()
        self.inputs += len(x)
        if np.isnan(coefficients[0]):
            self.beyond += int(np.count_nonzero(~np.isnan(run.values)))
            return
        exact, per_unit, u = self._exact[: len(x)], self._per_unit[: len(x)], self._u[: len(x)]
        _errors(x, run.values, middle, half, coefficients, u, exact, per_unit.view(np.int64), per_unit)
        self.rounded += int(np.count_nonzero(exact <= 0.5))
        np.copyto(exact, np.inf, where=np.isnan(exact))
        place = int(exact.argmax())
        if exact[place] > self.worst:
            self.worst, self.worst_input = float(exact[place]), float(x[place])
        if exact[place] <= self.bound - CERTAIN:
            return
        clearly = exact > self.bound + CERTAIN
        self.beyond += int(np.count_nonzero(clearly))
        for number in x[~clearly & (exact > self.bound - CERTAIN)].tolist():
            self.doubtful += 1
            self.ask(number, counted=True)

    def ask(self, x: float, *, counted: bool = False) -> None:
        """Adds one number by the oracle."""
        self.inputs += 0 if counted else 1
        if x in self.function.ends:
            return
        error = units(self.function, "float32", x, self.value(x))
        self.rounded += 0 if counted else int(error <= 0.5)
        self.beyond += int(error > self.bound)
        if error > self.worst:
            self.worst, self.worst_input = error, x

    def value(self, x: float) -> float:
        return float(evaluate(self.name, np.full(1, x, np.float32), self.function.parameter)[0])

    def result(self, seconds: float) -> Accuracy:
        got = self.value(self.worst_input)
        return Accuracy(
            function=self.name,
            dtype="float32",
            inputs=self.inputs + len(wrong_and_all_ends(self.name, "float32")[1]),
            bound=self.bound,
            worst=units(self.function, "float32", self.worst_input, got),
            worst_input=self.worst_input.hex(),
            worst_got=got.hex(),
            rounded=self.rounded,
            doubtful=self.doubtful,
            beyond=self.beyond,
            wrong_ends=wrong_and_all_ends(self.name, "float32")[0],
            seconds=round(seconds, 1),
        )


def wrong_and_all_ends(name: str, dtype: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The ends at which a function gives another number than is told, NaN among them; and all of them."""
    function = FUNCTIONS[name]
    told = {**function.ends, np.nan: np.nan}
    if np.isfinite(function.domain):
        told[-np.inf] = np.nan
    if 0.0 not in function.ends and function.domain < 0.0:
        told[0.0] = 0.0
    points = list(told.items())
    if told.get(0.0) == 0.0:
        points.append((-0.0, -0.0))
    wrong = []
    for x, value in points:
        got = float(evaluate(name, np.full(1, x, dtype), function.parameter)[0])
        if not same(got, float(np.asarray(value, dtype))):
            wrong.append(f"{x} ({got})")
    return tuple(wrong), tuple(x for x, _ in points)

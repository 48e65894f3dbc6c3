"""Elementwise functions: nanoseconds a number, beside NumPy's and SciPy's.

All in turn in one process on one core, each at its least over many turns, on numbers that stay in the fastest cache;
both write into an array that is there. Activations of fastimpl leave their derivative besides, from the same
exponential, as training needs it; NumPy and SciPy give the value alone, and an activation in as few calls as keep its
digits. Before a time counts, our values are held against certified ones, at some of the numbers; how far off those of
the others are is told beside their time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import geometric_mean
from time import perf_counter
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.accuracy.functions import FUNCTIONS as CERTAIN
from benchmarks.accuracy.oracle import units
from benchmarks.agreement import DisagreementError
from benchmarks.commands import run
from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.pinning import pin, settings
from gradproof.arrays import Floats
from gradproof.record import Figure
from gradproof.vocabulary import DTYPES, Dtype

NUMBERS: Final = 4096
"""Of each call: two arrays of them in float64 are twice as large as a first-level cache is at least."""
ROUNDS: Final = 40
TURN: Final = 0.002
"""Seconds at a stretch."""
CERTIFIED: Final = 128
"""Numbers at which the exact value is enclosed."""

Into = Callable[[Floats, Floats], Any]
"""Writes the values of the first array into the second."""


@dataclass(frozen=True)
class Function:
    """What is timed. low, high: where the numbers are drawn from. other: how NumPy or SciPy computes it."""

    low: float
    high: float
    other: Callable[[], Into]


def _numpy(name: str) -> Callable[[], Into]:
    function: Into = getattr(np, name)
    return lambda: function


def _scipy(name: str) -> Callable[[], Into]:
    def load() -> Into:
        from scipy import special

        function: Into = getattr(special, name)
        return function

    return load


def _softplus() -> Into:
    return lambda x, y: np.logaddexp(x, 0, out=y)


def _silu() -> Into:
    from scipy.special import expit

    def silu(x: Floats, y: Floats) -> None:
        expit(x, y)
        np.multiply(x, y, y)

    return silu


def _gelu() -> Into:
    from scipy.special import ndtr

    def gelu(x: Floats, y: Floats) -> None:
        ndtr(x, y)
        np.multiply(x, y, y)

    return gelu


FUNCTIONS: Final[Mapping[str, Function]] = {
    "exp": Function(-20, 20, _numpy("exp")),
    "expm1": Function(-20, 20, _numpy("expm1")),
    "log": Function(1e-6, 1e6, _numpy("log")),
    "log1p": Function(-0.5, 1e6, _numpy("log1p")),
    "erf": Function(-4, 4, _scipy("erf")),
    "erfc": Function(-4, 20, _scipy("erfc")),
    "sigmoid": Function(-20, 20, _scipy("expit")),
    "tanh": Function(-10, 10, _numpy("tanh")),
    "softplus": Function(-20, 20, _softplus),
    "silu": Function(-20, 20, _silu),
    "gelu": Function(-4, 4, _gelu),
}


class Taken(msgspec.Struct, frozen=True):
    """Nanoseconds a number, ours and the other's; the largest error seen, in units in the last place."""

    ours: float
    other: float
    our_error: float
    other_error: float


def elementwise(progress: Progress) -> Figure:
    """NumPy's or SciPy's time over ours for exp, log, erf, tanh, sigmoid and others; geometric mean, float64."""
    found: dict[Dtype, dict[str, Taken]] = {}
    for dtype in DTYPES:
        progress(f"elementwise functions, {dtype}")
        said = run([sys.executable, "-m", "benchmarks.figures.elementwise", dtype], settings=settings(1))[1]
        found[dtype] = msgspec.json.decode(said.splitlines()[-1], type=dict[str, Taken])
    notes = [
        f"{dtype}, ns a number and error in ulp, ours / NumPy's or SciPy's: "
        + ", ".join(
            f"{name} {taken.ours:.3g}, {taken.our_error:.2g} / {taken.other:.3g}, {taken.other_error:.2g}"
            for name, taken in each.items()
        )
        for dtype, each in found.items()
    ]
    means = {dtype: geometric_mean(t.other / t.ours for t in each.values()) for dtype, each in found.items()}
    notes.insert(0, f"in float32 {means['float32']:.3g} times")
    return figure("elementwise", means["float64"], "times", note="; ".join(notes))


def measure(dtype: Dtype) -> dict[str, Taken]:
    """Function → times and errors, in this process. Raises DisagreementError where a value of ours is not within its
    bound.
    """
    from benchmarks.accuracy.arrays import Evaluator

    random = np.random.default_rng(0)
    found = {}
    for name, function in FUNCTIONS.items():
        x = random.uniform(function.low, function.high, NUMBERS).astype(dtype)
        y = np.empty_like(x)
        evaluator, other = Evaluator(name, dtype, NUMBERS), function.other()
        evaluator.inputs[...] = x
        evaluator()
        other(x, y)
        our_error, other_error = _error(name, dtype, x, evaluator.values), _error(name, dtype, x, y)
        bound = CERTAIN[name].within(dtype)
        if not our_error <= bound:
            raise DisagreementError(f"{name}, {dtype}: off by {our_error:.3g} units in the last place, over {bound}")
        ours_taken, other_taken = _in_turn(evaluator, partial(other, x, y))
        found[name] = Taken(ours_taken, other_taken, our_error, other_error)
    return found


def _error(name: str, dtype: Dtype, x: Floats, values: Floats) -> float:
    """The largest at the first numbers, in units in the last place."""
    pairs = zip(x[:CERTIFIED].tolist(), values[:CERTIFIED].tolist(), strict=True)
    return max(units(CERTAIN[name], dtype, number, value) for number, value in pairs)


def _in_turn(*calls: Callable[[], Any]) -> list[float]:
    """Nanoseconds a number of each call."""
    counts = []
    for call in calls:
        call()
        counts.append(max(1, round(TURN / max(_seconds(call, 3) / 3, 1e-7))))
    least = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for index, (call, count) in enumerate(zip(calls, counts, strict=True)):
            least[index] = min(least[index], _seconds(call, count) / count)
    return [1e9 * seconds / NUMBERS for seconds in least]


def _seconds(call: Callable[[], Any], count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        call()
    return perf_counter() - start


FIGURES: Final[Mapping[str, Measure]] = {"elementwise": elementwise}


if __name__ == "__main__":
    pin(1)
    wanted: Dtype = "float32" if sys.argv[1] == "float32" else "float64"
    print(msgspec.json.encode(measure(wanted)).decode())

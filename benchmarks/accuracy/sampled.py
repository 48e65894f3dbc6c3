"""Float64 by numbers from every binade of either sign, more of them where functions bend, and where formulas meet."""

from __future__ import annotations

from time import perf_counter
from typing import Final

import numpy as np

from benchmarks.accuracy.arrays import evaluate
from benchmarks.accuracy.exhaustive import wrong_and_all_ends
from benchmarks.accuracy.functions import FUNCTIONS, Floats
from benchmarks.accuracy.oracle import units
from benchmarks.accuracy.record import Accuracy

_MANTISSA: Final = 52
_FIELDS: Final = 2047
_BENT: Final = range(1023 - 14, 1023 + 11)
"""Exponent fields of 2^−14 to 2^11."""
_MORE: Final = 16
_MEETINGS: Final = (
    0.25,
    0.5,
    0.75,
    1.0,
    1.05,
    23.0,
    28.3,
    40.0,
    36.7,
    708.4,
    709.0,
    709.7827,
    710.0,
    744.44,
    745.1332,
    800.0,
)
_NEIGHBOURS: Final = 3


def points(each: int, seed: int) -> Floats:
    """``each`` numbers of each binade and sixteen times as many of those between 2^−14 and 2^11, of either sign.

    And the first and last of each binade, and the neighbours of multiples of ln 2 / 2 and of where formulas meet.
    """
    random = np.random.default_rng(seed)
    fields = np.concatenate([np.repeat(np.arange(_FIELDS), each), np.repeat(np.asarray(_BENT), each * _MORE)])
    drawn = (fields << _MANTISSA) | random.integers(0, 1 << _MANTISSA, fields.size)
    first = np.arange(_FIELDS) << _MANTISSA
    halves = np.log(2) / 2 * np.arange(1, 2150, max(1, 12 // each))
    centres = np.concatenate([halves, np.sqrt(0.5) * np.exp2(np.arange(-3, 12)), _MEETINGS])
    near = centres.view(np.int64)[:, None] + np.arange(-_NEIGHBOURS, _NEIGHBOURS + 1)
    bits = np.concatenate([drawn, first, first + (1 << _MANTISSA) - 1, near.reshape(-1)])
    positive = np.unique(bits[bits > 0]).view(np.float64)
    return np.concatenate([positive, -positive])


def measure(name: str, each: int, seed: int = 0) -> Accuracy:
    """The accuracy of a function at ``points``, and at infinity, NaN and its ends."""
    started = perf_counter()
    function = FUNCTIONS[name]
    x = points(each, seed)
    x = x[~np.isin(x, list(function.ends))]
    got = evaluate(name, x, function.parameter)
    errors = np.array([units(function, "float64", a, b) for a, b in zip(x.tolist(), got.tolist(), strict=True)])
    worst = int(errors.argmax())
    wrong, ends = wrong_and_all_ends(name, "float64")
    return Accuracy(
        function=name,
        dtype="float64",
        inputs=x.size + len(ends),
        bound=function.bound,
        worst=float(errors[worst]),
        worst_input=float(x[worst]).hex(),
        worst_got=float(got[worst]).hex(),
        rounded=int(np.count_nonzero(errors <= 0.5)),
        doubtful=0,
        beyond=int(np.count_nonzero(~(errors <= function.bound))),
        wrong_ends=wrong,
        seconds=round(perf_counter() - started, 1),
    )

"""One number at a time: the exact value in a ball, and how far another is from it."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from flint import arb, arb_series, ctx

from benchmarks.accuracy.functions import FAR, Function
from refimpl.balls import precision

_BITS: Final = (200, 1300, 4000)
"""Tried in turn, until the ball is narrow."""
LEAST: Final = {"float32": -149, "float64": -1074}
DIGITS: Final = {"float32": 24, "float64": 53}
GREATEST: Final = {"float32": 128, "float64": 1024}
_FAR_64: Final = 800.0
"""From here on, either way, no function here differs from its value far out in any float64."""


def units(function: Function, dtype: str, x: float, got: float) -> float:
    """|got − exact| in units in the last place of the dtype at the exact value; inf where one is NaN and one is not."""
    if x <= function.domain or math.isnan(x):
        return 0.0 if math.isnan(got) else math.inf
    if math.isnan(got):
        return math.inf
    far = FAR if dtype == "float32" else _FAR_64
    side = (function.above if x > 0 else function.below) if abs(x) >= far else None
    limit = arb(2) ** GREATEST[dtype]
    if side is not None:
        value = float(side(np.array([x]))[0])
        exact = arb(value) if math.isfinite(value) else limit
        return _distance(exact, got, dtype, limit)
    for bits in _BITS:
        with precision(bits):
            exact = _value(function, x)
            if abs(exact) > limit:
                exact = limit if exact > 0 else -limit
            narrow = exact.rad() < abs(exact).lower() * arb(2) ** -80 or abs(exact) < arb(2) ** (LEAST[dtype] - 80)
            if narrow:
                return _distance(exact, got, dtype, limit)
    raise ArithmeticError(f"no narrow ball at {x!r}")


def _value(function: Function, x: float) -> Any:
    before = ctx.cap
    ctx.cap = 1
    try:
        return function.definition(arb_series([arb(x)], 1))[0]
    finally:
        ctx.cap = before


def _distance(exact: Any, got: float, dtype: str, limit: Any) -> float:
    number = limit * (1 if got > 0 else -1) if math.isinf(got) else arb(got)
    size = float(abs(exact.mid()) / limit * 2) if abs(exact) > 1 else float(abs(exact.mid()))
    shift = GREATEST[dtype] - 1 if abs(exact) > 1 else 0
    exponent = (math.frexp(size)[1] - 1 + shift) if size > 0.0 else LEAST[dtype]
    place = max(min(exponent, GREATEST[dtype] - 1) - DIGITS[dtype] + 1, LEAST[dtype])
    return float((abs(number - exact) / arb(2) ** place).upper())


def same(got: float, expected: float) -> bool:
    """Whether two numbers are one, the sign of zero included."""
    return (math.isnan(got) and math.isnan(expected)) or (
        got == expected and math.copysign(1.0, got) == math.copysign(1.0, expected)
    )

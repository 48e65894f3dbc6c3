"""A graph's values in plain NumPy, nothing certified: to draw where it is defined and of moderate size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from gradproof.expressions import Number, Operation, applied
from gradproof.operators import FUNCTIONS

Float64 = npt.NDArray[np.float64]

NUMPY: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "exp": np.exp,
        "log": np.log,
        "sqrt": np.sqrt,
        "tanh": np.tanh,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "softplus": lambda x: np.log1p(np.exp(x)),
        "relu": lambda x: np.maximum(x, 0),
        "abs": np.abs,
        "maximum": np.maximum,
        "minimum": np.minimum,
    }
)

LARGEST = 100.0
"""No value of a drawn graph is larger than this."""
LEAST = 0.1
"""Divisors, and what roots, logarithms and fractional powers are taken of, are no smaller than this."""
MOST_EXPONENT = 4.5
"""No exponential is taken of more than this: e^4.5 is near LARGEST."""
FAR = 2.0**-10
"""What a kink is not exactly at is this far from it, so that rounding moves nothing to its other side."""
MOST_KINKS = 4


def value(operation: Operation, operands: Sequence[Float64 | int | float]) -> Float64:
    """What an operation gives, of arrays and numbers; nan where it is not defined."""
    with np.errstate(all="ignore"):
        return np.asarray(applied(operation, [_float(x) for x in operands], NUMPY), dtype=np.float64)


def _float(x: Any) -> Any:
    return np.asarray(x, dtype=np.float64) if isinstance(x, np.ndarray) else x


def admitted(operation: Operation, operands: Sequence[Float64 | int | float]) -> bool:
    """Whether an operation is defined and differentiable at its operands, or exactly at a kink, and nothing grows."""
    arrays = [np.asarray(x, dtype=np.float64) for x in operands]
    match operation.operator:
        case "/":
            defined = bool(np.all(np.abs(arrays[1]) >= LEAST))
        case "**":
            defined = _power_admitted(operation, arrays)
        case "exp" | "softplus":
            defined = bool(np.all(arrays[0] <= MOST_EXPONENT))
        case "tanh" | "sigmoid":
            defined = bool(np.all(np.abs(arrays[0]) <= 2 * MOST_EXPONENT))
        case "relu" | "abs":
            defined = _clear(arrays[0])
        case "maximum" | "minimum":
            defined = _clear(arrays[0] - arrays[1])
        case name if FUNCTIONS.get(name) == "positive":
            defined = bool(np.all(arrays[0] >= LEAST))
        case _:
            defined = True
    if not defined:
        return False
    result = value(operation, operands)
    return bool(np.all(np.isfinite(result)) and np.all(np.abs(result) <= LARGEST))


def _power_admitted(operation: Operation, arrays: Sequence[Float64]) -> bool:
    base, exponent = arrays
    if not isinstance(operation.operands[1], Number):
        return bool(np.all(base >= LEAST))
    number = float(exponent)
    if not number.is_integer():
        return bool(np.all(base >= LEAST))
    return number >= 1 or bool(np.all(np.abs(base) >= LEAST))


def _clear(x: Float64) -> bool:
    """Whether every entry is either a kink or far from one, and few are kinks."""
    return bool(np.all((x == 0) | (np.abs(x) >= FAR))) and int(np.count_nonzero(x == 0)) <= MOST_KINKS

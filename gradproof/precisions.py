"""The precisions that kernels compute in, 16-bit ones included: their names, their numbers, and NumPy's types of them.

A number of any of them is a float64 exactly, and is kept as one; only what is handed to somebody's function has the
precision's own type. NumPy itself has no bfloat16: that type comes from the package ml-dtypes, when it is asked for.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gradproof.errors import ArgumentError, GradproofError

Precision = Literal["float64", "float32", "float16", "bfloat16"]

BITS: Final = MappingProxyType({"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8})
"""Bits of the significand of each precision, the leading one included."""
PRECISIONS: Final[tuple[Precision, ...]] = ("float64", "float32", "float16", "bfloat16")

LEAST: Final = MappingProxyType({"float64": -1022, "float32": -126, "float16": -14, "bfloat16": -126})
"""Exponent of the smallest normal number."""
GREATEST: Final = MappingProxyType({"float64": 1023, "float32": 127, "float16": 15, "bfloat16": 127})
"""Exponent of the binade of the largest finite number."""


class PrecisionError(GradproofError):
    """A precision's type cannot be had on this machine."""


def type_of(precision: Precision) -> np.dtype[Any]:
    """NumPy's type of a precision. Raises PrecisionError for bfloat16 where ml-dtypes is not installed."""
    if precision != "bfloat16":
        return np.dtype(precision)
    try:
        import ml_dtypes
    except ImportError:
        raise PrecisionError('bfloat16: NumPy has none of its own; pip install "ml-dtypes>=0.5"') from None
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def largest(precision: Precision) -> float:
    """The largest finite number."""
    return float(np.ldexp(2.0 - 2.0 ** (1 - BITS[precision]), GREATEST[precision]))


def quantum(values: npt.ArrayLike, precision: Precision) -> npt.NDArray[np.float64]:
    """The distance between neighbours in a precision near each number; that of the subnormal ones below the normal."""
    _, exponents = np.frexp(np.abs(np.asarray(values, dtype=np.float64)))
    least = np.maximum(exponents - 1, LEAST[precision])
    return np.asarray(np.ldexp(1.0, np.minimum(least, GREATEST[precision]) + 1 - BITS[precision]))


def rounded(argument: str, values: npt.ArrayLike, precision: Precision) -> npt.NDArray[np.float64]:
    """Each number rounded to the nearest one of a precision, ties to even, as a read-only float64 array.

    Raises ArgumentError for anything but real numbers, and where one is not finite or too large for the precision.
    """
    if precision not in PRECISIONS:
        raise ArgumentError("dtype", " or ".join(PRECISIONS), precision)
    try:
        given = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ArgumentError(argument, "rows of one length", str(error)) from error
    if given.dtype.kind not in "fiub" and given.dtype.name != "bfloat16":
        raise ArgumentError(argument, "real numbers", f"dtype {given.dtype}")
    numbers = given.astype(np.float64)
    finite = np.isfinite(numbers)
    near = np.where(finite, numbers, 0.0)
    step = quantum(near, precision)
    result = np.rint(near / step) * step if precision != "float64" else near.copy()
    if not np.all(finite & (np.abs(result) <= largest(precision))):
        index = tuple(int(i) for i in np.argwhere(~finite | (np.abs(result) > largest(precision)))[0])
        raise ArgumentError(f"{argument}{list(index)}", f"a finite {precision}", str(given[index]))
    result.setflags(write=False)
    return result

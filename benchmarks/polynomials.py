"""The polynomials of ``fastimpl.elementary``, derived anew: each the nearest to its function in the maximum norm.

By Remez's exchange (E. Ya. Remez, 1934; see N. J. Higham and others, *The Princeton Companion to Applied Mathematics*,
IV.9): a polynomial whose error has extremes of alternating signs, all as large, is the nearest of its degree. Each is
rounded coefficient by coefficient, to float64 or float32. Everything is computed in 240 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import mpmath as mp  # type: ignore[import-untyped]
import numpy as np

from fastimpl.elementary import error, exponential, logarithm, single
from gradproof.vocabulary import Dtype

_BITS: Final = 240
_ROUNDS: Final = 12
_GRID: Final = 30
"""Points looked at for each coefficient."""
_LEVEL: Final = 1.001
"""The extremes are taken for equally large within this factor."""
_NEAR_0: Final = mp.mpf(10) ** -15
"""Below it a function that is 0/0 at 0 is replaced by the first terms of its Taylor series."""

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Polynomial:
    """What a polynomial approximates, from where to where, as what it stands in the sources, and rounded to what."""

    what: str
    function: Function
    start: Any
    end: Any
    stated: tuple[float, ...]
    dtype: Dtype = "float64"


@dataclass(frozen=True)
class Derived:
    """Coefficients, lowest first, and the largest error of the polynomial before they are rounded."""

    coefficients: tuple[float, ...]
    error: float


def nearest(function: Function, start: Any, end: Any, degree: int, dtype: Dtype = "float64") -> Derived:
    """The polynomial of this degree that is nearest to a function between two points."""
    with mp.workprec(_BITS):
        start, end = mp.mpf(start), mp.mpf(end)
        points = _chebyshev(start, end, degree + 1)
        grid = _chebyshev(start, end, _GRID * (degree + 2))
        values = [function(x) for x in grid]
        for _ in range(_ROUNDS):
            coefficients = _levelled(function, points)
            errors = [mp.polyval(coefficients[::-1], x) - value for x, value in zip(grid, values, strict=True)]
            extremes = _extremes(grid, errors, degree + 2)
            largest = max(abs(e) for e in errors)
            if len(extremes) < degree + 2 or largest < _LEVEL * min(abs(e) for _, e in extremes):
                break
            points = [x for x, _ in extremes]
        return Derived(tuple(_rounded(c, dtype) for c in coefficients), float(largest))


def _rounded(number: Any, dtype: Dtype) -> float:
    """To the dtype, as the shortest decimal that stands for it there."""
    return float(number) if dtype == "float64" else float(str(np.float32(float(number))))


def _chebyshev(start: Any, end: Any, count: int) -> list[Any]:
    """Where a Chebyshev polynomial of this degree has its extremes."""
    return [(start + end) / 2 - (end - start) / 2 * mp.cos(mp.pi * k / count) for k in range(count + 1)]


def _levelled(function: Function, points: list[Any]) -> list[Any]:
    """The polynomial whose errors at the points are all as large and alternate."""
    count = len(points)
    matrix = mp.matrix(count, count)
    for row, x in enumerate(points):
        for column in range(count - 1):
            matrix[row, column] = x**column
        matrix[row, count - 1] = (-1) ** row
    solution = mp.lu_solve(matrix, mp.matrix([function(x) for x in points]))
    return [solution[k] for k in range(count - 1)]


def _extremes(grid: list[Any], errors: list[Any], count: int) -> list[tuple[Any, Any]]:
    """The largest error of each run of one sign; the smaller ends are dropped until ``count`` are left."""
    found: list[tuple[Any, Any]] = []
    for x, e in zip(grid, errors, strict=True):
        if not found or (e > 0) != (found[-1][1] > 0):
            found.append((x, e))
        elif abs(e) > abs(found[-1][1]):
            found[-1] = (x, e)
    while len(found) > count:
        found.pop(0 if abs(found[0][1]) < abs(found[-1][1]) else -1)
    return found


def _exponential_rest(r: Any) -> Any:
    return 0.5 + r / 6 if abs(r) < _NEAR_0**2 else (mp.expm1(r) - r) / r**2


def _logarithm_rest(v: Any) -> Any:
    root = mp.sqrt(v)
    return mp.mpf(2) / 3 if v < _NEAR_0**2 else (2 * mp.atanh(root) - 2 * root) / root**3


def _erf_near(v: Any) -> Any:
    root = mp.sqrt(v)
    return (mp.erf(root) / root if root > _NEAR_0 else 2 / mp.sqrt(mp.pi)) - 1


def _normal_near(v: Any) -> Any:
    root = mp.sqrt(v)
    return (mp.erf(root / mp.sqrt(2)) / (2 * root) if root > _NEAR_0 else 1 / mp.sqrt(2 * mp.pi)) - error.DENSITY_AT_0


def _erfc_far(q: Any) -> Any:
    w = error.ERFC_MIDDLE + q
    x = 1 / w - error.ERFC_SHIFT
    return mp.exp(x * x) * mp.erfc(x) / w


def _normal_far(q: Any) -> Any:
    w = error.NORMAL_MIDDLE + q
    z = 1 / w - error.NORMAL_SHIFT
    return mp.exp(z * z / 2) * mp.erfc(z / mp.sqrt(2)) / (2 * w)


_MARGIN: Final = 1.0001
"""Past the end of an interval, for arguments that rounding carries over it."""


def _far(shift: float, middle: float, start: float, end: float) -> tuple[Any, Any]:
    """The interval of w − middle for w = 1/(x + shift)."""
    return 1 / (mp.mpf(end) * _MARGIN + shift) - middle, 1 / (mp.mpf(start) / _MARGIN + shift) - middle


def _of_exponential(stated: tuple[float, ...], dtype: Dtype) -> Polynomial:
    end = mp.log(2) / 2 * _MARGIN
    return Polynomial("(e^r − 1 − r)/r²", _exponential_rest, -end, end, stated, dtype)


def _of_logarithm(stated: tuple[float, ...], dtype: Dtype) -> Polynomial:
    end = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * _MARGIN
    return Polynomial("(2 artanh √v − 2√v)/√v³", _logarithm_rest, 0, end, stated, dtype)


POLYNOMIALS: Final[Mapping[str, Polynomial]] = MappingProxyType(
    {
        "exponential.REST": _of_exponential(exponential.REST, "float64"),
        "single.EXPONENTIAL_REST": _of_exponential(single.EXPONENTIAL_REST, "float32"),
        "logarithm.REST": _of_logarithm(logarithm.REST, "float64"),
        "single.LOGARITHM_REST": _of_logarithm(single.LOGARITHM_REST, "float32"),
        "error.ERF_NEAR": Polynomial("erf √v / √v − 1", _erf_near, 0, error.ERF_NEAR_END**2, error.ERF_NEAR),
        "error.NORMAL_NEAR": Polynomial(
            "(Φ(√v) − ½)/√v − 1/√(2π)", _normal_near, 0, error.NORMAL_NEAR_END**2, error.NORMAL_NEAR
        ),
        "error.ERFC_FAR": Polynomial(
            "e^(x²) erfc x / w",
            _erfc_far,
            *_far(error.ERFC_SHIFT, error.ERFC_MIDDLE, error.ERF_NEAR_END, error.ERFC_END),
            error.ERFC_FAR,
        ),
        "error.NORMAL_FAR": Polynomial(
            "e^(z²/2) Φ(−z) / w",
            _normal_far,
            *_far(error.NORMAL_SHIFT, error.NORMAL_MIDDLE, error.NORMAL_NEAR_END, error.NORMAL_END),
            error.NORMAL_FAR,
        ),
    }
)
"""Module and name of the constant → how it is derived."""


def derive(name: str) -> Derived:
    """The polynomial of this name, of the degree that stands in the sources."""
    wanted = POLYNOMIALS[name]
    return nearest(wanted.function, wanted.start, wanted.end, len(wanted.stated) - 1, wanted.dtype)

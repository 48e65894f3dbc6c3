"""Whether the allowance holds for dot products in every order that implementations sum in."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from benchmarks.figures.common import Measure, Progress, figure
from gradproof.case import Case
from gradproof.layers import Dense
from gradproof.loss import Loss
from gradproof.network import Network
from gradproof.record import Figure
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.allowance import allowance
from refimpl.enclosure import enclosure

LENGTHS: Final = (1, 2, 3, 4, 7, 16, 33, 100, 256, 1000, 2500, 4000)
REPEATS: Final = 6
"""Random dot products of each length, dtype and manner."""
MANNERS: Final = ("plain", "cancelling", "wide")

Sum = Callable[[Any, Any], Any]


def _in_order(choose: Callable[[Any], Any]) -> Sum:
    def total(w: Any, x: Any) -> Any:
        terms = w * x
        return np.add.accumulate(terms[choose(terms)])[-1]

    return total


def _pairwise(terms: Any) -> Any:
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return _pairwise(terms[:middle]) + _pairwise(terms[middle:])


def _fused(w: Any, x: Any) -> Any:
    """By the C library's fma, each product and sum rounded once."""
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    kind, fma = (ctypes.c_double, library.fma) if w.dtype == np.float64 else (ctypes.c_float, library.fmaf)
    fma.restype, fma.argtypes = kind, [kind] * 3
    total = 0.0
    for a, b in zip(w.tolist(), x.tolist(), strict=True):
        total = fma(a, b, total)
    return w.dtype.type(total)


ORDERS: Final[Mapping[str, Sum]] = {
    "sequential": _in_order(lambda t: np.arange(len(t))),
    "reversed": _in_order(lambda t: np.arange(len(t))[::-1]),
    "by rising size": _in_order(lambda t: np.argsort(np.abs(t))),
    "by falling size": _in_order(lambda t: np.argsort(-np.abs(t))),
    "negative first": _in_order(np.argsort),
    "pairwise": lambda w, x: _pairwise(w * x),
    "NumPy's sum": lambda w, x: (w * x).sum(),
    "BLAS": np.dot,
    **({"fused multiply-add": _fused} if ctypes.util.find_library("m") else {}),
}


def _factors(rng: Any, length: int, dtype: Dtype, manner: str) -> tuple[Any, Any]:
    w, x = rng.normal(size=(2, length))
    if manner == "wide":
        w, x = w * 2.0 ** rng.integers(-20, 20, length), x * 2.0 ** rng.integers(-20, 20, length)
    w, x = w.astype(dtype), x.astype(dtype)
    if manner == "cancelling" and length > 1:
        w[-1], x[-1] = -np.dot(w[:-1].astype(float), x[:-1].astype(float)), 1
    return w, x


def dots(progress: Progress) -> Figure:
    """Dot products outside their allowance, of random ones up to 4,000 long, with cancellation, in every order."""
    rng = np.random.default_rng(0)
    count, violations, largest, at = 0, 0, 0.0, ""
    for length in LENGTHS:
        progress(f"dot products of {length}")
        network = Network((length,), (Dense(1, bias=False),), Loss("half_squared_error", "sum"))
        for dtype in DTYPES:
            for manner in MANNERS * REPEATS:
                w, x = _factors(rng, length, dtype, manner)
                case = Case(network, {"0.weight": w[:, None]}, x[None], targets=[[0.0]], dtype=dtype)
                enclosed = enclosure(case)
                allowed = allowance(case, enclosed=enclosed).rigorous["outputs"][0, 0]
                for order, total in ORDERS.items():
                    off = float(enclosed.distance_upper("outputs", [[total(w, x)]])[0, 0])
                    count, violations = count + 1, violations + int(not off <= allowed)
                    if off / allowed > largest:
                        largest, at = off / allowed, f"{dtype}, n = {length}, {order}"
    return figure(
        "allowance.dots",
        violations,
        "violations",
        at_most=0,
        note=f"{count:,} sums, orders: {', '.join(ORDERS)}; largest error {largest:.2g} of its allowance ({at})",
    )


FIGURES: Final[Mapping[str, Measure]] = {"allowance.dots": dots}

"""What a wrong quantity certainly has to do with the exact one: a constant factor, a transpose, nothing but zeros.

Every statement is checked entry by entry, within the same allowance by which the quantity was found wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from gradproof.arrays import Array

Float64 = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Fits = Callable[[npt.ArrayLike], Booleans]
"""Given numbers in place of those that came: which of them are no further from the exact ones than allowed."""


def resemblance(batch: int, outputs: int, got: Array, bad: Booleans, middle: Float64, fits: Fits) -> str:
    """What can be said of the bad entries for certain, as a clause; empty where there is nothing.

    Arguments:
        batch: samples, which factors are compared with.
        outputs: those of one sample, likewise.
        got: what came, of whatever shape; entries outside ``bad`` are right.
        bad: the wrong entries.
        middle: float64 numbers next to the exact ones.
        fits: see ``Fits``.
    """
    numbers = got.astype(np.float64)
    if not np.all(np.isfinite(numbers[bad])):
        return ""
    subject = "each is" if np.count_nonzero(bad) > 1 else "it is"
    if not np.any(numbers[bad]):
        return f"{subject} 0"
    if numbers.ndim == 2 and numbers.shape[0] == numbers.shape[1] > 1 and np.all(fits(numbers.T)):
        return "its transpose is exact"
    factor = _factor(numbers[bad], middle[bad])
    if factor is None:
        return ""
    exact, words = min(_factors(batch, outputs), key=lambda candidate: abs(float(candidate[0]) - factor))
    # A quotient is rounded once more than what came, which the allowance may not have to spare.
    quotient, eps = numbers / float(exact), np.finfo(np.float64).eps
    if np.all((fits(quotient) | fits(quotient * (1 + eps)) | fits(quotient * (1 - eps)))[bad]):
        return f"{subject} {str(exact).replace('-', '−')} × the exact number{words}"
    if f"{factor:.4g}" != "1" and np.all(fits(numbers / factor)[bad]):
        alike = ", the same factor for all" if np.count_nonzero(bad) > 1 else ""
        return f"{subject} about {f'{factor:.4g}'.replace('-', '−')} × the exact number{alike}"
    return ""


def _factors(batch: int, outputs: int) -> Iterator[tuple[Fraction, str]]:
    """Factors that mistakes leave behind, the plainest first, with what in the case is as large."""
    named: dict[int, list[str]] = {}
    products = [("samples × outputs", batch * outputs)] if min(batch, outputs) > 1 else []
    for name, size in (("samples", batch), ("outputs", outputs), *products):
        named.setdefault(size, []).append(name)
    sizes = [(Fraction(size), f" ({', '.join(names)}: {size})") for size, names in named.items() if size > 1]
    sized = [*sizes, *((1 / size, words) for size, words in sizes)]
    plain = [*sized, (Fraction(2), ""), (Fraction(1, 2), "")]
    yield Fraction(-1), ": the sign is flipped"
    yield from plain
    yield from ((-factor, words) for factor, words in plain)
    yield from ((factor * more, words) for factor, words in sized for more in (Fraction(2), Fraction(1, 2)))


def _factor(got: Float64, middle: Float64) -> float | None:
    """The factor between what came and the exact number, where that is largest; None where one of them is 0."""
    largest = int(np.argmax(np.abs(middle)))
    if middle[largest] == 0 or got[largest] == 0:
        return None
    with np.errstate(over="ignore"):
        factor = float(got[largest] / middle[largest])
    return factor if np.isfinite(factor) else None

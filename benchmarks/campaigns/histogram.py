"""How ratios are distributed, as counts in logarithmic bins: adding up keeps all of it, however many there are."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

BINS_PER_OCTAVE: Final = 8
"""Bins are 2^(1/8) wide, so that a quantile is told to 9 %."""
ZERO: Final = "zero"
"""The bin of ratios that are exactly 0."""


class Ratios(msgspec.Struct, frozen=True):
    """Counts by bin, and the largest ratio. Bin k holds those in (2^((k−1)/8), 2^(k/8)]."""

    counts: dict[str, int] = msgspec.field(default_factory=dict)
    largest: float = 0.0

    @classmethod
    def of(cls, ratios: npt.NDArray[np.float64]) -> Ratios:
        """The distribution of finite ratios that are not negative."""
        if not ratios.size:
            return cls()
        above = ratios[ratios > 0]
        bins, counts = np.unique(np.ceil(np.log2(above) * BINS_PER_OCTAVE).astype(int), return_counts=True)
        found = {str(k): int(n) for k, n in zip(bins, counts, strict=True)}
        if above.size < ratios.size:
            found[ZERO] = ratios.size - above.size
        return cls(found, float(ratios.max()))

    def __add__(self, other: Ratios) -> Ratios:
        counts = dict(self.counts)
        for key, count in other.counts.items():
            counts[key] = counts.get(key, 0) + count
        return Ratios(counts, max(self.largest, other.largest))

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> float:
        """A number that this share of the ratios does not exceed: the upper end of the bin where it is reached."""
        wanted, seen = math.ceil(share * self.total), 0
        for key in sorted(self.counts, key=_place):
            seen += self.counts[key]
            if seen >= wanted:
                return min(_upper_end(key), self.largest)
        return self.largest


def _place(key: str) -> float:
    return -math.inf if key == ZERO else int(key)


def _upper_end(key: str) -> float:
    return 0.0 if key == ZERO else 2.0 ** (int(key) / BINS_PER_OCTAVE)

"""Numbers for random cases: short ones from a few grids, drawn as one string of bytes each instead of one by one.

A pool of bytes is drawn once, and every entry of every array looks one byte of it up at a place that depends on the
entry alone, not on the shapes around it. So a draw costs the same for any number of entries, and while Hypothesis
shrinks the shapes, the numbers stay what they were; then it shrinks the bytes, and with them the numbers: byte 0 is
the simplest number of each grid.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

JITTER: Final = 0.125
"""Relative size of what is added to numbers of a grid to make them full-length floats."""

# Distances in a pool between neighbouring rows, parameters and masks, and where targets and sample weights start:
# fixed numbers, so that no size moves anything. Pools have prime lengths, so that walks wrap around without meeting
# themselves; up to a width of 7 no two entries of one array of 18 rows share a byte.
ROW: Final = 7
ARRAY: Final = 37
GOALS: Final = 59
MASKS: Final = 83
WEIGHTS: Final = 113
POOL: Final = 127
LARGE_POOL: Final = 509

SIGNS: Final = (1.0, 0.0, -1.0)
HALVES: Final = (*SIGNS, 0.5, -0.5, 2.0, -2.0, 1.5, -1.5)
EIGHTHS: Final = (*HALVES, *(k / 8 for k in range(-16, 17) if k % 4))
TENTHS: Final = (*SIGNS, 0.5, -0.5, *(k / 10 for k in range(-20, 21) if k % 5))
WIDE: Final = (*HALVES, 0.25, -0.25, 0.1, -0.1, 3.0, -3.0, 0.01, -0.01, 0.001, -0.001)
GRIDS: Final = (SIGNS, HALVES, EIGHTHS, TENTHS, WIDE)
"""From the shortest numbers to the longest; each begins like the one before it."""
DYADIC: Final = 3
"""So many of ``GRIDS``, the first ones, hold dyadic numbers only: their sums and products are exact in floats."""

SOFT: Final = (0.0, 1.0, 0.5, 0.25, 0.75, 0.125, 0.875, 0.1, 0.9, 0.3, 0.7)
SAMPLE_WEIGHTS: Final = (1.0, 0.5, 2.0, 0.0, 1.5, 0.1, 3.0)
SIGNED_SAMPLE_WEIGHTS: Final = (*SAMPLE_WEIGHTS, -1.0, -0.5)


@cache
def table(grid: tuple[float, ...], zero_first: bool = False) -> Numbers:
    """A grid as a table of 256 numbers, one for each byte; with ``zero_first`` byte 0 stands for 0."""
    ordered = sorted(grid, key=lambda number: number != 0) if zero_first else grid
    numbers = np.array([ordered[byte % len(ordered)] for byte in range(256)])
    numbers.setflags(write=False)
    return numbers


def places(shape: tuple[int, ...], start: int, pool_size: int) -> npt.NDArray[np.intp]:
    """Where in a pool each entry of an array of this shape looks: rows are ``ROW`` apart."""
    columns = shape[-1]
    rows = math.prod(shape[:-1])
    flat = start + ROW * np.arange(rows)[:, None] + np.arange(columns)
    return flat.reshape(shape) % pool_size


def pick(pool: Bytes, numbers: Numbers, shape: tuple[int, ...], start: int = 0) -> Numbers:
    """An array of this shape: each entry the number that its byte of the pool stands for."""
    chosen: Numbers = numbers[pool[places(shape, start, len(pool))]]
    return chosen


def jittered(numbers: Numbers, generator: np.random.Generator | None) -> Numbers:
    """Each number times a random factor in 1 ± ``JITTER``; zeros stay. Without a generator, the numbers themselves."""
    if generator is None:
        return numbers
    factors: Numbers = 1 + generator.uniform(-JITTER, JITTER, numbers.shape)
    return numbers * factors


def distributions(pool: Bytes, shape: tuple[int, ...], start: int, hard: bool) -> Numbers:
    """Targets over the last axis that sum to 1: one-hot ones, or shares of small whole numbers."""
    if hard:
        classes = pool[places((*shape[:-1], 1), start, len(pool))] % shape[-1]
        one_hot: Numbers = (np.arange(shape[-1]) == classes).astype(np.float64)
        return one_hot
    shares = (pool[places(shape, start, len(pool))] % 4).astype(np.float64)
    nothing = shares.sum(axis=-1) == 0
    shares[nothing, 0] = 1
    distributed: Numbers = shares / shares.sum(axis=-1, keepdims=True)
    return distributed

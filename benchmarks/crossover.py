"""Our own products beside BLAS's, size by size: what ``fastimpl.kernels.dense.products_by_blas`` rests on.

``python -m benchmarks.crossover [THREADS]``: each product of a dense layer by the very kernels that training calls, on
one core and with BLAS on one thread, or on as many of both as are named. The two are timed in turn, and the least of
many turns counts. A star marks what the rule takes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.pinning import pin
from benchmarks.repetition import again
from fastimpl.blas import gemm_address
from fastimpl.kernels.dense import (
    D_INPUT_BY_BLAS,
    D_WEIGHT_BY_BLAS,
    OUTPUT_BY_BLAS,
    dense,
    dense_backward,
    products_by_blas,
)
from fastimpl.plan import plan
from fastimpl.program import bind
from fastimpl.table import BACKWARD, BY_BLAS, D_BIAS, D_INPUT, D_WEIGHT, FORWARD, GEMM, NONE
from fastimpl.threads import blas_threads
from gradproof.layers import Dense
from gradproof.network import Network
from gradproof.vocabulary import DTYPES, Dtype

SIZES: Final = (
    (4, 2, 2), (8, 8, 6), (32, 64, 10), (10, 784, 16), (10, 784, 30), (64, 784, 128), (64, 128, 64), (64, 64, 10),
    (128, 784, 512), (128, 512, 512), (128, 512, 10), (1, 16, 16), (1, 32, 32), (1, 64, 64), (2, 64, 64), (4, 64, 64),
    (1, 512, 512), (4, 512, 512), (16, 512, 512), (128, 1024, 1024), (128, 2048, 1024), (512, 512, 512),
    (1024, 512, 512), (1024, 784, 128), (1024, 64, 10), (64, 256, 256), (32, 256, 256),
)  # fmt: skip
"""(batch, fan_in, units): the layers of the figures, and what lies about the ends of the rule."""

PRODUCTS: Final = (
    ("x @ W", FORWARD, OUTPUT_BY_BLAS),
    ("delta @ W.T", BACKWARD, D_INPUT_BY_BLAS),
    ("x.T @ delta", BACKWARD, D_WEIGHT_BY_BLAS),
)
TURNS: Final = 25
TURN: Final = 5e-4
"""Seconds."""


def rows(dtype: Dtype, batch: int, fan_in: int, units: int) -> Iterator[tuple[str, int, Any, npt.NDArray[np.int64]]]:
    """(product, its bit, program, a row of a table that runs it alone) for each product."""
    program = bind(plan(Network((fan_in,), (Dense(units),)), "gradients"), dtype, batch)
    program.work[:] = np.random.default_rng(0).uniform(-1, 1, size=program.work.size)
    (number,) = np.flatnonzero(program.ops[:, FORWARD] == dense.entry(dtype))
    for name, _, bit in PRODUCTS:
        row = program.ops[number].copy()
        row[D_BIAS] = NONE
        if bit != D_INPUT_BY_BLAS:
            row[D_INPUT] = NONE
        if bit != D_WEIGHT_BY_BLAS:
            row[D_WEIGHT] = NONE
        row[GEMM] = gemm_address(dtype)
        yield name, bit, program, row


def main(threads: int) -> None:
    """Prints the table."""
    pin(threads)
    with blas_threads(threads):
        for dtype, (batch, fan_in, units) in product(DTYPES, SIZES):
            taken = products_by_blas(batch, fan_in, units, threads)
            line = [f"{dtype} batch {batch:4} {fan_in:4} -> {units:4}"]
            for name, bit, program, row in rows(dtype, batch, fan_in, units):
                address = (dense if bit == OUTPUT_BY_BLAS else dense_backward).entry(dtype)
                theta = np.random.default_rng(1).uniform(-1, 1, size=program.dtheta.size).astype(dtype)
                own, blas = in_turn(address, row, theta, program, batch, bit)
                stars = ("", "*") if taken & bit else ("*", "")
                line.append(f"{name} own {1e6 * own:.2f}{stars[0]} blas {1e6 * blas:.2f}{stars[1]} ({blas / own:.2f})")
            print("   ".join(line), flush=True)


def in_turn(
    address: int, row: npt.NDArray[np.int64], theta: Any, program: Any, batch: int, bit: int
) -> tuple[float, float]:
    """Seconds of a call by our own product, and by BLAS's."""
    least = [np.inf, np.inf]
    times = [1, 1]
    op = row.ctypes.data
    arguments = (op, op, theta.ctypes.data, program.dtheta.ctypes.data, program.work.ctypes.data, batch)
    for turn in range(TURNS + 2):
        for way, bits in enumerate((0, bit)):
            row[BY_BLAS] = bits
            start = perf_counter()
            again(address, *arguments, times[way])
            seconds = (perf_counter() - start) / times[way]
            if turn < 2:  # compiles, and tells how many calls make a turn
                times[way] = max(1, min(10_000, int(TURN / seconds)))
            else:
                least[way] = min(least[way], seconds)
    return least[0], least[1]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)

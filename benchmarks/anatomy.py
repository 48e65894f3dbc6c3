"""What a training step of ours consists of: each kernel by itself, and how fast its products are.

``python -m benchmarks.anatomy TASK ...`` on one core and one thread. Each kernel runs again and again on what a step
left, everything in the cache; the least of many turns counts. So the sum is what a step would take were its batch in
the cache already; what the whole step takes beyond it (fetching the samples, the order of an epoch, going from row to
row) is the last line. Products are compared with the rate that BLAS reaches on the same core for large matrices, which
is near the most that the core can multiply.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final

import numpy as np
from scipy.linalg import blas

from benchmarks.peers.fastimpl_peer import FastTrainer
from benchmarks.pinning import pin
from benchmarks.repetition import again
from benchmarks.tasks import NAMES, Task, task
from benchmarks.timing import OURS, least_microseconds
from fastimpl.control import FEEDS, FIRST, UPDATES_END
from fastimpl.kernels.dense import dense
from fastimpl.rows import Row
from fastimpl.running import Run
from fastimpl.settings import checked_settings
from fastimpl.table import BACKWARD, COLUMNS, D_INPUT, D_WEIGHT, FORWARD, HYPER, NONE, UNITS, WIDTH
from fastimpl.threads import blas_threads
from gradproof.errors import ArgumentError
from gradproof.vocabulary import Dtype

TURNS: Final = 25
TURN: Final = 2e-3
"""Seconds."""
LARGE: Final = 512
"""Rows and columns of a matrix that is large: BLAS gains nothing from larger ones."""


@dataclass(frozen=True)
class Part:
    """A kernel within a step, forwards or backwards. products: multiplications of matrix products in it."""

    name: str
    nanoseconds: float
    products: int = 0


def _least(run: Callable[[int], object]) -> float:
    """Nanoseconds of one of so many times: the least over turns of about ``TURN`` seconds."""

    def seconds(times: int) -> float:
        start = perf_counter()
        run(times)
        return perf_counter() - start

    run(1)  # compiles
    times = 1
    while seconds(times) < TURN:
        times *= 2
    return 1e9 * min(seconds(times) for _ in range(TURNS)) / times


def large_product(dtype: Dtype) -> float:
    """Multiplications a nanosecond, each with its sum, that BLAS makes of large matrices."""
    a = np.asfortranarray(np.random.default_rng(0).uniform(size=(LARGE, LARGE)).astype(dtype))
    gemm = blas.dgemm if dtype == "float64" else blas.sgemm

    def multiply(times: int) -> None:
        for _ in range(times):
            gemm(1.0, a, a)

    with blas_threads(1):
        return LARGE**3 / _least(multiply)


def parts(what: Task) -> Iterator[Part]:
    """The kernels of a step in their order: forwards, backwards, updates."""
    case = what.case
    run = Run(
        checked_settings(
            case.network,
            case.parameters,
            case.inputs,
            np.asarray(case.targets),
            optimiser=what.optimiser,
            epochs=1,
            batch_size=what.batch,
            dtype=case.dtype,
            threads=1,
        )
    )
    run.advance(one=False)
    program = run.program
    first, feeds, end = (int(program.control[column]) for column in (FIRST, FEEDS, UPDATES_END))
    rows = program.plan.rows
    order = [(number, FORWARD) for number in range(first, program.plan.stop)]
    order += [(number, BACKWARD) for number in reversed(range(feeds, program.plan.stop))]
    order += [(number, FORWARD) for number in range(program.plan.stop, end)]
    for number, column in order:
        address = int(program.ops[number, column])
        if address <= 0:
            continue
        place = program.ops.ctypes.data + number * 8 * COLUMNS
        buffers = (run.theta.ctypes.data, program.dtheta.ctypes.data, program.work.ctypes.data)
        arguments = (address, place, int(program.ops[number, HYPER]), *buffers, what.batch)
        with blas_threads(1):
            taken = _least(partial(again, *arguments))
        yield Part(_name(rows[number], column), taken, _products(rows[number], column, what.batch))


def _name(row: Row, column: int) -> str:
    kernel = row.forward if column == FORWARD else row.backward
    assert kernel is not None
    size = f" {row.cells[WIDTH]} -> {row.cells[UNITS]}" if row.forward is dense else ""
    return f"{kernel.name.rpartition('.')[2]}{size}"


def _products(row: Row, column: int, batch: int) -> int:
    if row.forward is not dense:
        return 0
    count = 1
    if column == BACKWARD:
        count = sum(row.cells.get(gradient, NONE) != NONE for gradient in (D_INPUT, D_WEIGHT))
    return count * batch * row.cells[WIDTH] * row.cells[UNITS]


def table(what: Task) -> str:
    """The parts of a step, in nanoseconds, with the share of BLAS's rate that its products reach."""
    most = large_product(what.case.dtype)
    found = list(parts(what))
    whole = 1e3 * least_microseconds(what, {OURS: FastTrainer(what)})[OURS]
    lines = [f"{what.name}: nanoseconds; large products by BLAS run at {2 * most:.0f} GFLOP/s"]
    for part in found:
        share = f"{part.products / part.nanoseconds / most:8.0%} of that rate" if part.products else ""
        lines.append(f"  {part.name:32}{part.nanoseconds:12,.1f}{share}".rstrip())
    total = sum(part.nanoseconds for part in found)
    lines.append(f"  {'all of them':32}{total:12,.1f}")
    lines.append(f"  {'the whole step':32}{whole:12,.1f}")
    return "\n".join(lines)


def main(names: list[str]) -> None:
    """Prints the table of each named task."""
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise ArgumentError("TASK", f"names among {', '.join(NAMES)}", ", ".join(unknown) or "none")
    pin(1)
    for name in names:
        print(table(task(name)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

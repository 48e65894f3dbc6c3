"""A plan made ready to run: for one dtype and batch size, offsets become numbers and kernels addresses."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from fastimpl.blas import gemm_address
from fastimpl.buffers import aligned, aligned_zeros
from fastimpl.control import (
    BODY_END,
    CLOCK_AT,
    FEEDS,
    FIRST,
    GRADIENTS,
    NOW_AT,
    PROGRAM_COLUMNS,
    REALS,
    ROWS,
    TABLE,
    UPDATES_END,
    WORKSPACE,
)
from fastimpl.kernels.dense import D_WEIGHT_BY_BLAS, OUTPUT_BY_BLAS, dense, products_by_blas
from fastimpl.kernels.losses import of_so_many
from fastimpl.plan import COEFFICIENTS_ROW, INPUTS_ROW, TARGETS_ROW, Plan
from fastimpl.rows import Row
from fastimpl.table import (
    ADD_D_BIAS,
    ADD_D_INPUT,
    ADD_D_WEIGHT,
    ADD_OUTPUT,
    BACKWARD,
    BY_BLAS,
    CLIP,
    CLOCK,
    CLOCK_COLUMNS,
    COLUMN,
    COLUMNS,
    FORWARD,
    GEMM,
    HYPER,
    HYPER_COLUMNS,
    NONE,
    NOW,
    NOW_COLUMNS,
    ORDER,
    PLACES,
    SLOTS,
    SOURCE,
    START,
    UNITS,
    UPDATE_FLAGS,
    UPDATES,
    WIDTH,
)
from fastimpl.table import ROWS as SAMPLE_ROWS
from fastimpl.threads import blas_threads, threads_that_pay
from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.vocabulary import Dtype


@dataclass(frozen=True)
class Program:
    """A plan for one dtype and at most ``capacity`` samples at a time: the table as the walkers read it.

    ops (rows, columns) and hyper (rows, real columns) are the table; work and dtheta the buffers that it refers to, the
    states of an update behind the gradients in the latter; clock and now what changes from step to step.
    """

    plan: Plan
    dtype: Dtype
    capacity: int
    ops: npt.NDArray[np.int64]
    hyper: npt.NDArray[np.float64]
    clock: npt.NDArray[np.int64]
    now: npt.NDArray[np.float64]
    work: Floats
    dtheta: Floats
    control: npt.NDArray[np.int64]
    """The program's control block, see ``fastimpl.control``."""
    offsets: tuple[int, ...]
    """Where in the workspace each slot starts."""
    places: npt.NDArray[np.int64]
    """0, 1, 2 …"""
    direct: tuple[int, ...]
    """The rows that read the inputs where they lie; where there are any, no batch of them is gathered."""
    threads: int
    """Of BLAS, where it computes any product."""

    def run_threads(self) -> AbstractContextManager[None]:
        """Within this, BLAS has the program's threads; nothing is done where it computes no product."""
        return blas_threads(self.threads) if np.any(self.ops[:, GEMM] > 0) else nullcontext()

    def feed(self, row: int, data: Floats | None, order: npt.NDArray[np.int64]) -> None:
        """Says from which data set a feeding row takes its samples. The caller keeps both arrays alive.

        Rows that read the inputs where they lie are told with the row of the inputs.
        """
        rows = [row, *self.direct] if row == INPUTS_ROW else [row]
        self.ops[rows, SOURCE] = 0 if data is None else data.ctypes.data
        self.ops[rows, ORDER] = order.ctypes.data

    def read(self, slot: int, shape: tuple[int, ...]) -> Floats:
        """A copy of the first numbers of a slot, in this shape."""
        start = self.offsets[slot]
        return self.work[start : start + math.prod(shape)].reshape(shape).copy()


def bind(plan: Plan, dtype: Dtype, capacity: int, threads: int | None = 1) -> Program:
    """The program of a plan for this dtype and batch size. Compiles the kernels that no program has needed yet.

    threads: that BLAS may take for a product; None for as many as pay.
    """
    if threads is None:
        sizes = [capacity * row.cells[WIDTH] * row.cells[UNITS] for row in plan.rows if row.forward is dense]
        threads = threads_that_pay(max(sizes, default=0))
    ends = np.cumsum([0, *(aligned(size * capacity) for size in plan.slots)])
    offsets = tuple(int(end) for end in ends[:-1])
    ops = np.full((len(plan.rows), COLUMNS), NONE, dtype=np.int64)
    ops[:, [BACKWARD, GEMM, SOURCE, START, UPDATES, *UPDATE_FLAGS, *_ADD_COLUMNS, COLUMN]] = 0
    hyper = np.zeros((len(plan.rows), HYPER_COLUMNS))
    places = np.arange(max(capacity, *(row.cells[UNITS] for row in plan.rows if row.forward is dense), 0))
    clock, now = np.zeros(CLOCK_COLUMNS, dtype=np.int64), np.zeros(NOW_COLUMNS)
    now[CLIP] = 1.0
    ops[:, CLOCK], ops[:, NOW] = clock.ctypes.data, now.ctypes.data
    ops[:, HYPER] = hyper.ctypes.data + hyper.strides[0] * np.arange(len(hyper))
    plan = replace(plan, rows=tuple(_for_capacity(row, capacity) for row in plan.rows))
    for number, row in enumerate(plan.rows):
        for column, cell in row.cells.items():
            ops[number, column] = offsets[cell] if column in SLOTS and cell != NONE else cell
        ops[number, FORWARD] = row.forward.entry(dtype)
        if row.backward is not None:
            ops[number, BACKWARD] = row.backward.entry(dtype)
        if row.forward is dense:
            by_blas = products_by_blas(capacity, row.cells[WIDTH], row.cells[UNITS], threads)
            ops[number, BY_BLAS] = by_blas
            ops[number, GEMM] = gemm_address(dtype) if by_blas else 0
            ops[number, PLACES] = places.ctypes.data
        if row.cells.get(UPDATES):
            ops[number, UPDATES] = ops.ctypes.data + ops.strides[0] * row.cells[UPDATES]
        for column, value in row.reals.items():
            hyper[number, column] = value
    # BLAS reads what lies in one piece.
    by_blas_from_inputs = ops[list(plan.direct), BY_BLAS] & (OUTPUT_BY_BLAS | D_WEIGHT_BY_BLAS)
    direct = () if np.any(by_blas_from_inputs) else plan.direct
    work = aligned_zeros(int(ends[-1]), dtype)
    size, trained = plan.parameters.size, plan.parameters.trained
    dtheta = aligned_zeros(max(size, (plan.states + 1) * trained), dtype)
    control = np.empty(PROGRAM_COLUMNS, dtype=np.int64)
    control[FIRST] = INPUTS_ROW + 1 if direct else INPUTS_ROW
    control[[FEEDS, BODY_END, UPDATES_END, ROWS]] = plan.feeds, plan.stop, plan.end, len(plan.rows)
    for column, buffer in (
        (TABLE, ops),
        (REALS, hyper),
        (GRADIENTS, dtheta),
        (WORKSPACE, work),
        (CLOCK_AT, clock),
        (NOW_AT, now),
    ):
        control[column] = buffer.ctypes.data
    return Program(
        plan=plan,
        dtype=dtype,
        capacity=capacity,
        ops=ops,
        hyper=hyper,
        clock=clock,
        now=now,
        work=work,
        dtheta=dtheta,
        control=control,
        offsets=offsets,
        places=places,
        direct=direct,
        threads=threads if np.any(ops[:, GEMM] > 0) else 1,
    )


def _for_capacity(row: Row, capacity: int) -> Row:
    """The row with the kernel that so many samples are worked on by."""
    rows, width = capacity * row.cells.get(SAMPLE_ROWS, 1), row.cells.get(WIDTH, 0)
    return replace(row, forward=of_so_many(row.forward, rows, width))


_ADD_COLUMNS: Final = (ADD_OUTPUT, ADD_D_INPUT, ADD_D_WEIGHT, ADD_D_BIAS)


def fed(program: Program, case: Case) -> npt.NDArray[np.int64]:
    """Feeds a case's data to a program, in the order that is returned; whoever runs it keeps it and the case alive."""
    order = np.arange(case.batch)
    program.feed(INPUTS_ROW, case.inputs, order)
    program.feed(TARGETS_ROW, case.targets if case.network.loss is not None else case.upstream, order)
    program.feed(COEFFICIENTS_ROW, case.sample_weights, order)
    return order

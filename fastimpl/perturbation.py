"""Losses at perturbed parameters: what numerical differences need, forwards alone.

A *route* says, for each parameter, what is run again when one of its entries changes, after one full forward pass:

- where one dense layer alone uses the parameter, the **column** of that layer's output which the entry leads to; the
  elementwise layers behind it, as long as nothing else reads their input, on that column alone; a dense layer behind
  these, by what the column adds to it (``fastimpl.kernels.perturbations``); from there on every row of the table;
- for any other parameter (one that several layers share), every row from the first that reads it;
- for an input every row that reads it and those behind, but for its own sample alone: the losses of the others stand.

No derivative takes part, and every loss is a sum of the same products as in a full pass, in an order of its own: what
bounds the rounding of a full pass in any order bounds these. A test holds them to that, point by point.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from fastimpl.jit import inlined, walker
from fastimpl.memory import call_kernel, integers_at, reals_at
from fastimpl.plan import COEFFICIENTS_ROW, INPUTS_ROW, TARGETS_ROW
from fastimpl.program import Program, bind
from fastimpl.routes import Route, routes_of
from fastimpl.table import COLUMN, COLUMNS, FACTOR, FORWARD, HYPER_COLUMNS, NONE, START
from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS

Float64 = npt.NDArray[np.float64]
Advance = Callable[[int], None]
"""Is told how many entries are done."""

_INTERRUPTIBLE_SECONDS: Final = 0.1
"""How long a compiled call should run before Python may see an interrupt and show progress."""


class Losses:
    """The loss of a case as a function of its parameters and inputs, computed in the case's dtype.

    Not to be used by two threads at a time.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self._table = routes_of(case.network, bool(case.masks))
        self._program: Program = bind(self._table.plan, case.dtype, case.batch)
        self._order = np.arange(case.batch)
        goals = case.targets if case.network.loss is not None else case.upstream
        for row, data in ((INPUTS_ROW, case.inputs), (TARGETS_ROW, goals), (COEFFICIENTS_ROW, case.sample_weights)):
            self._program.feed(row, data, self._order)
        self._masks = {row: case.masks[path].astype(case.dtype) for path, row in self._table.plan.masks.items()}
        for row, mask in self._masks.items():
            self._program.feed(row, mask, self._order)
        self._theta = self._table.plan.parameters.buffer(case.parameters, case.dtype)
        self._views = self._table.plan.parameters.views(self._theta)
        self.loss = self._run(0, self._table.plan.stop)
        """At the parameters and inputs of the case."""

    def at(self, parameters: Mapping[str, Floats], inputs: Floats) -> float:
        """The loss at other parameters, one array for each of the network's, and other inputs.

        They are rounded to the case's dtype. Raises ArgumentError for wrong names or shapes.
        """
        if set(parameters) != set(self._views):
            raise ArgumentError("parameters", f"names {list(self._views)}", f"{list(parameters)}")
        for name, array in {**parameters, INPUTS: inputs}.items():
            if np.shape(array) != self._shape(name):
                raise ArgumentError(name, f"shape {self._shape(name)}", f"shape {np.shape(array)}")
        held = np.ascontiguousarray(inputs, dtype=self.case.dtype)
        try:
            for name, view in self._views.items():
                view[...] = parameters[name]
            self._program.feed(INPUTS_ROW, held, self._order)
            return self._run(0, self._table.plan.stop)
        finally:
            for name, view in self._views.items():
                view[...] = self.case.parameters[name]
            self._program.feed(INPUTS_ROW, self.case.inputs, self._order)

    def replacing(
        self, name: str, entries: npt.ArrayLike, values: npt.ArrayLike, advance: Advance | None = None
    ) -> Float64:
        """The losses with one entry of one array replaced: (entries, values of each), float64.

        Arguments:
            name: of a parameter, frozen ones included, or ``inputs``.
            entries: (entries,), indices in the flattened array.
            values: (entries, values of each), what stands there in turn; rounded to the case's dtype.
            advance: called every now and then with the number of entries done so far.

        Raises ArgumentError for a name that the case has not, and for indices and shapes that don't fit.
        """
        self._check_name(name)
        size = math.prod(self._shape(name))
        places = np.ascontiguousarray(entries, dtype=np.int64)
        wanted = np.ascontiguousarray(values, dtype=np.float64)
        if places.ndim != 1 or np.any((places < 0) | (places >= size)):
            raise ArgumentError("entries", f"indices of one axis in 0 … {size - 1}", entries)
        if wanted.ndim != 2 or len(wanted) != len(places):
            raise ArgumentError("values", f"shape ({len(places)}, values of each)", f"shape {wanted.shape}")
        if name == INPUTS and self.case.batch > 1:
            return self._replacing_by_sample(places, wanted, advance)
        route = self._table.routes[name]
        here = self.case.inputs if name == INPUTS else self.case.parameters[name]
        order = np.argsort(places % route.units, kind="stable")
        places, wanted = places[order], wanted[order]
        originals = here.reshape(-1)[places].astype(np.float64)
        found = np.empty(wanted.shape)
        self._run(0, self._table.plan.stop)
        constant = self._penalties(route.penalty)
        start, portion = 0, 64
        while start < len(places):
            began = time.perf_counter()
            stop = min(start + portion, len(places))
            part = slice(start, stop)
            self._replace(route, places[part], originals[part], wanted[part], found[part], constant)
            if time.perf_counter() - began < _INTERRUPTIBLE_SECONDS:
                portion *= 2
            start = stop
            if advance is not None:
                advance(start)
        losses = np.empty(found.shape)
        losses[order] = found
        return losses

    def _replacing_by_sample(self, places: npt.NDArray[np.int64], values: Float64, advance: Advance | None) -> Float64:
        """The losses with entries of the inputs replaced: each sample by itself, its loss added to the others'."""
        case = self.case
        mean = case.network.loss is not None and case.network.loss.reduction != "sum"
        share = 1 / case.batch if mean else 1.0
        width = math.prod(case.network.input_shape)
        alone = [Losses(_sample(case, n)) for n in range(case.batch)]
        each = np.array([one.loss for one in alone])
        penalties = self._penalties(NONE)
        losses = np.empty(values.shape)
        done = 0
        for n in np.unique(places // width).tolist():
            here = places // width == n
            found = alone[n].replacing(INPUTS, places[here] - n * width, values[here])
            losses[here] = penalties + share * (each[:n].sum() + each[n + 1 :].sum() + found)
            done += int(here.sum())
            if advance is not None:
                advance(done)
        return losses

    def _penalties(self, but: int) -> float:
        """What all penalties add to the loss but that of one row."""
        return float(sum(self._run(row, row + 1) for row in self._table.penalties if row != but))

    def _replace(
        self,
        route: Route,
        places: npt.NDArray[np.int64],
        originals: Float64,
        values: Float64,
        found: Float64,
        rest: float,
    ) -> None:
        program = self._program
        where = program.offsets[route.slot] if route.slot != NONE else route.offset
        numbers = np.array([*route.rows, self._table.plan.stop, route.penalty, route.units, where], dtype=np.int64)
        _perturb(
            program.ops.ctypes.data,
            program.hyper.ctypes.data,
            self._theta.ctypes.data,
            program.dtheta.ctypes.data,
            program.work.ctypes.data,
            self.case.batch,
            numbers.ctypes.data,
            len(places),
            values.shape[1],
            places.ctypes.data,
            originals.ctypes.data,
            values.ctypes.data,
            found.ctypes.data,
            rest,
        )

    def _run(self, first: int, stop: int) -> float:
        program = self._program
        return _run_rows(
            program.ops.ctypes.data,
            program.hyper.ctypes.data,
            first,
            stop,
            self._theta.ctypes.data,
            program.dtheta.ctypes.data,
            program.work.ctypes.data,
            self.case.batch,
        )

    def _check_name(self, name: str) -> None:
        if name not in self._table.routes:
            raise ArgumentError("name", f"one of {', '.join(self._table.routes)}", name)

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.case.inputs.shape if name == INPUTS else self.case.network.parameter_shapes[name]


def _sample(case: Case, n: int) -> Case:
    """One sample of a case, without a penalty."""

    def only(array: Floats | None) -> Floats | None:
        return None if array is None else array[n : n + 1]

    return Case(
        case.network.replace(penalty=None),
        case.parameters,
        case.inputs[n : n + 1],
        targets=only(case.targets),
        upstream=only(case.upstream),
        sample_weights=only(case.sample_weights),
        dtype=case.dtype,
        masks={path: mask[n : n + 1] for path, mask in case.masks.items()},
    )


# ---- compiled ----

_ROW = 8 * COLUMNS
_HYPER_ROW = 8 * HYPER_COLUMNS


@inlined()
def _run(ops: int, hyper: int, first: int, stop: int, theta: int, dtheta: int, work: int, batch: int) -> float:
    """Runs rows first … stop − 1 and adds up what each adds to the loss."""
    loss = 0.0
    for row in range(first, stop):
        op = ops + row * _ROW
        loss += call_kernel(integers_at(op)[FORWARD], op, hyper + row * _HYPER_ROW, theta, dtheta, work, batch)
    return loss


@walker("float64(int64, int64, int64, int64, int64, int64, int64, int64)")
def _run_rows(ops: int, hyper: int, first: int, stop: int, theta: int, dtheta: int, work: int, batch: int) -> float:
    """Rows first … stop − 1 of a table; returns what they add to the loss."""
    return _run(ops, hyper, first, stop, theta, dtheta, work, batch)


@walker(
    "void(int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, float64)",
)
def _perturb(
    ops: int,
    hyper: int,
    theta: int,
    dtheta: int,
    work: int,
    batch: int,
    route: int,
    count: int,
    each: int,
    entries: int,
    originals: int,
    values: int,
    losses: int,
    rest: float,
) -> None:
    """Losses with each entry replaced by each of its values, ``each`` for each of ``count`` entries, sorted by column.

    route: address of the route's rows, of the row behind the network's last, of the penalty's, of the number of
    columns, and of the array's offset. rest: what rows that never run again add to every loss. The other addresses are
    those of the table, of the buffers, and of arrays.
    """
    numbers = integers_at(route)
    columns_from, entries_from, values_from, done_from, end, again = (
        numbers[0],
        numbers[1],
        numbers[2],
        numbers[3],
        numbers[4],
        numbers[5],
    )
    stop, penalty, units, offset = numbers[6], numbers[7], numbers[8], numbers[9]
    assigned = reals_at(hyper + values_from * _HYPER_ROW)
    target = integers_at(ops + values_from * _ROW)
    column = -1
    for e in range(count):
        flat = integers_at(entries)[e]
        i, j = flat // units, flat % units
        if j != column:
            if column >= 0:
                _run(ops, hyper, done_from, end, theta, dtheta, work, batch)
            for row in range(columns_from, end):
                integers_at(ops + row * _ROW)[COLUMN] = j
            _run(ops, hyper, columns_from, entries_from, theta, dtheta, work, batch)
            column = j
        for row in range(columns_from, end):
            integers_at(ops + row * _ROW)[START] = i
        target[START] = offset + flat
        _run(ops, hyper, entries_from, values_from, theta, dtheta, work, batch)
        for k in range(each):
            assigned[FACTOR] = reals_at(values)[e * each + k]
            _run(ops, hyper, values_from, done_from, theta, dtheta, work, batch)
            loss = rest
            if penalty >= 0:
                loss += _run(ops, hyper, penalty, penalty + 1, theta, dtheta, work, batch)
            reals_at(losses)[e * each + k] = loss + _run(ops, hyper, again, stop, theta, dtheta, work, batch)
        assigned[FACTOR] = reals_at(originals)[e]
        _run(ops, hyper, values_from, values_from + 1, theta, dtheta, work, batch)
    if column >= 0:
        _run(ops, hyper, done_from, end, theta, dtheta, work, batch)

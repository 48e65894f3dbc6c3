"""Routes: what runs again, and from where, when one entry of a parameter or of the inputs changes.

They lie as rows behind those of a network's forward pass, see ``fastimpl.perturbation``. The kernels of the forward
pass are those of training, which leave slopes and the loss's derivative besides; here these go to a place that nobody
reads. So every value keeps a place of its own, and what lies before a route's first row is as a full pass left it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from fastimpl.jit import Kernel
from fastimpl.kernels.activations import ACTIVATION_KERNELS
from fastimpl.kernels.dense import dense
from fastimpl.kernels.losses import GUARDED_KERNELS, LOSS_KERNELS, upstream
from fastimpl.kernels.penalties import PENALTY_KERNELS
from fastimpl.kernels.perturbations import (
    COPY,
    REST,
    assign,
    assign_input,
    copy_weights,
    put_column,
    take_column,
    with_bias,
    with_feature,
    with_weight,
    without_bias,
    without_feature,
    without_weight,
)
from fastimpl.plan import INPUTS_ROW, Plan, plan
from fastimpl.rows import Row
from fastimpl.table import (
    ADD_D_INPUT,
    ADD_OUTPUT,
    BIAS,
    D_INPUT,
    D_OUTPUT,
    INPUT,
    NONE,
    OUTPUT,
    ROWS,
    SLOPE,
    SLOTS,
    START,
    STOP,
    UNITS,
    WEIGHT,
    WIDTH,
)
from gradproof.gradients import INPUTS
from gradproof.network import Network, is_bias
from gradproof.vocabulary import ACTIVATIONS

_ELEMENTWISE: Final[frozenset[Kernel]] = frozenset(
    pair[0] for name, pair in ACTIVATION_KERNELS.items() if pair is not None and ACTIVATIONS[name].elementwise
)
_LOSSES: Final[frozenset[Kernel]] = frozenset(
    [upstream, *GUARDED_KERNELS.values(), *(kernel for kinds in LOSS_KERNELS.values() for kernel in kinds.values())]
)
_PENALTIES: Final[frozenset[Kernel]] = frozenset(forward for forward, _ in PENALTY_KERNELS.values())


@dataclass(frozen=True)
class Route:
    """What runs again for a perturbed entry of one array.

    rows: numbers of rows. From the first to the second, what runs once for each column; to the third, once for each
    entry; to the fourth, for each value, the row that assigns it first; to the fifth, when a column is done; and last
    the row of the network from which on all is run again, for each value.
    penalty: the row of the penalty over the parameter, NONE without one. units: columns of the array. offset: of the
    array in the flat buffer of parameters; or slot: of the workspace, for inputs.
    """

    rows: tuple[int, int, int, int, int, int]
    penalty: int
    units: int
    offset: int = NONE
    slot: int = NONE


@dataclass(frozen=True)
class RouteTable:
    """plan: of the forward pass, rows of routes behind its ``stop``. penalties: numbers of their rows."""

    plan: Plan
    routes: Mapping[str, Route]
    penalties: tuple[int, ...]


@lru_cache(maxsize=64)
def routes_of(network: Network, masked: bool = False) -> RouteTable:
    """The table of a network, with masks of dropout or without; compiles nothing."""
    return _Tabulation(network, masked).table()


class _Tabulation:
    """Rows of the forward pass, then of each parameter's route."""

    def __init__(self, network: Network, masked: bool) -> None:
        self.network = network
        self.base = plan(network, "gradients", masked=masked)
        self.slots = list(self.base.slots)
        self.unread = self.slot(max(self.slots))
        """Where slopes and derivatives go."""
        self.first, self.second, self.kept, self.column_rest = (self.slot(1) for _ in range(4))
        widest = [row.cells for row in self.base.rows if row.forward is dense]
        self.copy = self.slot(max((cells[WIDTH] for cells in widest), default=0))
        self.matrix_rest = self.slot(max((cells[UNITS] for cells in widest), default=0))
        forward = self.forward_rows()
        self.rows = list(forward.values())
        self.masks = {path: list(forward).index(row) for path, row in self.base.masks.items() if row in forward}
        self.stop = len(self.rows)
        self.penalties = tuple(number for number, row in enumerate(self.rows) if row.forward in _PENALTIES)

    def table(self) -> RouteTable:
        """All of it."""
        inputs = self.base.rows[INPUTS_ROW].cells[OUTPUT]
        routes = {name: self.route(name) for name in self.network.parameter_shapes}
        routes[INPUTS] = self.inputs_route(inputs)
        used = {row.cells[column] for row in self.rows for column in SLOTS if column in row.cells}
        slots = tuple(size if number in used else 0 for number, size in enumerate(self.slots))
        return RouteTable(
            plan=replace(
                self.base,
                rows=tuple(self.rows),
                stop=self.stop,
                slots=slots,
                outputs=NONE,
                inputs_gradient=NONE,
                masks=self.masks,
            ),
            routes=routes,
            penalties=self.penalties,
        )

    def slot(self, size: int) -> int:
        self.slots.append(size)
        return len(self.slots) - 1

    def forward_rows(self) -> dict[int, Row]:
        """The rows that the loss needs, by number, with every derivative going where nobody reads."""
        rows: dict[int, Row] = {}
        read: set[int] = set()
        for number, row in reversed(list(enumerate(self.base.rows[: self.base.stop]))):
            cells = dict(row.cells)
            if row.forward in _LOSSES:
                cells = self.without_derivatives(cells) | {D_INPUT: self.unread, ADD_D_INPUT: 0}
            elif INPUT in cells and cells[OUTPUT] not in read:
                continue
            elif INPUT in cells:
                cells = self.without_derivatives(cells)
            read.update([cells[INPUT]] if INPUT in cells else [])
            rows[number] = replace(row, backward=None, cells=cells)
        return dict(reversed(rows.items()))

    def without_derivatives(self, cells: Mapping[int, int]) -> dict[int, int]:
        kept = {column: cell for column, cell in cells.items() if column not in (D_INPUT, D_OUTPUT)}
        return kept | ({SLOPE: self.unread} if SLOPE in cells else {})

    # Who reads what.

    def readers(self, slot: int) -> list[int]:
        """Rows of the network that read a value."""
        return [number for number in range(self.stop) if self.rows[number].cells.get(INPUT) == slot]

    def again(self, first: int) -> int:
        """The row from which on to run again, so that row ``first`` and all behind it start from what they need.

        A row that adds to a value wants it begun anew.
        """
        begun = {
            row.cells[OUTPUT]: number
            for number, row in reversed(list(enumerate(self.rows[: self.stop])))
            if row.cells.get(INPUT) is not None and row.forward not in _LOSSES
        }
        start = first
        for number in range(self.stop - 1, -1, -1):
            row = self.rows[number]
            if number >= start and row.cells.get(ADD_OUTPUT) == 1:
                start = min(start, begun[row.cells[OUTPUT]])
        return start

    def readers_again(self, slot: int) -> int:
        """Where to start again when a value changes."""
        return self.again(min(self.readers(slot), default=self.stop))

    # Routes.

    def inputs_route(self, slot: int) -> Route:
        start = len(self.rows)
        self.rows.append(Row(assign_input, None, {}))
        return Route((start, start, start, start + 1, start + 1, self.readers_again(slot)), NONE, 1, slot=slot)

    def route(self, name: str) -> Route:
        uses = [position for position in self.network.positions if self.network.parameter_at(position) == name]
        offset = self.base.parameters.offsets[name]
        column = BIAS if is_bias(name) else WEIGHT
        at = [number for number in range(self.stop) if self.rows[number].cells.get(column) == offset]
        size = math.prod(self.network.parameter_shapes[name])
        penalty = next(
            (row for row in self.penalties if self.rows[row].cells[START] <= offset < self.rows[row].cells[STOP]), NONE
        )
        start = len(self.rows)
        assigning = Row(assign, None, {})
        if len(uses) != 1 or len(at) != 1 or size == 0:
            self.rows.append(assigning)
            again = self.again(min(at, default=self.stop))
            return Route((start, start, start, start + 1, start + 1, again), penalty, 1, offset=offset)
        columns, entries, values, done, again = self.column(at[0], is_bias(name))
        groups = [columns, entries, [assigning, *values], done]
        ends = [start]
        for group in groups:
            self.rows += group
            ends.append(len(self.rows))
        units = self.rows[at[0]].cells[UNITS]
        return Route((ends[0], ends[1], ends[2], ends[3], ends[4], again), penalty, units, offset=offset)

    def column(self, number: int, bias: bool) -> tuple[list[Row], list[Row], list[Row], list[Row], int]:
        """Rows for one dense layer, by when they run, and where the network goes on."""
        layer = self.rows[number].cells
        shape = {column: layer[column] for column in (WIDTH, UNITS, INPUT, WEIGHT, BIAS)}
        before, here = self.first, self.second
        columns = [Row(copy_weights, None, shape | {COPY: self.copy})]
        entries = [
            Row(without_bias if bias else without_weight, None, shape | {COPY: self.copy, REST: self.column_rest})
        ]
        values = [Row(with_bias if bias else with_weight, None, shape | {REST: self.column_rest, OUTPUT: before})]
        value, width = layer[OUTPUT], layer[UNITS]
        while True:
            readers = self.readers(value)
            reader = self.rows[readers[0]] if len(readers) == 1 else None
            if reader is None or reader.forward not in _ELEMENTWISE:
                break
            cells = {ROWS: 1, WIDTH: 1, UNITS: 1, INPUT: before, OUTPUT: here, SLOPE: before}
            values.append(replace(reader, cells=cells))
            value, before, here = reader.cells[OUTPUT], here, before
        if reader is not None and reader.forward is dense:
            behind = {column: reader.cells[column] for column in (WIDTH, UNITS, WEIGHT, BIAS)}
            columns.append(Row(without_feature, None, behind | {INPUT: value, REST: self.matrix_rest}))
            after = reader.cells[OUTPUT]
            values.append(Row(with_feature, None, behind | {INPUT: before, REST: self.matrix_rest, OUTPUT: after}))
            return columns, entries, values, [], self.readers_again(after)
        columns.append(Row(take_column, None, {UNITS: width, INPUT: value, OUTPUT: self.kept}))
        values.append(Row(put_column, None, {UNITS: width, INPUT: before, OUTPUT: value}))
        done = [Row(put_column, None, {UNITS: width, INPUT: self.kept, OUTPUT: value})]
        return columns, entries, values, done, self.readers_again(value)

"""A network as a table: which kernels run in which order, over one flat parameter buffer and one flat workspace.

This is Python and takes a millisecond or so; it compiles nothing. See ``fastimpl.program`` for what follows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from fastimpl.buffers import Parameters
from fastimpl.dropout import threshold
from fastimpl.jit import Kernel
from fastimpl.kernels.activations import ACTIVATION_KERNELS
from fastimpl.kernels.batches import coefficients, gather
from fastimpl.kernels.dense import dense, dense_backward
from fastimpl.kernels.dropout import drawn_dropout, dropout
from fastimpl.kernels.elementwise import elementwise_backward
from fastimpl.kernels.losses import GUARDED_KERNELS, LOSS_KERNELS, upstream
from fastimpl.kernels.maxout import maxout, maxout_backward
from fastimpl.kernels.merge import merge, merge_backward
from fastimpl.kernels.metrics import right_classes, right_sides
from fastimpl.kernels.penalties import PENALTY_KERNELS
from fastimpl.kernels.updates import not_finite
from fastimpl.rows import Row
from fastimpl.table import (
    ADD_D_BIAS,
    ADD_D_INPUT,
    ADD_D_WEIGHT,
    ADD_OUTPUT,
    BIAS,
    COEFFICIENT,
    COLUMN,
    D_BIAS,
    D_INPUT,
    D_OUTPUT,
    D_WEIGHT,
    FACTOR,
    INPUT,
    NONE,
    OUTPUT,
    PRODUCT,
    ROWS,
    SITE,
    SLOPE,
    SLOTS,
    START,
    STOP,
    STRIDE,
    TARGET,
    THRESHOLD,
    UNITS,
    UPDATES,
    WEIGHT,
    WIDTH,
)
from fastimpl.table import COEFFICIENTS_ROW as COEFFICIENTS_ROW
from fastimpl.table import INPUTS_ROW as INPUTS_ROW
from fastimpl.table import TARGETS_ROW as TARGETS_ROW
from fastimpl.updating import Updating, is_plain
from gradproof.layers import Activation, Branches, Dense, Dropout, Layer, Maxout, Residual, Shape
from gradproof.network import Network
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import ACTIVATIONS, REALS

Purpose = Literal["outputs", "gradients", "training", "validation"]
"""What a plan leaves: outputs alone; all that a case asks for; updated parameters; or the loss. The last two may count
right answers besides."""

PROBABILITIES: Final = frozenset(kind for kernels in LOSS_KERNELS.values() for kind in kernels if kind)
"""Activations that losses from probabilities know how to look behind."""


@dataclass(frozen=True)
class Plan:
    """A network's table for one purpose, whatever the dtype and the batch.

    rows: the ``feeds`` first ones feed a batch (see ``fastimpl.table``), the next ones up to ``stop`` compute, those
    up to ``end`` update (in validation they are the penalties, which stand apart from what is run in portions), and the
    rest are called by others: the updates that layers make themselves, and last, in training, the one that looks for
    what is not finite. slots: numbers for each sample in each slot of the workspace.
    states: how many numbers an update keeps for each parameter. outputs, inputs_gradient: slots, NONE where the purpose
    does not ask for them. masks: path of a dropout layer whose mask is given → the row that it is fed to. direct: the
    rows that read the inputs, if they are such as can read them where they lie in the data set; else none.
    """

    network: Network
    parameters: Parameters
    rows: tuple[Row, ...]
    feeds: int
    stop: int
    end: int
    states: int
    slots: tuple[int, ...]
    outputs: int
    inputs_gradient: int
    masks: Mapping[str, int]
    direct: tuple[int, ...]


@dataclass
class _Value:
    """What steps write and others read: ``rows`` rows of ``width`` numbers for each sample, in a slot."""

    rows: int
    width: int
    slot: int
    needs_gradient: bool
    """Whether anything that is asked for lies behind it."""
    pieces: tuple[_Piece, ...] = ()
    """Where it consists of probabilities: what they come from."""
    kept: bool = False
    """Whether its own step reads it once more on the way back, so that nobody may write over it."""
    readers: int = 0
    gradient: int = NONE
    """Slot of ∂L/∂value, once a reader passes one back."""


@dataclass(frozen=True)
class _Piece:
    """Columns of a value that are the probabilities of ``logits`` by ``activation``."""

    column: int
    activation: str
    logits: _Value


@dataclass
class _Step:
    """A row of the network in the making."""

    forward: Kernel
    backward: Kernel | None
    input: _Value
    output: _Value
    cells: dict[int, int] = field(default_factory=dict)
    factor: float = 0.0
    """The row's real parameter."""
    elementwise: bool = False
    trained: dict[int, str] = field(default_factory=dict)
    """Column of a trained parameter's gradient → the parameter."""
    masked: str | None = None
    """Path of the dropout layer whose mask it is given."""


_ADDING: Final = {D_WEIGHT: ADD_D_WEIGHT, D_BIAS: ADD_D_BIAS}


class _Builder:
    """Walks the tree forwards, step by step; then settles backwards who needs which gradient, and where it lies."""

    def __init__(
        self, network: Network, purpose: Purpose, optimiser: Optimiser | None, counts: bool, masked: bool
    ) -> None:
        self.network = network
        self.purpose = purpose
        self.masked = masked
        self.counts = counts
        self.updating = None if optimiser is None else Updating(network, optimiser)
        self.parameters = Parameters.of(network) if self.updating is None else self.updating.parameters
        self.slots: list[int] = []
        self.steps: list[_Step] = []
        self.losses: list[_Step] = []
        self.shapes = {site.path: site.output_shape for site in network.sites}

    def plan(self) -> Plan:
        """The plan, from the network's inputs to the updates of its parameters."""
        inputs = self.value(self.network.input_shape, self.purpose == "gradients")
        output = self.chain(self.network.layers, inputs, "")
        feeds = [Row(gather, None, {OUTPUT: inputs.slot, WIDTH: inputs.rows * inputs.width})]
        if self.purpose != "outputs":
            feeds += self.loss(output)
        counted = self.counted(output) if self.counts else None
        asked = [output] if self.purpose in ("outputs", "gradients") else []
        self.drop_unread([*asked, *([] if counted is None else [counted])])
        self.place_derivatives()
        self.place_gradients()
        penalties = self.penalties()
        metrics = [] if counted is None else [self.metric(counted, output)]
        within = [] if self.purpose == "validation" else penalties
        stop = len(feeds) + len(within) + len(self.steps) + len(self.losses) + len(metrics)
        updates, called = (penalties, []) if self.purpose == "validation" else self.updates(stop)
        body = [*within, *(_row(step) for step in (*self.steps, *self.losses)), *metrics]
        return Plan(
            network=self.network,
            parameters=self.parameters,
            rows=(*feeds, *body, *updates, *called),
            feeds=len(feeds),
            stop=stop,
            end=stop + len(updates),
            states=len(self.updating.optimiser.word.state) if self.updating is not None and called else 0,
            slots=tuple(self.slots),
            outputs=output.slot if asked else NONE,
            inputs_gradient=inputs.gradient if self.purpose == "gradients" else NONE,
            masks={
                step.masked: len(feeds) + len(penalties) + number
                for number, step in enumerate(self.steps)
                if step.masked is not None
            },
            direct=self.direct(inputs, body, len(feeds)),
        )

    def direct(self, inputs: _Value, body: list[Row], first: int) -> tuple[int, ...]:
        """The numbers of the rows that read the inputs, if all of them are dense layers. ``first``: number of body[0].

        In training and validation alone, whose data set stays what it is: who perturbs an input does it in a copy.
        """
        if self.purpose not in ("training", "validation"):
            return ()
        reading = {
            first + number: row
            for number, row in enumerate(body)
            if any(row.cells.get(column) == inputs.slot for column in SLOTS)
        }
        return tuple(reading) if all(row.forward is dense for row in reading.values()) else ()

    # Forwards: the tree becomes a list of steps.

    def slot(self, size: int) -> int:
        self.slots.append(size)
        return len(self.slots) - 1

    def value(self, shape: Shape, needs_gradient: bool) -> _Value:
        rows = math.prod(shape[:-1])
        return _Value(rows, shape[-1], self.slot(rows * shape[-1]), needs_gradient)

    def chain(self, layers: tuple[Layer, ...], x: _Value, prefix: str) -> _Value:
        for number, layer in enumerate(layers):
            path = f"{prefix}{number}"
            if isinstance(layer, Dense):
                x = self.dense(layer, x, path)
            elif isinstance(layer, Activation):
                x = self.activation(layer, x, path)
            elif isinstance(layer, Maxout):
                x = self.maxout(x, path)
            elif isinstance(layer, Dropout):
                x = self.dropout(layer, x, path)
            else:
                x = self.merged(layer, x, path)
        return x

    def dense(self, layer: Dense, x: _Value, path: str) -> _Value:
        weight = self.network.parameter_at(f"{path}.weight")
        names = {D_WEIGHT: weight}
        cells = {WEIGHT: self.parameters.offsets[weight], BIAS: NONE}
        if layer.bias:
            names[D_BIAS] = self.network.parameter_at(f"{path}.bias")
            cells[BIAS] = self.parameters.offsets[names[D_BIAS]]
        trained = {column: name for column, name in names.items() if name not in self.network.frozen}
        z = self.value(self.shapes[path], x.needs_gradient or bool(trained))
        self.steps.append(_Step(dense, dense_backward, x, z, cells, trained=trained))
        return z

    def activation(self, layer: Activation, z: _Value, path: str) -> _Value:
        kernels = ACTIVATION_KERNELS[layer.name]
        if kernels is None:
            return z
        forward, backward = kernels
        elementwise = ACTIVATIONS[layer.name].elementwise
        a = self.value(self.shapes[path], z.needs_gradient)
        a.kept = not elementwise
        if layer.name in PROBABILITIES:
            a.pieces = (_Piece(0, layer.name, z),)
        factor = 0.0 if layer.parameter is None else layer.parameter
        self.steps.append(_Step(forward, backward, z, a, factor=factor, elementwise=elementwise))
        return a

    def maxout(self, z: _Value, path: str) -> _Value:
        """Backwards it reads its input again, which lies untouched: only what reads alone writes over what it reads."""
        h = self.value(self.shapes[path], z.needs_gradient)
        self.steps.append(_Step(maxout, maxout_backward, z, h))
        return h

    def dropout(self, layer: Dropout, x: _Value, path: str) -> _Value:
        """Training draws its masks; gradients are given theirs, or none. Without masks nothing is done."""
        if not (self.masked or self.purpose == "training"):
            return x
        y = self.value(self.shapes[path], x.needs_gradient)
        step = _Step(dropout, elementwise_backward, x, y, factor=1 / (1 - layer.probability), elementwise=True)
        if self.masked:
            step.masked = path
        else:
            step.forward = drawn_dropout
            step.cells |= {SITE: list(self.network.dropouts).index(path), THRESHOLD: threshold(layer.probability)}
        self.steps.append(step)
        return y

    def merged(self, layer: Residual | Branches, x: _Value, path: str) -> _Value:
        """The sum or concatenation of chains; a residual connection is the sum of its input and its body."""
        ends = [self.chain(body, x, f"{path}.{step}.") for step, body in layer.chains()]
        concatenated = isinstance(layer, Branches) and layer.merge == "concat"
        terms = [x, *ends] if isinstance(layer, Residual) else ends
        y = self.value(self.shapes[path], any(term.needs_gradient for term in terms))
        column = 0
        pieces: list[_Piece] = []
        for number, term in enumerate(terms):
            added = 0 if concatenated or number == 0 else 1
            self.steps.append(_Step(merge, merge_backward, term, y, {COLUMN: column, ADD_OUTPUT: added}))
            if concatenated:
                pieces += [_Piece(column + p.column, p.activation, p.logits) for p in term.pieces]
                column += term.width
        y.pieces = tuple(pieces)
        return y

    def loss(self, output: _Value) -> list[Row]:
        """Adds the steps of the loss; returns the rows that feed its targets and coefficients."""
        targets = self.slot(output.rows * output.width)
        factors = self.slot(1)
        loss = self.network.loss
        kernels = {"": upstream} if loss is None else LOSS_KERNELS[loss.name]
        if loss is not None and loss.guard is not None:
            kernels = {"": GUARDED_KERNELS[loss.name, loss.guard]}
        pieces = (_Piece(0, "", output),) if "" in kernels else output.pieces
        for piece in pieces:
            cells = {COLUMN: piece.column, TARGET: targets, COEFFICIENT: factors}
            eps = 0.0 if loss is None or loss.eps is None else loss.eps
            self.losses.append(_Step(kernels[piece.activation], None, piece.logits, output, cells, factor=eps))
        divisors = {"sum": 0, "batch_mean": 1, "element_mean": output.rows * output.width}
        return [
            Row(gather, None, {OUTPUT: targets, WIDTH: output.rows * output.width}),
            Row(coefficients, None, {OUTPUT: factors, UNITS: 0 if loss is None else divisors[loss.reduction]}),
        ]

    def counted(self, output: _Value) -> _Value:
        """What right answers are told by: the logits where the loss is taken from them, else the outputs.

        A logit below 0 may be the larger of a softmax: its side of ½ is the probability's to tell.
        """
        assert self.network.loss is not None
        logits = self.losses[0].input
        from_all = len(self.losses) == 1 and logits.width == output.width
        tells = self.network.loss.word.categorical or all(p.activation == "sigmoid" for p in output.pieces)
        return logits if from_all and tells else output

    def metric(self, counted: _Value, output: _Value) -> Row:
        """Classes for categorical losses, and for squared errors of several outputs; else each output by itself."""
        loss = self.network.loss
        assert loss is not None
        cells = {
            INPUT: counted.slot,
            TARGET: self.losses[0].cells[TARGET],
            ROWS: counted.rows,
            WIDTH: counted.width,
            UNITS: output.width,
        }
        if loss.word.categorical or (loss.word.targets == "real" and output.width > 1):
            return Row(right_classes, None, cells)
        of_logits = counted is not output or (loss.word.targets != "real" and loss.word.domain == REALS)
        return Row(right_sides, None, cells, {FACTOR: 0.0 if of_logits else 0.5})

    def penalties(self) -> list[Row]:
        """First of all, so that backwards they come last and add to gradients that are written by then."""
        penalty = self.network.penalty
        if penalty is None or self.purpose == "outputs":
            return []
        forward, backward = PENALTY_KERNELS[penalty.kind]
        factor = penalty.strength / 2 if penalty.half else penalty.strength
        return [
            Row(forward, backward if trained else None, {START: start, STOP: stop}, {FACTOR: factor})
            for trained in (True, False)
            for start, stop in self.parameters.ranges(
                [name for name in self.network.penalised if trained is (name in self.network.trainable)]
            )
        ]

    # At the end: the updates.

    def updates(self, first: int) -> tuple[list[Row], list[Row]]:
        """The rows of the end of a step, the first of which has this number, and those that others call."""
        if self.updating is None:
            return [], []
        rows = list(self.updating.at_the_end())
        called: list[Row] = []
        for name, row in self.updating.by_layers():
            (step,) = (step for step in self.steps if step.trained.get(D_WEIGHT) == name)
            step.cells |= {UPDATES: first + len(rows) + len(called), PRODUCT: int(is_plain(self.updating.optimiser))}
            called.append(row)
        states, trained = len(self.updating.optimiser.word.state), self.parameters.trained
        called.append(Row(not_finite, None, {START: 0, STOP: trained, STRIDE: trained, UNITS: states}))
        return rows, called

    # Backwards: who reads what, who passes a gradient back, and to where.

    def drop_unread(self, asked: list[_Value]) -> None:
        """Drops what nobody reads: where training takes the loss from the logits, the last activation."""
        read = {id(value) for value in (*asked, *(loss.input for loss in self.losses))}
        kept: list[_Step] = []
        for step in reversed(self.steps):
            if id(step.output) in read:
                read.add(id(step.input))
                kept.append(step)
        self.steps = kept[::-1]
        for value in (*asked, *(step.input for step in (*self.steps, *self.losses))):
            value.readers += 1

    def place_derivatives(self) -> None:
        """An elementwise step that alone reads its input writes its derivative over it."""
        for step in self.steps:
            if step.elementwise:
                alone = _reads_alone(step)
                step.cells[SLOPE] = step.input.slot if alone else self.slot(step.input.rows * step.input.width)

    def place_gradients(self) -> None:
        """Where two pass a gradient to one value, the second to run adds to the first; without a loss nobody does."""
        written: set[str] = set()
        for loss in self.losses:
            self.pass_back(loss)
            if loss.cells[ADD_D_INPUT] != 0:
                loss.cells[SLOPE] = self.slot(loss.input.rows * loss.input.width)
        if self.purpose == "validation":
            return  # of gradients, a loss writes its own in any case
        for step in reversed(self.steps):
            if step.output.gradient == NONE or not (step.input.needs_gradient or step.trained):
                step.backward = None
                continue
            step.cells[D_OUTPUT] = step.output.gradient
            if step.input.needs_gradient:
                self.pass_back(step)
            for column, name in step.trained.items():
                step.cells[column] = self.parameters.offsets[name]
                step.cells[_ADDING[column]] = int(name in written)
                written.add(name)

    def pass_back(self, step: _Step) -> None:
        x = step.input
        step.cells[ADD_D_INPUT] = int(x.gradient != NONE)
        if x.gradient == NONE:
            shared = step.elementwise and _reads_alone(step)
            x.gradient = step.output.gradient if shared else self.slot(x.rows * x.width)
        step.cells[D_INPUT] = x.gradient


def _reads_alone(step: _Step) -> bool:
    return step.input.readers == 1 and not step.input.kept


def _row(step: _Step) -> Row:
    cells = {
        ROWS: step.input.rows,
        WIDTH: step.input.width,
        UNITS: step.output.width,
        INPUT: step.input.slot,
        OUTPUT: step.output.slot,
    }
    return Row(step.forward, step.backward, cells | step.cells, {FACTOR: step.factor})


@lru_cache(maxsize=128)
def plan(
    network: Network, purpose: Purpose, optimiser: Optimiser | None = None, counts: bool = False, masked: bool = False
) -> Plan:
    """The table of a network for this purpose; ``counts`` to count right answers.

    optimiser: for training, and for validation amid it: it decides where parameters lie in their buffer.
    masked: whether the masks of dropout are given, in ``gradients``.
    """
    return _Builder(network, purpose, optimiser, counts, masked).plan()

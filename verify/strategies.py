"""Hypothesis strategies for networks and cases.

They draw from all of what is declared and from nothing else, and they are seeded with what makes faults show: as many
samples as outputs, several outputs, widths of 1, all widths equal and all different, penalties, exact zeros under
kinks, saturated units, numbers that vanish, parameters used twice. What they shrink towards can be checked on paper:
one dense layer of width 1, one sample, the numbers 1 and 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict, TypeVar, Unpack

import msgspec
import numpy as np
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Branches, Dense, Dropout, Layer, Maxout, Residual, Site
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from gradproof.target import PENALTY_FORMS, UPSTREAM, Range, Supports
from gradproof.vocabulary import ACTIVATIONS, DTYPES, LOSSES, REDUCTIONS, Dtype, TargetKind
from verify.grids import (
    ARRAY,
    DYADIC,
    GOALS,
    GRIDS,
    LARGE_POOL,
    MASKS,
    POOL,
    SAMPLE_WEIGHTS,
    SIGNED_SAMPLE_WEIGHTS,
    SOFT,
    WEIGHTS,
    Bytes,
    Numbers,
    distributions,
    jittered,
    pick,
    table,
)

Draw = Callable[[st.SearchStrategy[Any]], Any]
T = TypeVar("T")

SIMPLEST_FIRST: Final = (
    *("identity", "relu", "leaky_relu", "hard_tanh", "sigmoid", "tanh", "softplus"),
    *("silu", "elu", "gelu_tanh", "gelu", "softmax"),
)
SLOPES: Final = (0.5, 0.25, 0.1, 0.01)
PIECES: Final = (2, 3)
"""Of maxout units."""
PROBABILITIES: Final = (0.5, 0.25, 0.2, 0.1, 0.75, 0.9)
"""Of dropout."""
ODD_PROBABILITIES: Final = (*PROBABILITIES, 0.0, 0.99)
ODD_SLOPES: Final = (*SLOPES, 0.0, 1.0, 2.0, -0.5)
STRENGTHS: Final = (1.0, 0.5, 0.25, 0.1, 0.01, 2.0)

CALM: Final = 6.0
"""Bound on |z| in calm cases: σ(6) is 2.5e-3 from 1 and a softmax of such logits at least 1e-6, so that no formula for
a probability's logarithm meets log 0, in float32 neither."""
SATURATED: Final = 24.0
"""Bound on |z| in saturated cases: σ′ is down to 4e-11, and exp overflows in no dtype."""


class Limits(TypedDict, total=False):
    """Fields of ``Supports`` that replace those of the declaration, for one strategy."""

    losses: tuple[str, ...]
    hidden: tuple[str, ...]
    output: tuple[str, ...]
    uniform: bool
    depth: Range
    width: Range
    batch: Range
    outputs: Range | None
    bias: Literal["always", "never", "either"]
    penalties: tuple[str, ...]
    sample_weights: bool
    maxout: bool
    dropout: bool
    residual: bool
    branches: bool
    shared: bool
    frozen: bool
    dtypes: tuple[Dtype, ...]


def everything() -> Supports:
    """All that a ``Network`` of dense layers can express, in small sizes."""
    losses = [
        f"{name}/{reduction}/{kind}"
        for name, word in LOSSES.items()
        for reduction in REDUCTIONS
        for kind in (("real",) if word.targets == "real" else ("hard", "soft", "free"))
    ]
    return Supports(
        losses=(*losses, UPSTREAM),
        hidden=tuple(ACTIVATIONS),
        output=tuple(ACTIVATIONS),
        depth=(1, 4),
        bias="either",
        penalties=PENALTY_FORMS,
        sample_weights=True,
        maxout=True,
        dropout=True,
        residual=True,
        branches=True,
        shared=True,
        frozen=True,
        dtypes=DTYPES,
    )


def networks(supports: Supports | None = None, **limits: Unpack[Limits]) -> st.SearchStrategy[Network]:
    """Networks within a declaration; with ``supports`` None, whatever a ``Network`` can express.

    A network of several dense layers is a chain of blocks: a dense layer and its activation; where declared, a
    residual connection, branches around such blocks, or maxout units, and dropout behind hidden layers. The last block
    is a plain one, whose activation keeps its outputs in the loss's domain. With None there are also activations alone,
    layers without one, branches that pass their inputs through, merges around merges, networks that end in one, dropout
    at the start of a chain, and networks without parameters, over one axis or two.

    Shrinks towards the first loss declared (in the vocabulary's order), one dense layer of the least width, the
    simplest activation, no penalty, nothing shared, nothing frozen.

    Arguments:
        supports: what the implementation at hand declares.
        limits: fields of ``Supports`` in place of the declared ones, ``depth=(1, 2)`` say.

    Raises ArgumentError where a declared loss fits no declared output activation.
    """
    menu = _Menu.of(supports, limits)
    return st.composite(lambda draw: _network(draw, menu))()


def cases(
    supports: Supports | None = None, *, extremes: bool = False, **limits: Unpack[Limits]
) -> st.SearchStrategy[Case]:
    """Cases within a declaration: a network as ``networks`` draws it, with parameters and a batch.

    Numbers are short: halves, eighths, tenths, a few small and large ones, or such numbers times a random factor.
    Weights are scaled by powers of two, so that no pre-activation exceeds ``CALM`` or, in some cases, tagged
    saturated, ``SATURATED``: neither float64 nor float32 overflows or underflows, in any usual formula. Cases
    tagged dyadic hold nothing but multiples of a power of two: sums and products are exact, and zeros under kinks are.
    Networks with dropout come with masks; with None some come without, to be evaluated.

    Shrinks towards the simplest network, one sample, weights and inputs of 1, biases and targets of 0, masks that keep
    everything.

    Arguments:
        supports: what the implementation at hand declares; None for everything.
        extremes: adds cases, tagged extreme, in which usual formulas overflow or underflow.
        limits: fields of ``Supports`` in place of the declared ones.

    Raises ArgumentError where a declared loss fits no declared output activation.
    """
    menu = _Menu.of(supports, limits)
    return st.composite(lambda draw: _case(draw, menu, extremes))()


def large_cases(supports: Supports | None = None, **limits: Unpack[Limits]) -> st.SearchStrategy[Case]:
    """Cases for networks of any size, filled by a seeded generator (see ``seeded_case``).

    Shrinks towards the simplest network, one sample and seed 0; the numbers themselves do not shrink.
    """
    menu = _Menu.of(supports, limits)

    def draw_case(draw: Draw) -> Case:
        seed = _within(draw, (0, 2**32 - 1))
        dtype = _one(draw, menu.supports.dtypes)
        weighted = menu.supports.sample_weights and _rarely(draw)
        batch = _within(draw, menu.supports.batch)
        return seeded_case(_network(draw, menu), batch, seed=seed, dtype=dtype, sample_weights=weighted)

    return st.composite(draw_case)()


def seeded_case(
    network: Network, batch: int, *, seed: int = 0, dtype: Dtype = "float64", sample_weights: bool = False
) -> Case:
    """A case for a network of any size, the same for the same arguments.

    Weights are normal with variance 1 / fan_in, so that signals keep their size from layer to layer; biases, inputs
    and upstream gradients normal; targets random ones of the kind that the loss wants; sample weights in [½, 2); masks
    drop each entry with its layer's probability.
    """
    if batch < 1:
        raise ArgumentError("batch", "at least 1", batch)
    generator = np.random.default_rng(seed)
    parameters = {
        name: generator.standard_normal(shape) / np.sqrt(shape[0] if len(shape) > 1 else 4)
        for name, shape in network.parameter_shapes.items()
    }
    inputs = generator.standard_normal((batch, *network.input_shape))
    goal = generator.standard_normal((batch, *network.output_shape))
    weights = generator.uniform(0.5, 2, batch) if sample_weights and network.loss is not None else None
    masks = {
        site.path: generator.random((batch, *site.output_shape)) >= site.layer.probability
        for site in network.sites
        if isinstance(site.layer, Dropout)
    }
    if network.loss is None:
        return Case(network, parameters, inputs, upstream=goal, dtype=dtype, masks=masks)
    if network.loss.targets in ("hard", "soft"):
        pool = generator.integers(0, 256, size=LARGE_POOL, dtype=np.uint8)
        goal = _targets(network.loss, pool, goal.shape, 0, goal)
    return Case(network, parameters, inputs, targets=goal, sample_weights=weights, dtype=dtype, masks=masks)


# ---- what may be drawn ----


@dataclass(frozen=True)
class _Menu:
    """A declaration made ready for drawing: every list from its simplest word on."""

    supports: Supports
    odd: bool
    """Whether networks may have what no declaration speaks of, and no ordinary implementation expects."""
    losses: Mapping[str, tuple[Loss | None, ...]]
    """Name (or ``upstream``) → the losses declared by that name."""
    outputs: Mapping[str, tuple[str, ...]]
    """Name → the output activations that keep to its domain."""

    @classmethod
    def of(cls, supports: Supports | None, limits: Limits) -> _Menu:
        base = everything() if supports is None else supports
        declared = msgspec.structs.replace(base, **limits) if limits else base
        losses: dict[str, tuple[Loss | None, ...]] = {}
        order = (*LOSSES, UPSTREAM)
        for text in sorted(declared.losses, key=lambda loss: order.index(loss.split("/")[0])):
            name = text.split("/")[0]
            losses[name] = (*losses.get(name, ()), None if text == UPSTREAM else Loss.parse(text))
        outputs: dict[str, tuple[str, ...]] = {}
        units = declared.outputs or declared.width
        for name in losses:
            outputs[name] = tuple(_simplest_first(a for a in declared.output if _fits(name, a, units)))
            if declared.uniform:
                outputs[name] = tuple(a for a in outputs[name] if a in declared.hidden)
            if not outputs[name]:
                among = f"{'both hidden and output' if declared.uniform else 'output'} {', '.join(declared.output)}"
                raise ArgumentError(
                    "supports.losses",
                    f"losses whose domain an activation among {among} keeps to"
                    " (cross-entropies from probabilities want sigmoid, or softmax of at least 2 units)",
                    name,
                )
        return cls(declared, supports is None, losses, outputs)

    @property
    def hidden(self) -> tuple[str, ...]:
        return tuple(_simplest_first(self.supports.hidden))


def _simplest_first(activations: Any) -> list[str]:
    return sorted(set(activations), key=SIMPLEST_FIRST.index)


def _bounded(loss: str) -> bool:
    """Whether a loss admits some outputs only."""
    return loss != UPSTREAM and LOSSES[loss].domain != (-np.inf, np.inf)


def _fits(loss: str, activation: str, units: Range) -> bool:
    if not _bounded(loss):
        return True
    low, high = LOSSES[loss].domain
    reached = ACTIVATIONS[activation].range
    return low <= reached[0] and reached[1] <= high and (activation != "softmax" or units[1] > 1)


# ---- draws ----
#
# Hypothesis holds fewer choices to be simpler, whatever they mean. So a simple alternative must never take more of
# them than a less simple one: where it would, the draw comes first and may go unused. And what follows a dropped
# layer is then read from where the layer stood: so all that does not depend on the layers is drawn before them, and
# the last one of a chain before the others.


def _within(draw: Draw, bounds: Range) -> int:
    number: int = draw(st.integers(*bounds))
    return number


def _one(draw: Draw, among: tuple[T, ...]) -> T:
    return among[_within(draw, (0, len(among) - 1))]


def _rarely(draw: Draw) -> bool:
    """True once in four."""
    return _within(draw, (0, 3)) == 3


# ---- networks ----


@dataclass
class _Tree:
    """Draws the layers of one network."""

    draw: Draw
    menu: _Menu
    hidden: tuple[str, ...]
    bias: bool | None
    """None where each layer chooses for itself."""
    widths: Iterator[int]

    @property
    def odd(self) -> bool:
        return self.menu.odd

    def activation(self, name: str) -> Activation:
        word = ACTIVATIONS[name]
        slopes = ODD_SLOPES if self.odd else SLOPES
        return Activation(name, None if word.parameter is None else _one(self.draw, slopes))

    def dense(self, units: int, activations: tuple[str, ...]) -> list[Layer]:
        """A dense layer and its activation; an identity may be left away where networks are odd."""
        bias = self.bias if self.bias is not None else not _rarely(self.draw)
        bare = self.odd and _rarely(self.draw)
        name = _one(self.draw, activations)
        layer = Dense(units, bias)
        if bare and name == "identity":
            return [layer]
        return [layer, self.activation(name)]

    def chain(self, depth: int, fan_in: int, fan_out: int, last: tuple[str, ...]) -> list[Layer]:
        """Blocks with ``depth`` dense layers in all, from ``fan_in`` to ``fan_out`` features, ``last`` behind them."""
        layers = self.dropout(self.odd and self.menu.supports.dropout and _rarely(self.draw))
        width = fan_in
        end = self.dense(fan_out, last)
        while depth > 1:
            kind = self.kind()
            if kind == "plain":
                units = next(self.widths)
                layers += self.dense(units, self.hidden) + self.dropout(self.menu.supports.dropout)
                depth, width = depth - 1, units
            elif kind == "maxout":
                units = next(self.widths)
                layers += self.maxout(units) + self.dropout(self.menu.supports.dropout)
                depth, width = depth - 1, units
            else:
                within = _within(self.draw, (min(depth - 1, 1 + (kind == "branches")), depth - 1))
                layer, width = self.merge(kind, within, width)
                layers.append(layer)
                depth -= within
            if self.odd and _rarely(self.draw):
                layers.append(self.activation(_one(self.draw, self.hidden)))
        return layers + end

    def kind(self) -> str:
        kinds = ["plain", "plain"]
        if self.menu.supports.maxout:
            kinds.append("maxout")
        if self.menu.supports.residual:
            kinds.append("residual")
        if self.menu.supports.branches:
            kinds.append("branches")
        return _one(self.draw, tuple(kinds)) if len(kinds) > 2 else "plain"

    def maxout(self, units: int) -> list[Layer]:
        """A dense layer and the greatest of two or three pieces for each unit."""
        plain, *_ = self.dense(units, self.hidden)
        pieces = _within(self.draw, PIECES)
        return [Dense(units * pieces, isinstance(plain, Dense) and plain.bias), Maxout(pieces)]

    def dropout(self, drawn: bool) -> list[Layer]:
        """Dropout, once in two where it is ``drawn`` at all."""
        if not drawn:
            return []
        there = _within(self.draw, (0, 1))
        layer = Dropout(_one(self.draw, ODD_PROBABILITIES if self.odd else PROBABILITIES))
        return [layer] if there else []

    def merge(self, kind: str, depth: int, width: int) -> tuple[Layer, int]:
        """A residual connection or branches with ``depth`` dense layers inside, and the width after it.

        Where networks are odd, one that keeps the width may stand in a residual connection of its own.
        """
        wrapped = self.odd and _rarely(self.draw)
        layer, end = self.residual(depth, width) if kind == "residual" else self.branches(depth, width)
        return (Residual((layer,)) if wrapped and end == width else layer), end

    def residual(self, depth: int, width: int) -> tuple[Layer, int]:
        return Residual(tuple(self.chain(depth, width, width, self.hidden))), width

    def branches(self, depth: int, width: int) -> tuple[Layer, int]:
        concat = _within(self.draw, (0, 1)) == 0
        total = next(self.widths)
        bodies: list[tuple[Layer, ...]] = []
        ends: list[int] = []
        while depth > 0:
            # One dense layer at least is left for a second branch.
            within = _within(self.draw, (1, max(1, depth - (not bodies))))
            ends.append(next(self.widths) if concat else total)
            bodies.append(tuple(self.chain(within, width, ends[-1], self.hidden)))
            depth -= within
        if self.odd and (_rarely(self.draw) or len(bodies) == 1) and (concat or total == width):
            bodies.append((self.activation(_one(self.draw, self.hidden)),))
            ends.append(width)
        return Branches(tuple(bodies), "concat" if concat else "sum"), sum(ends) if concat else total


def _widths(draw: Draw, bounds: Range, least: int, equal: bool) -> Iterator[int]:
    """Widths one after the other: each its own (first, for shrinking), all different where they can be, or all equal.

    Shrinks towards the least width each.
    """
    low, high = bounds
    way = 2 if equal else _within(draw, (0, 3))
    common = max(_within(draw, bounds), least if way == 2 else low)
    while True:
        own = _within(draw, bounds)
        yield own if way < 2 else common
        if way == 3:
            common = low + (common - low + 1) % (high - low + 1)


def _network(draw: Draw, menu: _Menu) -> Network:
    supports = menu.supports
    name = _one(draw, tuple(menu.losses))
    loss = _one(draw, menu.losses[name])
    penalty = _penalty(draw, menu) if supports.penalties else None
    shared = _mask(draw) if supports.shared else 0
    frozen = _mask(draw) if supports.frozen else 0
    hidden = menu.hidden
    last: tuple[str, ...] = (_one(draw, menu.outputs[name]),)
    if supports.uniform:
        hidden = last
    if supports.bias != "either":
        bias: bool | None = supports.bias == "always"
    else:
        bias = (True, False, None)[_within(draw, (0, 2 if menu.odd else 1))]
    least = 2 if _bounded(name) and last == ("softmax",) else 1
    own = supports.outputs is not None
    widths = _widths(draw, supports.width, 1 if own else least, equal=shared > 0)
    fan_in = next(widths)
    fan_out = max(next(widths) if supports.outputs is None else _within(draw, supports.outputs), least)
    free = menu.odd and not own  # whether the last layer may be any
    no_dense, merge_last = (_within(draw, (0, 15)) >= 14, _rarely(draw)) if free else (False, False)

    tree = _Tree(draw, menu, hidden, bias, widths)
    depth = _within(draw, supports.depth)
    shape: tuple[int, ...] = (fan_in,)
    merged = int(merge_last and depth > 1 and not _bounded(name))
    layers = tree.chain(depth - merged, fan_in, fan_out, last)
    if merged:
        layers.append(tree.merge(_one(draw, ("residual", "branches")), merged, fan_out)[0])
    if no_dense and supports.depth[0] == 1 and not _bounded(name):
        layers = [tree.activation(_one(draw, hidden)) for _ in range(depth)]
        shape = (fan_in, next(widths)) if _within(draw, (0, 1)) else (fan_in,)
    network = Network(shape, tuple(layers), loss, penalty)
    if shared:
        network = network.replace(shared=_sharing(network, shared, backwards=menu.odd))
    if frozen:
        names = _masked(tuple(network.parameter_shapes), frozen)
        if menu.odd or len(names) < len(network.parameter_shapes):
            network = network.replace(frozen=names)
    return network


MASK_BITS: Final = 12


def _mask(draw: Draw) -> int:
    """0 three times in four, else a bit for each of the parameters to come. Shrinks towards 0."""
    return _within(draw, (0, 2**MASK_BITS - 1)) if _rarely(draw) else 0


def _masked(names: tuple[str, ...], mask: int) -> tuple[str, ...]:
    return tuple(name for number, name in enumerate(names) if mask >> number % MASK_BITS & 1)


def _sharing(network: Network, mask: int, backwards: bool) -> tuple[tuple[str, str], ...]:
    """Positions that use the parameter of the first one of their shape; or of the last, where that is allowed."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, shape in network.positions.items():
        groups.setdefault(shape, []).append(name)
    shared: list[tuple[str, str]] = []
    for number, group in enumerate(groups.values()):
        parameter, *rest = reversed(group) if backwards and mask >> (number + 6) & 1 else group
        shared += [(position, parameter) for position in _masked(tuple(rest), mask)]
    return tuple(shared)


def _penalty(draw: Draw, menu: _Menu) -> Penalty | None:
    """None twice in five, then any of the declared forms. Shrinks towards None."""
    if _within(draw, (0, 4)) < 2:
        return None
    form = _one(draw, menu.supports.penalties)
    strength = _one(draw, (*STRENGTHS, 0.0) if menu.odd else STRENGTHS)
    return Penalty("l1" if form.startswith("l1") else "l2", strength, "/half" in form, form.endswith("+biases"))


# ---- cases ----


@dataclass
class _Numbers:
    """How the numbers of one case are made; ``tags`` collects what is special about them."""

    grid: tuple[float, ...]
    data_grid: tuple[float, ...]
    generator: np.random.Generator | None
    bound: float
    pool: Bytes
    data_pool: Bytes
    tags: list[str] = field(default_factory=list)


def _numbers(draw: Draw, menu: _Menu) -> _Numbers:
    """Shrinks towards the shortest grid, no random factors, calm pre-activations, and the first number of the grid."""
    grids = [_within(draw, (0, len(GRIDS) - 1)) for _ in range(2)]
    generator = np.random.default_rng(_within(draw, (0, 2**16))) if _rarely(draw) else None
    saturated = _rarely(draw)
    size = POOL if max(*menu.supports.width, *(menu.supports.outputs or ())) <= 8 else LARGE_POOL
    pools = st.binary(min_size=size, max_size=size)
    pool, data_pool = (np.frombuffer(draw(pools), dtype=np.uint8) for _ in range(2))
    tags = ["saturated"] * saturated
    if generator is None and max(grids) < DYADIC:
        tags.append("dyadic")
    bound = SATURATED if saturated else CALM
    return _Numbers(GRIDS[grids[0]], GRIDS[grids[1]], generator, bound, pool, data_pool, tags)


def _case(draw: Draw, menu: _Menu, extremes: bool) -> Case:
    supports = menu.supports
    numbers = _numbers(draw, menu)
    extreme = _within(draw, (0, len(_EXTREMES) - 1)) if extremes else 0
    dtype = _one(draw, supports.dtypes)
    weighted = supports.sample_weights and _rarely(draw)
    evaluated = menu.odd and supports.dropout and _rarely(draw)
    batch, as_outputs = _within(draw, supports.batch), _rarely(draw)
    network = _network(draw, menu)
    outputs = network.output_shape
    if as_outputs and supports.batch[0] <= outputs[-1] <= supports.batch[1]:
        batch = outputs[-1]

    pool, jitter = numbers.data_pool, numbers.generator
    if not all(map(_doubles, network.sites)):
        numbers.tags = [tag for tag in numbers.tags if tag != "dyadic"]
    inputs = jittered(pick(pool, table(numbers.data_grid), (batch, *network.input_shape)), jitter)
    goal = pick(pool, table(numbers.data_grid, zero_first=network.loss is not None), (batch, *outputs), GOALS)
    goal = jittered(goal, jitter)
    if network.loss is not None:
        goal = _targets(network.loss, pool, goal.shape, GOALS, goal)
    weights = None
    if weighted and network.loss is not None:
        weights = pick(pool, table(SIGNED_SAMPLE_WEIGHTS if menu.odd else SAMPLE_WEIGHTS), (batch,), WEIGHTS)
    dropouts = {} if evaluated else network.dropouts
    masks = {
        path: pick(pool, table((1.0, 0.0)), (batch, *shape), MASKS * (number + 1))
        for number, (path, shape) in enumerate(dropouts.items())
    }
    parameters = _parameters(network, numbers)
    if extreme == 0:
        _settle(network, parameters, numbers, float(np.abs(inputs).max()))
    else:
        tag, exponents = _EXTREMES[extreme]
        numbers.tags += ["extreme", tag]
        inputs = np.ldexp(inputs, exponents[dtype][1])
        parameters = {name: np.ldexp(array, exponents[dtype][0]) for name, array in parameters.items()}
    return Case(
        network,
        parameters,
        inputs,
        targets=None if network.loss is None else goal,
        upstream=goal if network.loss is None else None,
        sample_weights=weights,
        dtype=dtype,
        tags=[tag for tag in numbers.tags if extreme == 0 or tag != "saturated"],
        masks=masks,
    )


def _doubles(site: Site) -> bool:
    """Whether a layer, where it is dropout, scales by a power of two."""
    return not isinstance(site.layer, Dropout) or math.frexp(1 - site.layer.probability)[0] == 0.5


# A word, and by which powers of two parameters and inputs are scaled, in float64 and in float32: so that exp overflows,
# that squares nearly do, that inputs are subnormal, and that gradients underflow.
_EXTREMES: Final = (
    ("none", {"float64": (0, 0), "float32": (0, 0)}),
    ("overflowing exp", {"float64": (10, 0), "float32": (7, 0)}),
    ("huge", {"float64": (0, 400), "float32": (0, 48)}),
    ("subnormal", {"float64": (0, -1060), "float32": (0, -140)}),
    ("vanishing", {"float64": (-500, 0), "float32": (-60, 0)}),
)


def _targets(loss: Loss, pool: Bytes, shape: tuple[int, ...], start: int, real: Numbers) -> Numbers:
    """Targets of the kind that the loss admits; ``real`` are those for real and free ones."""
    kind: TargetKind | None = loss.targets
    if kind in ("real", "free"):
        return real
    if loss.word.categorical:
        return distributions(pool, shape, start, hard=kind == "hard")
    return pick(pool, table((0.0, 1.0) if kind == "hard" else SOFT), shape, start)


def _parameters(network: Network, numbers: _Numbers) -> dict[str, Numbers]:
    parameters = {}
    for number, (name, shape) in enumerate(network.parameter_shapes.items()):
        values = table(numbers.grid, zero_first=len(shape) == 1)
        parameters[name] = jittered(pick(numbers.pool, values, shape, ARRAY * number), numbers.generator)
    return parameters


def _settle(network: Network, parameters: dict[str, Numbers], numbers: _Numbers, inputs: float) -> None:
    """Scales weights by powers of two until no pre-activation exceeds its bound, or until some near it.

    The bound of a dense layer's |z| is the largest Σ|w| of a unit times the bound of its inputs, plus its |b|. Shared
    weights may come by several times; they only shrink then, so that the walk ends.
    """
    bounded = network.loss is not None and _bounded(network.loss.name)
    top = max((int(site.path.split(".")[0]) for site in network.sites if isinstance(site.layer, Dense)), default=0)
    grown: set[str] = set()

    def walk(layers: tuple[Layer, ...], prefix: str, reach: float, calm: bool) -> float:
        for number, layer in enumerate(layers):
            path = f"{prefix}{number}"
            guarded = calm or (bounded and prefix == "" and number >= top)
            if isinstance(layer, Dense):
                reach = dense(path, layer, reach, CALM if guarded else numbers.bound)
            elif isinstance(layer, Activation):
                reach = _reach(layer, reach)
            elif isinstance(layer, Dropout):
                reach /= 1 - layer.probability
            elif isinstance(layer, Residual | Branches):
                ends = [walk(body, f"{path}.{step}.", reach, guarded) for step, body in layer.chains()]
                if isinstance(layer, Residual):
                    reach += ends[0]
                else:
                    reach = sum(ends) if layer.merge == "sum" else max(ends)
        return reach

    def dense(path: str, layer: Dense, reach: float, bound: float) -> float:
        name = network.parameter_at(f"{path}.weight")
        shift = float(np.abs(parameters[network.parameter_at(f"{path}.bias")]).max()) if layer.bias else 0.0
        sums = float(np.abs(parameters[name]).sum(axis=0).max()) * reach
        room = max(bound - shift, 1.0)
        if sums > 0 and (sums > room or (bound > CALM and name not in grown)):
            power = int(np.floor(np.log2(room / sums)))
            parameters[name] = np.ldexp(parameters[name], power)
            sums *= 2.0**power
        grown.add(name)
        return sums + shift

    walk(network.layers, "", inputs, calm=False)
    while network.shared:
        before = {name: float(np.abs(array).sum()) for name, array in parameters.items()}
        walk(network.layers, "", inputs, calm=False)
        if all(float(np.abs(parameters[name]).sum()) == size for name, size in before.items()):
            break


def _reach(activation: Activation, reach: float) -> float:
    """A bound of |a|, for |z| up to ``reach``."""
    low, high = ACTIVATIONS[activation.name].range
    if np.isfinite(low) and np.isfinite(high):
        return 1.0
    if activation.name == "softplus":
        return reach + 1.0
    return reach * max(1.0, abs(activation.parameter or 0.0))

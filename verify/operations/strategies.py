"""Hypothesis strategy for cases of single operations.

Seeded with what makes kernels fail: batches of no sample, sizes around the powers of two in whose multiples kernels
work, all sizes equal (a transposed weight shows only where it is not square, or only there), upstream gradients that
are not uniform, exact zeros under kinks, saturated inputs, every memory layout of every array, alone and together. What
it shrinks towards can be checked on paper: one sample, the least size, contiguous arrays of ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from hypothesis import reject
from hypothesis import strategies as st

from gradproof.errors import NetworkError
from gradproof.gradients import INPUTS
from gradproof.layers import Shape
from gradproof.layouts import WORDS, Layout
from gradproof.loss import Loss
from gradproof.operation_case import INTO, TARGETS, UPSTREAM, OperationCase
from gradproof.operations import Operation, OperationSupports, Template
from gradproof.precisions import BITS
from refimpl.arithmetic import FloatArithmetic, run_all
from refimpl.language import ordered
from refimpl.operations import leaf_values, program_of
from verify.grids import (
    ARRAY,
    DYADIC,
    GOALS,
    GRIDS,
    LARGE_POOL,
    SOFT,
    WEIGHTS,
    Bytes,
    Numbers,
    distributions,
    jittered,
    pick,
    table,
)
from verify.strategies import SLOPES

Draw = Callable[[st.SearchStrategy[Any]], Any]
T = TypeVar("T")

SMALL: Final = 9
"""The largest size of an axis in most cases."""
NUMBERS: Final = 1200
"""The most numbers of one array: what a case may cost to enclose."""
CALM: Final = 6.0
"""Bound on every number of the forward pass in 16-bit cases, whose exponentials overflow from 11 on."""
TAME: Final = 64.0
"""The same in wider precisions: no exponential of it overflows in float32, nor does its reciprocal underflow."""
SCALES: Final = (0, 0, 0, 0, 0, 1, 2, 3, -3)
"""Powers of two that inputs are scaled by: saturated ones, and such as are near 0."""


def operation_cases(supports: OperationSupports) -> st.SearchStrategy[OperationCase]:
    """Cases of all that a function with a hand-written backward declares, and of nothing else."""
    return st.composite(lambda draw: _case(draw, supports))()


def possible_layouts(supports: OperationSupports) -> tuple[Layout, ...]:
    """The declared layouts that some array of some case can have."""
    operation = supports.some_operation
    sample = operation.input_shape
    shapes = [sample if not supports.batched else (1, *sample), *operation.parameter_shapes.values()]
    return tuple(layout for layout in supports.layouts if any(len(shape) >= WORDS[layout].axes for shape in shapes))


# Hypothesis holds fewer choices to be simpler, and what is drawn first to be what the rest depends on: so the numbers
# come first, which nothing depends on, and of every choice the simplest one has the number 0.


def _within(draw: Draw, least: int, most: int) -> int:
    number: int = draw(st.integers(least, most))
    return number


def _one(draw: Draw, among: tuple[T, ...]) -> T:
    return among[_within(draw, 0, len(among) - 1)]


def _case(draw: Draw, supports: OperationSupports) -> OperationCase:
    grids = [_within(draw, 0, len(GRIDS) - 1) for _ in range(2)]
    seed = _within(draw, 0, 2**16)
    generator = np.random.default_rng(seed) if _within(draw, 0, 3) == 3 else None
    scaled = _one(draw, SCALES)
    pool = np.frombuffer(draw(st.binary(min_size=LARGE_POOL, max_size=LARGE_POOL)), dtype=np.uint8)
    dtype = _one(draw, supports.dtypes)
    chosen = [_within(draw, 0, 255) for _ in range(4)]
    way = _within(draw, 0, 7)
    batch = _batch(draw, supports)
    operation, batch = _operation(draw, supports, batch)
    narrow = BITS[dtype] < BITS["float32"]
    exponent = min(scaled, 1) if narrow else scaled

    shape = (batch, *operation.input_shape)
    inputs = np.ldexp(jittered(pick(pool, table(GRIDS[grids[0]]), shape), generator), exponent)
    if operation.loss is not None and not operation.layers and np.all(np.isfinite(operation.loss.word.domain)):
        inputs = pick(pool, table(tuple(number for number in SOFT if 0 < number < 1)), shape)
    parameters = {
        name: jittered(pick(pool, table(GRIDS[grids[1]], zero_first=len(size) == 1), size, ARRAY * number), generator)
        for number, (name, size) in enumerate(operation.parameter_shapes.items(), 1)
    }
    goal_shape = (batch, *operation.output_shape)
    goal = jittered(pick(pool, table(GRIDS[grids[1]]), goal_shape, GOALS), generator)
    into = {}
    if supports.gradients != "returned":
        sizes = {INPUTS: shape, **operation.parameter_shapes}
        into = {name: pick(pool, table(GRIDS[1]), sizes[name], WEIGHTS + ARRAY * n) for n, name in enumerate(sizes)}
    goals = {UPSTREAM: goal} if operation.loss is None else {TARGETS: _targets(operation.loss, pool, goal_shape, goal)}
    arrays: dict[str, Numbers] = {INPUTS: inputs, **parameters, **goals, **{f"{INTO}{n}": a for n, a in into.items()}}
    layouts = dict(_layouts(supports, arrays, way, chosen))
    for name, layout in layouts.items():
        if WORDS[layout].repeats and arrays[name].size:
            arrays[name] = np.broadcast_to(
                arrays[name][:1] if layout == "broadcast" else arrays[name].reshape(-1)[0], arrays[name].shape
            )
    tags = ["saturated"] * (exponent > 0) + ["dyadic"] * (generator is None and max(grids) < DYADIC)
    case = OperationCase(
        operation,
        arrays[INPUTS],
        {name: arrays[name] for name in parameters},
        upstream=arrays.get(UPSTREAM),
        targets=arrays.get(TARGETS),
        into={name: arrays[f"{INTO}{name}"] for name in into},
        dtype=dtype,
        accumulates=supports.accumulates,
        batched=supports.batched,
        gradients=supports.gradients,
        layouts=layouts,
        tags=tags,
    )
    return _tamed(case, CALM if narrow else TAME)


def _batch(draw: Draw, supports: OperationSupports) -> int:
    """Shrinks towards 1, or the least number above; a batch of no sample comes last."""
    least, most = supports.batch
    empty = _within(draw, 0, 7) == 7 if least == 0 else False
    if most == 0:
        return 0
    batch = _within(draw, max(1, least), most)
    return 0 if empty and operation_of_nothing(supports) else batch


def operation_of_nothing(supports: OperationSupports) -> bool:
    """Whether a batch of no sample has an answer: the mean of no loss has none."""
    return supports.loss is None or supports.loss.reduction == "sum"


def _operation(draw: Draw, supports: OperationSupports, batch: int) -> tuple[Operation, int]:
    """An operation and its batch. Most sizes are small; now and then one is large, or all are equal."""
    large, equal, which = _within(draw, 0, 3) == 3, _within(draw, 0, 3) == 3, _within(draw, 0, 7)
    sizes = supports.some_sizes()
    small = tuple(size for size in sizes if size <= SMALL) or sizes[:1]
    common, huge = _one(draw, small), _one(draw, tuple(size for size in sizes if size > SMALL) or sizes)
    names = [(number, name) for number, part in enumerate(supports.templates) for name in _open(part)]
    axes = [("axis", axis) for axis in range(supports.shape_axes)] if supports.input_shape is None else []
    places: list[Any] = [*axes, *names]
    drawn = {place: common if equal else _one(draw, small) for place in places}
    if large and places:
        drawn[places[which % len(places)]] = huge
    if equal and supports.batch[0] <= common <= supports.batch[1] and batch:
        batch = common
    fields: list[dict[str, Any]] = []
    for number, part in enumerate(supports.templates):
        own: dict[str, Any] = {name: drawn[number, name] for name in _open(part)}
        if isinstance(part, Template) and part.parameter is not None:
            own["parameter"] = _one(draw, SLOPES)
        fields.append(own)
    shape: Shape = supports.input_shape or tuple(drawn["axis", axis] for axis in range(supports.shape_axes))
    operation = _standing(supports, shape, fields)
    largest = max(np.prod(size, dtype=int) for size in ((1, *shape), *operation.parameter_shapes.values()))
    if largest > NUMBERS:
        reject()
    return operation, min(batch, max(supports.batch[0], NUMBERS // max(1, largest)))


def _standing(supports: OperationSupports, shape: Shape, fields: list[dict[str, Any]]) -> Operation:
    """The operation over inputs of a shape; of the next one that its layers stand on, where they do so on some only."""
    others = supports.some_sizes() if supports.input_shape is None else ()
    tried = (shape, *((*shape[:-1], size) for size in others))
    found = next((one for one in (_operation_on(supports, there, fields) for there in tried) if one is not None), None)
    if found is None:
        reject()
    return found


def _operation_on(supports: OperationSupports, shape: Shape, fields: list[dict[str, Any]]) -> Operation | None:
    try:
        return supports.operation(shape, fields)
    except NetworkError:
        return None


def _open(part: Any) -> tuple[str, ...]:
    return part.sizes if isinstance(part, Template) else ()


def _targets(loss: Loss, pool: Bytes, shape: Shape, real: Numbers) -> Numbers:
    """Targets of the kind that the loss admits; ``real`` are those for real and free ones."""
    if loss.targets in ("real", "free"):
        return real
    if loss.word.categorical:
        return distributions(pool, shape, GOALS, hard=loss.targets == "hard")
    return pick(pool, table((0.0, 1.0) if loss.targets == "hard" else SOFT), shape, GOALS)


def _layouts(
    supports: OperationSupports, arrays: dict[str, Numbers], way: int, chosen: list[int]
) -> Iterator[tuple[str, Layout]]:
    """One array in four cases of eight has a layout of its own, in one all have the same, in one each its own."""
    odd = tuple(layout for layout in supports.layouts if layout != "contiguous")
    names = tuple(arrays)
    if way < 2 or not odd:
        return
    if way < 6:
        names = (names[chosen[0] % len(names)],)
    for number, name in enumerate(names):
        layout = odd[(chosen[1] + (number * chosen[2] if way == 7 else 0)) % len(odd)]
        axes = arrays[name].ndim - (not supports.batched and name.removeprefix(INTO) in (INPUTS, UPSTREAM, TARGETS))
        word = WORDS[layout]
        if axes < word.axes or (word.repeats and name != UPSTREAM) or (not word.written and name.startswith(INTO)):
            continue
        yield name, layout


def _tamed(case: OperationCase, bound: float) -> OperationCase:
    """The case, with its numbers halved until no number of the forward pass exceeds a bound."""
    for _ in range(64):
        with np.errstate(all="ignore"):
            outputs = program_of(case).results["outputs"]
            values = run_all(ordered([outputs]), FloatArithmetic(np.dtype(np.float64)), leaf_values(case))
        if all(np.max(np.abs(value), initial=0.0) <= bound for value in values.values()):
            return case
        case = case.replace(
            inputs=case.inputs / 2 if np.max(np.abs(case.inputs), initial=0.0) > 1 else case.inputs,
            parameters={name: _halved(array) for name, array in case.parameters.items()},
        )
    return case


def _halved(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return array / 2 if np.max(np.abs(array), initial=0.0) > 2**-6 else array

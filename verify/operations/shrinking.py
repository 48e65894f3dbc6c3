"""Making a failing case of an operation small enough to be checked on paper.

Hypothesis takes sizes and samples away; what remains is done here, on the case itself: contiguous arrays first, since
nothing else tells whether a layout matters, then fewer samples and features, and rounder numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS
from gradproof.layouts import LAYOUTS
from gradproof.operation_case import INTO, TARGETS, UPSTREAM, OperationCase
from gradproof.operations import OperationSupports
from verify.shrinking import DECIMALS, ROUND

Alike = Callable[[OperationCase], bool]
Size = tuple[int, int, int, int, float]
BATCHED = (INPUTS, UPSTREAM, TARGETS, f"{INTO}{INPUTS}")
"""Arrays whose first axis is the batch."""


def size(case: OperationCase) -> Size:
    """What makes a case hard to check on paper: numbers, layouts, layers, digits, and magnitude."""
    arrays = list(named(case).values())
    numbers = [number for array in arrays for number in array.ravel()]
    digits = sum(len(str(number).removesuffix(".0")) for number in numbers)
    layouts = sum(LAYOUTS.index(layout) for layout in case.layouts.values())
    count = len(numbers) if numbers else 10**9  # a case without numbers shows nothing
    return count, layouts, len(case.operation.layers), digits, float(sum(abs(float(number)) for number in numbers))


def simplify(case: OperationCase, supports: OperationSupports, alike: Alike) -> OperationCase:
    """The simplest case found that is still ``alike``, which remembers what it said yes to, and may raise to end it."""
    before = None
    while before is not case:
        before = case
        case = _first(case, _plainer_layouts(case), alike)
        while (smaller := _first(case, _without_a_sample(case, supports), alike)) is not case:
            case = smaller
        while (smaller := _first(case, _without_a_column(case, supports), alike)) is not case:
            case = smaller
        case = _first(case, ({n: np.round(a, d) for n, a in named(case).items()} for d in DECIMALS), alike)
        for name, array in named(case).items():
            plain = (np.full_like(array, number) for number in ROUND)
            case = _first(case, ({name: a} for a in (*plain, *(np.round(array, d) for d in DECIMALS))), alike)
        for name, array in named(case).items():
            for index in np.ndindex(array.shape):
                case = _first(case, _plainer_entry(case, name, index), alike)
    return case


def named(case: OperationCase) -> dict[str, Any]:
    """Every array of a case by name, with its batch axis."""
    goals = {name: getattr(case, name) for name in (UPSTREAM, TARGETS)}
    given = {name: array for name, array in goals.items() if array is not None}
    return {INPUTS: case.inputs, **case.parameters, **given, **{f"{INTO}{n}": a for n, a in case.into.items()}}


def changed(case: OperationCase, arrays: dict[str, Any], **fields: Any) -> OperationCase:
    """A case with some of its arrays replaced, by the names that ``named`` has for them."""
    every = named(case) | arrays
    goals = {name: every.get(name) for name in (UPSTREAM, TARGETS)}
    return case.replace(
        inputs=every[INPUTS],
        parameters={name: every[name] for name in case.parameters},
        into={name: every[f"{INTO}{name}"] for name in case.into},
        **goals,
        **fields,
    )


def _first(case: OperationCase, changes: Iterable[dict[str, Any]], alike: Alike) -> OperationCase:
    """The first simpler case among these changes that is alike; the case itself where there is none."""
    now = size(case)
    for change in changes:
        fields = {name: change.pop(name) for name in ("operation", "layouts") if name in change}
        try:
            # Tags say what is special about the numbers, which these are no longer.
            candidate = changed(case, change, tags=(), **fields)
        except ArgumentError:  # numbers that the loss does not admit, say, or entries that differ in a broadcast array
            continue
        if size(candidate) < now and alike(candidate):
            return candidate
    return case


def _plainer_layouts(case: OperationCase) -> Iterator[dict[str, Any]]:
    if case.layouts:
        yield {"layouts": {}}
    for name in case.layouts:
        yield {"layouts": {other: layout for other, layout in case.layouts.items() if other != name}}


def _without_a_sample(case: OperationCase, supports: OperationSupports) -> Iterator[dict[str, Any]]:
    if case.batch > max(1, supports.batch[0]):
        for sample in range(case.batch):
            yield {n: np.delete(a, sample, axis=0) for n, a in named(case).items() if n in BATCHED}


def _without_a_column(case: OperationCase, supports: OperationSupports) -> Iterator[dict[str, Any]]:
    """Without one feature, where the operation has neither parameters nor fields that depend on their number."""
    shape = case.operation.input_shape
    if case.parameters or supports.input_shape is not None or shape[-1] <= supports.sizes[0]:
        return
    if case.operation.output_shape != shape:
        return
    for column in range(shape[-1]):
        cut = {n: np.delete(a, column, axis=-1) for n, a in named(case).items() if n in BATCHED}
        yield {**cut, "operation": case.operation.replace(input_shape=(*shape[:-1], shape[-1] - 1))}


def _plainer_entry(case: OperationCase, name: str, index: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    array = named(case)[name]
    for number in (*ROUND, *(np.round(array[index], decimals) for decimals in DECIMALS)):
        if array[index] != number:
            plainer = array.copy()
            plainer[index] = number
            yield {name: plainer}

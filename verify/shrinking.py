"""Making a failing case small enough to be checked on paper: fewer samples, rounder numbers, nothing that can go.

Hypothesis takes layers and units away; what remains is done here, on the case itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.target import Supports

ROUND = (0.0, 1.0, 0.5, -1.0, 2.0)
"""Numbers that are tried first, the plainest first."""
DECIMALS = (0, 1, 2)

Alike = Callable[[Case], bool]
Size = tuple[int, int, int, int, float]


def size(case: Case) -> Size:
    """What makes a case hard to check on paper: numbers, layers, a penalty or weights, digits, and magnitude."""
    numbers = [number for array in case.arrays().values() for number in array.ravel()]
    extras = (case.network.penalty is not None) + (case.sample_weights is not None)
    digits = sum(len(str(number).removesuffix(".0")) for number in numbers)
    return len(numbers), len(case.network.sites), extras, digits, float(sum(abs(float(number)) for number in numbers))


def simplify(case: Case, supports: Supports, alike: Alike) -> Case:
    """The simplest case found that is still ``alike``, by taking away and rounding one thing after the other.

    ``alike`` says whether a case fails as the first one does; it may raise to end the search, so it is for the caller
    to remember the last case that it said yes to.
    """
    before = None
    while before is not case:
        before = case
        while (smaller := _first(case, _without_a_sample(case, supports), alike)) is not case:
            case = smaller
        case = _first(case, _without_extras(case), alike)
        case = _first(case, _plainer_masks(case), alike)
        case = _first(case, ({n: np.round(a, d) for n, a in _arrays(case).items()} for d in DECIMALS), alike)
        for name, array in _arrays(case).items():
            plain = (np.full_like(array, number) for number in ROUND)
            case = _first(case, ({name: a} for a in (*plain, *(np.round(array, d) for d in DECIMALS))), alike)
        for name, shape in {name: array.shape for name, array in _arrays(case).items()}.items():
            for index in np.ndindex(shape):
                case = _first(case, _plainer_entry(name, _arrays(case)[name], index), alike)
    return case


def _first(case: Case, changes: Iterable[dict[str, Any]], alike: Alike) -> Case:
    """The first simpler case among these changes that is alike; the case itself where there is none."""
    now = size(case)
    for change in changes:
        try:
            # Tags say what is special about the numbers, which these are no longer.
            candidate = case.replace(tags=(), **_arguments(case, change))
        except ArgumentError:  # rounding has made targets that the loss does not admit, say
            continue
        if size(candidate) < now and alike(candidate):
            return candidate
    return case


def _without_a_sample(case: Case, supports: Supports) -> Iterator[dict[str, Any]]:
    if case.batch > supports.batch[0]:
        for sample in range(case.batch):
            arrays: dict[str, Any] = {n: np.delete(array, sample, axis=0) for n, array in _of_batch(case).items()}
            yield arrays | {"masks": {path: np.delete(mask, sample, axis=0) for path, mask in case.masks.items()}}


def _without_extras(case: Case) -> Iterator[dict[str, Any]]:
    if case.network.penalty is not None:
        yield {"network": case.network.replace(penalty=None)}
    if case.sample_weights is not None:
        yield {"sample_weights": np.ones_like(case.sample_weights)}


def _plainer_masks(case: Case) -> Iterator[dict[str, Any]]:
    """Masks that keep everything, or one entry more."""
    for path, mask in case.masks.items():
        yield {"masks": {**case.masks, path: np.ones_like(mask)}}
        for index in np.argwhere(~mask):
            kept = mask.copy()
            kept[tuple(index)] = True
            yield {"masks": {**case.masks, path: kept}}


def _plainer_entry(name: str, array: Floats, index: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    for number in (*ROUND, *(np.round(array[index], decimals) for decimals in DECIMALS)):
        if array[index] != number:
            changed = array.copy()
            changed[index] = number
            yield {name: changed}


def _of_batch(case: Case) -> dict[str, Floats]:
    named = {name: getattr(case, name) for name in ("inputs", "targets", "upstream", "sample_weights")}
    return {name: array for name, array in named.items() if array is not None}


def _arrays(case: Case) -> dict[str, Floats]:
    return {**case.parameters, **_of_batch(case)}


def _arguments(case: Case, change: dict[str, Any]) -> dict[str, Any]:
    """Arguments of ``Case.replace`` for a change that names parameters as it names the rest."""
    rest = {name: value for name, value in change.items() if name not in case.parameters}
    parameters = {name: value for name, value in change.items() if name in case.parameters}
    return rest | ({"parameters": {**case.parameters, **parameters}} if parameters else {})

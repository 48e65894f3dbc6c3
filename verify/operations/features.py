"""What sets the cases apart in which a function is wrong: where every wrong case has something that the others lack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gradproof.layouts import WORDS
from gradproof.operation_case import INTO, UPSTREAM, OperationCase

Holds = Callable[[OperationCase], bool]

LEAST_SHARE = 0.5
"""A feature of which fewer cases are wrong than this share says little about why."""
BLOCKS = (128, 64, 32, 16, 8, 4, 2)


def told_apart(judged: Sequence[tuple[OperationCase, bool]]) -> str:
    """What all wrong cases have and most others lack, as a sentence; empty where nothing tells them apart.

    judged: cases, each with whether the answer to it is wrong.
    """
    wrong = [case for case, bad in judged if bad]
    right = [case for case, bad in judged if not bad]
    if not wrong or not right:
        return ""
    best: tuple[float, str] | None = None
    for words, holds in features([case for case, _ in judged]):
        if not all(map(holds, wrong)):
            continue
        inside = len(wrong) + sum(map(holds, right))
        if inside == len(judged):
            continue
        share = len(wrong) / inside
        if share >= LEAST_SHARE and (best is None or share > best[0]):
            which = f"every one of the {inside} cases" if inside == len(wrong) else f"{len(wrong)} of {inside} cases"
            if len(wrong) == inside == 1:
                which = "the one case"
            best = (share, f"wrong: {which} {words}; right: all {len(judged) - inside} others")
    return best[1] if best else ""


def features(cases: Sequence[OperationCase]) -> Iterator[tuple[str, Holds]]:
    """What cases may have, the plainest first; as the end of a sentence about them."""
    arrays = list(dict.fromkeys(name for case in cases for name in case.layouts))
    if any(case.layouts for case in cases):
        yield "in which some array is not contiguous", lambda case: any(_odd(case, name) for name in case.layouts)
    for name in arrays:
        what = _named(name)
        yield f"in which {what} is not contiguous", _when(_odd, name)
        yield f"in which {what} has strides of 0", _when(_repeated, name)
        for layout, word in WORDS.items():
            yield f"in which {what} is {word.words}", _when(_lies, name, layout)
    yield "without a sample", lambda case: case.empty
    yield "of several samples", lambda case: case.batch > 1
    for block in BLOCKS:
        yield f"whose last size is no multiple of {block}", _when(_no_multiple, block)
    for name in dict.fromkeys(name for case in cases for name, shape in case.operation.parameter_shapes.items()):
        yield f"in which {name} is square", _when(_square, name, True)
        yield f"in which {name} is not square", _when(_square, name, False)
    yield "with as many samples as features", lambda case: case.batch == case.operation.input_shape[-1]
    for size in sorted({case.operation.input_shape[-1] for case in cases}):
        yield f"of {size} features or more", _when(_as_wide, size)
    for dtype in dict.fromkeys(case.dtype for case in cases):
        yield f"in {dtype}", _when(_of, dtype)
    yield "whose upstream gradient is not uniform", lambda case: _differs(case.upstream)
    yield "with negative inputs", lambda case: bool(np.any(case.inputs < 0))
    yield "with positive inputs", lambda case: bool(np.any(case.inputs > 0))
    yield "with inputs of exactly 0", lambda case: bool(np.any(case.inputs == 0))
    for bound in (2.0, 4.0, 8.0, 16.0):
        yield f"with an input of a magnitude above {bound:g}", _when(_exceeds, bound)


def _when(holds: Callable[..., bool], *given: object) -> Holds:
    return lambda case: holds(case, *given)


def _named(array: str) -> str:
    if array.startswith(INTO):
        return f"the array for ∂L/∂{array.removeprefix(INTO)}"
    return "the upstream gradient" if array == UPSTREAM else array


def _odd(case: OperationCase, name: str) -> bool:
    return name in case.layouts and not WORDS[case.layouts[name]].contiguous


def _repeated(case: OperationCase, name: str) -> bool:
    return name in case.layouts and WORDS[case.layouts[name]].repeats


def _lies(case: OperationCase, name: str, layout: str) -> bool:
    return case.layouts.get(name) == layout


def _no_multiple(case: OperationCase, block: int) -> bool:
    return case.operation.input_shape[-1] % block != 0


def _square(case: OperationCase, name: str, square: bool) -> bool:
    shape = case.operation.parameter_shapes.get(name, ())
    return len(shape) == 2 and (shape[0] == shape[1] > 1) is square


def _as_wide(case: OperationCase, size: int) -> bool:
    return case.operation.input_shape[-1] >= size


def _of(case: OperationCase, dtype: str) -> bool:
    return case.dtype == dtype


def _differs(array: object) -> bool:
    numbers = np.asarray([] if array is None else array, dtype=np.float64)
    return bool(np.any(numbers != (numbers.reshape(-1)[0] if numbers.size else 0.0)))


def _exceeds(case: OperationCase, bound: float) -> bool:
    return float(np.max(np.abs(case.inputs), initial=0.0)) > bound

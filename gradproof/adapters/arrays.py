"""Arrays on their way into somebody's code and back: nested lists, matrices, tensors, other array libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradproof.arrays import Array
from gradproof.errors import ArgumentError

Maker = Callable[[Array], Any]


def maker(arrays: Any) -> Maker:
    """What makes somebody's array of a NumPy array that nobody else holds; ``arrays`` as ``Conventions`` has it."""
    if arrays == "numpy":
        return lambda array: array
    if arrays == "lists":
        return lambda array: array.tolist()
    if arrays == "matrix":
        return np.matrix
    if callable(getattr(arrays, "asarray", None)):
        arrays = arrays.asarray
    found: Maker = arrays
    return found


def is_plain(value: Any) -> bool:
    """Whether these are Python's own numbers, which have no dtype."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, int | float)


def as_numpy(what: str, value: Any, data: str = "") -> Array:
    """A NumPy array of whatever somebody's code gave for ``what``.

    data: the attribute that holds the numbers of somebody's tensor, where it has one.

    Tensors are detached and brought to the CPU; other libraries' arrays come through DLPack, or ``__array__``. Nested
    lists may hold somebody's numbers. Raises ArgumentError where none of this gives numbers.
    """
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind != "O":
        return np.asarray(value)
    if data and hasattr(value, data):
        return as_numpy(what, getattr(value, data))
    if hasattr(value, "detach"):
        return np.asarray(value.detach().cpu())
    if isinstance(value, list | tuple | np.ndarray):
        if is_plain(value):
            return _numbers(what, value)
        parts = [as_numpy(what, part, data) for part in value]
        if len({part.shape for part in parts}) > 1:
            shapes = ", ".join(str(part.shape) for part in parts)
            raise ArgumentError(what, "rows of one length", f"rows of shapes {shapes}")
        return np.array(parts) if parts else np.array([], dtype=np.float64)
    if hasattr(value, "__dlpack__"):
        return np.array(np.from_dlpack(value))
    return _numbers(what, value)


def _numbers(what: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except Exception as error:
        said = " ".join(str(error).split())
        raise ArgumentError(what, "an array of numbers", f"{type(value).__name__}: {said}") from error
    if array.dtype.kind not in "fiu":
        kind = f"a {type(value).__name__}"
        attributes = [name for name in ("data", "value", "val") if hasattr(value, name)]
        hint = f"; declare data={attributes[0]!r}" if attributes else ""
        raise ArgumentError(what, "an array of numbers", f"{kind}{hint}")
    return array


def refuse_shape(what: str, array: Array, shape: tuple[int, ...], declared: str) -> None:
    """Raises ArgumentError where an array is not of the shape that its declared layout has."""
    if array.shape != shape:
        turned = " its transpose: turn it round, or declare the other way" if array.shape == shape[::-1] else ""
        raise ArgumentError(what, f"shape {shape}, as {declared} is declared", f"shape {array.shape}{turned}")

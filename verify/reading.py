"""Reading what a target returns: arrays copied from what it gave, or in words why they are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradproof import checks
from gradproof.arrays import Array
from gradproof.gradients import LOSS, label
from gradproof.network import Network


@dataclass(frozen=True)
class Fault:
    """One way in which an answer breaks the protocol."""

    quantity: str
    kind: str
    message: str


def layer_of(network: Network, quantity: str) -> str | None:
    """The layer that a parameter belongs to in words, ``layer 2.body.0: dense 3``; None for other quantities."""
    path = quantity.rpartition(".")[0]
    return next((f"layer {path}: {site.layer}" for site in network.sites if path and site.path == path), None)


def numbers(name: str, value: Any, shape: tuple[int, ...], dtype: str) -> Array | Fault:
    """A copy of what is given for one quantity, as an array of its shape.

    An array must be of the case's dtype. Python's own numbers, and lists of them, have no dtype and are taken as they
    are; so is a loss of one entry in whatever shape.
    """
    plain = isinstance(value, int | float | list | tuple)
    try:
        array = np.asarray(value)
    except Exception as error:
        said = " ".join(str(error).split())
        return Fault(
            name, "type", f"{label(name)} cannot be read as an array of numbers: {type(error).__name__}: {said}"
        )
    admitted = array.dtype.name == dtype or (plain and (array.dtype == np.float64 or array.dtype.kind in "iu"))
    if not admitted:
        came = f"{label(name)} is of dtype {array.dtype.name}, expected {dtype}"
        return Fault(name, "dtype", f"{came}{_dtype_hint(array, dtype)}")
    if name == LOSS and array.size == 1:
        array = array.reshape(())
    if array.shape != shape:
        turned = "; transposed?" if len(shape) == 2 and array.shape == shape[::-1] else ""
        return Fault(name, "shape", f"{label(name)} is of shape {array.shape}, expected {shape}{turned}")
    return array.astype(array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.float64, copy=True)


def _dtype_hint(array: Array, dtype: str) -> str:
    if array.dtype == np.float32:
        return '; a target that computes in float32 declares dtypes="float32"'
    if array.dtype == np.float64:
        return "; the case is of float32, and so must be what is computed from it"
    if array.dtype.kind == "O":
        return " (an object array: nested lists of unequal lengths, or entries that are no numbers)"
    return ""


def described(value: Any) -> str:
    """A value that is not what was asked for: its type, and its size or shape."""
    if value is None:
        return "None"
    size = f" of {len(value)}" if isinstance(value, list | tuple | set | dict) else ""
    shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
    return f"a {type(value).__name__}{size}{shape}"


def meant(name: Any, names: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where one of the names is close to a wrong one."""
    return checks.meant(str(name), names, cutoff=0.5)


def enumerated(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def listed(names: list[str]) -> str:
    """Names for a message: all of a few, the first of many."""
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:8])} and {len(names) - 8} more"


def misfit(quantities: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...] | None], needed: Iterable[str]) -> str:
    """What is wrong with an answer's names and shapes, in words behind "its answer"; '' where nothing is.

    shapes: of all that may be given; None for any shape. needed: what must be given.
    """
    lacking = [name for name in needed if name not in quantities]
    if lacking:
        return f"lacks {listed(lacking)}"
    for name, array in quantities.items():
        if name not in shapes:
            return f"holds {name!r}, which is not asked for"
        shape = shapes[name]
        if shape is not None and array.shape != shape:
            return f"holds {name!r} of shape {array.shape}, where {shape} is asked for"
        if array.dtype.kind in "cbOSUMm" or array.dtype.names is not None:
            return f"holds {name!r} of dtype {array.dtype}, where real numbers are asked for"
    return ""

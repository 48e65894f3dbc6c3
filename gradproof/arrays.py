"""Arrays as values: read-only copies, and JSON that keeps every bit, non-finite numbers included."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from gradproof.errors import ArgumentError, RecordError
from gradproof.vocabulary import DTYPES

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


class ArrayData(msgspec.Struct, frozen=True):
    """An array as JSON keeps it: ``data`` in C order, non-finite numbers as the words nan, inf and -inf."""

    dtype: str
    shape: tuple[int, ...]
    data: list[float | str]


def frozen_array(argument: str, values: npt.ArrayLike, dtype: str, shape: tuple[int | None, ...]) -> Floats:
    """A read-only copy of ``values`` of this dtype and shape, where None in ``shape`` admits any size.

    Raises ArgumentError when the shape differs, when a number is not finite, or when the dtype cannot hold one.
    """
    try:
        given = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ArgumentError(argument, "rows of one length", str(error)) from error
    if given.dtype.kind not in "fiub":
        raise ArgumentError(argument, "real numbers", f"dtype {given.dtype}")
    fits = len(given.shape) == len(shape) and all(
        want is None or want == have for want, have in zip(shape, given.shape, strict=True)
    )
    if not fits:
        want_text = tuple("any" if size is None else size for size in shape)
        raise ArgumentError(argument, f"shape {want_text}".replace("'", ""), f"shape {given.shape}")
    with np.errstate(over="ignore"):
        array = given.astype(dtype, order="C", copy=True)
    if not np.all(np.isfinite(array)):
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ArgumentError(f"{argument}{list(index)}", f"a finite {dtype}", str(given[index]))
    array.setflags(write=False)
    return array


class MaskData(msgspec.Struct, frozen=True):
    """A mask as JSON keeps it: ``kept`` in C order."""

    shape: tuple[int, ...]
    kept: list[bool]


def frozen_mask(argument: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> Mask:
    """A read-only copy of a mask: booleans, or the numbers 0 and 1, of this shape. Raises ArgumentError otherwise."""
    try:
        given = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ArgumentError(argument, "rows of one length", str(error)) from error
    if given.dtype.kind not in "fiub" or not np.all((given == 0) | (given == 1)):
        kind = f"dtype {given.dtype}" if given.dtype.kind not in "fiub" else "other numbers"
        raise ArgumentError(argument, "booleans, True where an entry is kept (or the numbers 0 and 1)", kind)
    if given.shape != shape:
        raise ArgumentError(argument, f"shape {shape}", f"shape {given.shape}")
    mask = given.astype(np.bool_, order="C", copy=True)
    mask.setflags(write=False)
    return mask


def to_mask_data(mask: Mask) -> MaskData:
    """A mask for JSON."""
    return MaskData(mask.shape, mask.ravel().tolist())


def from_mask_data(data: MaskData) -> Mask:
    """The mask that ``to_mask_data`` was given. Raises RecordError on damage."""
    if any(size < 0 for size in data.shape) or len(data.kept) != math.prod(data.shape):
        raise RecordError(f"mask: expected {math.prod(data.shape)} booleans, got {len(data.kept)}")
    return np.array(data.kept, dtype=np.bool_).reshape(data.shape)


def to_data(array: npt.ArrayLike) -> ArrayData:
    """An array for JSON. float64 and float32 alone: both are exact as decimal float64."""
    given = np.asarray(array)
    if given.dtype.name not in DTYPES:
        raise ArgumentError("array", f"dtype {' or '.join(DTYPES)}", f"dtype {given.dtype}")
    numbers = given.astype(np.float64).ravel().tolist()
    return ArrayData(given.dtype.name, given.shape, [n if math.isfinite(n) else str(n) for n in numbers])


def from_data(data: ArrayData) -> Floats:
    """The array that ``to_data`` was given, bit for bit (payloads of NaN aside). Raises RecordError on damage."""
    if data.dtype not in DTYPES:
        raise RecordError(f"array dtype: expected {' or '.join(DTYPES)}, got {data.dtype!r}")
    if any(isinstance(n, str) and n not in ("nan", "inf", "-inf") for n in data.data):
        raise RecordError("array data: expected numbers, nan, inf or -inf")
    if any(size < 0 for size in data.shape) or len(data.data) != math.prod(data.shape):
        raise RecordError(f"array data: expected {math.prod(data.shape)} numbers, got {len(data.data)}")
    numbers = np.array([float(n) for n in data.data], dtype=np.float64)
    return numbers.astype(data.dtype).reshape(data.shape)

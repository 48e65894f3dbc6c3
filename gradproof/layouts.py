"""How an array lies in memory: the ways in which frameworks hand arrays to a kernel, by name.

Memory between an array's entries, and behind them as far as a kernel can stray that takes the array to be contiguous,
belongs to the array's own buffer and holds a number that no case has: who reads it shows it, and what it reads is
known.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import numpy as np

from gradproof.arrays import Array
from gradproof.errors import ArgumentError

Layout = Literal[
    "contiguous",
    "read-only",
    "offset",
    "fortran",
    "padded",
    "transposed",
    "strided",
    "reversed",
    "broadcast",
    "expanded",
    "unaligned",
]
LAYOUTS: Final[tuple[Layout, ...]] = get_args(Layout)
"""Every layout, the plainest first."""


@dataclass(frozen=True)
class LayoutWord:
    """Facts about a layout. ``axes``: how many an array must have at least, for the layout to be one of its own."""

    words: str
    axes: int = 1
    contiguous: bool = False
    """Whether the entries lie in C order without gaps."""
    repeats: bool = False
    """Whether entries share memory, so that they must be equal."""
    written: bool = True
    """Whether an array that is to be written to can lie so."""


WORDS: Final = MappingProxyType[Layout, LayoutWord](
    {
        "contiguous": LayoutWord("contiguous, in C order", contiguous=True),
        "read-only": LayoutWord("contiguous and read-only", contiguous=True, written=False),
        "offset": LayoutWord("contiguous, one entry into its buffer", contiguous=True),
        "fortran": LayoutWord("in Fortran order", axes=2),
        "padded": LayoutWord("the first columns of a wider array", axes=2),
        "transposed": LayoutWord("the transpose of the first columns of a wider array", axes=2),
        "strided": LayoutWord("every second entry of a longer array"),
        "reversed": LayoutWord("reversed, of negative strides"),
        "broadcast": LayoutWord("one row for all samples (stride 0)", axes=2, repeats=True, written=False),
        "expanded": LayoutWord("one number for all entries (every stride 0)", repeats=True, written=False),
        "unaligned": LayoutWord("contiguous, one byte beside an aligned address", contiguous=True),
    }
)

GAP: Final = 7.0
"""What stands in memory that belongs to no entry."""
PADDING: Final = 3
"""Columns of a padded array that are not its own."""


@dataclass(frozen=True)
class Laid:
    """An array as it lies in memory, and all of the memory around it that is its own, in bytes."""

    array: Array
    memory: Array

    def misread(self) -> Array:
        """What is read in place of the array by somebody who starts at its first entry and ignores its strides."""
        start = self.array.__array_interface__["data"][0] - self.memory.__array_interface__["data"][0]
        entries = self.memory[start : start + self.array.nbytes].view(self.array.dtype)
        return entries.reshape(self.array.shape)


def laid(array: Array, layout: Layout, gap: float = GAP) -> Laid:
    """A copy of an array that lies in memory as a layout says; ``gap`` is what stands between and behind its entries.

    Raises ArgumentError for an unknown layout, too few axes for it, or entries that differ where they share memory.
    """
    if layout not in WORDS:
        raise ArgumentError("layout", f"among {', '.join(LAYOUTS)}", layout)
    word = WORDS[layout]
    if array.ndim < word.axes:
        raise ArgumentError("layout", f"an array of {word.axes} axes for {layout}", f"{array.ndim}")
    view, memory = _LAID[layout](array, gap)
    if not word.repeats:
        view[...] = array
    elif array.size and not np.array_equal(view, array):
        raise ArgumentError("layout", f"equal entries for {layout}", "entries that differ")
    view.setflags(write=word.written)
    return Laid(view, memory.reshape(-1).view(np.uint8))


def _buffer(array: Array, size: int, gap: float) -> Array:
    return np.full(size, gap, dtype=array.dtype)


def _contiguous(array: Array, gap: float) -> tuple[Array, Array]:
    memory = _buffer(array, array.size, gap)
    return memory.reshape(array.shape), memory


def _offset(array: Array, gap: float) -> tuple[Array, Array]:
    memory = _buffer(array, array.size + 1, gap)
    return memory[1:].reshape(array.shape), memory


def _fortran(array: Array, gap: float) -> tuple[Array, Array]:
    memory = _buffer(array, array.size, gap)
    return memory.reshape(array.shape[::-1]).T, memory


def _padded(array: Array, gap: float) -> tuple[Array, Array]:
    *rows, columns = array.shape
    memory = np.full((*rows, columns + PADDING), gap, dtype=array.dtype)
    return memory[..., :columns], memory


def _transposed(array: Array, gap: float) -> tuple[Array, Array]:
    *rest, rows, columns = array.shape
    memory = np.full((*rest, columns, rows + PADDING), gap, dtype=array.dtype)
    return memory[..., :rows].swapaxes(-1, -2), memory


def _strided(array: Array, gap: float) -> tuple[Array, Array]:
    *rows, columns = array.shape
    memory = np.full((*rows, 2 * columns), gap, dtype=array.dtype)
    return memory[..., ::2], memory


def _reversed(array: Array, gap: float) -> tuple[Array, Array]:
    memory = _buffer(array, 2 * array.size, gap)  # whoever reads on from its first entry reads behind its last
    return np.flip(memory[: array.size].reshape(array.shape)), memory


def _repeated(axes: int | None) -> Any:
    def lay(array: Array, gap: float) -> tuple[Array, Array]:
        memory = _buffer(array, max(1, array.size), gap)
        kept = array[(0,) * (array.ndim if axes is None else axes)].reshape(-1) if array.size else array.reshape(-1)
        memory[: kept.size] = kept
        strides = [0] * array.ndim
        if axes is not None:
            strides[axes:] = np.empty(array.shape, array.dtype).strides[axes:]
        return np.ndarray(array.shape, array.dtype, buffer=memory, strides=strides), memory

    return lay


def _unaligned(array: Array, gap: float) -> tuple[Array, Array]:
    memory = np.zeros(array.nbytes + array.itemsize, dtype=np.uint8)
    return np.ndarray(array.shape, array.dtype, buffer=memory.data, offset=1), memory


_LAID: Final = MappingProxyType(
    {
        "contiguous": _contiguous,
        "read-only": _contiguous,
        "offset": _offset,
        "fortran": _fortran,
        "padded": _padded,
        "transposed": _transposed,
        "strided": _strided,
        "reversed": _reversed,
        "broadcast": _repeated(1),
        "expanded": _repeated(None),
        "unaligned": _unaligned,
    }
)

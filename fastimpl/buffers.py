"""Flat buffers: where each parameter of a network lies, and memory that vectors like."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from gradproof.arrays import Floats
from gradproof.layers import Shape
from gradproof.network import Network
from gradproof.vocabulary import Dtype

ALIGNMENT: Final = 16
"""Numbers to which the start of every parameter and value is rounded up: 64 bytes of float32, a vector's width."""

LARGE: Final = 64
"""Numbers from which a parameter starts at a multiple of ALIGNMENT."""

CACHE_LINE: Final = 64
"""Bytes."""


def aligned(count: int) -> int:
    """The count rounded up to a multiple of ALIGNMENT."""
    return -(-count // ALIGNMENT) * ALIGNMENT


def aligned_zeros(size: int, dtype: Dtype) -> Floats:
    """A buffer of zeros that starts on a cache line, so that vectors do not straddle two."""
    itemsize = np.dtype(dtype).itemsize
    spare = np.zeros(size * itemsize + CACHE_LINE, dtype=np.uint8)
    start = -spare.ctypes.data % CACHE_LINE
    return spare[start : start + size * itemsize].view(dtype)


@dataclass(frozen=True)
class Parameters:
    """The flat buffer of a network's parameters, with a named view of each.

    The trained ones come first: those that the end of a step updates, then those that their own layer does; then the
    frozen ones. Among each those with a penalty stand together, and among these those that decay; so whatever runs over
    some of them runs over few ranges. Small parameters stand side by side, so that an update of few numbers runs over
    few; large ones start where a vector does, and so does each of the ranges. Padding is 0 and stays 0.

    offsets, ends: where each starts, and where what follows it does. size: of the buffer. trained: the end of the
    trained ones.
    """

    offsets: Mapping[str, int]
    ends: Mapping[str, int]
    shapes: Mapping[str, Shape]
    size: int
    trained: int

    @classmethod
    def of(
        cls, network: Network, updated: Collection[str] = frozenset(), undecayed: Collection[str] = frozenset()
    ) -> Parameters:
        """The layout for a network. updated: weights that their own layer updates. undecayed: what does not decay."""

        def group(name: str) -> tuple[bool, ...]:
            return name in network.frozen, name in updated, name in network.penalised, name in undecayed

        offsets: dict[str, int] = {}
        ends: dict[str, int] = {}
        end = trained = 0
        names = sorted(network.parameter_shapes, key=group)
        for name, following in zip_longest(names, names[1:]):
            offsets[name] = end
            end += math.prod(network.parameter_shapes[name])
            joined = following is not None and group(following) == group(name)
            if following is None or not joined or math.prod(network.parameter_shapes[following]) >= LARGE:
                end = aligned(end)
            ends[name] = end
            if name not in network.frozen:
                trained = end
        return cls(
            offsets=MappingProxyType(offsets),
            ends=MappingProxyType(ends),
            shapes=network.parameter_shapes,
            size=max(end, ALIGNMENT),
            trained=trained,
        )

    def ranges(self, names: Collection[str]) -> list[tuple[int, int]]:
        """The ranges (start, stop) of the buffer that these parameters fill, as few as there can be."""
        found: list[tuple[int, int]] = []
        for name, start in self.offsets.items():
            if name in names:
                stop = self.ends[name]
                joined = found and found[-1][1] == start
                found[-1 if joined else len(found) :] = [(found[-1][0] if joined else start, stop)]
        return found

    def views(self, buffer: Floats, names: Collection[str] | None = None) -> dict[str, Floats]:
        """Each parameter (each of these) in the buffer under its name: a view of its shape, not a copy."""
        return {
            name: buffer[self.offsets[name] : self.offsets[name] + math.prod(shape)].reshape(shape)
            for name, shape in self.shapes.items()
            if names is None or name in names
        }

    def buffer(self, values: Mapping[str, npt.ArrayLike], dtype: Dtype) -> Floats:
        """A new flat buffer that holds these parameters."""
        flat = aligned_zeros(self.size, dtype)
        for name, view in self.views(flat).items():
            view[...] = values[name]
        return flat

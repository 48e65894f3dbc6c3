"""Flat buffers: where each parameter of a network lies, and memory that vectors like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from gradproof.arrays import Floats
from gradproof.layers import Shape
from gradproof.network import Network, is_bias
from gradproof.vocabulary import Dtype

ALIGNMENT: Final = 16
"""Numbers to which the start of every parameter and value is rounded up: 64 bytes of float32, a vector's width."""

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

    The trained ones come first: those with a penalty, those without, and last those that their own layer updates
    (a weight without a penalty that stands in one place only); then the frozen ones, with a penalty and without. So a
    penalty and an update each run over one or two ranges. Padding between parameters is 0 and stays 0.

    size: of the buffer. trained: the end of the trained ones. updated: the end of those that no layer updates.
    penalised: ranges that a penalty runs over, of trained parameters and of frozen ones.
    """

    offsets: Mapping[str, int]
    shapes: Mapping[str, Shape]
    size: int
    trained: int
    updated: int
    penalised: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, network: Network) -> Parameters:
        """The layout for a network."""
        uses = [network.parameter_at(position) for position in network.positions]
        groups: list[list[str]] = [[] for _ in range(5)]
        for name in network.parameter_shapes:
            if name in network.frozen:
                kind = 3 if name in network.penalised else 4
            elif name in network.penalised:
                kind = 0
            else:
                kind = 1 if is_bias(name) or uses.count(name) > 1 else 2
            groups[kind].append(name)
        offsets: dict[str, int] = {}
        ends = [0]
        for group in groups:
            end = ends[-1]
            for name in group:
                offsets[name] = end
                end += aligned(math.prod(network.parameter_shapes[name]))
            ends.append(end)
        return cls(
            offsets=MappingProxyType(offsets),
            shapes=network.parameter_shapes,
            size=max(ends[-1], ALIGNMENT),
            trained=ends[3],
            updated=ends[2],
            penalised=((0, ends[1]), (ends[3], ends[4])),
        )

    def views(self, buffer: Floats) -> dict[str, Floats]:
        """Each parameter in the buffer under its name: a view of its shape, not a copy."""
        return {
            name: buffer[start : start + math.prod(shape)].reshape(shape)
            for name, shape, start in ((n, s, self.offsets[n]) for n, s in self.shapes.items())
        }

    def buffer(self, values: Mapping[str, npt.ArrayLike], dtype: Dtype) -> Floats:
        """A new flat buffer that holds these parameters."""
        flat = aligned_zeros(self.size, dtype)
        for name, view in self.views(flat).items():
            view[...] = values[name]
        return flat

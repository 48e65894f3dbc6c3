"""A row of a table in the making."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastimpl.jit import Kernel


@dataclass(frozen=True)
class Row:
    """A row of the table: its kernels, its columns (workspace still counted in slots), its real parameters."""

    forward: Kernel
    backward: Kernel | None
    cells: Mapping[int, int]
    reals: Mapping[int, float] = field(default_factory=dict)

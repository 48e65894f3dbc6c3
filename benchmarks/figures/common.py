"""What the measuring of every figure shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gradproof.record import Figure

Progress = Callable[[str], None]
Measure = Callable[[Progress], Figure]

PACKAGES: Final = (
    "gradproof",
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "sympy",
    "python-flint",
    "hypothesis",
    "pytest",
    "torch",
    "jax",
    "jaxlib",
)
"""Packages whose versions a record of figures keeps."""


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    at_most: float | None = None,
    provided: bool = True,
    peers: Mapping[str, float] | None = None,
    note: str = "",
) -> Figure:
    """A figure with its goal in words and whether it is met: value ≤ ``at_most``, and what else has to hold."""
    return Figure(
        name=name,
        value=value,
        unit=unit,
        goal=None if at_most is None else f"<= {at_most:g} {unit}",
        met=None if at_most is None else value <= at_most and provided,
        peers=dict(peers or {}),
        command=f"python -m benchmarks figures {name}",
        note=note,
    )

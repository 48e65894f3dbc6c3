"""What the measuring of every figure shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gradproof.record import Figure, Points

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
    "scikit-learn",
)
"""Packages whose versions a record of figures keeps."""


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    provided: bool = True,
    peers: Mapping[str, float] | None = None,
    note: str = "",
    curves: Mapping[str, Mapping[str, Points]] | None = None,
) -> Figure:
    """A figure with its goal in words and whether it is met: value ≤ ``at_most`` or value ≥ ``at_least``.

    ``provided`` is what else has to hold.
    """
    goal, met = None, None
    if at_most is not None:
        goal, met = f"<= {at_most:g} {unit}", value <= at_most and provided
    elif at_least is not None:
        goal, met = f">= {at_least:g} {unit}", value >= at_least and provided
    return Figure(
        name=name,
        value=value,
        unit=unit,
        goal=goal,
        met=met,
        peers=dict(peers or {}),
        command=f"python -m benchmarks figures {name}",
        note=note,
        curves={panel: dict(lines) for panel, lines in (curves or {}).items()},
    )

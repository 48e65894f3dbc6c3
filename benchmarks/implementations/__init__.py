"""Correct implementations of any network, each as its users write it: what the oracle must never accuse.

An implementation takes a ``Case`` and returns ``Gradients`` of everything, at the case's dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final

from gradproof.case import Case
from gradproof.gradients import Gradients

Implementation = Callable[[Case], Gradients]

_HOME: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "numpy": ("numpy", "verify.suite.properties.plain_backward", "answer"),
        "fastimpl": ("numba", "fastimpl", "gradients"),
        "torch": ("torch", "benchmarks.implementations.torch_network", "gradients"),
        "jax": ("jax", "benchmarks.implementations.jax_network", "gradients"),
    }
)
"""Name → the package that it needs, its module and its function."""

COMPILES: Final = ("jax",)
"""Those that compile each network anew, which takes longer than everything else about a case."""


def installed() -> tuple[str, ...]:
    """The implementations whose package can be imported here."""
    return tuple(name for name, (package, _, _) in _HOME.items() if find_spec(package) is not None)


def implementation(name: str) -> Implementation:
    """The implementation of this name; imports it."""
    _, module, function = _HOME[name]
    found: Any = getattr(import_module(module), function)
    return found  # type: ignore[no-any-return]

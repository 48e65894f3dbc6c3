"""Whether a target has replaced functions that the judge uses too: then no verdict from the same process counts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from gradproof.errors import GradproofError

WATCHED: Final = ("builtins", "math", "fractions", "numpy", "numpy.linalg", "flint", "sympy", "scipy.special")
ROOMS: Final = ("gradproof", "verify", "refimpl", "fastimpl")

Held = Mapping[str, Mapping[str, Any]]


class TamperedError(GradproofError):
    """A target has replaced functions that the judge uses too."""


def held() -> Held:
    """What the modules that the judge uses hold now, by name: functions and classes."""
    return {name: _functions(module) for name, module in list(sys.modules.items()) if _is_ours(name)}


def refuse_tampering(before: Held) -> None:
    """Raises TamperedError where modules hold something else by now than they did."""
    replaced = []
    for name, functions in before.items():
        now = vars(sys.modules[name]) if name in sys.modules else {}
        replaced += [f"{name}.{word}" for word, function in functions.items() if now.get(word) is not function]
    if replaced:
        shown = ", ".join(replaced[:4]) + (f" and {len(replaced) - 4} more" if len(replaced) > 4 else "")
        raise TamperedError(
            f"the target replaces {shown}, which the judge uses too: no verdict from the same process counts. "
            "Check it in a process of its own, by --isolate or gradproof.check(..., isolate=True)."
        )


def _is_ours(name: str) -> bool:
    return name in WATCHED or name.partition(".")[0] in ROOMS


def _functions(module: ModuleType) -> dict[str, Any]:
    return {word: value for word, value in vars(module).items() if callable(value)}

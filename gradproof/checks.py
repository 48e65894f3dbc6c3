"""Checks of values that come from outside, and their plain Python form: NumPy's numbers are no JSON."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from gradproof.errors import ArgumentError


def whole(argument: str, value: Any) -> int:
    """A whole number as an int. Raises ArgumentError for anything else: 2.0, "2", True."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise ArgumentError(argument, "a whole number", repr(value))


def real(argument: str, value: Any) -> float:
    """A real number as a float. Raises ArgumentError for text and whatever else is none."""
    if not isinstance(value, str | bytes | bool):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise ArgumentError(argument, "a real number", repr(value))


def truth(argument: str, value: Any) -> bool:
    """True or False as a bool. Raises ArgumentError for anything else."""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return bool(value)
    raise ArgumentError(argument, "True or False", repr(value))


def words(argument: str, value: Any) -> tuple[str, ...]:
    """A list or tuple of text as a tuple. Raises ArgumentError for anything else, a single text included."""
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return tuple(value)
    raise ArgumentError(argument, "a sequence of names", repr(value))


def span(argument: str, value: Any, least: int = 1) -> tuple[int, int]:
    """An inclusive range (low, high) of whole numbers from ``least`` on. Raises ArgumentError for anything else."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ArgumentError(argument, "a range (least, most)", value)
    low, high = (whole(argument, bound) for bound in value)
    if not least <= low <= high:
        raise ArgumentError(argument, f"{least} <= least <= most", (low, high))
    return low, high


def meant(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean 'x'?`` where one of the names is close to a wrong one; else nothing. cutoff: difflib's."""
    close = get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""

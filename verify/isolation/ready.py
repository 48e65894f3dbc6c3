"""Having a target ready to be called: in this process, or in one of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psutil

from gradproof.checks import real, whole
from gradproof.errors import ArgumentError
from verify.isolation.isolated import Apart, isolated
from verify.isolation.process import Limits, is_apart
from verify.isolation.purity import GARBAGE, HASH_SEEDS
from verify.isolation.tampering import held, refuse_tampering
from verify.loading import Implementation, adopt, load

MEBIBYTE: Final = 1 << 20
MEMORY_SHARE: Final = 0.8
"""Of the memory that is free, how much a target's process may hold where no limit is given."""


@contextmanager
def at_hand(
    target: str | Callable[..., Any],
    *,
    isolate: bool = False,
    time_limit: float | None = None,
    memory_limit: int | None = None,
) -> Iterator[Implementation]:
    """The implementation that a text or an object is, for as long as it is called.

    isolate: in a process of its own, which a text alone can be had in. time_limit: seconds for each case, there.
    memory_limit: MiB that this process and its children may hold; without one, most of what is free.

    Raises TargetError where the target cannot be had, ArgumentError for limits without isolation and for isolation of
    an object, and on the way out TamperedError where a target has replaced functions that the judge uses too.
    """
    limits = limits_of(time_limit, memory_limit)
    if isolate:
        if not isinstance(target, str):
            message = "False for an object: the other process imports its target anew, from path.py:name or module:name"
            raise ArgumentError("isolate", message, "True")
        with isolated(target, limits) as implementation:
            yield implementation
        return
    for argument, value in (("time_limit", time_limit), ("memory_limit", memory_limit)):
        if value is not None:
            raise ArgumentError(argument, "None without isolate=True: within one process there are no limits", value)
    before = held()
    implementation = load(target) if isinstance(target, str) else adopt(target)
    try:
        yield implementation
    except Exception:
        refuse_tampering(before)  # which explains it
        raise
    refuse_tampering(before)


def limits_of(time_limit: float | None, memory_limit: int | None) -> Limits:
    """Limits in seconds and MiB. Raises ArgumentError for what is none."""
    seconds = None if time_limit is None else real("time_limit", time_limit)
    if seconds is not None and not (seconds > 0 and math.isfinite(seconds)):
        raise ArgumentError("time_limit", "seconds above 0", time_limit)
    mebibytes = None if memory_limit is None else whole("memory_limit", memory_limit)
    if mebibytes is None:
        return Limits(seconds, int(MEMORY_SHARE * psutil.virtual_memory().available))
    if mebibytes < 1:
        raise ArgumentError("memory_limit", "MiB, at least 1", memory_limit)
    return Limits(seconds, mebibytes * MEBIBYTE)


@contextmanager
def another(text: str | None, limits: Limits | None = None) -> Iterator[Apart | None]:
    """The target of this text in a further process with another order of hashes and other addresses, being loaded.

    None where there is no text, and in a process that is such a one.
    """
    if text is None or is_apart():
        yield None
        return
    with Apart(text, limits or limits_of(None, None), garbage=GARBAGE, hash_seed=HASH_SEEDS[0]) as apart:
        apart.begin()
        yield apart

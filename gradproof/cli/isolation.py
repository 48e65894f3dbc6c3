"""The options of the commands that call a target: in which process, and within which limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def isolation(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


OPTIONS = (
    click.option(
        "--isolate",
        is_flag=True,
        help="Call the target in a process of its own, where whatever it does is a finding: a crash of the process, "
        "an endless loop, a memory that fills. Used by itself where a target takes the judge's process down.",
    ),
    click.option(
        "--time-limit",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="How long the target may take for one case; isolates it. Otherwise 30 s at first, and then a hundred "
        "times the slowest case so far, between 5 s and 30 s.",
    ),
    click.option(
        "--memory-limit",
        type=click.IntRange(min=1),
        metavar="MIB",
        help="How much memory the target's process may hold; isolates it. Otherwise four fifths of what is free.",
    ),
)


def chosen_limits(time_limit: float | None, memory_limit: int | None) -> dict[str, Any]:
    """The limits that were chosen, by name."""
    chosen = {"time_limit": time_limit, "memory_limit": memory_limit}
    return {name: limit for name, limit in chosen.items() if limit is not None}


def say(words: str) -> None:
    """One line to who runs the command."""
    click.echo(f"gradproof: {words}", err=True)

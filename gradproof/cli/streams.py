"""What commands print to, and what a target must not print to."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def terminal() -> Console:
    """Standard output, to be drawn on."""
    from rich.console import Console

    return Console(file=sys.stdout)


@contextlib.contextmanager
def until_closed() -> Iterator[None]:
    """Whoever reads our output may stop reading: the exit code still counts."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """Keeps our standard output to ourselves: what compiled code of a target prints goes to standard error instead."""
    sys.stdout.flush()
    try:
        ours = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # there is no standard output, or no standard error
        yield
        return
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(ours, 1)
        os.close(ours)

"""The screen of a check as text, for where there is no terminal: failures of tests, JUnit, Gradescope."""

from __future__ import annotations

import io
from collections.abc import Callable
from textwrap import dedent

from rich.console import Console

from gradproof.record import CheckRecord, Failure
from reports.terminal import render_check, render_failure
from reports.view import check_view


def check_text(record: CheckRecord, width: int) -> str:
    """The screen in lines of at most ``width`` characters where that can be, below one line that says it all.

    Raises RecordError or ArgumentError where a case in the record is damaged.
    """
    return f"{headline(record)}\n{_printed(lambda console: render_check(record, console), width)}"


def failure_text(failure: Failure, width: int) -> str:
    """One failure with its numbers and the command that replays it."""
    return dedent(_printed(lambda console: render_failure(failure, console), width)).lstrip("\n")


def headline(record: CheckRecord) -> str:
    """``wrong: net.py:backprop; 60 cases: 58 correct, 2 wrong``"""
    view = check_view(record)
    return f"{view.word}: {view.target}; {view.counted}"


def _printed(render: Callable[[Console], None], width: int) -> str:
    stream = io.StringIO()
    render(Console(file=stream, width=width, color_system=None, force_terminal=False, legacy_windows=False))
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().split("\n"))

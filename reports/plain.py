"""The screen of a check as text, for where there is no terminal: failures of tests, JUnit, Gradescope."""

from __future__ import annotations

import io

from rich.console import Console

from gradproof.record import CheckRecord
from reports.terminal import render_check
from reports.view import check_view


def check_text(record: CheckRecord, width: int) -> str:
    """The screen in lines of at most ``width`` characters where that can be, below one line that says it all.

    Raises RecordError or ArgumentError where a case in the record is damaged.
    """
    stream = io.StringIO()
    render_check(
        record, Console(file=stream, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    )
    return f"{headline(record)}\n{stream.getvalue().rstrip()}"


def headline(record: CheckRecord) -> str:
    """``wrong: net.py:backprop; 60 cases: 58 correct, 2 wrong``"""
    view = check_view(record)
    return f"{view.word}: {view.target}; {view.counted}"

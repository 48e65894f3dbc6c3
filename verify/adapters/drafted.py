"""Runs a draft's own lines, as the adapter that is made of them will run.

They are put together in these modules: words of ours, and the names by which the user's object is reached. Nothing
that was read from a file or an answer is among them.
"""

from __future__ import annotations

from typing import Any

Space = dict[str, Any]
"""Names → what they stand for."""


def value_of(expression: str, space: Space) -> Any:
    """What an expression of a draft gives; whatever the user's code raises."""
    return eval(expression, space)  # noqa: S307 - a draft's own expression, see above


def run_lines(lines: str, space: Space) -> None:
    """Runs lines of a draft; names that they assign come to stand in ``space``."""
    exec(lines, space)  # noqa: S102 - a draft's own lines, see above

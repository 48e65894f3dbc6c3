"""Mistakes that show where one tensor is both operands of an operation."""

from __future__ import annotations

from collections.abc import Iterator

from refimpl.language import Node
from verify.engines.mistakes.forms import PAIRS
from verify.engines.mistakes.mistake import Move, OperatorMistake

UNLIKE = ("-", "/", "**", "@")
"""Operators whose operands get unlike gradients, even where the two are one."""


def twice() -> Iterator[OperatorMistake]:
    """An operand that stands twice and is taken for the first one, or the second one, each time."""
    for operators in (UNLIKE, *((operator,) for operator in UNLIKE)):
        words = operators[0] if len(operators) == 1 else "an operation"
        for which, place in (("first", 0), ("second", 1)):
            example = f": the gradient of x - x is {2 if place == 0 else -2}" if "-" in operators else ""
            yield OperatorMistake(
                f"an operand twice is the {which} in {words}",
                f"where one tensor is both operands of {words}, it gets the gradient of the {which} one twice{example}",
                "go by the operands' places, and not by asking which tensor it is",
                tuple(form for operator in operators for form in PAIRS[operator]),
                lambda m, place=place: _same(m, place),  # type: ignore[misc]
                together=operators if len(operators) > 1 else (),
            )


def _same(m: Move, place: int) -> list[Node | None] | None:
    places = m.operation.places
    if len(places) != 2 or places[0] != places[1]:
        return None
    return [m.right[place], m.right[place]]

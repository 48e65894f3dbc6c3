"""Mistakes that show at kinks alone: at ties of maximum and minimum, and where the argument of relu is exactly 0."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from gradproof.operators import SELECTIONS
from refimpl.language import Node, scale
from verify.engines.mistakes.forms import of_one, of_two, passes
from verify.engines.mistakes.mistake import Contributions, Move, OperatorMistake

OUTSIDE = (2, -1)
"""Derivatives of relu at 0 that no choice between the one-sided ones is."""


def kinks() -> Iterator[OperatorMistake]:
    """Gradients at kinks that are outside of what any choice there gives."""
    for names in (SELECTIONS, *((name,) for name in SELECTIONS)):
        words = " and ".join(names)
        for which, wrong in (("neither", "neither operand gets the gradient"), ("both", "both operands get all of it")):
            yield OperatorMistake(
                f"{which} at ties of {words}",
                f"where the two operands of {words} are equal, {wrong}; so {names[0]}(x, x), which is x, has "
                f"derivative {0 if which == 'neither' else 2}",
                "give it to one of the two, or half of it to each",
                tuple(f"x.{name}(y)" for name in names),
                _at_ties(to_both=which == "both"),
                together=names if len(names) > 1 else (),
            )
    for slope in OUTSIDE:
        yield OperatorMistake(
            f"derivative {slope} at 0 in relu",
            f"at 0 the derivative of relu is taken as {slope}, outside [0, 1]",
            "take 0 or 1 there, or a number between",
            ("x.relu()",),
            of_one(lambda m, x, slope=slope: _sloped(m, x, slope)),  # type: ignore[misc]
        )


def _at_ties(*, to_both: bool) -> Contributions:
    def parts(m: Move, x: Node, y: Node) -> tuple[Node, Node]:
        ahead, behind = (x - y, y - x) if m.operation.operator == "maximum" else (y - x, x - y)
        return m.delta * passes(ahead, at_zero=to_both), m.delta * passes(behind, at_zero=to_both)

    return of_two(parts)


def _sloped(m: Move, x: Node, slope: int) -> Node:
    above, reached = passes(x, at_zero=False), passes(x, at_zero=True)
    return m.delta * (above + scale(reached - above, Fraction(slope)))

"""The forms of operators (``Operation.form``), and contributions that mistakes are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from gradproof.operators import FUNCTIONS
from refimpl.graphs import broadcast, constant, operated
from refimpl.language import Node, Step, apply, ones, pull_back, scale
from verify.engines.mistakes.mistake import Contributions, Move

BINARY: Final = {operator: (f"x {operator} y", f"x {operator} 2", f"2 {operator} x") for operator in "+-*/"}
PAIRS: Final = {operator: forms[:1] for operator, forms in BINARY.items()} | {
    "**": ("x ** y",),
    "@": ("x @ y",),
    "maximum": ("x.maximum(y)",),
    "minimum": ("x.minimum(y)",),
}
"""Operators of two tensors, in this form."""
INDEXED: Final = ("x[i]", "x[i:j]", "x[[i, j]]")
SHAPING: Final = {
    "sum": ("x.sum()", "x.sum(axis)", "x.sum(axis, keepdims)"),
    "mean": ("x.mean()", "x.mean(axis)", "x.mean(axis, keepdims)"),
    "reshape": ("x.reshape(…)",),
    "T": ("x.T",),
    "indexing": INDEXED,
}
UNARY: Final = {"negation": ("-x",), **{name: (f"x.{name}()",) for name in FUNCTIONS}}
ALL: Final[dict[str, tuple[str, ...]]] = {
    **BINARY,
    "** by a number": ("x ** 2",),
    "number ** x": ("2 ** x",),
    **{operator: forms for operator, forms in PAIRS.items() if operator not in BINARY},
    **UNARY,
    **SHAPING,
}
"""Operators in words → all their forms."""
PLAIN: Final = {operator: forms[:2] for operator, forms in BINARY.items()}
"""Those of operators whose reflected form has code of its own."""


def times(factors: Sequence[int | None]) -> Contributions:
    """The right contributions times a factor each; None for none at all."""

    def change(m: Move) -> list[Node | None] | None:
        if len(m.right) != len(factors):
            return None
        return [None if f is None else scale(part, Fraction(f)) for part, f in zip(m.right, factors, strict=True)]

    return change


def nothing(m: Move) -> list[Node | None] | None:
    """No contribution to any operand."""
    return [None for _ in m.right]


def without_delta(m: Move) -> list[Node | None] | None:
    """The local derivatives alone, as if 1 came back everywhere."""
    value = operated(m.operation, m.operands)
    found = pull_back(value, ones(value.shape), {str(i): x for i, x in enumerate(m.tensors)})
    return [found[str(i)] for i in range(len(m.tensors))]


def of_two(change: Callable[[Move, Node, Node], tuple[Node | None, Node | None]]) -> Contributions:
    """Contributions of a binary operator of two tensors, by formulas on arrays of the result's shape."""

    def changed(m: Move) -> list[Node | None] | None:
        if len(m.tensors) != 2:
            return None
        x, y = m.tensors
        parts = change(m, broadcast(x, m.value.shape), broadcast(y, m.value.shape))
        return [None if p is None else undone(p, t) for p, t in zip(parts, m.tensors, strict=True)]

    return changed


def undone(part: Node, x: Node) -> Node:
    """What broadcasting x repeated is summed."""
    return pull_back(broadcast(x, part.shape), part, {"x": x})["x"] if x.shape != part.shape else part


def of_one(change: Callable[[Move, Node], Node]) -> Contributions:
    """Contributions of an operator of one tensor and perhaps a number."""
    return lambda m: [change(m, m.tensors[0])] if len(m.tensors) == 1 else None


def number_of(m: Move) -> Fraction:
    """The operand that is a number."""
    return next(x for x in m.operands if isinstance(x, Fraction))


def reciprocal(x: Node) -> Node:
    """1/x."""
    return apply("reciprocal", x)


def square(x: Node) -> Node:
    """X²."""
    return apply("square", x)


def by_value(m: Move) -> Node:
    """What comes back, times the value of the operation."""
    return m.delta * m.value


def size(x: Node) -> int:
    """Number of entries."""
    return int(np.prod(x.shape))


NEAR: Final = Fraction(1, 2**12)
"""What a drawn graph has nearer to a kink than this is exactly at it (``verify.engines.numeric.FAR``)."""


def passes(x: Node, *, at_zero: bool) -> Node:
    """1 where x is above 0, and where it is 0 if that is so; 0 elsewhere. No set at a kink, for engines decide."""
    moved = x + constant(NEAR if at_zero else -NEAR, x.shape)
    return Node(Step(Fraction(0), Fraction(1)), (moved,), x.shape)

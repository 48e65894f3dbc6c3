"""What a mistake of an engine is: another contribution of an operator, another value, or another order of the pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from gradproof.expressions import Operation
from refimpl.language import Node


@dataclass(frozen=True, eq=False)
class Move:
    """What an operator has at hand when the gradient ``delta`` of its result comes back.

    operands: tensors and numbers, in order. right: the right contribution to each operand that is a tensor.
    """

    operation: Operation
    operands: tuple[Node | Fraction, ...]
    value: Node
    delta: Node
    right: tuple[Node, ...]

    @property
    def tensors(self) -> tuple[Node, ...]:
        """The operands that are tensors."""
        return tuple(x for x in self.operands if isinstance(x, Node))


Contributions = Callable[[Move], list[Node | None] | None]
"""Other contributions, None for an operand that gets none; None where the mistake cannot be made."""
Value = Callable[[Operation, Sequence[Node | Fraction]], Node | None]
"""Another value, whose own gradient then comes back; None where the mistake cannot be made."""


@dataclass(frozen=True, eq=False)
class OperatorMistake:
    """A mistake in one operator, in some of its forms (``Operation.form``)."""

    name: str
    words: str
    mend: str
    forms: tuple[str, ...]
    contributions: Contributions | None = None
    value: Value | None = None
    instead: Callable[[Operation], Operation] | None = None
    """The operation that is done in its place, by the engine's own operator, with whatever mistakes that has."""
    together: tuple[str, ...] = ()
    """Operators whose shared mistake it is; with fewer than two of them it is one of a single operator."""


Kind = Literal[
    "created",
    "depth first",
    "every path",
    "every path, operand by operand",
    "first visit",
    "breadth first",
    "breadth first, every path",
]


@dataclass(frozen=True)
class Order:
    """In which order gradients are passed on.

    ``created``: the latest tensor first. ``depth first``: a reversed depth-first postorder. Both are topological; the
    others are not. ``every path``: a tensor is visited anew for each path to it, and passes on all it has by then, to
    all operands at once or operand by operand. ``first visit``: once, before its operands, when it is first met.
    ``breadth first``: the same level by level, once or for each path.
    """

    kind: Kind = "created"
    last_operand_first: bool = False
    each_operand_once: bool = False
    flipped: frozenset[int] = frozenset()
    """Places at which it is the other way round: engines that keep operands in a set have no order of their own."""


@dataclass(frozen=True)
class Style:
    """Which operators an engine makes of others: x − y of x + (−y), −x of x · (−1), x / y of x · y⁻¹."""

    difference_is_sum: bool = False
    minus_is_product: bool = False
    quotient_is_product: bool = False


@dataclass(frozen=True)
class Candidate:
    """Mistakes that an engine of a style may make together, under one name."""

    name: str
    words: str
    mend: str
    operators: tuple[OperatorMistake, ...] = ()
    style: Style = Style()
    order: Order = Order()
    any_order: bool = False
    """Whether each tensor's operands may be visited in any order: then one that gives the answer will do."""
    overwrites: tuple[str, ...] | None = None
    """Operators in which a contribution replaces the gradient that is there; empty: all of them; None: none."""
    keeps_interior: bool = False
    """Whether gradients of results stay where they are for the next call of backward."""
    seed_adds: bool = False
    """Whether a call of backward adds 1 to the gradient of its result, instead of setting it to 1."""
    other_again: bool = False
    """Whether calls of backward replace where they are declared to add, and the other way round."""
    convention: bool = False

    @property
    def structural(self) -> bool:
        """Whether it concerns the pass as a whole, and not some operators' contributions alone."""
        plain = self.overwrites is None and self.order == Order() and not self.other_again and not self.any_order
        return not (plain and not self.keeps_interior)

    def overwrites_in(self, operation: Operation) -> bool:
        """Whether an operation's contributions replace what is there."""
        return self.overwrites is not None and (not self.overwrites or operation.operator in self.overwrites)

    def together(self, other: Candidate) -> Candidate:
        """Both, where each concerns operators of its own."""
        return Candidate(
            f"{self.name}; {other.name}",
            f"{self.words}; and {other.words}",
            f"{self.mend}; {other.mend}",
            (*self.operators, *other.operators),
            self.style,
        )

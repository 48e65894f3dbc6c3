"""What a mistake is: a value that names it, says how to mend it, and answers one kind of move in its own way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from refimpl.language import Node
from verify.mistakes.moves import DropoutOutput, LossValue, Move, ThroughActivation, WholeGradient

Place = Literal["every layer", "the output layer", "hidden layers"]

Alike = Literal["one sample", "one output", "one entry"]
"""Cases that a factor in the sizes of a batch leaves as they are: N = 1, K = 1, and both."""

Rewrite = Callable[[Any], Node | None]
"""A move's other result; None where the mistake cannot be made there, so that the move is right."""


@dataclass(frozen=True, eq=False)
class Mistake:
    """One mistake.

    In its words, ``{f}`` stands for the activation, ``{loss}`` for the declared loss, ``{N}``, ``{K}`` and ``{NK}`` for
    the numbers of samples, outputs, and all outputs of the batch, ``{rest}`` for what else is right.
    """

    name: str
    words: str
    mend: str
    moves: tuple[tuple[type[Move], Rewrite], ...]
    """Usually one; a convention may change both the gradient and the loss."""
    kinds: tuple[str, ...] = ()
    """Activations that it may befall, for mistakes about activations."""
    local: bool = True
    """Whether it may be made in some layers and not in others."""
    convention: bool = False
    """Whether the numbers are right for something else than what is declared."""
    alike: Alike | None = None
    """Of a factor: the cases on which it is 1."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mistake at a place: everywhere, or in hidden layers or the output layer alone; with one activation, or all."""

    mistake: Mistake
    place: Place = "every layer"
    kind: str | None = None

    def rewrite(self, move: Move) -> Node | None:
        """What it makes of a move; None where it has no part in it."""
        if self.place == "the output layer" and not move.last:
            return None
        if self.place == "hidden layers" and move.last:
            return None
        if isinstance(move, ThroughActivation):
            name = move.layer.name
            if name not in self.mistake.kinds or self.kind not in (None, name):
                return None
        for kind, rewrite in self.mistake.moves:
            if type(move) is kind:
                return rewrite(move)
        return None

    @property
    def touches_forward(self) -> bool:
        """Whether it changes the forward pass, and with it everything."""
        return any(kind is DropoutOutput for kind, _ in self.mistake.moves)

    @property
    def touches_values(self) -> bool:
        """Whether it changes the loss."""
        return self.touches_forward or any(kind is LossValue for kind, _ in self.mistake.moves)

    @property
    def touches_gradients(self) -> bool:
        """Whether it changes gradients."""
        return any(kind is not LossValue for kind, _ in self.mistake.moves)

    @property
    def whole(self) -> bool:
        """Whether it changes what comes out alone."""
        return any(kind is WholeGradient for kind, _ in self.mistake.moves)

"""Losses and penalties as values. The reduction and the ½ are part of a loss's name, never implied."""

from __future__ import annotations

import math
from typing import Literal, cast

import msgspec

from gradproof.checks import real, truth
from gradproof.errors import ArgumentError
from gradproof.vocabulary import LOSSES, PENALTIES, REDUCTIONS, LossWord, Reduction, TargetKind


class Loss(msgspec.Struct, frozen=True):
    """What is minimised: L = reduction over the batch of the loss of each sample, weighted by ``sample_weights``.

    With N samples of K outputs each and sample n's loss ℓₙ (a sum over its K outputs), weights wₙ (1 unless given):
    ``sum`` is Σ wₙℓₙ, ``batch_mean`` is Σ wₙℓₙ / N, ``element_mean`` is Σ wₙℓₙ / (N·K). Weights are not normalised.

    ``targets`` is ``real`` for the squared errors; for cross-entropies ``hard`` (0/1 or one-hot; the default),
    ``soft`` (in [0, 1], summing to 1 for the categorical losses) or ``free``.
    """

    name: str
    reduction: Reduction
    targets: TargetKind | None = None

    def __post_init__(self) -> None:
        word = LOSSES.get(self.name)
        if word is None:
            raise ArgumentError("loss.name", f"a loss among {', '.join(LOSSES)}", self.name)
        if self.reduction not in REDUCTIONS:
            raise ArgumentError("loss.reduction", f"a reduction among {', '.join(REDUCTIONS)}", self.reduction)
        allowed = ("real",) if word.targets == "real" else ("hard", "soft", "free")
        if self.targets is None:
            msgspec.structs.force_setattr(self, "targets", word.targets)
        elif self.targets not in allowed:
            raise ArgumentError("loss.targets", f"{' or '.join(allowed)} for {self.name}", self.targets)

    @property
    def word(self) -> LossWord:
        """The vocabulary's facts about this loss."""
        return LOSSES[self.name]

    @classmethod
    def parse(cls, text: str) -> Loss:
        """The loss that ``str`` wrote: ``name/reduction`` or ``name/reduction/targets``."""
        parts = str(text).split("/")
        if not 2 <= len(parts) <= 3:
            raise ArgumentError("loss", "name/reduction or name/reduction/targets", text)
        reduction = cast(Reduction, parts[1])  # Loss itself refuses words that are no reduction or no kind of target
        return cls(parts[0], reduction, cast(TargetKind, parts[2]) if len(parts) == 3 else None)

    def __str__(self) -> str:
        declared = "" if self.targets == self.word.targets else f"/{self.targets}"
        return f"{self.name}/{self.reduction}{declared}"


class Penalty(msgspec.Struct, frozen=True):
    """A penalty added to the loss once a step, whatever the batch: λ Σ|θ| (``l1``) or λ Σθ² (``l2``).

    With ``half`` the factor is λ/2 in place of λ. It runs over the weights, and over biases where ``biases`` is true;
    over frozen parameters too (their part is constant), and over a shared parameter once.
    """

    kind: Literal["l1", "l2"]
    strength: float
    half: bool
    biases: bool

    def __post_init__(self) -> None:
        if self.kind not in PENALTIES:
            raise ArgumentError("penalty.kind", f"a penalty among {', '.join(PENALTIES)}", self.kind)
        msgspec.structs.force_setattr(self, "strength", real("penalty.strength", self.strength))
        for flag in ("half", "biases"):
            msgspec.structs.force_setattr(self, flag, truth(f"penalty.{flag}", getattr(self, flag)))
        if not (math.isfinite(self.strength) and self.strength >= 0):
            raise ArgumentError("penalty.strength", "a finite number of at least 0", self.strength)

    def __str__(self) -> str:
        factor = f"{self.strength!r}/2" if self.half else f"{self.strength!r}"
        return f"{self.kind}({factor}, {'weights and biases' if self.biases else 'weights'})"

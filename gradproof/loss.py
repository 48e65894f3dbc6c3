"""Losses and penalties as values. The reduction and the ½ are part of a loss's name, never implied."""

from __future__ import annotations

import math
from typing import Final, Literal, cast

import msgspec

from gradproof.checks import real, truth
from gradproof.errors import ArgumentError
from gradproof.vocabulary import LOSSES, PENALTIES, REDUCTIONS, UNIT, LossWord, Reduction, TargetKind

Guard = Literal["add", "clip"]
GUARDS: Final[tuple[Guard, ...]] = ("add", "clip")


class Loss(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is minimised: L = reduction over the batch of the loss of each sample, weighted by ``sample_weights``.

    With N samples of K outputs each and sample n's loss ℓₙ (a sum over its K outputs), weights wₙ (1 unless given):
    ``sum`` is Σ wₙℓₙ, ``batch_mean`` is Σ wₙℓₙ / N, ``element_mean`` is Σ wₙℓₙ / (N·K). Weights are not normalised.

    ``targets`` is ``real`` for the squared errors; for cross-entropies ``hard`` (0/1 or one-hot; the default),
    ``soft`` (in [0, 1], summing to 1 for the categorical losses) or ``free``.

    ``guard`` is what keeps the logarithms of cross-entropies from probabilities finite, with an ``eps`` that is part of
    the loss: ``add`` takes log(p + eps), and log(1 − p + eps), ``clip`` the logarithms of p clamped to
    [eps, 1 − eps]. In text: ``binary_cross_entropy/sum/add=1e-07``.
    """

    name: str
    reduction: Reduction
    targets: TargetKind | None = None
    guard: Guard | None = None
    eps: float | None = None

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
        if self.guard is None:
            if self.eps is not None:
                raise ArgumentError("loss.eps", f"None without a guard ({' or '.join(GUARDS)})", self.eps)
            return
        if self.guard not in GUARDS or word.domain != UNIT:
            raise ArgumentError("loss.guard", f"{' or '.join(GUARDS)}, for a loss of probabilities", self.guard)
        msgspec.structs.force_setattr(self, "eps", real("loss.eps", self.eps))
        if not 0 < real("loss.eps", self.eps) < 0.5:
            raise ArgumentError("loss.eps", "a number between 0 and 1/2", self.eps)

    @property
    def word(self) -> LossWord:
        """The vocabulary's facts about this loss."""
        return LOSSES[self.name]

    @classmethod
    def parse(cls, text: str) -> Loss:
        """The loss that ``str`` wrote: ``name/reduction``, then ``/targets`` and ``/guard=eps`` where there are any."""
        expected = (
            f"name/reduction ({', '.join(LOSSES)}; {', '.join(REDUCTIONS)}), "
            "then /targets and /add=eps or /clip=eps where there are any"
        )
        parts = str(text).split("/")
        guard, equals, eps = parts[-1].partition("=")
        try:
            size = float(eps) if equals else None
        except ValueError:
            raise ArgumentError("loss", expected, text) from None
        plain = parts[:-1] if equals else parts
        if not 2 <= len(plain) <= 3:
            raise ArgumentError("loss", expected, text)
        reduction = cast(Reduction, plain[1])  # Loss itself refuses words that are no reduction, no kind of target …
        targets = cast(TargetKind, plain[2]) if len(plain) == 3 else None
        return cls(plain[0], reduction, targets, cast(Guard, guard) if equals else None, size)

    def __str__(self) -> str:
        declared = "" if self.targets == self.word.targets else f"/{self.targets}"
        guarded = "" if self.guard is None else f"/{self.guard}={self.eps!r}"
        return f"{self.name}/{self.reduction}{declared}{guarded}"


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

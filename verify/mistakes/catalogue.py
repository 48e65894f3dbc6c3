"""Every mistake that is known by name, conventions first, and the candidates that a target could make."""

from __future__ import annotations

from typing import Final

from gradproof.target import UPSTREAM, Supports
from verify.mistakes import activations, dropout, kinks, layers, terms
from verify.mistakes.mistake import Candidate, Mistake, Place
from verify.mistakes.moves import (
    Accumulation,
    DropoutOutput,
    IntoBranches,
    LossGradient,
    LossValue,
    Move,
    PenaltyGradient,
    ThroughBranches,
    ThroughDropout,
    ThroughMaxout,
    ThroughResidual,
    UpstreamGradient,
)

CATALOGUE: Final[tuple[Mistake, ...]] = tuple(
    sorted(
        (*terms.MISTAKES, *activations.MISTAKES, *kinks.MISTAKES, *layers.MISTAKES, *dropout.MISTAKES),
        key=lambda mistake: not mistake.convention,
    )
)
PLACES: Final[tuple[Place, ...]] = ("every layer", "the output layer", "hidden layers")


def candidates(supports: Supports) -> tuple[Candidate, ...]:
    """Every mistake of the catalogue wherever a target of this declaration could make it, the widest place first."""
    kinds = tuple(dict.fromkeys((*supports.hidden, *supports.output)))
    places = PLACES if supports.depth[1] > 1 else PLACES[:1]
    found: list[Candidate] = []
    for mistake in (*CATALOGUE, *map(layers.updated_first, supports.rates[:1])):
        if not _possible(mistake, supports):
            continue
        befallen: tuple[str | None, ...] = (None,)
        if mistake.kinds:
            own = tuple(kind for kind in kinds if kind in mistake.kinds)
            if not own:
                continue
            befallen = own if len(own) == 1 else (None, *own)
        found += [
            Candidate(mistake, place, kind) for place in (places if mistake.local else PLACES[:1]) for kind in befallen
        ]
    return tuple(found)


def _possible(mistake: Mistake, supports: Supports) -> bool:
    return any(_met(move, supports) for move, _ in mistake.moves)


def _met(move: type[Move], supports: Supports) -> bool:
    """Whether cases within a declaration have moves of this kind at all."""
    has_loss = supports.losses != (UPSTREAM,)
    needs: dict[type[Move], bool] = {
        PenaltyGradient: bool(supports.penalties),
        LossGradient: has_loss,
        LossValue: True,
        UpstreamGradient: UPSTREAM in supports.losses,
        Accumulation: supports.shared,
        ThroughMaxout: supports.maxout,
        ThroughDropout: supports.dropout,
        DropoutOutput: supports.dropout,
        ThroughResidual: supports.residual,
        IntoBranches: supports.branches,
        ThroughBranches: supports.branches,
    }
    return needs.get(move, True)

"""How far a run is; apart from the run itself, so that who watches it need not import what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from gradproof.verdict import Verdict

Stage = Literal["checking", "shrinking"]


class Progress(msgspec.Struct, frozen=True, tag=True):
    """How far a run is: in the survey, ``done`` of ``total`` cases; then, ``done`` of ``total`` failures shrunk."""

    stage: Stage
    done: int
    total: int
    counts: Mapping[Verdict, int]
    """Verdict → number of cases so far."""

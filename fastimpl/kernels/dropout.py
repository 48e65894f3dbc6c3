"""Inverted dropout: each writes what it keeps, scaled, and where its inputs stood, its mask, scaled: the derivative.

Backwards is then the product of every elementwise step. In training the mask is a function of the run's seed, the
number of the step, the layer and the place of the entry in the batch; ``fastimpl.dropout`` states it, and writes the
same masks for whoever asks.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fastimpl.jit import inlined, kernel
from fastimpl.memory import integers_at, pointer_like, shifted
from fastimpl.splitmix import STEP as ADVANCE
from fastimpl.splitmix import first_state, mix
from fastimpl.table import CLOCK, FACTOR, INPUT, OUTPUT, ROWS, SEED, SITE, SLOPE, SOURCE, STEP, THRESHOLD, WIDTH

PURPOSE: Final = np.uint64(0x44524F504F555453)
"""Sets these streams apart from others of the same seed: the letters DROPOUTS."""
BITS: Final = 53
"""Of each number drawn, the upper ones are compared with p."""
_REST = np.uint64(64 - BITS)
_ONE = np.uint64(1)


@inlined()
def mask_state(seed: Any, step: int, site: int) -> Any:
    """The state before the first draw of a layer's mask in a step."""
    return mix(first_state(seed, PURPOSE, step) + (np.uint64(site) + _ONE) * ADVANCE)


@inlined()
def is_kept(state: Any, entry: int, threshold: Any) -> Any:
    """Whether the mask keeps an entry, counted from 0 in C order over the batch."""
    return (mix(state + (np.uint64(entry) + _ONE) * ADVANCE) >> _REST) >= threshold


@kernel()
def dropout(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """Y = a ⊙ mask / (1 − p) by a mask that is given, of numbers 0 and 1."""
    mask = pointer_like(work, op[SOURCE])
    a, s, y = shifted(work, op[INPUT]), shifted(work, op[SLOPE]), shifted(work, op[OUTPUT])
    factor = hyper[FACTOR]
    for i in range(batch * op[ROWS] * op[WIDTH]):
        scaled = factor * float(mask[i])
        y[i] = float(a[i]) * scaled
        s[i] = scaled
    return 0.0


@kernel()
def drawn_dropout(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The same by the mask of the step under way."""
    clock = integers_at(op[CLOCK])
    state = mask_state(np.uint64(clock[SEED]), clock[STEP], op[SITE])
    threshold = np.uint64(op[THRESHOLD])
    a, s, y = shifted(work, op[INPUT]), shifted(work, op[SLOPE]), shifted(work, op[OUTPUT])
    factor = hyper[FACTOR]
    for i in range(batch * op[ROWS] * op[WIDTH]):
        scaled = factor if is_kept(state, i, threshold) else 0.0
        y[i] = float(a[i]) * scaled
        s[i] = scaled
    return 0.0

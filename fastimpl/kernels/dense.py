"""Fully connected layers, z = x @ W + b: by products of our own where they are faster than BLAS's, else by BLAS.

All matrices lie row by row; BLAS reads columns, so it is given the transposed equation of each.
"""

from __future__ import annotations

from typing import Any, Final

from fastimpl.jit import kernel, spliced
from fastimpl.memory import address_of, call_gemm, call_kernel, integers_at, pointer_like, reals_at, shifted
from fastimpl.table import (
    ADD_D_BIAS,
    ADD_D_INPUT,
    ADD_D_WEIGHT,
    BATCH_START,
    BIAS,
    BY_BLAS,
    CLOCK,
    D_BIAS,
    D_INPUT,
    D_OUTPUT,
    D_WEIGHT,
    FORWARD,
    GEMM,
    HYPER,
    INPUT,
    NONE,
    NOW,
    ORDER,
    OUTPUT,
    PLACES,
    PRODUCT,
    RATE,
    SOURCE,
    START,
    STOP,
    UNITS,
    UPDATES,
    WEIGHT,
    WIDTH,
)
from fastimpl.threads import THREADED_FROM
from fastimpl.tiles import PANEL, multiply_rows, multiply_terms, panel_like, transpose

EXACT: Final[frozenset[str]] = frozenset()
"""The products say themselves where a product and a sum may become one rounding; updates within them may not."""

OUTPUT_BY_BLAS: Final = 1
"""Bit of a row's BY_BLAS: z is computed by BLAS; likewise ∂L/∂x and ∂L/∂W below."""
D_INPUT_BY_BLAS: Final = 2
D_WEIGHT_BY_BLAS: Final = 4

# Measured by ``python -m benchmarks.crossover`` on a Zen 4 with OpenBLAS 0.3.30, whose kernels there are SkylakeX's:
# up to these bounds our own products take from a fifth of BLAS's time (2 × 2 units) over 0.8 of it (784 × 128) to the
# same time (512 × 512 and above). BLAS stays ahead by a quarter in ∂L/∂W of ten units for 64 samples and more, which is
# a hundredth of such a network's step.

LARGEST_WEIGHT: Final = 2**20
"""Numbers of a weight up to which our own products are taken: a strip of it stays in the second-level cache."""
LARGEST_BATCH: Final = 512
"""Samples up to which our own ∂L/∂W is, which strides through them."""
SMALLEST_BATCH: Final = 4
"""Samples from which our own ∂L/∂x is, which transposes W once for all of them."""
SMALLEST_WEIGHT: Final = 1024
"""Numbers of a weight up to which it is for fewer samples too."""

PANEL_WIDTH: Final = 64
"""Rows of W that are transposed into the panel at a time."""
_PANEL_DEPTH: Final = PANEL // PANEL_WIDTH

BLOCK: Final = 12288
"""Numbers of ∂L/∂W that are computed at a time, or those of ``_BLOCK_STEP`` rows where they are more: so few that they,
the columns of x that they are made of, and delta stay in the second-level cache."""
_BLOCK_STEP: Final = 24
"""Rows in whose multiples it is done: the highest tiles divide it, and as many fill whole cache lines of x."""


def products_by_blas(batch: int, fan_in: int, units: int, threads: int = 1) -> int:
    """Which products of a layer BLAS computes, with so many threads: the bits above."""
    weight = fan_in * units
    if threads > 1 and batch * weight >= THREADED_FROM:
        return OUTPUT_BY_BLAS | D_INPUT_BY_BLAS | D_WEIGHT_BY_BLAS
    large = weight > LARGEST_WEIGHT
    few = batch < SMALLEST_BATCH and weight > SMALLEST_WEIGHT
    return (
        (OUTPUT_BY_BLAS if large else 0)
        | (D_INPUT_BY_BLAS if large or few else 0)
        | (D_WEIGHT_BY_BLAS if large or batch > LARGEST_BATCH else 0)
    )


@spliced
def _samples(op: Any, work: Any) -> tuple[Any, Any]:
    """The layer's inputs, and the places of the batch's samples among them.

    They lie in the workspace one behind another; or those of the network lie in the data set, in the epoch's order.
    """
    if op[SOURCE] == 0:
        return shifted(work, op[INPUT]), integers_at(op[PLACES])
    return pointer_like(work, op[SOURCE]), shifted(integers_at(op[ORDER]), integers_at(op[CLOCK])[BATCH_START])


@kernel(EXACT)
def dense(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """The pre-activation z = x @ W + b."""
    fan_in, units = op[WIDTH], op[UNITS]
    x, places = _samples(op, work)
    z, w = shifted(work, op[OUTPUT]), shifted(theta, op[WEIGHT])
    biased = op[BIAS] != NONE
    b = shifted(theta, op[BIAS]) if biased else z
    if op[BY_BLAS] & OUTPUT_BY_BLAS == 0:
        multiply_rows(x, fan_in, 1, places, w, units, z, units, batch, units, fan_in, b, 0, biased, False, 0.0)
    else:
        for i in range(batch if biased else 0):
            for j in range(units):
                z[i * units + j] = b[j]
        beta = 1.0 if biased else 0.0
        call_gemm(op[GEMM], False, False, units, batch, fan_in, 1.0, w, units, x, fan_in, beta, z, units)
    return 0.0


@spliced
def _bias_gradient(op: Any, delta: Any, dtheta: Any, batch: int) -> None:
    """∂L/∂b = Σ delta over the batch: a row of ones @ delta."""
    db = shifted(dtheta, op[D_BIAS])
    one = panel_like(db)
    one[0] = 1.0
    units = op[UNITS]
    multiply_terms(
        one, 0, 0, integers_at(op[PLACES]), delta, units, db, units,
        1, units, batch, db, 0, op[ADD_D_BIAS] != 0, False, 0.0,
    )  # fmt: skip


@spliced
def _input_gradient(op: Any, delta: Any, w: Any, work: Any, batch: int) -> None:
    """∂L/∂x = delta @ Wᵀ, W being transposed piece by piece."""
    fan_in, units = op[WIDTH], op[UNITS]
    dx = shifted(work, op[D_INPUT])
    adds = op[ADD_D_INPUT] != 0
    if op[BY_BLAS] & D_INPUT_BY_BLAS != 0:
        beta = 1.0 if adds else 0.0
        call_gemm(op[GEMM], True, False, fan_in, batch, units, 1.0, w, units, delta, units, beta, dx, fan_in)
        return
    panel = panel_like(w)
    for k in range(0, fan_in, PANEL_WIDTH):
        across = min(PANEL_WIDTH, fan_in - k)
        for j in range(0, units, _PANEL_DEPTH):
            deep = min(_PANEL_DEPTH, units - j)
            transposed = shifted(w, k * units + j)
            if units > 1:  # else it is a row as it stands
                transpose(transposed, units, across, deep, panel, PANEL_WIDTH)
                transposed = panel
            place = shifted(dx, k)
            started = adds or j > 0
            multiply_terms(
                shifted(delta, j), units, 1, integers_at(op[PLACES]), transposed, PANEL_WIDTH, place, fan_in,
                batch, across, deep, place, fan_in, started, False, 0.0,
            )  # fmt: skip


@spliced
def _updated(op: Any, first: int, rows: int, theta: Any, dtheta: Any, work: Any, batch: int) -> None:
    """Calls the row's update for so many rows of W, from the first on."""
    update, units = integers_at(op[UPDATES]), op[UNITS]
    update[START] = op[WEIGHT] + first * units
    update[STOP] = update[START] + rows * units
    call_kernel(
        update[FORWARD], op[UPDATES], update[HYPER], address_of(theta), address_of(dtheta), address_of(work), batch
    )


@spliced
def _weight_gradient(op: Any, x: Any, places: Any, delta: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> None:
    """∂L/∂W = xᵀ @ delta, some rows at a time, and at once what the row's own update makes of them.

    Plain descent, W ← W − η xᵀ @ delta, is made within the product. For any other rule each block of ∂L/∂W is written
    over the one before, which has been used: so they all stay in the cache, and the rule finds them there.
    """
    fan_in, units = op[WIDTH], op[UNITS]
    w, dw = shifted(theta, op[WEIGHT]), shifted(dtheta, op[D_WEIGHT])
    adds, descends = op[ADD_D_WEIGHT] != 0, op[PRODUCT] != 0
    calls = op[UPDATES] != 0 and not descends
    rate = reals_at(op[NOW])[RATE]
    place = w if descends else dw
    if op[BY_BLAS] & D_WEIGHT_BY_BLAS != 0:
        factor, beta = -rate if descends else 1.0, 1.0 if descends or adds else 0.0
        call_gemm(op[GEMM], False, True, units, fan_in, batch, factor, delta, units, x, fan_in, beta, place, units)
        if calls:
            _updated(op, 0, fan_in, theta, dtheta, work, batch)
        return
    high = fan_in
    if fan_in * units > BLOCK:
        high = max(BLOCK // (_BLOCK_STEP * units), 1) * _BLOCK_STEP
    first = 0
    while first < fan_in:  # a range of unknown step would divide once more, which a small layer would feel
        rows = min(high, fan_in - first)
        multiply_terms(
            shifted(x, first), 1, fan_in, places, delta, units, place, units,
            rows, units, batch, place, units, adds, descends, rate,
        )  # fmt: skip
        if calls:
            _updated(op, first, rows, theta, dtheta, work, batch)
        else:
            place = shifted(place, rows * units)
        first += rows


@kernel(EXACT)
def dense_backward(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """With delta = ∂L/∂z: ∂L/∂W = xᵀ @ delta, ∂L/∂b = Σ delta over the batch, ∂L/∂x = delta @ Wᵀ.

    Where the row updates its weight itself, the error has passed through W by then.
    """
    delta = shifted(work, op[D_OUTPUT])
    if op[D_BIAS] != NONE:
        _bias_gradient(op, delta, dtheta, batch)
    if op[D_INPUT] != NONE:
        _input_gradient(op, delta, shifted(theta, op[WEIGHT]), work, batch)
    if op[D_WEIGHT] != NONE:
        x, places = _samples(op, work)
        _weight_gradient(op, x, places, delta, theta, dtheta, work, batch)
    return 0.0

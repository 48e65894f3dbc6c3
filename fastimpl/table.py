"""The columns of a network's table: one row for each step of the computation, the same columns for all kinds.

Offsets count numbers of the dtype: those of values lie in the workspace, those of parameters in the flat buffer of
parameters. NONE stands where a kind of row has no use for a column, or where a gradient is not asked for.
"""

from __future__ import annotations

from typing import Final

NONE: Final = -1

FORWARD: Final = 0
"""Address of the kernel that runs forwards."""
BACKWARD: Final = 1
"""Address of the kernel that runs backwards; 0 where nothing is to be done."""
GEMM: Final = 2
"""Address of BLAS's matrix product; 0 where this row has no product that BLAS computes."""
ROWS: Final = 3
"""Rows for each sample: 1, or the product of all axes but the last."""
WIDTH: Final = 4
"""Length of a row of the input: fan_in of a dense layer."""
UNITS: Final = 5
"""Length of a row of the output (of the targets, for a loss)."""
COLUMN: Final = 6
"""Where in a row of the output (of the targets) the input's row starts: concatenation."""

INPUT: Final = 7
"""Offset of the values that a step reads; for a loss, of the logits or outputs."""
OUTPUT: Final = 8
D_INPUT: Final = 9
"""Offset of ∂L/∂input."""
D_OUTPUT: Final = 10
SLOPE: Final = 11
"""Offset of the elementwise derivative ∂output/∂input, which forwards leaves for backwards."""
TARGET: Final = 12
COEFFICIENT: Final = 13
"""Offset of each sample's factor in the loss: its weight times the reduction's scale."""

ADD_OUTPUT: Final = 14
"""1 where the output is added to what an earlier row wrote there, 0 where it is written; likewise below."""
ADD_D_INPUT: Final = 15
WEIGHT: Final = 16
BIAS: Final = 17
D_WEIGHT: Final = 18
"""Offset of ∂L/∂weight in the flat buffer of gradients."""
D_BIAS: Final = 19
ADD_D_WEIGHT: Final = 20
ADD_D_BIAS: Final = 21

UPDATES: Final = 22
"""Address of the row that updates this row's weight, which the walker leaves to it; 0 where it does not update."""
PRODUCT: Final = 23
"""1 where that update is W ← W − η xᵀδ and nothing besides, so that BLAS may make it within the product."""

START: Final = 24
"""First number of a range of parameters."""
STOP: Final = 25
SOURCE: Final = 26
"""Address of the whole data set that a batch is gathered from, or read from where it lies; 0 for none."""
ORDER: Final = 27
"""Address of the order of the samples in an epoch."""

CLOCK: Final = 28
"""Address of the whole numbers that change from step to step, see below."""
NOW: Final = 29
"""Address of the real ones."""
HYPER: Final = 30
"""Address of the row's real parameters: for whoever calls a row's kernel and is no walker."""
STRIDE: Final = 31
"""State k of the number at offset o of the flat buffer lies at o + (k + 1) · STRIDE of the buffer of gradients."""

PLAIN: Final = 32
"""1 where an update neither clips nor decays."""
INSIDE: Final = 33
"""1 where the rate is part of the velocity, or ε stands under the root."""
AHEAD: Final = 34
"""1 for Nesterov's momentum."""
STARTS: Final = 35
"""1 where the buffer of momentum starts with the first gradient."""
CORRECTION: Final = 36
"""What makes up for moments that start at 0: see the words below."""
AFTER: Final = 37
"""1 where decoupled decay is of the parameter after the update."""
SCHEDULED: Final = 38
"""1 where decoupled decay takes the schedule's multiplier for its factor, 0 where the rate."""

ABOVE: Final = 39
"""1 where the norm is clipped only if it exceeds the limit without its ε."""

UPDATE_FLAGS: Final = (PRODUCT, PLAIN, INSIDE, AHEAD, STARTS, CORRECTION, AFTER, SCHEDULED, ABOVE)
"""The columns that are 0 unless a row says otherwise."""

BY_BLAS: Final = 40
"""Which products of a dense layer BLAS computes, bit by bit: see ``fastimpl.kernels.dense``."""

SITE: Final = 41
"""Number of a dropout layer, from 0 in the order of computation."""
THRESHOLD: Final = 42
"""Dropout keeps an entry for which a number at least as large is drawn."""

PLACES: Final = 43
"""Address of the numbers 0, 1, 2 …: the places of samples, or of units, that lie one behind another."""

GRADIENT: Final = 44
"""Where the gradients of a range of parameters lie in their buffer: at START, or where those of a block before lay."""

COLUMNS: Final = 45

SLOTS: Final = (INPUT, OUTPUT, D_INPUT, D_OUTPUT, SLOPE, TARGET, COEFFICIENT)
"""The columns that are offsets in the workspace."""

UNCORRECTED: Final = 0
OF_MOMENTS: Final = 1
"""Each moment is divided by 1 − βᵗ."""
OF_RATE: Final = 2
"""The rate is multiplied by √(1 − β₂ᵗ) / (1 − β₁ᵗ)."""

# Real parameters of a row.
FACTOR: Final = 0
"""A slope, a strength, a limit."""
EPSILON: Final = 1
MOMENTUM: Final = 2
FRESH: Final = 3
"""What a gradient is multiplied by on its way into a buffer: 1 less the dampening."""
BETA1: Final = 4
BETA2: Final = 5
LIMIT: Final = 6
"""Each entry of the gradient is clipped to this, before decay; inf for none."""
COUPLED_L2: Final = 7
"""λ of the decay that is added to the gradient, 0 for none; likewise below."""
COUPLED_L1: Final = 8
DECOUPLED_L2: Final = 9
DECOUPLED_L1: Final = 10

HYPER_COLUMNS: Final = 11

# The rows of a table that come first, where there is a loss.
INPUTS_ROW: Final = 0
TARGETS_ROW: Final = 1
COEFFICIENTS_ROW: Final = 2

# The clock of a program.
BATCH_START: Final = 0
"""First sample of the batch in the order of the epoch."""
STEP: Final = 1
"""Number of the step, from 0 over all epochs: so many updates were made before it."""
SEED: Final = 2
"""The run's seed, its 64 bits."""

CLOCK_COLUMNS: Final = 3

# The real numbers of now.
RATE: Final = 0
"""η s of this step."""
MULTIPLIER: Final = 1
"""s, the schedule's part of it."""
BETA1_POWER: Final = 2
"""β₁ᵗ, t counted from 1."""
BETA2_POWER: Final = 3
CLIP: Final = 4
"""What the gradient is multiplied by to clip its norm; 1 where it is not clipped."""

RIGHT: Final = 5
"""How many answers were right since the epoch began, and below of how many."""
ANSWERS: Final = 6

NOW_COLUMNS: Final = 7

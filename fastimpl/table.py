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
"""Address of BLAS's matrix product; 0 where no product of this row is large enough for it."""
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
"""1 where the row updates its weight itself, by the learning rate in its FACTOR."""

START: Final = 23
"""First number of a range of parameters, or first sample of a batch in the order of an epoch."""
STOP: Final = 24
SOURCE: Final = 25
"""Address of the whole data set that a batch is gathered from; 0 for none."""
ORDER: Final = 26
"""Address of the order of the samples in an epoch."""

COLUMNS: Final = 27

SLOTS: Final = (INPUT, OUTPUT, D_INPUT, D_OUTPUT, SLOPE, TARGET, COEFFICIENT)
"""The columns that are offsets in the workspace."""

FACTOR: Final = 0
"""Column of a row's real parameter: a slope, a strength, a learning rate."""
HYPER_COLUMNS: Final = 1

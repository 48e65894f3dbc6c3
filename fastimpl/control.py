"""The control blocks of a run: what the compiled loop is told, and how far it is. Whole numbers and real ones apart."""

from __future__ import annotations

from typing import Final

# A program: addresses of its table and buffers, and where its rows end.
TABLE: Final = 0
REALS: Final = 1
"""Address of the real parameters of its rows."""
FEEDS: Final = 2
"""The row behind the last that feeds."""
BODY_END: Final = 3
"""The row behind the last of the network."""
UPDATES_END: Final = 4
"""The row behind the last that updates at the end of a step."""
ROWS: Final = 5
GRADIENTS: Final = 6
WORKSPACE: Final = 7
CLOCK_AT: Final = 8
NOW_AT: Final = 9

FIRST: Final = 10
"""The first row to run: the one behind that of the inputs, where these are read where they lie."""

PROGRAM_COLUMNS: Final = 11

# A run.
PROGRAM: Final = 0
"""Address of the program that trains."""
SETTINGS: Final = 1
"""Address of the run's real numbers."""
PARAMETERS: Final = 2
ORDER_AT: Final = 3
SAMPLES: Final = 4
BATCH_SIZE: Final = 5
SHUFFLED: Final = 6
STEP_LOSSES: Final = 7
"""Address of the loss of the step that comes next."""
EPOCH: Final = 8
"""Number of the epoch under way, and below how many batches of it are done."""
BATCH: Final = 9
LAST_EPOCH: Final = 10
"""Where training ends."""
CAREFUL: Final = 11
"""1 where each update is searched for what is not finite; it is not, unless something went wrong already."""
PAUSES: Final = 12
"""1 where the loop is left at the end of each epoch."""
SCHEDULE: Final = 13
"""Number of the schedule, see ``fastimpl.schedules``; below, its whole numbers."""
PERIOD: Final = 14
WARMUP: Final = 15
OFFSET: Final = 16

ACCURACIES: Final = 17
"""Address of the share of right answers in each epoch from FIRST_EPOCH on; 0 where they are not counted."""
FIRST_EPOCH: Final = 18
VALIDATION: Final = 19
"""Address of the program that validates; 0 for none."""
VALIDATION_SAMPLES: Final = 20
VALIDATION_SIZE: Final = 21
"""Samples of a portion."""
VALIDATION_AVERAGES: Final = 22
"""1 where the loss is a mean over the samples, 0 where it is a sum."""
VALIDATION_LOSSES: Final = 23
VALIDATION_ACCURACIES: Final = 24
PATIENCE: Final = 25
"""Epochs without a better validation loss after which training ends; 0: never."""
WAITED: Final = 26
"""Epochs since the best."""
BEST_EPOCH: Final = 27
"""−1 before there is one."""
BEST_AT: Final = 28
"""Address of the best epoch's parameters, and below how many words of 8 bytes they are."""
WORDS: Final = 29

RUN_COLUMNS: Final = 30

# Its real numbers: the optimiser's, then the schedule's, then those of early stopping.
ETA: Final = 0
RUN_BETA1: Final = 1
RUN_BETA2: Final = 2
GAMMA: Final = 3
SCHEDULE_START: Final = 4
SCHEDULE_END: Final = 5
POWER: Final = 6
IMPROVEMENT: Final = 7
BEST_LOSS: Final = 8

SETTINGS_COLUMNS: Final = 9

# Why the loop was left.
PAUSED: Final = 0
"""So many steps were made as were asked for, or an epoch is over."""
FINISHED: Final = 1
STOPPED_EARLY: Final = 2
LOSS_NOT_FINITE: Final = 3
"""The loss of a step, which made no update."""
UPDATE_NOT_FINITE: Final = 4
"""What an update left; it was made."""

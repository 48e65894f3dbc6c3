"""Schedules of the rate in compiled code; what each one is, ``gradproof.optimiser.Schedule`` says."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastimpl.control import GAMMA, OFFSET, PERIOD, POWER, SCHEDULE, SCHEDULE_END, SCHEDULE_START, WARMUP
from fastimpl.jit import inlined
from gradproof.optimiser import Schedule

CONSTANT: Final = 0
STEP_DECAY: Final = 1
EXPONENTIAL: Final = 2
INVERSE_TIME: Final = 3
LINEAR: Final = 4
POLYNOMIAL: Final = 5
COSINE: Final = 6

NUMBERS: Final = {
    "constant": CONSTANT,
    "step": STEP_DECAY,
    "exponential": EXPONENTIAL,
    "inverse_time": INVERSE_TIME,
    "linear": LINEAR,
    "polynomial": POLYNOMIAL,
    "cosine": COSINE,
}
"""Word of the vocabulary → number."""


@inlined(frozenset())
def multiplier(run: Any, settings: Any, step: int) -> float:
    """s(k) of a step, counted from 0. run, settings: the whole and the real numbers of a run's control block."""
    k = step + run[OFFSET]
    if k < run[WARMUP]:
        return float(k + 1) / float(run[WARMUP])
    k -= run[WARMUP]
    kind, period, gamma = run[SCHEDULE], run[PERIOD], settings[GAMMA]
    if kind == STEP_DECAY:
        return math.pow(gamma, float(k // period))
    if kind == EXPONENTIAL:
        return math.pow(gamma, float(k))
    if kind == INVERSE_TIME:
        return float(1.0 / (1.0 + gamma * float(k)))
    share = float(min(k, period)) / float(period)
    if kind == LINEAR:
        begin, end = settings[SCHEDULE_START], settings[SCHEDULE_END]
        return float(begin + (end - begin) * share)
    if kind == POLYNOMIAL:
        return math.pow(float(period - min(k, period)) / float(period), settings[POWER])
    if kind == COSINE:
        end = settings[SCHEDULE_END]
        return float(end + (1.0 - end) * (0.5 * (1.0 + math.cos(math.pi * share))))
    return 1.0


def tell(schedule: Schedule, run: npt.NDArray[np.int64], settings: npt.NDArray[np.float64]) -> None:
    """Puts a schedule into a control block."""
    run[SCHEDULE] = NUMBERS[schedule.name]
    run[PERIOD] = schedule.period or 1
    run[WARMUP], run[OFFSET] = schedule.warmup, schedule.offset
    for column, value in (
        (GAMMA, schedule.gamma),
        (SCHEDULE_START, schedule.start),
        (SCHEDULE_END, schedule.end),
        (POWER, schedule.power),
    ):
        settings[column] = value or 0.0

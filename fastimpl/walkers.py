"""The walkers: they run a network's table, for one batch or for many epochs.

A table holds, in this order, rows that feed a batch, rows of the network and its loss, rows that update the parameters,
and rows that others call. The walkers know addresses and sizes alone, so one compilation serves every architecture and
both dtypes; they allocate nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastimpl.control import (
    ACCURACIES,
    BATCH,
    BATCH_SIZE,
    BEST_AT,
    BEST_EPOCH,
    BEST_LOSS,
    BODY_END,
    CAREFUL,
    CLOCK_AT,
    EPOCH,
    ETA,
    FEEDS,
    FINISHED,
    FIRST,
    FIRST_EPOCH,
    GRADIENTS,
    IMPROVEMENT,
    LAST_EPOCH,
    LOSS_NOT_FINITE,
    NOW_AT,
    ORDER_AT,
    PARAMETERS,
    PATIENCE,
    PAUSED,
    PAUSES,
    PROGRAM,
    REALS,
    ROWS,
    RUN_BETA1,
    RUN_BETA2,
    SAMPLES,
    SETTINGS,
    SHUFFLED,
    STEP_LOSSES,
    STOPPED_EARLY,
    TABLE,
    UPDATE_NOT_FINITE,
    UPDATES_END,
    VALIDATION,
    VALIDATION_ACCURACIES,
    VALIDATION_AVERAGES,
    VALIDATION_LOSSES,
    VALIDATION_SAMPLES,
    VALIDATION_SIZE,
    WAITED,
    WORDS,
    WORKSPACE,
)
from fastimpl.jit import inlined, walker
from fastimpl.memory import call_kernel, integers_at, reals_at
from fastimpl.schedules import multiplier
from fastimpl.shuffling import shuffle
from fastimpl.table import (
    ANSWERS,
    BACKWARD,
    BATCH_START,
    BETA1_POWER,
    BETA2_POWER,
    COEFFICIENTS_ROW,
    COLUMNS,
    FORWARD,
    HYPER_COLUMNS,
    MULTIPLIER,
    RATE,
    RIGHT,
    SEED,
    SOURCE,
    STEP,
)

_ROW = 8 * COLUMNS
_HYPER_ROW = 8 * HYPER_COLUMNS
_LEAST_POWER = 2.0**-60
"""1 less a power of β is 1 from here down; so the power may be 0, and never is a subnormal number."""
_STRETCH = 2**16
"""Powers of β that are taken at once."""


@inlined()
def _forward(program: Any, first: int, stop: int, theta: int, batch: int) -> float:
    """Runs rows first … stop − 1 and adds up what each adds to the loss."""
    loss = 0.0
    for row in range(first, stop):
        op = program[TABLE] + row * _ROW
        hyper = program[REALS] + row * _HYPER_ROW
        address = integers_at(op)[FORWARD]
        loss += call_kernel(address, op, hyper, theta, program[GRADIENTS], program[WORKSPACE], batch)
    return loss


@inlined()
def _backward(program: Any, first: int, stop: int, theta: int, batch: int) -> None:
    """Runs rows stop − 1 … first backwards, where they have anything to do."""
    for row in range(stop - 1, first - 1, -1):
        op = program[TABLE] + row * _ROW
        hyper = program[REALS] + row * _HYPER_ROW
        address = integers_at(op)[BACKWARD]
        if address != 0:
            call_kernel(address, op, hyper, theta, program[GRADIENTS], program[WORKSPACE], batch)


@walker("float64(int64, int64, int64)")
def run_once(program_at: int, theta: int, batch: int) -> float:
    """One batch, forwards and backwards, without an update. Returns the loss.

    program_at: address of the program's control block. theta: address of the parameters.
    """
    program = integers_at(program_at)
    loss = _forward(program, 0, program[BODY_END], theta, batch)
    _backward(program, program[FEEDS], program[BODY_END], theta, batch)
    return loss


@inlined(frozenset())
def next_power(before: float, beta: float) -> float:
    """β^t from β^(t − 1)."""
    after = before * beta
    return after if after >= _LEAST_POWER else 0.0


def power_after(beta: float, steps: int) -> float:
    """β^steps as the loop has it after so many steps: a running product, rounded at each. 0 ≤ beta < 1."""
    value = 1.0
    for start in range(0, steps, _STRETCH):
        factors = np.full(min(_STRETCH, steps - start) + 1, beta)
        factors[0] = value
        value = float(np.multiply.accumulate(factors)[-1])
        if value < _LEAST_POWER:
            return 0.0
    return value


@inlined(frozenset())
def _tell_the_time(run: Any, settings: Any, clock: Any, now: Any, start: int) -> None:
    """Sets what changes from step to step: the batch's first sample, the rate, the powers of β."""
    clock[BATCH_START] = start
    factor = multiplier(run, settings, clock[STEP])
    now[MULTIPLIER] = factor
    now[RATE] = settings[ETA] * factor
    now[BETA1_POWER] = next_power(now[BETA1_POWER], settings[RUN_BETA1])
    now[BETA2_POWER] = next_power(now[BETA2_POWER], settings[RUN_BETA2])


@inlined()
def _validate(run: Any, index: int) -> float:
    """The loss of the validation set, in portions; penalties are added once. Notes it, and the share of right answers.

    Each portion's loss is a mean over its own samples, or a sum, as the loss has it.
    """
    program = integers_at(run[VALIDATION])
    clock, now = integers_at(program[CLOCK_AT]), reals_at(program[NOW_AT])
    theta, samples, size = run[PARAMETERS], run[VALIDATION_SAMPLES], run[VALIDATION_SIZE]
    now[RIGHT] = now[ANSWERS] = 0.0
    total = 0.0
    for start in range(0, samples, size):
        clock[BATCH_START] = start
        batch = min(size, samples - start)
        part = _forward(program, program[FIRST], program[BODY_END], theta, batch)
        total += part * (float(batch) / float(samples)) if run[VALIDATION_AVERAGES] != 0 else part
    total += _forward(program, program[BODY_END], program[UPDATES_END], theta, 0)
    reals_at(run[VALIDATION_LOSSES])[index] = total
    if run[VALIDATION_ACCURACIES] != 0:
        reals_at(run[VALIDATION_ACCURACIES])[index] = now[RIGHT] / now[ANSWERS]
    return total


@inlined()
def _patience_is_over(run: Any, settings: Any, loss: float) -> bool:
    """Keeps the parameters if the validation loss is the best so far; else counts the epochs since it was."""
    if loss < settings[BEST_LOSS] - settings[IMPROVEMENT]:
        settings[BEST_LOSS], run[BEST_EPOCH], run[WAITED] = loss, run[EPOCH], 0
        parameters, best = integers_at(run[PARAMETERS]), integers_at(run[BEST_AT])
        for i in range(run[WORDS]):
            best[i] = parameters[i]
        return False
    run[WAITED] += 1
    return bool(run[WAITED] >= run[PATIENCE])


@inlined()
def _end_epoch(run: Any, settings: Any, now: Any) -> bool:
    """Takes the measures of an epoch that is over, and begins the next. Returns whether training is to end."""
    index = run[EPOCH] - run[FIRST_EPOCH]
    over = False
    if run[ACCURACIES] != 0:
        reals_at(run[ACCURACIES])[index] = now[RIGHT] / now[ANSWERS]
        now[RIGHT] = now[ANSWERS] = 0.0
    if run[VALIDATION] != 0:
        loss = _validate(run, index)
        over = run[PATIENCE] > 0 and _patience_is_over(run, settings, loss)
    run[BATCH] = 0
    run[EPOCH] += 1
    return over


@walker("int64(int64, int64)")
def run_steps(run_at: int, most: int) -> int:
    """Trains on, for at most ``most`` steps. Returns why it stopped; the control block says where.

    run_at: address of the run's control block. A step whose loss is not finite makes no update, and is not counted.
    The order of an epoch is a function of the seed and the epoch, and is written anew when this begins amid one.
    """
    run = integers_at(run_at)
    settings = reals_at(run[SETTINGS])
    program = integers_at(run[PROGRAM])
    clock, now = integers_at(program[CLOCK_AT]), reals_at(program[NOW_AT])
    losses = reals_at(run[STEP_LOSSES])
    theta, samples, size = run[PARAMETERS], run[SAMPLES], run[BATCH_SIZE]
    feeds, body, updates, rows = program[FEEDS], program[BODY_END], program[UPDATES_END], program[ROWS]
    weighted = integers_at(program[TABLE] + COEFFICIENTS_ROW * _ROW)[SOURCE] != 0
    before = 0
    done = 0
    while run[EPOCH] < run[LAST_EPOCH]:
        if run[SHUFFLED] != 0:
            shuffle(integers_at(run[ORDER_AT]), samples, np.uint64(clock[SEED]), run[EPOCH])
        for start in range(run[BATCH] * size, samples, size):
            if done == most:
                return PAUSED
            _tell_the_time(run, settings, clock, now, start)
            batch = min(size, samples - start)
            _forward(program, program[FIRST], COEFFICIENTS_ROW, theta, batch)
            # Coefficients stand as they are unless samples have weights or are fewer than in the batch before.
            kept = batch == before and not weighted
            before = batch
            loss = _forward(program, COEFFICIENTS_ROW + 1 if kept else COEFFICIENTS_ROW, body, theta, batch)
            losses[done] = loss
            if not math.isfinite(loss):
                return LOSS_NOT_FINITE
            _backward(program, feeds, body, theta, batch)
            _forward(program, body, updates, theta, batch)
            done += 1
            clock[STEP] += 1
            run[BATCH] += 1
            if run[CAREFUL] != 0 and _forward(program, rows - 1, rows, theta, batch) != 0.0:
                return UPDATE_NOT_FINITE
        if _end_epoch(run, settings, now):
            return STOPPED_EARLY
        if run[PAUSES] != 0:
            return PAUSED
    return FINISHED


@walker("int64(int64, int64)")
def count_not_finite(program_at: int, theta: int) -> int:
    """How many parameters and numbers of an update's state are not finite."""
    program = integers_at(program_at)
    return int(_forward(program, program[ROWS] - 1, program[ROWS], theta, 0))


@walker("void(int64)")
def run_validation(run_at: int) -> None:
    """Takes the loss of the validation set, once. run_at: address of a run's control block, of which no more is read
    than parameters and validation.
    """
    _validate(integers_at(run_at), 0)

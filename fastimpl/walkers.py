"""The walkers: they run a network's table, for one batch or for many epochs.

A table holds, in this order, rows that feed a batch, rows of the network and its loss, and rows that update the
parameters. The walkers know addresses and sizes alone, so one compilation serves every architecture and both dtypes;
they allocate nothing.
"""

from __future__ import annotations

import math
from typing import Any

from fastimpl.jit import inlined, walker
from fastimpl.memory import call_kernel, integers_at, reals_at
from fastimpl.shuffling import shuffle
from fastimpl.table import BACKWARD, COLUMNS, FORWARD, HYPER_COLUMNS, START

_ROW = 8 * COLUMNS
_HYPER_ROW = 8 * HYPER_COLUMNS


@inlined()
def _forward(ops: int, hyper: int, first: int, stop: int, theta: int, dtheta: int, work: int, batch: int) -> float:
    """Runs rows first … stop − 1 and adds up what each adds to the loss."""
    loss = 0.0
    for row in range(first, stop):
        op = ops + row * _ROW
        address = integers_at(op)[FORWARD]
        loss += call_kernel(address, op, hyper + row * _HYPER_ROW, theta, dtheta, work, batch)
    return loss


@inlined()
def _backward(ops: int, hyper: int, first: int, stop: int, theta: int, dtheta: int, work: int, batch: int) -> None:
    """Runs rows stop − 1 … first backwards, where they have anything to do."""
    for row in range(stop - 1, first - 1, -1):
        op = ops + row * _ROW
        address = integers_at(op)[BACKWARD]
        if address != 0:
            call_kernel(address, op, hyper + row * _HYPER_ROW, theta, dtheta, work, batch)


@walker("float64(int64, int64, int64, int64, int64, int64, int64, int64)")
def run_once(ops: int, hyper: int, feeds: int, stop: int, theta: int, dtheta: int, work: int, batch: int) -> float:
    """One batch, forwards and backwards, without an update. Returns the loss.

    ops, hyper, theta, dtheta, work: addresses of the table, its real parameters and the buffers. feeds, stop: the
    row behind the last that feeds, and behind the last of the network.
    """
    loss = _forward(ops, hyper, 0, stop, theta, dtheta, work, batch)
    _backward(ops, hyper, feeds, stop, theta, dtheta, work, batch)
    return loss


@walker(
    "int64(int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, uint64, boolean, int64, int64,"
    " int64, int64)"
)
def run_epochs(
    ops: int,
    hyper: int,
    feeds: int,
    stop: int,
    rows: int,
    theta: int,
    dtheta: int,
    work: int,
    order: int,
    samples: int,
    batch_size: int,
    seed: Any,
    shuffled: bool,
    first: int,
    last: int,
    most: int,
    losses: int,
) -> int:
    """Trains for epochs first … last − 1, at most ``most`` steps. Returns the number of updates made.

    Stops before the update of a step whose loss is not finite. order: address of the samples' order, written anew for
    each epoch where ``shuffled``; losses: address of the steps' losses. The rest as in ``run_once``.
    """
    step = 0
    for epoch in range(first, last):
        if shuffled:
            shuffle(integers_at(order), samples, seed, epoch)
        for start in range(0, samples, batch_size):
            if step == most:
                return step
            batch = min(batch_size, samples - start)
            for row in range(feeds):
                integers_at(ops + row * _ROW)[START] = start
            loss = _forward(ops, hyper, 0, stop, theta, dtheta, work, batch)
            reals_at(losses)[step] = loss
            if not math.isfinite(loss):
                return step
            _backward(ops, hyper, feeds, stop, theta, dtheta, work, batch)
            _forward(ops, hyper, stop, rows, theta, dtheta, work, batch)
            step += 1
    return step

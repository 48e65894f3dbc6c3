"""The order of the samples in an epoch: a function of the number of samples, the seed and the epoch alone.

The generator is SplitMix64 (``fastimpl.splitmix``). An epoch's first state is mix(mix(seed) + (epoch + 1) · STEP), so
every epoch has a stream of its own. The order is Fisher and Yates's shuffle of 0 … n − 1, from the last place down;
each draw below a bound takes the upper 32 bits of a number by Lemire's method ("Fast random integer generation in an
interval", 2019), which rejects what would make it uneven. All of it is integer arithmetic, the same on every machine.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastimpl.jit import inlined, walker
from fastimpl.memory import integers_at, room_for
from fastimpl.splitmix import MOST_SEED as MOST_SEED
from fastimpl.splitmix import STEP, mix
from gradproof.errors import ArgumentError

MOST_SAMPLES = 2**32 - 1

TOGETHER: Final = 64
"""Draws that are made at a time."""

_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_ONE = np.uint64(1)


_room = room_for(TOGETHER)


@inlined()
def _draw_together(places: Any, state: Any, last: int) -> bool:
    """Draws the places for ``TOGETHER`` numbers from ``last`` down. Returns whether none may have to be rejected."""
    certain = True
    for i in range(TOGETHER):
        bound = np.uint64(last + 1 - i)
        product = (mix(state + np.uint64(i + 1) * STEP) >> _S32) * bound
        places[i] = np.int64(product >> _S32)
        certain &= product & _LOW >= bound
    return certain


@inlined()
def shuffle(order: Any, samples: int, seed: Any, epoch: int) -> None:
    """Writes the epoch's order into ``order``. Draws are made in vectors as long as none may have to be rejected."""
    for i in range(samples):
        order[i] = i
    state = mix(mix(seed) + (np.uint64(epoch) + _ONE) * STEP)
    places = _room(order)
    last = samples - 1
    while last > 0:
        after = max(last - TOGETHER, 0)
        if last >= TOGETHER and _draw_together(places, state, last):
            state += np.uint64(TOGETHER) * STEP
            for i in range(TOGETHER):
                order[last - i], order[places[i]] = order[places[i]], order[last - i]
        else:
            for upper in range(last, after, -1):
                bound = np.uint64(upper + 1)
                while True:
                    state += STEP
                    product = (mix(state) >> _S32) * bound
                    low = product & _LOW
                    # The division is needed only where the draw may be one of those that make it uneven.
                    if low >= bound or low >= (_LOW + _ONE - bound) % bound:
                        break
                place = np.int64(product >> _S32)
                order[upper], order[place] = order[place], order[upper]
        last = after


@walker("void(int64, int64, uint64, int64)")
def _write_order(order: int, samples: int, seed: Any, epoch: int) -> None:
    shuffle(integers_at(order), samples, seed, epoch)


def permutation(samples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order in which ``train`` visits the samples in an epoch, counted from 0.

    Raises ArgumentError unless 0 ≤ samples < 2^32, 0 ≤ seed < 2^64 and 0 ≤ epoch < 2^63.
    """
    for argument, value, most in (
        ("samples", samples, MOST_SAMPLES),
        ("seed", seed, MOST_SEED),
        ("epoch", epoch, 2**63 - 1),
    ):
        whole(argument, value, 0, most)
    order = np.empty(samples, dtype=np.int64)
    _write_order(order.ctypes.data, int(samples), np.uint64(seed), int(epoch))
    return order


def whole(argument: str, value: object, least: int, most: int | None = None) -> int:
    """An argument that must be a whole number in a range. Raises ArgumentError where it is none."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        number = int(value)
        if number >= least and (most is None or number <= most):
            return number
    expected = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    raise ArgumentError(argument, expected, value)

"""Schedules of the rate: the multiplier of each step in a ball, and what careful arithmetic may be off by on it.

The bounds cover, at unit roundoff u, each formula as it stands and the recursions that schedulers run instead, one
step from the last (torch's): every factor rounded, every step's product rounded, γ, start, end and power rounded first.
Where a recursion divides by what it multiplied with one step before, as for ``cosine`` and ``polynomial``, both are the
same computed number and cancel, so that a step costs its own few roundings alone.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from flint import arb, fmpq

from gradproof.optimiser import Schedule
from refimpl.enclosure import upward
from refimpl.formats import Format
from refimpl.variants import LIBRARY

PER_STEP = 6
"""Roundings that a recursion may spend on one step."""
FORMULA = 8
"""Roundings of a formula, its own arguments and constants included."""


def multiplier(schedule: Schedule, step: int) -> Any:
    """s(k) of a step, counted from 1, in a ball at the working precision; see ``gradproof.optimiser.Schedule``."""
    k = step - 1 + schedule.offset
    if k < schedule.warmup:
        return _ratio(k + 1, schedule.warmup)
    k -= schedule.warmup
    match schedule:
        case Schedule(name="step", gamma=float(gamma), period=int(period)):
            return arb(gamma) ** (k // period)
        case Schedule(name="exponential", gamma=float(gamma)):
            return arb(gamma) ** k
        case Schedule(name="inverse_time", gamma=float(gamma)):
            return 1 / (1 + arb(gamma) * k)
        case Schedule(name="linear", start=float(start), end=float(end), period=int(period)):
            return start + (arb(end) - start) * _ratio(min(k, period), period)
        case Schedule(name="polynomial", power=float(power), period=int(period)):
            return _power(1 - Fraction(min(k, period), period), power)
        case Schedule(name="cosine", end=float(end), period=int(period)):
            wave = (1 + arb.cos_pi_fmpq(fmpq(min(k, period), period))) / 2
            return end + (1 - arb(end)) * wave
        case _:
            return arb(1)


def multiplier_error(schedule: Schedule, step: int, target: Format) -> float:
    """What an implementation at a format may be off by on s(k), absolutely."""
    k = step - 1 + schedule.offset
    size = upward(abs(multiplier(schedule, step)).upper())
    if k < schedule.warmup:
        return target.gamma(3) * size
    k -= schedule.warmup
    library = int(LIBRARY)
    match schedule:
        case Schedule(name="constant"):
            return 0.0
        case Schedule(name="step", period=int(period)):
            return target.gamma(2 * (k // period) + library) * size if k >= period else 0.0
        case Schedule(name="exponential"):
            return target.gamma(2 * k + library) * size if k else 0.0
        case Schedule(name="inverse_time"):
            return target.gamma(5) * size
        case Schedule(name="polynomial", power=float(power), period=int(period)):
            # 1 − k/T is off by u absolutely, so by T·u relatively at the most before it is 0. A recursion takes a
            # quotient to the power at each step.
            exponent = math.ceil(power)
            per_step = library + exponent + PER_STEP
            return target.gamma(library + FORMULA + exponent * (period + PER_STEP) + per_step * k) * size
        case Schedule(start=start, end=end):
            # Sums of two numbers no larger than the largest multiplier there is.
            largest = max(1.0 if start is None else start, end or 0.0, 1.0)
            return target.gamma(library + FORMULA + PER_STEP * k) * largest


def _ratio(numerator: int, denominator: int) -> Any:
    return arb(fmpq(numerator, denominator))


def _power(base: Fraction, exponent: float) -> Any:
    if base == 0:
        return arb(0) if exponent else arb(1)
    return arb(fmpq(base.numerator, base.denominator)) ** arb(exponent)

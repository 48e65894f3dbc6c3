"""Whether enclosures contain what the second source computes: ``plain``'s numbers at hundreds of digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np

from refimpl.balls import precision
from refimpl.enclosure import Enclosure
from verify.suite.oracle import plain

WORKING_BITS = 1200
"""Enough for numbers of ``plain.DIGITS`` digits."""
AGAIN = 4
"""The second source has textbook formulas: log(1 − p) keeps no digits once 1 − p has more zeros than there are digits.
Where it disagrees it is therefore asked again, with so many times its digits, and that counts. That an imprecise number
agrees with a narrow ball by chance need not be feared."""
SURE = 60
"""Decimal digits that a difference must have to be a second source, far beyond those of the enclosure."""
NARROW = 1e-25


@dataclass(frozen=True)
class Comparison:
    """What was compared, in words where it went wrong.

    misses: balls that miss the second source's number. wide: balls that say little. unsure: derivatives of which the
    differences had fewer digits than SURE, and which were compared nevertheless. digits: of the second source.
    """

    numbers: int
    misses: tuple[str, ...]
    wide: tuple[str, ...]
    unsure: tuple[str, ...]
    digits: int


def compared(enclosed: Enclosure, seed: int) -> Comparison:
    """Loss, outputs, and the derivative along a random direction in each leaf, against the second source."""
    first = _compared(enclosed, seed, plain.DIGITS, WORKING_BITS)
    return _compared(enclosed, seed, AGAIN * plain.DIGITS, AGAIN * WORKING_BITS) if first.misses else first


def _compared(enclosed: Enclosure, seed: int, digits: int, bits: int) -> Comparison:
    case = enclosed.case
    random = np.random.default_rng(seed)
    misses, wide, unsure = [], [], []
    with mpmath.workdps(digits):
        loss, outputs = plain.forward(case, plain.leaves(case))
        rounded = mpmath.mpf(10) ** (-2 * digits // 3)
        found: list[tuple[str, Any, Any, Any]] = [("loss", enclosed.balls("loss")[()], loss, abs(loss) * rounded)]
        balls = enclosed.balls("outputs").flat
        found += [("outputs", *pair, rounded) for pair in zip(balls, outputs.flat, strict=True)]
        for name in enclosed.names()[2:]:
            direction = random.choice([-3, -2, -1, 1, 2, 3], size=enclosed.shape(name))
            value, error = plain.slope(case, name, plain.to_mp(direction), digits=digits)
            if error >= mpmath.mpf(10) ** -SURE:
                unsure.append(f"{name} of {case!r}: {value} to {error}")
            with precision(bits):
                along = sum(ball * int(v) for ball, v in zip(enclosed.balls(name).flat, direction.flat, strict=True))
            found.append((name, along, value, error))
        with precision(bits):
            for name, ball, value, error in found:
                if not ball.overlaps(plain.to_ball(value, error)):
                    misses.append(f"{name} of {case!r}: {ball} misses {value}")
                if not ball.rad() < NARROW * (1 + abs(ball.mid())):
                    wide.append(f"{name} of {case!r}: {ball} is wide")
    return Comparison(len(found), tuple(misses), tuple(wide), tuple(unsure), digits)

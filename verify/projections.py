"""Projections: a gradient held against differences along fresh random directions, with the probability of a miss.

Where a network is too large for a difference for each entry, its gradient is compared with differences along
directions v of random signs. Let g be the exact gradient, g + e the one in question, τ the largest error of a
difference, and s the sum of what rounding is allowed in each entry. A direction lets g + e pass only where |⟨e, v⟩| ≤
2τ + s. Let e_m be the largest entry of e: whatever the other signs, the two values of v_m give two ⟨e, v⟩ that are
2|e_m| apart; so where |e_m| > 2τ + s at most one of them passes. Each fresh direction misses such an e with a
probability of at most 1/2, k of them with at most 2⁻ᵏ. (That is the worst case, two equal and opposite entries; one
wrong entry alone no direction misses. After P. Erdős, *On a lemma of Littlewood and Offord*, Bull. AMS 51, 1945.)
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gradproof.case import Case
from gradproof.errors import ArgumentError
from verify.differences import Difference, Method, Noise, along, check_method
from verify.loss_differences import LossOf, Progress, lines_of, point_of, random_direction

DIRECTIONS: Final = 20
"""2⁻²⁰ is one in a million."""


@dataclass(frozen=True)
class Projection:
    """One direction: what differences give along it, and ⟨gradient, v⟩, correctly rounded."""

    seed: int
    """``random_direction(case, seed, names)`` is v."""
    difference: Difference
    claimed: float
    slack: float
    """What rounding of the gradient's entries is allowed to make of it."""

    @property
    def contradicted(self) -> bool:
        """Whether the gradient cannot be right along v, as far as the difference's error goes."""
        low, high = self.claimed - self.slack, self.claimed + self.slack
        return self.difference.contradicts(math.nextafter(low, -math.inf), math.nextafter(high, math.inf))


@dataclass(frozen=True)
class Projections:
    """What random directions say of a gradient; see the module."""

    projections: tuple[Projection, ...]

    @property
    def contradicted(self) -> bool:
        """Whether any direction contradicts the gradient."""
        return any(one.contradicted for one in self.projections)

    @property
    def resolution(self) -> float:
        """An error of an entry above this is missed with a probability of at most ``miss_probability``."""
        return max(2 * one.difference.error + one.slack for one in self.projections)

    @property
    def miss_probability(self) -> float:
        """2⁻ᵏ for k directions, where the gradient was fixed before they were drawn."""
        return 2.0 ** -len(self.projections)

    def __str__(self) -> str:
        said = "contradicted" if self.contradicted else "not contradicted"
        return (
            f"{said} by {len(self.projections)} random directions, which miss an entry that is off by more than "
            f"{self.resolution:.2g} with a probability of at most {self.miss_probability:.1g}"
        )


def projections(
    case: Case,
    gradient: Mapping[str, npt.ArrayLike],
    method: Method = "central",
    *,
    allowed: Mapping[str, npt.ArrayLike] | None = None,
    directions: int = DIRECTIONS,
    seed: int | None = None,
    loss: LossOf | None = None,
    noise: Noise | None = None,
    progress: Progress | None = None,
) -> Projections:
    """Compares a gradient with differences of the loss along fresh random directions.

    Arguments:
        case: whose gradient it is.
        gradient: by name of a parameter, or ``inputs``, in its shape. Directions move these arrays and no others.
        allowed: what each entry may be off by, under the same names and more (``Allowance.rigorous``, say); None for
            nothing.
        directions: how many.
        seed: of the first one, the next ones follow; None for one that nobody could foresee. It is in the result.
        method: of the differences, see ``difference_gradient``; likewise below.
        loss: what is differenced.
        noise: a bound on its error.
        progress: called with the number of directions done, and of all.

    Raises ArgumentError for names and shapes that the case has not, for fewer than one direction, and as
    ``difference_gradient`` does.
    """
    check_method(method)
    if directions < 1:
        raise ArgumentError("directions", "at least 1", directions)
    at = point_of(case)
    claimed = {name: np.asarray(array, dtype=np.float64) for name, array in gradient.items()}
    for name, array in claimed.items():
        if name not in at or array.shape != at[name].shape:
            raise ArgumentError(f"gradient[{name!r}]", "a name and shape of the case", f"shape {array.shape}")
    if not claimed:
        raise ArgumentError("gradient", "at least one array", "none")
    slack = math.fsum(float(np.sum(allowed[name])) for name in claimed) if allowed is not None else 0.0
    first = secrets.randbits(48) if seed is None else seed
    line = lines_of(case, method, loss, noise)
    found: list[Projection] = []
    for number in range(first, first + directions):
        direction = random_direction(case, number, tuple(claimed))
        terms = [part * claimed[name] for name, part in direction.items()]
        total = math.fsum(np.concatenate([array.ravel() for array in terms]).tolist())
        found.append(Projection(number, along(line(direction), method), total, slack))
        if progress is not None:
            progress(len(found), directions)
    return Projections(tuple(found))

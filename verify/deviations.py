"""By how much the numbers of an answer are larger than the exact ones, in the mean: signed, unlike a distance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from gradproof.arrays import Array
from gradproof.gradients import INPUTS, LOSS, OUTPUTS
from gradproof.network import is_bias

Float64 = npt.NDArray[np.float64]

TINY: Final = float(np.finfo(np.float64).tiny)

EVERY: Final = "every gradient"
LOSS_GROUP: Final = "the loss"
OUTPUTS_GROUP: Final = "the outputs"
GROUPS: Final[Mapping[str, Callable[[str], bool]]] = {
    EVERY: lambda name: name not in (LOSS, OUTPUTS),
    "the gradients of weights": lambda name: name not in (LOSS, OUTPUTS, INPUTS) and not is_bias(name),
    "the gradients of biases": is_bias,
    "the gradient for the inputs": lambda name: name == INPUTS,
    LOSS_GROUP: lambda name: name == LOSS,
    OUTPUTS_GROUP: lambda name: name == OUTPUTS,
}
"""In words → which quantities belong to it."""

Deviations = Mapping[str, float]
"""Group → r."""


class Enclosed(Protocol):
    """What is asked of an enclosure."""

    def distance(self, name: str, got: npt.ArrayLike) -> Float64: ...  # noqa: D102
    def lower(self, name: str) -> Float64: ...  # noqa: D102
    def upper(self, name: str) -> Float64: ...  # noqa: D102


def weights(enclosed: Enclosed, names: Sequence[str]) -> dict[str, dict[str, Float64]]:
    """For each group whose Σ |x| is a normal number, by quantity: sign(x) / Σ |x|."""
    middle = {name: enclosed.lower(name) / 2 + enclosed.upper(name) / 2 for name in names}
    found = {}
    for group, belongs in GROUPS.items():
        members = {name: array for name, array in middle.items() if belongs(name)}
        size = sum(float(np.abs(array).sum()) for array in members.values())
        if TINY <= size < math.inf:
            found[group] = {name: np.sign(array) / size for name, array in members.items()}
    return found


def deviations(enclosed: Enclosed, given: Mapping[str, Array]) -> dict[str, float]:
    """How much larger the numbers of each group are than the exact ones, relatively, in the mean."""
    sums = weights(enclosed, list(given))
    off: dict[str, Float64] = {}
    for name, array in given.items():
        got = array.astype(np.float64)
        off[name] = np.where(got >= enclosed.upper(name), 1.0, -1.0) * enclosed.distance(name, got)
    return {group: sum(float((w * off[name]).sum()) for name, w in members.items()) for group, members in sums.items()}

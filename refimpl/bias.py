"""What roundings that all go one way may move a weighted sum of a case's numbers by.

Rounding to nearest goes up as often as down, over cases that have nothing to do with one another. Not so a library's
exp, which may be above the exact value for every argument, nor a constant that is no number of the format, which is off
by the same each time. Such roundings, of sizes in units of u, with c = LIBRARY and f the exact value, are:

- functions through an exponential that is off by c. *sigmoid*: (c + 2)·f; *sigmoid′*, from such an a or by its own:
  (2c + 2)·a(1 − a); *tanh*: c, since in its quotients what exponentials are off by is multiplied by sech² z ≤ 1;
  *tanh′* as 1 − a²: 2c·|a|; *softplus*: c·(f + 1); *softplus′*: (c + 2)·f; *exp*, *log*, *sqrt*: c·|f|; every other
  function by its whole bound in ``refimpl.variants``. Reciprocals and squares are rounded to nearest;
- each product with a constant, and each slope, that is not exact: 1 of it;
- what a detour notes: as many as it says;
- SLACK on the seed of the reverse pass, for scalings elsewhere.

To first order a weighted sum of the numbers moves by Σ aᵢδᵢ with |δᵢ| ≤ 1, so by Σ |aᵢ| at most, one way or the other.
Each aᵢ is found by passing that rounding alone through the program, with exact coefficients (``refimpl.typical``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from refimpl.allowance import SLACK
from refimpl.balls import precision
from refimpl.enclosure import Enclosure
from refimpl.formats import Format
from refimpl.language import Apply, Detour, Hinge, Node, Scale, Seed, Step
from refimpl.program import leaf_values
from refimpl.typical import Floats, Simulation, Usual
from refimpl.variants import LIBRARY, VARIANTS, Suprema

TOGETHER: Final = 256
"""Roundings that are passed through the program side by side."""
MOST: Final = 4096
"""With more of them in a program nothing is said."""

Weights = Mapping[str, Floats]
"""Quantity → the weights of its entries."""

_C = LIBRARY


def _tanh_slope(s: Suprema) -> Floats:
    return 2 * _C * np.abs(s.function)


ONE_WAY: Final[Mapping[tuple[str, int], Usual]] = MappingProxyType(
    {
        ("sigmoid", 0): lambda s: (_C + 2) * s.value,
        ("sigmoid", 1): lambda s: (2 * _C + 2) * s.value,
        ("tanh", 0): lambda s: np.full(np.shape(s.value), _C),
        ("tanh", 1): _tanh_slope,
        ("softplus", 0): lambda s: _C * (s.value + 1),
        ("softplus", 1): lambda s: (_C + 2) * s.value,
        ("reciprocal", 0): lambda s: np.zeros(np.shape(s.value)),
        ("reciprocal", 1): lambda s: np.zeros(np.shape(s.value)),
        ("square", 0): lambda s: np.zeros(np.shape(s.value)),
        ("square", 1): lambda s: np.zeros(np.shape(s.value)),
    }
)
"""(function, order) → what may go one way; for every other its bound."""


def bias(enclosed: Enclosure, target: Format, sums: Mapping[str, Weights]) -> dict[str, float]:
    """By how much each weighted sum may be off in a format if roundings that may be biased all go its way.

    inf where there are more than MOST such roundings, or float64 cannot hold what is passed on.
    """
    results = enclosed.computation.results
    found = dict.fromkeys(sums, 0.0)
    first, roundings = 0, 1
    while first < roundings:
        alone = _Alone(enclosed, target, first)
        with np.errstate(all="ignore"), precision(enclosed.working_bits):
            errors = {id(node): error for node, error in alone.run()}
        roundings = alone.met
        if roundings > MOST:
            return dict.fromkeys(sums, math.inf)
        for name, weights in sums.items():
            moved = np.zeros(TOGETHER)
            for quantity, weight in weights.items():
                moved = moved + (errors[id(results[quantity])] * weight).reshape(TOGETHER, -1).sum(axis=1)
            found[name] += float(np.abs(moved).sum())
        first += TOGETHER
    return {name: most if math.isfinite(most) else math.inf for name, most in found.items()}


class _Alone(Simulation):
    """Runs, TOGETHER from the first on, in each of which one rounding that may be biased is off, by all it may be."""

    def __init__(self, enclosed: Enclosure, target: Format, first: int) -> None:
        sizes = {
            id(node): ONE_WAY.get(which, VARIANTS[which].factor)
            for node in enclosed.order
            if isinstance(node.primitive, Apply)
            for which in ((node.primitive.function, node.primitive.order),)
        }
        super().__init__(
            enclosed, target, leaf_values(enclosed.case), 0, rounds_leaves=False, usual=sizes, samples=TOGETHER
        )
        self.first = first
        self.met = 0
        """Roundings met so far."""
        self._times = 0.0

    def rounding(self, magnitude: Floats, passed: Floats | None = None) -> Floats:
        alone = np.zeros((TOGETHER, magnitude.size))
        if self._times:
            here = np.arange(magnitude.size) + self.met - self.first
            within = (here >= 0) & (here < TOGETHER)
            alone[here[within], np.flatnonzero(within)] = self._times * self.target.unit * magnitude.ravel()[within]
            self.met += magnitude.size
        return alone.reshape(TOGETHER, *magnitude.shape)

    def error(self, node: Node, errors: list[Floats]) -> Floats:
        self._times = self._times_of(node)
        found = super().error(node, errors)
        match node.primitive:
            case Seed():
                found = found + self.rounding(np.ones(node.shape))
            case Step(below, above):
                found = found + self.rounding(np.full(node.shape, max(abs(float(below)), abs(float(above)))))
            case _:
                pass
        return found

    def _times_of(self, node: Node) -> float:
        """How many roundings of what a node rounds may go one way."""
        holds: Callable[..., bool] = self.target.holds
        match node.primitive:
            case Apply():
                return 1.0
            case Seed():
                return float(SLACK)
            case Detour(roundings, _):
                return math.sqrt(roundings)  # and as many are simulated already
            case Scale(factor):
                return 0.0 if holds(factor) else 1.0
            case Hinge(below, above) | Step(below, above):
                return 0.0 if holds(below) and holds(above) else 1.0
            case _:
                return 0.0

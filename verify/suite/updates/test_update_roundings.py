"""The allowance holds where every rounding goes to its limit: numbers that round themselves as badly as they may."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from msgspec.structs import replace

from gradproof.optimiser import DECAY_PLACES, ClipBy, Clipping, Optimiser, Schedule, WeightDecay
from gradproof.update import Update, state_name
from refimpl.balls import precision
from refimpl.formats import Format
from refimpl.schedules import multiplier, multiplier_error
from refimpl.updates import update_allowance, update_enclosure
from refimpl.variants import LIBRARY
from verify.suite.updates.plain_steps import EXTRAS, RULES, plain_step

UNIT = 2.0**-24
"""float32's, while the numbers themselves are held in float64."""


class Careless:
    """A number each of whose operations is off by u relatively, up or down as ``signs`` says; roots and powers by more.

    Products with 0 or ±1, the power 0 and x/x are exact, as they are in floats. ``signs`` has one number for each
    rounding in turn, 0 where it ends.
    """

    signs: ClassVar[Any] = ()
    roundings: ClassVar[int] = 0

    def __init__(self, value: float) -> None:
        self.value = value

    @classmethod
    def rounded(cls, value: float, units: float = 1.0) -> Careless:
        sign = cls.signs[cls.roundings] if cls.roundings < len(cls.signs) else 0.0
        cls.roundings += 1
        return cls(value * (1 + sign * units * UNIT))

    @classmethod
    def given(cls, value: float) -> Careless:
        """A hyperparameter: rounded, unless float32 holds it."""
        return cls(value) if float(np.float32(value)) == value else cls.rounded(value)

    def _with(self, other: Any, result: Callable[[float, float], float]) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else self.rounded(result(self.value, plain(other)))

    def __add__(self, other: Any) -> Any:
        return self._with(other, operator.add)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        exact = {abs(self.value), abs(plain(other))} & {0, 1}
        return self.rounded(self.value * plain(other), 0.0 if exact else 1.0)

    __radd__, __rmul__ = __add__, __mul__

    def __sub__(self, other: Any) -> Any:
        return self._with(other, operator.sub)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda x, y: y - x)

    def __truediv__(self, other: Any) -> Any:
        if not isinstance(other, np.ndarray) and self.value == plain(other):
            return Careless(1.0)
        return self._with(other, operator.truediv)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with(other, lambda x, y: y / x)

    def __pow__(self, exponent: Any) -> Careless:
        return self.rounded(self.value ** plain(exponent), LIBRARY if exponent else 0.0)

    def cos(self) -> Careless:
        return self.rounded(math.cos(self.value), LIBRARY)

    def __neg__(self) -> Careless:
        return Careless(-self.value)

    def __lt__(self, other: Any) -> bool:
        return self.value < plain(other)

    def __le__(self, other: Any) -> bool:
        return self.value <= plain(other)

    def __ge__(self, other: Any) -> bool:
        return self.value >= plain(other)

    def __gt__(self, other: Any) -> bool:
        return self.value > plain(other)

    def __eq__(self, other: object) -> bool:
        return self.value == plain(other)

    __hash__ = None  # type: ignore[assignment]


def plain(x: Any) -> float:
    return x.value if isinstance(x, Careless) else float(x)


Outcome = Callable[[], dict[str, float]]


def worst(outcome: Outcome) -> Iterator[dict[str, float]]:
    """What the computation gives when all its roundings conspire, for each of its numbers in turn, up and down.

    To first order each rounding moves a number by an amount of its own: the worst signs are those of these amounts.
    """

    def under(signs: Any) -> dict[str, float]:
        Careless.signs, Careless.roundings = signs, 0
        return outcome()

    exact = under(())
    single = np.eye(Careless.roundings)
    moved = [under(row) for row in single]
    for name, value in exact.items():
        signs = np.sign([one[name] - value for one in moved])
        for direction in (1, -1):
            yield {name: under(direction * signs)[name]}


def careless(array: Any) -> Any:
    result = np.empty(array.shape, dtype=object)
    result[:] = [Careless(float(x)) for x in array]
    return result


def held(rng: np.random.Generator, low: float, high: float) -> Any:
    """A number of either sign that float32 holds, of a magnitude between powers of ten."""
    return (rng.choice([-1, 1], 1) * 10 ** rng.uniform(low, high, 1)).astype(np.float32)


BETAS = ("rho", "beta1", "beta2")
SMALL_BETAS = tuple(replace(o, **{name: 0.05 for name in BETAS if name in o.hyperparameters}) for o in RULES[6:])
"""Where old + (1 − β)(new − old) cancels most."""
FALLING = Schedule("exponential", gamma=0.9)
DECAYED = (
    Optimiser("sgd", 0.0, decay=WeightDecay("l2", 0.5, "decoupled_schedule"), schedule=FALLING),
    *(
        Optimiser("adam", 0.25, beta1=0.5, beta2=0.75, epsilon=1e-8, decay=decay, schedule=schedule)
        for decay in (WeightDecay("l2", 3.9, place) for place in DECAY_PLACES)
        for schedule in (Schedule(), FALLING)
    ),
)
BY_NORM: tuple[ClipBy, ...] = ("norm", "norm_if_above")
CLIPPED = tuple(Optimiser("sgd", 1.0, clipping=Clipping(by, 0.3, 1e-3)) for by in BY_NORM)


@pytest.mark.parametrize("lerp", [False, True])
@pytest.mark.parametrize("optimiser", [*RULES, *EXTRAS, *SMALL_BETAS, *DECAYED, *CLIPPED], ids=str)
def test_the_worst_roundings_stay_within_the_allowance(optimiser: Optimiser, lerp: bool) -> None:
    if optimiser.decay is not None:
        optimiser = replace(optimiser, decay=replace(optimiser.decay, excluded=()))
    for seed, step in itertools.product(range(2), (1, 2, 40)):
        rng = np.random.default_rng(seed)
        theta, g = {"w": held(rng, -12, 0)}, {"w": held(rng, -3, 1)}
        state = {key: {"w": np.abs(held(rng, -3, 1))} for key in optimiser.word.state}
        update = Update(optimiser, theta, g, state, step=step, dtype="float32")

        def outcome(theta: Any = theta, g: Any = g, state: Any = state, step: int = step) -> dict[str, float]:
            states = {key: {"w": careless(arrays["w"])} for key, arrays in state.items()}
            after, new = plain_step(
                optimiser, {"w": careless(theta["w"])}, {"w": careless(g["w"])}, states, step, Careless.given, lerp
            )
            found = {"w": after["w"], **{state_name(key, "w"): new[key]["w"] for key in new}}
            return {name: plain(array[0]) for name, array in found.items()}

        enclosed = update_enclosure(update)
        allowed = update_allowance(update, enclosed=enclosed).rigorous
        for numbers in worst(outcome):
            for name, got in numbers.items():
                assert enclosed.distance(name, [got])[0] <= allowed[name][0]


@pytest.mark.parametrize("number", range(3))
def test_rates_by_recursion_stay_within_the_bound(number: int) -> None:
    steps, end = 40, 0.1
    shares: list[Any] = []
    waves: list[Any] = []
    recursions: tuple[tuple[Schedule, Callable[[int, Any], Any]], ...] = (
        (Schedule("exponential", gamma=0.9), lambda k, rate: rate * Careless.given(0.9)),
        (
            Schedule("polynomial", power=2.0, period=steps + 1),
            lambda k, rate: rate * (shares[k] / shares[k - 1]) ** Careless(2.0),
        ),
        (
            Schedule("cosine", end=end, period=steps + 1),
            lambda k, rate: waves[k] / waves[k - 1] * (rate - Careless.given(end)) + Careless.given(end),
        ),
    )
    schedule, advance = recursions[number]

    def outcome() -> dict[str, float]:
        shares[:] = [1 - Careless(float(k)) / (steps + 1) for k in range(steps + 1)]
        waves[:] = [1 + (Careless(float(k)) / (steps + 1) * math.pi).cos() for k in range(steps + 1)]
        rate, found = Careless(1.0), {}
        for k in range(1, steps + 1):
            rate = advance(k, rate)
            found[str(k + 1)] = rate.value
        return found

    for numbers in worst(outcome):
        for step, rate in numbers.items():
            with precision(128):
                error = float(abs(multiplier(schedule, int(step)) - rate).upper())
            assert error <= multiplier_error(schedule, int(step), Format.of("float32"))

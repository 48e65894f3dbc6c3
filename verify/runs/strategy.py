"""Hypothesis strategies for runs of optimisers within a declaration.

Hyperparameters come from short lists of what people use and of what shows faults: a rate of 1, an ε as large as the
gradients, moments that forget at once. Everything shrinks towards one step of one number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy

from gradproof.errors import ArgumentError
from gradproof.optimiser import OPTIMISERS, SCHEDULES, Clipping, Optimiser, Schedule, WeightDecay
from gradproof.run import NONE, Run, StepSupports

PALETTES: Final[Mapping[str, tuple[float, ...]]] = {
    "rate": (0.1, 1.0, 0.5, 0.01, 0.001),
    "momentum": (0.9, 0.5, 0.0, 0.99),
    "dampening": (0.0, 0.5, 0.1),
    "rho": (0.9, 0.5, 0.99),
    "beta1": (0.9, 0.5, 0.0),
    "beta2": (0.999, 0.9, 0.5),
    "epsilon": (1e-8, 0.1, 1e-3, 1.0),
    "decay": (0.1, 0.5, 0.01, 1.0),
    "limit": (1.0, 0.5, 2.0, 0.1),
    "clip_epsilon": (1e-6, 0.1, 0.0),
    "gamma": (0.5, 0.9, 0.1),
    "start": (1.0, 0.5),
    "end": (0.1, 0.5, 0.0),
    "power": (1.0, 2.0, 0.5),
}
PERIODS: Final = (1, 2, 3)
ZERO_STEP: Final = 4
"""One step in so many has a gradient of zeros for one of the parameters."""


def runs(supports: StepSupports) -> SearchStrategy[Run]:
    """Runs of all that is declared. Raises ArgumentError where a fixed number is none that an optimiser may have."""
    for variant in supports.optimisers:
        fixed = {name: value for name, value in supports.fixed.items() if name in OPTIMISERS[variant].hyperparameters}
        rest = {name: PALETTES[name][0] for name in OPTIMISERS[variant].hyperparameters if name not in fixed}
        try:
            Optimiser(variant, supports.fixed.get("rate", PALETTES["rate"][0]), **fixed, **rest)  # type: ignore[arg-type]
        except ArgumentError as error:
            raise ArgumentError("supports.fixed", error.expected, f"{error.argument} {error.got}") from None
    return _runs(supports)


@st.composite
def _runs(draw: Any, supports: StepSupports) -> Run:
    dtype = draw(st.sampled_from(supports.dtypes))
    optimiser = _optimiser(draw, supports)
    steps = draw(st.integers(*supports.steps))
    count = draw(st.integers(*supports.parameters))
    names = [f"w{number}" for number in range(count)] if count > 1 else ["w"]
    sizes = {name: draw(st.integers(*supports.size)) for name in names}
    parameters = {name: _numbers(draw, size) for name, size in sizes.items()}
    if (
        optimiser.decay is not None
        and optimiser.decay.kind == "l1"
        and optimiser.word.family not in ("sgd", "momentum")
    ):
        # What a square root makes of any number from -λ to λ, nothing bounds.
        parameters = {name: np.where(array == 0, 1.0, array) for name, array in parameters.items()}
    gradients = []
    tags = set()
    for _ in range(steps):
        each = {name: _numbers(draw, size) for name, size in sizes.items()}
        if draw(st.integers(0, ZERO_STEP - 1)) == ZERO_STEP - 1:
            name = draw(st.sampled_from(names))
            each[name] = np.zeros(sizes[name])
            tags.add("zero gradient")
        gradients.append(each)
    return Run(optimiser, parameters, gradients, dtype, tags)


def _optimiser(draw: Any, supports: StepSupports) -> Optimiser:
    def number(name: str) -> float:
        if name in supports.fixed:
            return float(supports.fixed[name])
        return float(draw(st.sampled_from(PALETTES[name])))

    variant = draw(st.sampled_from(supports.optimisers))
    own = {name: number(name) for name in OPTIMISERS[variant].hyperparameters}
    decay = draw(st.sampled_from(supports.decay))
    clip = draw(st.sampled_from(supports.clipping))
    weight_decay = None
    if decay != NONE:
        kind, _, place = decay.partition("/")
        weight_decay = WeightDecay(kind, number("decay"), place)
    clipping = None
    if clip != NONE:
        epsilon = 0.0 if clip == "value" else number("clip_epsilon")
        coupled = weight_decay is not None and weight_decay.place == "gradient"
        clipping = Clipping(clip, number("limit"), epsilon, after_decay=supports.clip_after_decay and coupled)
    return Optimiser(
        variant, number("rate"), **own, decay=weight_decay, clipping=clipping, schedule=_schedule(draw, supports)
    )


def _schedule(draw: Any, supports: StepSupports) -> Schedule:
    name = draw(st.sampled_from(supports.schedules))
    given: dict[str, Any] = {}
    for needed in SCHEDULES[name]:
        given[needed] = draw(st.sampled_from(PERIODS if needed == "period" else PALETTES[needed]))
    return Schedule(name, **given)


def _numbers(draw: Any, size: int) -> Any:
    """Short decimals, few of them 0: what a sign or a factor is lost in."""
    return np.array([draw(st.integers(-30, 30)) / 10 for _ in range(size)])

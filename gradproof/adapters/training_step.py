"""Code that only trains: the gradient follows from its weights before and after one step of gradient descent.

A step at the rate r takes w₀ to w₁ = w₀ − r·g, so that g = (w₀ − w₁)/r. What the code computed as g is known no better
than w₁ was rounded. With u the unit roundoff of its numbers, it forms w₁ by at most four operations on numbers that
are no larger than |w₀| + |w₁| (the product r·g; where it decays weights, r·λ, 1 − r·λ and its product with w₀; the
last difference), each of which is off by at most u times that (N. Higham, *Accuracy and Stability of Numerical
Algorithms*, 2nd ed., §2.2). The difference and the quotient taken here add 2 u |g|, and each operation may lose what
is below the smallest normal number. So the gradient given is off from the code's own by at most

    γ₄ (|w₀| + |w₁|) / r + 3 u |g| + 4 tiny / r + tiny,          γ₄ = 4u / (1 − 4u),

which goes with the answer as the radius of each entry: the judge allows for it, and for nothing else. A weight that is
not finite after the step tells that the gradient, or its product with the rate, is not: it has no radius.

The first term falls as the rate grows, and vanishes beside g at 2^60. But a network that updates a weight before the
error has passed through it gives a g that depends on the rate. So the step is taken at two rates, from the same
weights: if both give the same gradient, within both radii, the one of the smaller radius is given; otherwise that of
the first rate, which is the one that its users train at, and a line is printed that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gradproof.adapters.answers import Answer, read
from gradproof.adapters.arrays import maker
from gradproof.adapters.given import Given
from gradproof.adapters.plain import HANDED, Decorator, adapting
from gradproof.adapters.words import declared
from gradproof.case import Case
from gradproof.checks import real
from gradproof.errors import ArgumentError

RATES = (0.5, 2.0**60)
"""A rate that people train at, and one beside which the weights vanish; powers of two, which scale exactly."""

OPERATIONS = 4
ROUND_UP = 1 + 2.0**-20
"""The radius itself is computed in floating point, by fewer operations than this covers."""


def training_step(*, rates: Sequence[float] = RATES, data: str = "", **words: Any) -> Decorator:
    """A decorator for code that only trains. Its function trains one step at ``net.rate``, from the weights given.

    ``rates`` are those of the steps: one, where the code's own is fixed, or two, the usual one first. By two, ordering
    faults, which grow with the rate, are told from others.

    The words are those of ``gradproof.adapters.plain``, except that the mapping holds the weights and biases *after*
    the step, where that would have their gradients. Raises ArgumentError for rates that are not positive.
    """
    found_rates = tuple(real("rates", rate) for rate in rates)
    if not 1 <= len(found_rates) <= 2 or not all(np.isfinite(rate) and rate > 0 for rate in found_rates):
        raise ArgumentError("rates", "one or two positive numbers", tuple(rates))
    layout, supports = declared(words, HANDED, rates=found_rates)
    make = maker(layout.arrays)

    def step(function: Callable[[Given], Any], case: Case, rate: float) -> Answer:
        net = Given(case, layout, make)
        net.rate = rate
        return _gradient(case, read(net, function(net), data=data), rate)

    def asked(function: Callable[[Given], Any], case: Case) -> Answer:
        usual, *others = (step(function, case, rate) for rate in found_rates)
        for other in others:
            if not _agree(usual, other):
                print(f"a step at the rate {found_rates[0]:g} gives another gradient than one at {found_rates[1]:g}")
                return _known(usual)
            return _known(other if _sharper(other, usual) else usual)
        return _known(usual)

    return adapting(layout, supports, asked)


def _gradient(case: Case, after: Answer, rate: float) -> Answer:
    """The gradient that a step stands for, with its radius."""
    before = case.parameters
    gradients, radii = {}, {}
    for name, left in after.parameters.items():
        if not after.plain and left.dtype != before[name].dtype:
            raise ArgumentError(name, f"weights of dtype {case.dtype} after the step", f"dtype {left.dtype}")
        exact = np.finfo(left.dtype)
        unit, tiny = float(exact.eps) / 2, float(exact.tiny)
        w0, w1 = before[name].astype(np.float64), left.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            g = (w0 - w1) / rate
            gamma = OPERATIONS * unit / (1 - OPERATIONS * unit)
            radius = gamma * (np.abs(w0) + np.abs(w1)) / rate + 3 * unit * np.abs(g) + 4 * tiny / rate + tiny
        gradients[name] = g if after.plain else g.astype(exact.dtype)
        radii[name] = ROUND_UP * radius
    return Answer(gradients, after.loss, after.outputs, after.inputs, radii, after.plain)


def _known(answer: Answer) -> Answer:
    """An answer whose radii are those of its finite numbers; the others are what they are."""
    radii = {name: np.where(np.isfinite(answer.parameters[name]), r, 0.0) for name, r in answer.radii.items()}
    return replace(answer, radii=radii)


def _agree(one: Answer, other: Answer) -> bool:
    """Whether two gradients may be the same, as far as their radii tell; of what is not finite these are not either."""
    with np.errstate(invalid="ignore"):
        return not any(
            np.any(np.abs(g - other.parameters[name]) > one.radii[name] + other.radii[name])
            for name, g in one.parameters.items()
        )


def _sharper(one: Answer, other: Answer) -> bool:
    """Whether the radii of one are smaller, where both are largest."""

    def largest(answer: Answer) -> float:
        radii = (np.where(np.isnan(radius), np.inf, radius) for radius in answer.radii.values())
        return max((float(np.max(radius, initial=0)) for radius in radii), default=0.0)

    return largest(one) < largest(other)

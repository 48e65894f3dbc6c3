"""Certified optimiser steps: enclosures of one step's results from the step's own inputs, and the error allowed them.

Hyperparameters are the exact float64 numbers that they are. An implementation may have rounded each to its dtype, and
computes 1 − β, 1 − βᵗ and the rate of the step in that dtype, or better: what that costs is in the allowance, amplified
(1 − 0.999 in float32 is off by up to 6e-5 of itself). βᵗ may come from a running product of t factors, from a power or
from exp(t log β): off by (2t + c)·u relatively, c the library's constant of ``refimpl.variants``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
from flint import arb

from gradproof.arrays import Floats
from gradproof.update import GRADIENT, Arrays, Update, state_name
from gradproof.vocabulary import Dtype
from refimpl.allowance import ROUND_UP, Bound, RunningBound
from refimpl.arithmetic import Values
from refimpl.balls import exact_balls, precision
from refimpl.enclosure import Given, ProgramEnclosure, check_bits, enclosed_program, upward
from refimpl.formats import Format, Precision
from refimpl.optimisers import BETAS, gradient_leaf, parameter_leaf, step_program
from refimpl.program import Program
from refimpl.schedules import multiplier, multiplier_error
from refimpl.variants import LIBRARY, overflows

MOST_BITS = 1024
"""Where precision stops rising for a step: a quotient by 0 stays unbounded at any."""
POWERS = {f"{beta}_power": beta for beta in BETAS}


@dataclass(frozen=True, eq=False)
class UpdateEnclosure(ProgramEnclosure):
    """Balls around the exact results of one step: each parameter under its name, its state as ``state_name`` says.

    State that was not read exactly widens them to all that follows from it. At a kink (sign(0) under L1 decay, a norm
    at the limit where clipping jumps) a ball holds what every choice between the one-sided values gives, or more.
    """

    update: Update


@dataclass(frozen=True, eq=False)
class UpdateAllowance:
    """Per result of a step, the error that careful arithmetic at ``dtype`` may make, entry by entry; inf: no bound."""

    dtype: Precision
    rigorous: Mapping[str, Bound]
    enclosed: UpdateEnclosure


def program_of_update(update: Update) -> Program:
    """The program of a step."""
    return step_program(update.optimiser, tuple(update.shapes.items()), update.step == 1)


def update_enclosure(update: Update, bits: int = 128) -> UpdateEnclosure:
    """Encloses the results of one step in ball arithmetic at ``bits`` bits; see ``refimpl.enclosure.enclosure``.

    Raises ArgumentError for a precision out of its range.
    """
    check_bits(bits)
    unknown = any(np.any(np.isinf(radii)) for held in update.uncertainty.values() for radii in held.values())
    given = Given(
        program_of_update(update),
        lambda: _leaves(update),
        affine=False,  # the square of a gradient that holds a choice is not
        most_bits=bits if unknown else max(bits, MOST_BITS),
    )
    enclosed = enclosed_program(given, bits, bits)
    return UpdateEnclosure(**{field.name: getattr(enclosed, field.name) for field in fields(enclosed)}, update=update)


def update_allowance(
    update: Update, dtype: Precision | None = None, enclosed: UpdateEnclosure | None = None, fused: int = 0
) -> UpdateAllowance:
    """What an implementation that computes a step in ``dtype`` (the update's own unless given) may be off by.

    fused: where each gradient is a sum that is not formed by itself, but added to the parameter term by term: how many
    terms it has at the most. ``enclosed`` saves the work of enclosing the step again.
    Raises ArgumentError for an unknown dtype.
    """
    wanted: Precision = dtype or update.dtype
    target = Format.of(wanted)
    enclosed = enclosed or update_enclosure(update)
    arrays = _arrays(update)
    magnitudes: dict[str, Bound] = {name: np.abs(array.astype(np.float64)) for name, array in arrays.items()}
    errors: dict[str, Bound] = {}
    if wanted != update.dtype:
        errors = {name: size * target.unit + target.tiny for name, size in magnitudes.items()}
    for name, radii in _states(update.uncertainty).items():
        magnitudes[name] = np.asarray((magnitudes[name] + radii) * ROUND_UP, dtype=np.float64)
    with precision(enclosed.working_bits):
        for name, ball in _numbers(update).items():
            magnitudes[name] = np.asarray(upward(abs(ball).upper()))
            errors[name] = np.asarray(_number_error(update, name, float(magnitudes[name]), target) * ROUND_UP)
    bound = RunningBound(target, enclosed, magnitudes, errors)
    found = {name: ROUND_UP * bound.closed(node) for name, node in enclosed.computation.results.items()}
    for name in update.parameters if fused else ():
        # Each partial sum holds the parameter; what it holds of the gradient, the gradient's own error has paid for.
        size = magnitudes[parameter_leaf(name)] + bound.magnitude(enclosed.computation.results[name])
        found[name] = found[name] + ROUND_UP * target.gamma(fused) * size
    return UpdateAllowance(wanted, MappingProxyType(found), enclosed)


def overflowing_update(update: Update, dtype: Dtype | None = None) -> tuple[str, ...]:
    """Formulas of the table that leave the finite numbers of ``dtype`` on this very step, in words; mostly none.

    Besides what overflows: c/n where the norm n is 0 and clipping has no ε, which makes 0·∞ of a zero gradient.
    """
    wanted = np.dtype(dtype or update.dtype)
    leaves = {name: array.astype(wanted) for name, array in _arrays(update).items()}
    with precision(64):
        leaves |= {name: np.asarray(float(ball), dtype=wanted) for name, ball in _numbers(update).items()}
    found = overflows(program_of_update(update), wanted, leaves, elsewhere="step")
    clipping = update.optimiser.clipping
    if clipping is not None and clipping.by != "value" and not clipping.epsilon:
        with np.errstate(under="ignore"):
            if not any(np.any(np.square(g.astype(wanted))) for g in update.gradients.values()):
                found = (*found, f"clipping: limit/norm is not finite in {wanted}, since the norm is 0")
    return found


def _arrays(update: Update) -> dict[str, Floats]:
    arrays = {parameter_leaf(name): array for name, array in update.parameters.items()}
    arrays |= {gradient_leaf(name): array for name, array in update.gradients.items()}
    return arrays | _states(update.state)


def _states(arrays: Arrays) -> dict[str, Floats]:
    return {
        gradient_leaf(name) if key == GRADIENT else state_name(key, name): array
        for key, held in arrays.items()
        for name, array in held.items()
    }


def _leaves(update: Update) -> dict[str, Values]:
    leaves = {name: exact_balls(array) for name, array in _arrays(update).items()}
    for name, radii in _states(update.uncertainty).items():
        result = np.empty(radii.shape, dtype=object)
        pairs = zip(leaves[name].reshape(-1), radii.reshape(-1).tolist(), strict=True)
        result.reshape(-1)[:] = [ball + arb(0, radius) for ball, radius in pairs]
        leaves[name] = result
    numbers = {name: np.array(ball, dtype=object) for name, ball in _numbers(update).items()}
    return leaves | numbers


def _numbers(update: Update) -> dict[str, Any]:
    """The hyperparameters that a step's program may ask for, in balls at the working precision."""
    optimiser = update.optimiser
    factor = multiplier(optimiser.schedule, update.step)
    numbers = {name: arb(value) for name, value in optimiser.hyperparameters.items()}
    numbers |= {name: numbers[base] ** update.step for name, base in POWERS.items() if base in numbers}
    numbers |= {"rate": optimiser.rate * factor, "multiplier": factor}
    if optimiser.decay is not None:
        numbers["decay"] = arb(optimiser.decay.strength)
    if optimiser.clipping is not None:
        numbers |= {"limit": arb(optimiser.clipping.limit), "clip_epsilon": arb(optimiser.clipping.epsilon)}
    return numbers


def _number_error(update: Update, name: str, size: float, target: Format) -> float:
    """What an implementation's value of a hyperparameter may be off by, in its dtype from its own rounded ones."""
    optimiser = update.optimiser
    if name in POWERS:
        return min(1.0, target.gamma(2 * update.step + int(LIBRARY)) * size)
    if name in ("rate", "multiplier"):
        error = multiplier_error(optimiser.schedule, update.step, target)
        if name == "multiplier":
            return error
        factor = size / optimiser.rate if optimiser.rate else 0.0
        product = 0.0 if factor == 1 else target.gamma(2) * size
        return optimiser.rate * error + product + _rounding(optimiser.rate, target) * (factor + error)
    values = {**optimiser.hyperparameters}
    if optimiser.decay is not None:
        values["decay"] = optimiser.decay.strength
    if optimiser.clipping is not None:
        values |= {"limit": optimiser.clipping.limit, "clip_epsilon": optimiser.clipping.epsilon}
    return _rounding(values[name], target)


def _rounding(value: float, target: Format) -> float:
    return 0.0 if target.holds(Fraction(value)) else abs(value) * target.unit + target.tiny

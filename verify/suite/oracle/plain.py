"""A second source of truth: the forward pass written out in mpmath, and differences of it at hundreds of digits.

Nothing of refimpl is used. Formulas are the textbooks', without shifts: a few hundred digits need none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from flint import arb

from gradproof.case import Case
from gradproof.layers import Activation, Branches, Dense, Dropout, Layer, Maxout, Residual
from gradproof.loss import Loss

DIGITS = 300
STEP = Fraction(3, 10)
"""With 300 digits a step is 10⁻⁹⁰: a central difference is off by some 10⁻¹⁸⁰ in its formula and, as long as the loss
keeps its digits, 10⁻²¹⁰ in its rounding."""

Numbers = npt.NDArray[Any]


def to_mp(array: npt.ArrayLike | None) -> Numbers:
    """Floats as mpmath numbers, exactly."""
    given = np.asarray(array)
    result = np.empty(given.shape, dtype=object)
    result.reshape(-1)[:] = [mpmath.mpf(float(number)) for number in given.reshape(-1)]
    return result


def each(function: Callable[[Any], Any], x: Numbers) -> Numbers:
    result = np.empty(x.shape, dtype=object)
    result.reshape(-1)[:] = [function(entry) for entry in x.reshape(-1)]
    return result


def exp(x: Numbers) -> Numbers:
    return each(mpmath.exp, x)


def log(x: Numbers) -> Numbers:
    return each(mpmath.log, x)


def sigmoid(z: Numbers) -> Numbers:
    return np.asarray(1 / (1 + exp(-z)))


def softmax(z: Numbers) -> Numbers:
    powers = exp(z)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


ACTIVATIONS: Mapping[str, Callable[[Numbers, Any], Numbers]] = {
    "identity": lambda z, _: z,
    "sigmoid": lambda z, _: sigmoid(z),
    "tanh": lambda z, _: np.asarray((exp(2 * z) - 1) / (exp(2 * z) + 1)),
    "relu": lambda z, _: each(lambda entry: max(entry, mpmath.mpf(0)), z),
    "leaky_relu": lambda z, slope: each(lambda entry: entry if entry > 0 else entry * mpmath.mpf(slope), z),
    "softplus": lambda z, _: log(1 + exp(z)),
    "hard_tanh": lambda z, _: each(lambda entry: max(min(entry, mpmath.mpf(1)), mpmath.mpf(-1)), z),
    "elu": lambda z, alpha: each(lambda entry: entry if entry > 0 else mpmath.mpf(alpha) * (mpmath.exp(entry) - 1), z),
    "gelu": lambda z, _: z * each(mpmath.ncdf, z),
    "gelu_tanh": lambda z, _: z * sigmoid(2 * mpmath.sqrt(2 / mpmath.pi) * (z + mpmath.mpf(44715) / 10**6 * z**3)),
    "silu": lambda z, _: z * sigmoid(z),
    "softmax": lambda z, _: softmax(z),
}


def binary(p: Numbers, t: Numbers) -> Numbers:
    return np.asarray(-t * log(p) - (1 - t) * log(1 - p))


LOSSES: Mapping[str, Callable[[Numbers, Numbers], Numbers]] = {
    "half_squared_error": lambda y, t: np.asarray((y - t) * (y - t) / 2),
    "squared_error": lambda y, t: np.asarray((y - t) * (y - t)),
    "binary_cross_entropy": binary,
    "binary_cross_entropy_with_logits": lambda z, t: binary(sigmoid(z), t),
    "categorical_cross_entropy": lambda p, t: np.asarray(-t * log(p)),
    "categorical_cross_entropy_with_logits": lambda z, t: np.asarray(-t * log(softmax(z))),
}


def losses(loss: Loss, p: Numbers, t: Numbers) -> Numbers:
    eps = mpmath.mpf(loss.eps or 0.0)
    if loss.guard == "add":
        other = (1 - t) * log(1 - p + eps) if loss.name == "binary_cross_entropy" else 0
        return np.asarray(-t * log(p + eps) - other)
    if loss.guard == "clip":
        p = each(lambda entry: min(max(entry, eps), 1 - eps), p)
    return LOSSES[loss.name](p, t)


def through(
    layers: tuple[Layer, ...],
    x: Numbers,
    prefix: str,
    parameter: Callable[[str], Numbers],
    masks: Mapping[str, npt.NDArray[np.bool_]],
) -> Numbers:
    for number, layer in enumerate(layers):
        path = f"{prefix}{number}"
        match layer:
            case Dense(_, bias):
                x = x @ parameter(f"{path}.weight")
                x = x + parameter(f"{path}.bias") if bias else x
            case Activation(name, slope):
                x = ACTIVATIONS[name](x, slope)
            case Maxout(pieces):
                x = np.max(x.reshape(*x.shape[:-1], -1, pieces), axis=-1)
            case Dropout(probability):
                if path in masks:
                    x = np.where(masks[path], x / (1 - mpmath.mpf(probability)), mpmath.mpf(0))
            case Residual(body):
                x = x + through(body, x, f"{path}.body.", parameter, masks)
            case Branches(bodies, merge):
                ends = [through(body, x, f"{path}.{i}.", parameter, masks) for i, body in enumerate(bodies)]
                x = np.concatenate(ends, axis=-1) if merge == "concat" else sum(ends[1:], ends[0])
    return x


def leaves(case: Case) -> dict[str, Numbers]:
    """The parameters and ``inputs`` of a case."""
    return {name: to_mp(array) for name, array in (*case.parameters.items(), ("inputs", case.inputs))}


def forward(case: Case, values: Mapping[str, Numbers]) -> tuple[Any, Numbers]:
    """Loss and outputs, with these values in place of the case's parameters and inputs."""
    network = case.network
    parameter = lambda place: values[network.parameter_at(place)]  # noqa: E731
    outputs = through(network.layers, values["inputs"], "", parameter, case.masks)
    if network.loss is None:
        loss = (to_mp(case.upstream) * outputs).sum()
    else:
        each_loss = losses(network.loss, outputs, to_mp(case.targets)).reshape(case.batch, -1)
        weights = to_mp(np.ones(case.batch) if case.sample_weights is None else case.sample_weights)
        divisor = {"sum": 1, "batch_mean": case.batch, "element_mean": each_loss.size}[network.loss.reduction]
        loss = (each_loss.sum(axis=1) * weights).sum() / divisor
    penalty = network.penalty
    if penalty is not None:
        thetas = [values[name].reshape(-1) for name in network.penalised]
        terms = [abs(theta) if penalty.kind == "l1" else theta * theta for array in thetas for theta in array]
        loss += mpmath.mpf(penalty.strength) * sum(terms, mpmath.mpf(0)) / (2 if penalty.half else 1)
    return loss, outputs


def slope(case: Case, name: str, direction: Numbers, side: int = 0, digits: int = DIGITS) -> tuple[Any, Any]:
    """The derivative of the loss along a direction in one leaf, and a bound on its error; at ``digits`` digits.

    side 0: by central differences; 1 and −1: by one-sided ones, forward and backward. The error is estimated from
    half the step, where it is a quarter (half) as large, and taken four times.
    """
    values = leaves(case)

    def loss_at(step: Any) -> Any:
        return forward(case, values | {name: values[name] + step * direction})[0]

    def difference(step: Any) -> Any:
        if side:
            return (loss_at(side * step) - loss_at(mpmath.mpf(0))) / (side * step)
        return (loss_at(step) - loss_at(-step)) / (2 * step)

    step = mpmath.mpf(10) ** -int(digits * STEP)
    coarse, fine = difference(step), difference(step / 2)
    return fine, 4 * abs(coarse - fine) + mpmath.mpf(10) ** (-digits // 2)


def to_fraction(number: Any) -> Fraction:
    """An mpmath number as a rational, exactly."""
    sign, mantissa, exponent, _ = number._mpf_
    return (-1 if sign else 1) * Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def to_ball(number: Any, error: Any = 0) -> Any:
    """An mpmath number ± error as a ball; call it at a precision that holds DIGITS."""
    sign, mantissa, exponent, _ = number._mpf_
    value = arb((-1) ** sign * int(mantissa)) * arb(2) ** int(exponent)
    return value + arb(0, arb(str(mpmath.nstr(mpmath.mpf(error), 10))))

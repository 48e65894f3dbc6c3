"""Optimisers by hand, as textbooks and libraries write them, and trajectories of them. Nothing of refimpl is used.

The same code runs on floats of either dtype and, in object arrays, on mpmath's numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np

from gradproof.optimiser import Clipping, Optimiser, Schedule, WeightDecay
from gradproof.vocabulary import Dtype
from verify.trajectories import Trajectory

Arrays = dict[str, Any]
State = dict[str, Arrays]
Number = Callable[[float], Any]


def root(x: Any) -> Any:
    return x**0.5


def sign(x: Any, at_zero: float = 0.0) -> Any:
    one = x.dtype.type(1) if x.dtype.kind == "f" else 1.0
    return (x > 0) * one - (x < 0) * one + (x == 0) * (one * at_zero)


def multiplier(schedule: Schedule, step: int, number: Number = float) -> Any:
    k: Any = step - 1 + schedule.offset
    if k < schedule.warmup:
        return number(k + 1) / schedule.warmup
    k -= schedule.warmup
    share = number(min(k, schedule.period or 0)) / (schedule.period or 1)
    match schedule.name:
        case "step":
            return number(schedule.gamma or 0) ** (k // schedule.period)
        case "exponential":
            return number(schedule.gamma or 0) ** k
        case "inverse_time":
            return 1 / (1 + number(schedule.gamma or 0) * k)
        case "linear":
            return number(schedule.start or 0) + (number(schedule.end or 0) - number(schedule.start or 0)) * share
        case "polynomial":
            return (1 - share) ** number(schedule.power or 0)
        case "cosine":
            cosine = {float: math.cos, mpmath.mpf: mpmath.cos}.get(type(share), np.cos)
            wave = cosine((mpmath.pi if type(share) is mpmath.mpf else math.pi) * share)
            return number(schedule.end or 0) + (1 - number(schedule.end or 0)) * (1 + wave) / 2
    return number(1.0)


def clip(clipping: Clipping, g: Arrays, number: Number) -> Arrays:
    limit, epsilon = number(clipping.limit), number(clipping.epsilon)
    if clipping.by == "value":
        return {name: np.minimum(np.maximum(a, -limit), limit) for name, a in g.items()}
    norm = root(sum((a * a).sum() for a in g.values()))
    if clipping.by == "norm":
        factor = limit / (norm + epsilon) if norm + epsilon > limit else number(1.0)
    else:
        factor = limit / (norm + epsilon) if norm > limit else number(1.0)
    return {name: a * factor for name, a in g.items()}


def delta(o: Optimiser, g: Any, s: Mapping[str, Any], t: int, eta: Any, number: Number, lerp: bool) -> tuple[Any, Any]:
    h = {name: number(value) for name, value in o.hyperparameters.items()}
    mu, tau = h.get("momentum", 0), h.get("dampening", 0)

    def average(beta: Any, old: Any, new: Any) -> Any:
        return old + (1 - beta) * (new - old) if lerp else beta * old + (1 - beta) * new

    match o.variant:
        case "sgd":
            return -eta * g, {}
        case "momentum":
            v = mu * s["velocity"] - eta * g
            return v, {"velocity": v}
        case "nesterov":
            v = mu * s["velocity"] - eta * g
            return ((1 + mu) * v - mu * s["velocity"]) if lerp else (mu * v - eta * g), {"velocity": v}
        case "momentum_torch" | "nesterov_torch" | "momentum_dampened":
            first = (t == 1 or mu == 0) and o.variant != "momentum_dampened"
            b = g if first else mu * s["buffer"] + (1 - tau) * g
            return -eta * (g + mu * b if o.variant == "nesterov_torch" else b), {"buffer": b}
        case "rmsprop" | "rmsprop_inside":
            q = average(h["rho"], s["square"], g * g)
            under = root(q) + h["epsilon"] if o.variant == "rmsprop" else root(q + h["epsilon"])
            return -eta * g / under, {"square": q}
    m, q = average(h["beta1"], s["mean"], g), average(h["beta2"], s["square"], g * g)
    one, two = 1 - h["beta1"] ** t, 1 - h["beta2"] ** t
    new = {"mean": m, "square": q}
    match o.variant:
        case "adam":
            if lerp:
                return -(eta / one) * m / (root(q) / root(two) + h["epsilon"]), new
            return -eta * (m / one) / (root(q / two) + h["epsilon"]), new
        case "adam_inside":
            return -eta * (m / one) / root(q / two + h["epsilon"]), new
        case "adam_epsilon_hat":
            return -(eta * root(two) / one) * m / (root(q) + h["epsilon"]), new
        case "adam_uncorrected":
            return -eta * m / (root(q) + h["epsilon"]), new
    raise AssertionError(o.variant)


def decay_term(decay: WeightDecay, theta: Any, number: Number, at_zero: float) -> Any:
    return number(decay.strength) * (theta if decay.kind == "l2" else sign(theta, at_zero))


def plain_step(
    o: Optimiser,
    theta: Arrays,
    g: Arrays,
    state: State,
    t: int,
    number: Number = float,
    lerp: bool = False,
    at_zero: float = 0.0,
) -> tuple[Arrays, State]:
    """New parameters and state. number: what a hyperparameter is made of; lerp: other formulas for the same."""
    scale = multiplier(o.schedule, t, number)
    eta, decay = number(o.rate) * scale, o.decay
    decaying = {name for name in theta if decay is not None and name not in decay.excluded}
    g = dict(g)
    if o.clipping and not o.clipping.after_decay:
        g = clip(o.clipping, g, number)
    if decay and decay.place == "gradient":
        g |= {name: g[name] + decay_term(decay, theta[name], number, at_zero) for name in decaying}
    if o.clipping and o.clipping.after_decay:
        g = clip(o.clipping, g, number)
    after: Arrays = {}
    new: State = {key: {} for key in o.word.state}
    for name, x in theta.items():
        step, own = delta(o, g[name], {key: state[key][name] for key in o.word.state}, t, eta, number, lerp)
        y = x + step
        if decay is not None and name in decaying and decay.place != "gradient":
            base, rate = (y if decay.place == "decoupled_after" else x), eta
            if decay.place == "decoupled_schedule":
                rate = scale
            if lerp and decay.kind == "l2" and base is x:
                y = x * (1 - rate * number(decay.strength)) + step
            else:
                y = y - rate * decay_term(decay, base, number, at_zero)
        after[name] = y
        for key, value in own.items():
            new[key][name] = value
    return after, new


SHAPES: Mapping[str, tuple[int, ...]] = {"w": (2, 3), "b": (2,)}


def zeros(o: Optimiser, dtype: Any, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> State:
    return {key: {name: np.zeros(shape, dtype) for name, shape in shapes.items()} for key in o.word.state}


def gradients(rng: np.random.Generator, dtype: Any, scale: float = 1.0) -> Arrays:
    return {name: (scale * rng.normal(size=shape)).astype(dtype) for name, shape in SHAPES.items()}


Step = Callable[[int, Arrays, Arrays, State], tuple[Arrays, State]]


def walk(
    o: Optimiser,
    steps: int,
    dtype: Dtype,
    seed: int,
    step: Step | None = None,
    *,
    read: bool = True,
    spread: float = 2.0,
    zero_at: int | None = None,
    **options: Any,
) -> Trajectory:
    """A trajectory of ``plain_step`` (or ``step``) on random gradients of many magnitudes."""
    rng = np.random.default_rng(seed)
    theta = gradients(rng, dtype)
    state = zeros(o, dtype)
    parameters, given, states = [theta], [], [state]
    for t in range(1, steps + 1):
        g = gradients(rng, dtype, 10 ** rng.uniform(-spread, spread))
        if t == zero_at:
            g = {name: np.zeros_like(a) for name, a in g.items()}
        if step is None:
            theta, state = plain_step(o, theta, g, state, t, **options)
        else:
            theta, state = step(t, theta, g, state)
        assert all(a.dtype == dtype for a in theta.values())
        parameters.append(theta)
        given.append(g)
        states.append(state)
    return Trajectory(parameters, given, states if read else (), dtype=dtype)


DECAY = WeightDecay("l2", 0.03)
ADAM: dict[str, Any] = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
RULES: tuple[Optimiser, ...] = (
    Optimiser("sgd", 0.1),
    Optimiser("momentum", 0.05, momentum=0.9),
    Optimiser("momentum_torch", 0.05, momentum=0.9, dampening=0.3),
    Optimiser("momentum_dampened", 0.05, momentum=0.8, dampening=0.8),
    Optimiser("nesterov", 0.05, momentum=0.9),
    Optimiser("nesterov_torch", 0.05, momentum=0.9),
    Optimiser("rmsprop", 0.01, rho=0.99, epsilon=1e-8),
    Optimiser("rmsprop_inside", 0.01, rho=0.9, epsilon=1e-5),
    Optimiser("adam", 0.002, **ADAM),
    Optimiser("adam_inside", 0.002, **ADAM),
    Optimiser("adam_epsilon_hat", 0.002, **ADAM),
    Optimiser("adam_uncorrected", 0.002, **ADAM),
)
"""One of each variant."""
EXTRAS: tuple[Optimiser, ...] = (
    Optimiser("sgd", 0.1, decay=DECAY, clipping=Clipping("norm", 1.5, 1e-6)),
    Optimiser("sgd", 0.1, decay=DECAY, clipping=Clipping("norm", 1.5, 1e-2, after_decay=True)),
    Optimiser("momentum", 0.1, momentum=0.9, clipping=Clipping("norm_if_above", 1.5, 1e-2)),
    Optimiser("sgd", 0.1, decay=WeightDecay("l1", 0.03), clipping=Clipping("value", 0.7)),
    Optimiser("adam", 0.01, decay=WeightDecay("l2", 0.03, "decoupled", ("b",)), **ADAM),
    Optimiser("adam", 0.01, decay=WeightDecay("l2", 0.03, "decoupled_after"), **ADAM),
    Optimiser("adam", 0.01, decay=WeightDecay("l1", 0.03, "decoupled_schedule"), **ADAM),
    Optimiser("nesterov", 0.1, momentum=0.9, schedule=Schedule("cosine", end=0.1, period=9, warmup=3)),
    Optimiser("sgd", 0.1, schedule=Schedule("step", gamma=0.3, period=3), decay=WeightDecay("l1", 0.1, "decoupled")),
    Optimiser("momentum_torch", 0.1, momentum=0.5, schedule=Schedule("exponential", gamma=0.9, offset=1)),
    Optimiser("rmsprop", 0.1, rho=0.5, epsilon=1e-3, schedule=Schedule("polynomial", power=2.5, period=20)),
    Optimiser("sgd", 0.1, schedule=Schedule("inverse_time", gamma=0.2)),
    Optimiser("sgd", 0.1, schedule=Schedule("linear", start=0.25, end=1.0, period=5)),
)
"""Every kind of decay, clipping and schedule."""

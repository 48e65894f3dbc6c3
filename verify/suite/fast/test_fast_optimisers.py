"""Every optimiser in compiled training: bit by bit its formula in NumPy, and step by step before the judge."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import fastimpl
from fastimpl import permutation, plan, updating
from fastimpl.kernels.dense import dense_backward
from fastimpl.kernels.updates import UPDATE_KERNELS
from fastimpl.results import State, Training
from fastimpl.running import Run
from fastimpl.settings import checked_settings
from fastimpl.table import PRODUCT, STOP, UPDATES
from gradproof.case import Case
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss, Penalty
from gradproof.network import Network, dense_chain
from gradproof.optimiser import (
    CLIP_BY,
    DECAY_PLACES,
    OPTIMISERS,
    SCHEDULES,
    Clipping,
    Optimiser,
    Schedule,
    WeightDecay,
)
from gradproof.target import UPSTREAM
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from verify.strategies import cases, everything, seeded_case
from verify.suite.updates.plain_steps import RULES
from verify.trajectories import Trajectory, gradients_of, judge_trajectory, which_variant

LOSSES = tuple(loss for loss in everything().losses if loss != UPSTREAM)
TANH, SIGMOID = Activation("tanh"), Activation("sigmoid")
Arrays = Mapping[str, Any]

BIAS = "0.bias"
ADAM: dict[str, Any] = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
DECAYS = [
    WeightDecay(kind, 0.03, place, excluded)  # type: ignore[arg-type]
    for kind, place in itertools.product(("l1", "l2"), DECAY_PLACES)
    for excluded in ((), (BIAS,))
]
CLIPPINGS = [
    Clipping("value", 0.05),
    Clipping("value", 0.05, after_decay=True),
    *(
        Clipping(by, 0.1, epsilon, after)  # type: ignore[arg-type]
        for by, epsilon, after in itertools.product(("norm", "norm_if_above"), (0.0, 1e-2), (False, True))
    ),
]
TIMETABLES = [
    Schedule("step", gamma=0.5, period=2),
    Schedule("exponential", gamma=0.9),
    Schedule("inverse_time", gamma=0.2),
    Schedule("linear", start=0.25, end=1.0, period=3),
    Schedule("polynomial", power=2.5, period=20),
    Schedule("cosine", end=0.1, period=4),
    Schedule("cosine", end=0.1, period=3, warmup=2, offset=1),
    Schedule("exponential", gamma=0.9, warmup=3),
    Schedule("constant", warmup=4),
]
VARIED = [
    *(replace(rule, decay=decay) for rule, decay in itertools.product((RULES[0], RULES[8]), DECAYS)),
    *(replace(rule, clipping=clipping) for rule, clipping in itertools.product((RULES[1], RULES[8]), CLIPPINGS)),
    *(replace(RULES[0], clipping=clipping, decay=DECAYS[1]) for clipping in CLIPPINGS),
    *(replace(rule, schedule=schedule) for rule, schedule in itertools.product((RULES[4], RULES[8]), TIMETABLES)),
    replace(RULES[8], schedule=TIMETABLES[5], decay=WeightDecay("l2", 0.03, "decoupled_schedule")),
    replace(RULES[2], momentum=0.0),
    replace(RULES[5], momentum=0.0, dampening=0.5),
    replace(RULES[8], epsilon=0.0),
    replace(RULES[6], epsilon=0.0),
    replace(RULES[8], beta1=0.0, beta2=0.0),
]
"""Every place of decay, form of clipping and schedule; without momentum, without ε."""


def names(optimisers: list[Optimiser]) -> list[str]:
    return [str(optimiser) for optimiser in optimisers]


def test_everything_that_there_is_is_among_them() -> None:
    every = [*RULES, *VARIED]
    assert {o.variant for o in RULES} == set(OPTIMISERS) == set(UPDATE_KERNELS)
    assert {(o.decay.kind, o.decay.place) for o in every if o.decay} == set(
        itertools.product(("l1", "l2"), DECAY_PLACES)
    )
    assert {o.clipping.by for o in every if o.clipping} == set(CLIP_BY)
    assert {o.schedule.name for o in every} == set(SCHEDULES)


# Bit by bit.


def multiplier(schedule: Schedule, k: int) -> float:
    k += schedule.offset
    if k < schedule.warmup:
        return (k + 1) / schedule.warmup
    k -= schedule.warmup
    gamma, period = schedule.gamma or 0.0, schedule.period or 1
    begin, end = schedule.start or 0.0, schedule.end or 0.0
    share = min(k, period) / period
    return {
        "constant": lambda: 1.0,
        "step": lambda: float(np.float64(gamma) ** (k // period)),
        "exponential": lambda: float(np.float64(gamma) ** k),
        "inverse_time": lambda: 1.0 / (1.0 + gamma * k),
        "linear": lambda: begin + (end - begin) * share,
        "polynomial": lambda: float(np.float64((period - min(k, period)) / period) ** (schedule.power or 0.0)),
        "cosine": lambda: end + (1.0 - end) * (0.5 * (1.0 + float(np.cos(np.pi * share)))),
    }[schedule.name]()


class Plain:
    """An optimiser in NumPy: float64, rounded to the dtype wherever something is kept; where there is a root, what is
    done for each number is of the dtype.
    """

    def __init__(self, optimiser: Optimiser, network: Network, dtype: Dtype) -> None:
        self.o, self.dtype, self.steps = optimiser, dtype, 0
        self.shapes = {name: network.parameter_shapes[name] for name in network.trainable}
        self.state = {word: {n: np.zeros(s, dtype) for n, s in self.shapes.items()} for word in optimiser.word.state}

    def kept(self, x: Any) -> Any:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(x).astype(self.dtype)

    def decay(self, name: str, theta: Any) -> Any:
        decay = self.o.decay
        if decay is None or name in decay.excluded:
            return np.zeros(np.shape(theta))
        wide = theta.astype(np.float64)
        return decay.strength * wide if decay.kind == "l2" else decay.strength * np.sign(wide)

    def clip(self, g: dict[str, Any]) -> dict[str, Any]:
        clipping = self.o.clipping
        assert clipping is not None
        limit = clipping.limit
        if clipping.by == "value":
            return {name: self.kept(np.clip(a.astype(np.float64), -limit, limit)) for name, a in g.items()}
        norm = float(np.sqrt(sum(np.sum(a.astype(np.float64) ** 2) for a in g.values())))
        above = norm > limit if clipping.by == "norm_if_above" else norm + clipping.epsilon > limit
        factor = limit / (norm + clipping.epsilon) if above else 1.0
        return {name: self.kept(factor * a.astype(np.float64)) for name, a in g.items()}

    def step(self, theta: Arrays, given: Arrays) -> dict[str, Any]:
        o, decay, clipping = self.o, self.o.decay, self.o.clipping
        scale = multiplier(o.schedule, self.steps)
        rate = o.rate * scale
        g = {name: np.asarray(given[name]) for name in self.shapes}
        coupled = decay is not None and decay.place == "gradient"
        if clipping is not None and clipping.after_decay and coupled:
            g = {name: self.kept(a.astype(np.float64) + self.decay(name, theta[name])) for name, a in g.items()}
            coupled = False
        if clipping is not None:
            g = self.clip(g)
        if coupled:
            g = {name: self.kept(a.astype(np.float64) + self.decay(name, theta[name])) for name, a in g.items()}
        after = dict(theta)
        for name in self.shapes:
            w, decoupled = theta[name], decay is not None and decay.place != "gradient"
            factor = scale if decay is not None and decay.place == "decoupled_schedule" else rate
            late = decay is not None and decay.place == "decoupled_after"
            if decoupled and not late:
                w = self.kept(w.astype(np.float64) - factor * self.decay(name, w))
            with np.errstate(all="ignore"):
                w = self.rule(name, w, g[name].astype(np.float64), rate)
            if decoupled and late:
                w = self.kept(w.astype(np.float64) - factor * self.decay(name, w))
            after[name] = w
        self.steps += 1
        return after

    def put(self, word: str, name: str, x: Any) -> Any:
        self.state[word][name] = self.kept(x)
        return x

    def old(self, word: str, name: str) -> Any:
        return self.state[word][name].astype(np.float64)

    def rule(self, name: str, theta: Any, g: Any, rate: float) -> Any:
        o, w = self.o, theta.astype(np.float64)
        if o.variant == "sgd":
            return self.kept(w - rate * g)
        if o.word.family == "momentum":
            return self.kept(self.momentum(name, w, g, rate))
        number = np.dtype(self.dtype).type
        epsilon, nothing = number(o.epsilon), number(0)
        within, beside = (epsilon, nothing) if o.variant.endswith("_inside") else (nothing, epsilon)
        w, g, state = self.kept(w), self.kept(g), self.state
        if o.word.family == "rmsprop":
            assert o.rho is not None
            s = state["square"][name] = number(o.rho) * state["square"][name] + number(1.0 - o.rho) * (g * g)
            root = np.sqrt(s + within) + beside
            return w - number(rate) * np.where(g == 0, nothing, g / root)
        assert o.beta1 is not None
        assert o.beta2 is not None
        m = state["mean"][name] = number(o.beta1) * state["mean"][name] + number(1.0 - o.beta1) * g
        s = state["square"][name] = number(o.beta2) * state["square"][name] + number(1.0 - o.beta2) * (g * g)
        first, second = (1.0 - float(np.prod([beta] * (self.steps + 1))) for beta in (o.beta1, o.beta2))
        a, b = rate, 1.0
        if o.variant in ("adam", "adam_inside"):
            a, b = rate / first, 1.0 / second
        elif o.variant == "adam_epsilon_hat":
            a = rate * np.sqrt(second) / first
        return w - number(a) * np.where(m == 0, nothing, m / (np.sqrt(number(b) * s + within) + beside))

    def momentum(self, name: str, w: Any, g: Any, rate: float) -> Any:
        o, mu = self.o, self.o.momentum
        if o.variant in ("momentum", "nesterov"):
            v = self.put("velocity", name, mu * self.old("velocity", name) - rate * g)
            return w + v if o.variant == "momentum" else w + (mu * v - rate * g)
        starts = o.variant != "momentum_dampened" and (self.steps == 0 or mu == 0)
        b = g if starts else mu * self.old("buffer", name) + (1.0 - (o.dampening or 0.0)) * g
        self.put("buffer", name, b)
        return w - rate * (g + mu * b) if o.variant == "nesterov_torch" else w - rate * b


def batches(samples: int, size: int, seed: int, epoch: int) -> Iterator[Any]:
    order = permutation(samples, seed, epoch)
    return (order[start : start + size] for start in range(0, samples, size))


def part(case: Case, parameters: Arrays, chosen: Any) -> Case:
    weights = None if case.sample_weights is None else case.sample_weights[chosen]
    targets = np.asarray(case.targets)[chosen]
    return case.replace(parameters=parameters, inputs=case.inputs[chosen], targets=targets, sample_weights=weights)


def run(case: Case, optimiser: Optimiser, start: Arrays | State | None = None, **more: Any) -> Training:
    given = {"epochs": 3, "batch_size": None, "seed": 3, "sample_weights": case.sample_weights, "dtype": case.dtype}
    begin: Any = case.parameters if start is None else start
    return fastimpl.train(
        case.network, begin, case.inputs, np.asarray(case.targets), optimiser=optimiser, **(given | more)
    )


def assert_same(got: Arrays, expected: Arrays) -> None:
    assert set(got) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name, strict=True)


def assert_follows(case: Case, optimiser: Optimiser, size: int, seed: int, epochs: int, ulps: int = 0) -> None:
    """Parameters and state after so many epochs are those of NumPy, or within so many units in the last place."""
    plain, parameters = Plain(optimiser, case.network, case.dtype), dict(case.parameters)
    for epoch in range(epochs):
        for chosen in batches(case.batch, size, seed, epoch):
            parameters = plain.step(parameters, fastimpl.gradients(part(case, parameters, chosen)).parameters)
            assume(all(np.all(np.isfinite(value)) for value in parameters.values()))
    training = run(case, optimiser, epochs=epochs, batch_size=size, seed=seed)
    assert training.diverged is None
    pairs = [(training.parameters, parameters), *((training.state.moments[k], v) for k, v in plain.state.items())]
    for got, expected in pairs:
        if not ulps:
            assert_same(got, expected)
        for name in expected:
            scale = np.max(np.abs(expected[name]), initial=0.0)
            np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=ulps * np.spacing(scale), err_msg=name)


def exact(optimiser: Optimiser) -> bool:
    """Whether NumPy's arithmetic is the very same: a norm is summed in another order, and powers are the library's."""
    by_norm = optimiser.clipping is not None and optimiser.clipping.by != "value"
    return not by_norm and optimiser.schedule.name not in ("exponential", "step", "polynomial", "cosine")


@settings(max_examples=100)
@given(
    cases(losses=LOSSES, batch=(1, 5), dropout=False),
    st.sampled_from([*RULES, *VARIED]).filter(exact),
    st.integers(1, 5),
    st.integers(0, 2**64 - 1),
)
def test_it_takes_the_very_steps_of_the_formula(case: Case, optimiser: Optimiser, size: int, seed: int) -> None:
    """Bit for bit: sharing, freezing, penalties, weights, short batches, parameters that do not decay."""
    if optimiser.decay is not None and optimiser.decay.excluded:
        excluded = tuple(case.network.parameter_shapes)[::2]
        optimiser = replace(optimiser, decay=replace(optimiser.decay, excluded=excluded))
    assert_follows(case, optimiser, size, seed, epochs=2)


NETWORK = Network((3,), dense_chain((3, 4, 2), (TANH, SIGMOID)), Loss("half_squared_error", "batch_mean"))
EVERY = [*RULES, *VARIED]


# Before the judge.


def trajectory_of(
    case: Case, optimiser: Optimiser, steps: int, bare: Network | None = None, fused: int = 0
) -> Trajectory:
    """Full-batch training one step at a time, each going on from the state of the one before.

    Gradients are enclosed by those of ``bare``, the network unless given.
    """
    start: Any = case.parameters
    zeros = {name: np.zeros(np.shape(case.parameters[name])) for name in case.network.trainable}
    states: list[Any] = [dict.fromkeys(optimiser.word.state, zeros)]
    parameters: list[Any] = [dict(case.parameters)]
    centres: list[Any] = []
    radii: list[Any] = []
    for _ in range(steps):
        now = case.replace(parameters=parameters[-1])
        order = permutation(case.batch, 3, len(centres))
        ordered = part(now, parameters[-1], order)
        centre, radius = gradients_of(ordered.replace(network=bare) if bare else ordered)
        training = run(case, optimiser, start, epochs=1)
        assert training.diverged is None
        start = training.state
        centres.append(centre)
        radii.append(radius)
        parameters.append(dict(training.parameters))
        states.append(training.state.moments)
    return Trajectory(parameters, centres, states, gradient_radii=radii, dtype=case.dtype, fused=fused)


@pytest.mark.parametrize(
    ("optimiser", "dtype"), [*itertools.product(RULES, DTYPES), *zip(VARIED, itertools.cycle(DTYPES))]
)
def test_no_optimiser_is_accused(optimiser: Optimiser, dtype: Dtype) -> None:
    case = seeded_case(NETWORK, 4, seed=1, dtype=dtype)
    verdict = judge_trajectory(optimiser, trajectory_of(case, optimiser, 5))
    assert verdict.verdict is Verdict.CORRECT, verdict.findings
    assert verdict.steps == 5


@pytest.mark.parametrize("optimiser", RULES, ids=names(list(RULES)))
def test_the_variant_that_ran_is_told_from_all_others(optimiser: Optimiser) -> None:
    """With a rate that changes: momentum with the rate inside and outside is the same where it does not."""
    optimiser = replace(optimiser, schedule=Schedule("exponential", gamma=0.7))
    case = seeded_case(NETWORK, 4, seed=1)
    assert which_variant(optimiser, trajectory_of(case, optimiser, 4)).only == optimiser


# Where and how a weight is updated.

LARGE = Network((130,), (Dense(100), TANH, Dense(24)), Loss("half_squared_error", "batch_mean"))
"""The gradient of its first weight is computed in two blocks, of which the second is smaller."""
FOLLOWED = [o for o in EVERY if o.clipping is None or (o.clipping.by == "value" and not o.clipping.after_decay)]


def updated_by_layers(network: Network, optimiser: Optimiser) -> dict[int, bool]:
    """Number of values that a layer updates itself → whether within BLAS's product."""
    rows = plan.plan(network, "training", optimiser).rows
    dense = [row for row in rows if row.backward is dense_backward and row.cells.get(UPDATES)]
    return {rows[row.cells[UPDATES]].cells[STOP]: bool(row.cells[PRODUCT]) for row in dense}


@pytest.fixture
def from_size(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Sets from which size on a layer updates its own weight."""

    def put(size: int) -> None:
        monkeypatch.setattr(updating, "UPDATED_FROM", size)
        monkeypatch.setattr(updating, "DESCENDED_FROM", size)
        plan.plan.cache_clear()

    yield put
    plan.plan.cache_clear()


@pytest.mark.parametrize("samples", [1, 32])
@pytest.mark.parametrize(
    ("optimiser", "dtype"), [*itertools.product(RULES, DTYPES), *zip(FOLLOWED[len(RULES) :], itertools.cycle(DTYPES))]
)
def test_a_layer_updates_its_weight_as_the_end_of_a_step_does(
    optimiser: Optimiser, samples: int, dtype: Dtype, from_size: Any
) -> None:
    """Bit for bit, by loops and by BLAS; plain descent within the product has a test of its own."""
    case = seeded_case(LARGE, samples, seed=5, dtype=dtype)
    from_size(10**9)
    assert not updated_by_layers(LARGE, optimiser)
    at_the_end = run(case, optimiser)
    from_size(1)
    assert len(updated_by_layers(LARGE, optimiser)) == 2
    if updated_by_layers(LARGE, optimiser) == dict.fromkeys(updated_by_layers(LARGE, optimiser), False):
        by_layers = run(case, optimiser)
        assert_same(by_layers.parameters, at_the_end.parameters)
        for word, moments in at_the_end.state.moments.items():
            assert_same(by_layers.state.moments[word], moments)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.0, 1.0])
@pytest.mark.parametrize(
    "optimiser", [o for o in RULES if o.word.family in ("sgd", "momentum")], ids=lambda o: str(o.variant)
)
def test_updates_as_large_as_the_weights_are_those_of_the_exact_gradient(
    optimiser: Optimiser, scale: float, dtype: Dtype, from_size: Any
) -> None:
    """Within BLAS's product, and behind it: W = 0 and η = 1, where a step that saw the new weights would show."""
    from_size(1)
    network = Network((24,), (Dense(32), TANH, Dense(24)), Loss("half_squared_error", "sum"))
    case = seeded_case(network, 8, seed=9, dtype=dtype)
    case = case.replace(parameters={name: scale * value for name, value in case.parameters.items()})
    large = replace(optimiser, rate=1.0)
    assert set(updated_by_layers(network, large).values()) == {optimiser.variant == "sgd"}
    trajectory = trajectory_of(case, large, 2, fused=8 if optimiser.variant == "sgd" else 0)
    assert judge_trajectory(large, trajectory).verdict is Verdict.CORRECT


def test_what_needs_all_gradients_first_is_left_to_the_end(from_size: Any) -> None:
    from_size(1)
    plain = RULES[0]
    assert set(updated_by_layers(LARGE, plain).values()) == {True}
    assert set(updated_by_layers(LARGE, replace(plain, decay=DECAYS[0])).values()) == {False}
    assert set(updated_by_layers(LARGE, replace(plain, clipping=Clipping("value", 1.0))).values()) == {False}
    for clipping in (Clipping("norm", 1.0), Clipping("value", 1.0, after_decay=True)):
        assert not updated_by_layers(LARGE, replace(plain, clipping=clipping))
    assert not updated_by_layers(LARGE.replace(penalty=Penalty("l2", 0.1, False, False)), plain)
    assert len(updated_by_layers(LARGE.replace(frozen=("0.weight",)), plain)) == 1
    tied = Network((4,), (Dense(4), Dense(4)), LARGE.loss, shared=(("1.weight", "0.weight"),))
    assert not updated_by_layers(tied, plain)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_padding_stays_nothing_without_epsilon(kind: Any, dtype: Dtype) -> None:
    """0/0 in padding would be NaN, which the penalty, the decay and the norm run over."""
    network = NETWORK.replace(penalty=Penalty(kind, 0.1, False, True))
    case = seeded_case(network, 4, seed=1, dtype=dtype)
    for rule in (RULES[6], RULES[7], *RULES[8:]):
        optimiser = replace(rule, epsilon=0.0, clipping=Clipping("norm", 0.5), decay=WeightDecay(kind, 0.01))
        training = Run(
            checked_settings(
                network,
                case.parameters,
                case.inputs,
                np.asarray(case.targets),
                optimiser=optimiser,
                epochs=3,
                batch_size=2,
                dtype=dtype,
            )
        )
        while not training.finished:
            training.advance(one=False)
        assert training.diverged is None
        inside = np.zeros(len(training.theta), dtype=bool)
        for name, shape in network.parameter_shapes.items():
            start = training.program.plan.parameters.offsets[name]
            inside[start : start + int(np.prod(shape))] = True
        assert np.any(~inside)
        assert not np.any(training.theta[~inside])


def test_a_parameter_without_a_gradient_stays_without_epsilon() -> None:
    """A unit that ReLU cuts off has no gradient at all: 0/0 is taken for no step."""
    network = Network((1,), (Dense(2), Activation("relu"), Dense(1)), Loss("half_squared_error", "sum"))
    start: Any = {"0.weight": [[1.0, 1.0]], "0.bias": [0.0, -5.0], "2.weight": [[1.0], [1.0]], "2.bias": [0.0]}
    adam = Optimiser("adam", 0.1, beta1=0.9, beta2=0.999, epsilon=0.0)
    training = fastimpl.train(network, start, [[1.0]], [[3.0]], optimiser=adam, epochs=2, batch_size=None)
    assert training.diverged is None
    assert training.parameters["0.bias"][1] == -5.0
    assert training.parameters["0.bias"][0] > 0.1


@pytest.mark.parametrize(("by", "factor"), [("norm", 1.05 / 1.1), ("norm_if_above", 1.0)])
def test_a_norm_below_its_limit_by_less_than_epsilon_tells_the_forms_apart(by: Any, factor: float) -> None:
    network = Network((1,), (Dense(1, False),), Loss("half_squared_error", "sum"))
    optimiser = Optimiser("sgd", 1.0, clipping=Clipping(by, 1.05, 0.1))
    training = fastimpl.train(
        network, {"0.weight": [[0.0]]}, [[1.0]], [[-1.0]], optimiser=optimiser, epochs=1, batch_size=None
    )
    assert training.parameters["0.weight"].item() == pytest.approx(-factor, rel=4 * np.finfo(float).eps)

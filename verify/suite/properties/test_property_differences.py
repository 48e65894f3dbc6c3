"""Numerical differences: their error estimates hold, they see kinks, and they agree with the enclosures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastimpl
from gradproof import Activation, ArgumentError, Case, Dense, Loss, Network, Penalty, dense_chain
from gradproof.gradients import INPUTS
from refimpl.enclosure import Enclosure, enclosure
from verify.differences import METHODS, Differences, Method, difference, is_analytic
from verify.loss_differences import APART, difference_gradient, directional_difference, random_direction
from verify.strategies import cases, seeded_case

U = 2.0**-53
REAL: tuple[Method, ...] = tuple(method for method in METHODS if method != "complex_step")
ONE = {"x": np.array([1.0])}


def at(x: float) -> dict[str, Any]:
    return {"x": np.array([x])}


SMOOTH: dict[str, tuple[Any, Any]] = {
    "sin": (np.sin, math.cos),
    "exp": (np.exp, math.exp),
    "cube": (lambda x: x**3, lambda x: 3 * x * x),
    "line": (lambda x: 5 * x, lambda x: 5.0),
    "constant": (lambda x: x * 0 + 3, lambda x: 0.0),
    "logistic of 20 x": (lambda x: 1 / (1 + np.exp(-20 * x)), lambda x: 5 / math.cosh(10 * x) ** 2),
    "runge": (lambda x: 1 / (1 + 25 * x**2), lambda x: -50 * x / (1 + 25 * x * x) ** 2),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SMOOTH)
@given(x=st.floats(-2, 2))
def test_errors_of_smooth_functions_stay_within_their_estimate(method: Method, name: str, x: float) -> None:
    function, derivative = SMOOTH[name]
    largest = max(abs(float(function(point))) for point in (x - 0.25, x, x + 0.25))
    found = difference(lambda arrays: function(arrays["x"][0]), at(x), ONE, method, noise=16 * U * largest)
    exact = derivative(x)
    assert not found.contradicts(exact - 4 * U * abs(exact), exact + 4 * U * abs(exact)), found


@pytest.mark.parametrize(
    ("method", "digits"), [("forward", 6), ("central", 8), ("five_point", 10), ("richardson", 11), ("complex_step", 15)]
)
def test_estimates_are_as_sharp_as_their_order_promises(method: Method, digits: int) -> None:
    found = difference(lambda arrays: np.sin(arrays["x"][0]), at(1.0), ONE, method, noise=U)
    assert found.error <= 10.0**-digits
    assert found.contradicts(math.cos(1.0) + 10.0 ** (1 - digits))
    assert not found.undecided


@pytest.mark.parametrize("method", REAL)
@given(
    kink=st.sampled_from([0.0, 1e-9, 1e-6, -1e-5, 3e-4, -0.01, 0.02, 0.1]),
    below=st.floats(-2, 2),
    above=st.floats(-2, 2),
)
def test_a_kink_near_by_never_makes_a_false_alarm(method: Method, kink: float, below: float, above: float) -> None:
    def function(arrays: Any) -> float:
        t = arrays["x"][0] - kink
        return float(np.sin(arrays["x"][0]) + (below * t if t <= 0 else above * t))

    found = difference(function, at(0.0), ONE, method, noise=8 * U)
    low, high = sorted((below, above)) if kink == 0 else (below, below) if kink > 0 else (above, above)
    assert not found.contradicts(1 + low, 1 + high), found
    if kink == 0:
        assert abs(found.value - 1 - below) <= found.error
        assert abs(found.value - 1 - above) <= found.error
        assert found.undecided or abs(above - below) <= 1e-3


@pytest.mark.parametrize("method", REAL)
def test_a_kink_at_the_point_is_undecided(method: Method) -> None:
    assert difference(lambda arrays: abs(arrays["x"][0]), at(0.0), ONE, method, noise=U).undecided


@pytest.mark.parametrize("method", REAL)
def test_a_function_that_is_not_finite_is_undecided(method: Method) -> None:
    for function in (lambda arrays: math.nan, lambda arrays: math.inf):
        found = difference(function, at(0.0), ONE, method, noise=U)
        assert found.undecided
        assert not found.contradicts(1.0)
    found = difference(lambda arrays: arrays["x"][0], at(0.0), ONE, method, noise=math.inf)
    assert found.undecided


@pytest.mark.parametrize("method", REAL)
def test_noise_widens_the_error(method: Method) -> None:
    generator = np.random.default_rng(0)

    def noisy(arrays: Any) -> float:
        return float(np.sin(arrays["x"][0]) + 1e-6 * generator.uniform(-1, 1))

    found = difference(noisy, at(1.0), ONE, method, noise=1e-6)
    assert not found.contradicts(math.cos(1.0))
    assert found.error > 1e-6


@pytest.mark.parametrize("method", REAL)
def test_points_rounded_to_float32_are_taken_into_account(method: Method) -> None:
    """Of a straight line nothing is off but the points, and only that part of the error says so."""

    def function(arrays: Any) -> float:
        return float(1000 * np.float64(arrays["x"][0]))

    for x in np.random.default_rng(1).uniform(0.01, 10, 100).astype(np.float32):
        found = difference(function, at(x), {"x": np.array([0.3])}, method, noise=1e4 * U, dtype=np.float32)
        assert abs(found.value - 300.0) <= found.rounding
        assert found.error < 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((lambda a: 0.0, at(0.0), ONE, "backward"), "method: expected among forward, .* got backward"),
        ((lambda a: 0.0, at(0.0), {"y": np.ones(1)}), r"direction\['y'\]: expected a name and shape of the point"),
        ((lambda a: 0.0, at(0.0), {"x": np.ones(2)}), r"direction\['x'\]: .* got shape \(2,\)"),
        ((lambda a: 0.0, at(0.0), {"x": np.zeros(1)}), "direction: expected an entry that is not 0"),
        ((lambda a: 0.0, at(0.0), {}), "direction: expected an entry that is not 0"),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        difference(*arguments, noise=0.0)


def test_the_complex_step_needs_an_analytic_loss() -> None:
    relu = Network((1,), (Dense(1), Activation("relu")))
    lasso = Network((1,), (Dense(1), Activation("tanh")), penalty=Penalty("l1", 0.1, half=False, biases=False))
    for network in (relu, lasso):
        case = seeded_case(network, 1)
        assert not is_analytic(case)
        with pytest.raises(ArgumentError, match="has kinks"):
            difference_gradient(case, "complex_step")
    with pytest.raises(ArgumentError, match="for a loss that is given"):
        difference_gradient(seeded_case(relu, 1), "complex_step", loss=fastimpl.loss)


# ---- against the enclosures ----


def enclosed(truth: Enclosure, direction: dict[str, Any]) -> tuple[float, float]:
    """Bounds of Σ direction · gradient; directions are of −1, 0 and 1, so that only the sum rounds."""
    lows, highs = [], []
    for name, part in direction.items():
        low, high = part * truth.lower(name), part * truth.upper(name)
        lows += np.minimum(low, high).ravel().tolist()
        highs += np.maximum(low, high).ravel().tolist()
    return math.nextafter(math.fsum(lows), -math.inf), math.nextafter(math.fsum(highs), math.inf)


def single(case: Case, name: str) -> dict[str, Any]:
    shape = case.inputs.shape if name == INPUTS else case.network.parameter_shapes[name]
    unit = np.zeros(shape)
    unit.flat[-1] = 1
    return {name: unit}


@settings(max_examples=30)
@given(cases(), st.sampled_from(METHODS))
def test_directional_differences_agree_with_the_enclosure(case: Case, method: Method) -> None:
    if method in ("complex_step", "richardson") and not is_analytic(case):
        method = "central"  # coarse steps meet kinks on both sides of the point, whose jumps cancel
    truth = enclosure(case)
    for direction in (random_direction(case, seed=1), single(case, INPUTS)):
        found = directional_difference(case, direction, method)
        assert not found.contradicts(*enclosed(truth, direction)), found


@settings(max_examples=40)
@given(cases(), st.sampled_from(REAL))
def test_differences_of_a_loss_that_is_given_agree_with_the_enclosure(case: Case, method: Method) -> None:
    if method == "richardson" and not is_analytic(case):
        method = "central"
    direction = random_direction(case, seed=2)
    found = directional_difference(case, direction, method, loss=fastimpl.loss)
    assert not found.contradicts(*enclosed(enclosure(case), direction)), found


@pytest.mark.parametrize("method", METHODS)
def test_the_whole_gradient_of_a_network(method: Method) -> None:
    layers = dense_chain((2, 3, 2), (Activation("tanh"), Activation("softmax")))
    case = seeded_case(Network((2,), layers, Loss("categorical_cross_entropy", "batch_mean")), 2, seed=3)
    found = difference_gradient(case, method)
    truth = enclosure(case)
    assert list(found) == [*case.network.trainable, INPUTS]
    for name, entries in found.items():
        assert entries.shape == truth.shape(name)
        assert isinstance(entries, Differences)
        for index in np.ndindex(entries.shape):
            one = entries[index]
            low, high = float(truth.lower(name)[index]), float(truth.upper(name)[index])
            assert not one.contradicts(low, high)
            assert not one.undecided
            # A fault of a thousandth is seen.
            assert one.contradicts(*sorted((low * 1.001, high * 1.002))) or abs(low) < 1e-3


@settings(max_examples=15)
@given(cases())
def test_whole_gradients_agree_with_the_enclosure(case: Case) -> None:
    truth = enclosure(case)
    for name, found in difference_gradient(case, "central").items():
        assert not np.any(found.contradicts(truth.lower(name), truth.upper(name)))


@pytest.mark.parametrize("method", REAL)
@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_the_whole_gradient_of_a_network_with_many_parameters(activation: str, method: Method) -> None:
    layers = dense_chain((24, 12, 10, 4), (Activation(activation), Activation(activation), Activation("softmax")))
    loss = Loss("categorical_cross_entropy", "batch_mean")
    case = seeded_case(Network((24,), layers, loss), 6, seed=4)
    if activation == "relu" and method == "richardson":
        method = "five_point"
    truth = enclosure(case)
    told: list[tuple[int, int]] = []
    together = difference_gradient(case, method, progress=lambda *seen: told.append(seen))
    numbers = sum(array.size for array in (*case.parameters.values(), case.inputs))
    assert numbers**2 > APART > 52 * numbers, "together and one by one"
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    one_by_one = difference_gradient(case, method, names=("4.weight", "0.bias"))
    for name, found in {**together, **one_by_one}.items():
        low, high = truth.lower(name), truth.upper(name)
        assert not np.any(found.contradicts(low, high))
        # A fault of a hundredth of the largest entry is seen in every entry where the method tells anything.
        fault = 0.01 * float(np.abs(low).max())
        seen = found.contradicts(low + fault, high + fault)
        assert np.mean(seen | found.undecided) == 1.0
        assert np.mean(found.undecided) <= (0.0 if activation == "sigmoid" else 0.2)
    for name, found in one_by_one.items():
        assert np.all(found.rounding <= together[name].rounding * 1.01)


def test_only_what_is_asked_for_is_differenced() -> None:
    case = seeded_case(Network((2,), (Dense(3), Activation("tanh")), frozen=("0.bias",)), 2)
    assert list(difference_gradient(case)) == ["0.weight", INPUTS]
    assert list(difference_gradient(case, names=("0.bias",))) == ["0.bias"]
    assert difference_gradient(case, names=()) == {}
    with pytest.raises(ArgumentError, match=r"names: expected names among 0.weight, 0.bias, inputs, got 1.bias"):
        difference_gradient(case, names=("1.bias",))
    with pytest.raises(ArgumentError, match="method: expected among"):
        difference_gradient(case, "backward")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"direction\['0.bias'\]: expected a name and shape of the point"):
        directional_difference(case, {"0.bias": np.ones(4)})


def test_float32_cases_are_differenced_in_float64() -> None:
    case = seeded_case(Network((3,), (Dense(4), Activation("tanh")), Loss("squared_error", "sum")), 2)
    truth = enclosure(case.replace(dtype="float32"))
    for name, found in difference_gradient(case.replace(dtype="float32")).items():
        assert not np.any(found.contradicts(truth.lower(name), truth.upper(name)))
        assert found.error.max() < 1e-9


def test_a_direction_through_a_large_network() -> None:
    layers = dense_chain((64, 24, 10), (Activation("sigmoid"), Activation("softmax")))
    case = seeded_case(Network((64,), layers, Loss("half_squared_error", "batch_mean")), 8, seed=4)
    direction = random_direction(case, seed=5)
    found = directional_difference(case, direction)
    low, high = enclosed(enclosure(case), direction)
    assert not found.contradicts(low, high)
    assert found.error < 1e-3 * abs(low)

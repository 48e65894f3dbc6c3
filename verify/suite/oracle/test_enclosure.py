"""What an enclosure says of its numbers: distances, roundings, decimals, kinks, and the limits of precision."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from refimpl.balls import exact_balls, precision
from refimpl.enclosure import LEAST_BITS, MOST_BITS, PrecisionError, enclosure
from verify.strategies import cases, seeded_case
from verify.suite.oracle import plain

Parameters = dict[str, npt.ArrayLike]

TINY, HUGE = float(np.nextafter(0.0, 1.0)), float(np.finfo(float).max)
LINEAR = Network((3,), (Dense(1, bias=False),))
SIGMOID = Network((1,), (Dense(1), Activation("sigmoid")))


def linear(inputs: list[float], weights: list[float]) -> Case:
    """A case whose output is Σ inputs · weights."""
    return Case(LINEAR, {"0.weight": [[w] for w in weights]}, [inputs], upstream=[[1.0]])


def exact_sum(inputs: list[float], weights: list[float]) -> Fraction:
    return sum((Fraction(x) * Fraction(w) for x, w in zip(inputs, weights, strict=True)), Fraction(0))


def scale_of(inputs: list[float], weights: list[float]) -> float:
    return sum(abs(x * w) for x, w in zip(inputs, weights, strict=True))


def sigmoid_case(w: float, b: float, **changes: Any) -> Case:
    return Case(SIGMOID, {"0.weight": [[w]], "0.bias": [b]}, [[1.0]], upstream=[[1.0]], **changes)


def exact_sigmoid(w: float, b: float) -> Fraction:
    with mpmath.workdps(800):
        return plain.to_fraction(1 / (1 + mpmath.exp(-(mpmath.mpf(w) + mpmath.mpf(b)))))


floats = st.floats(allow_nan=False, allow_infinity=False)
factors = st.floats(-1e60, 1e60)  # products of two are finite float64 numbers, sums of three as well
around = st.integers(-3, 3)


def steps_from(number: float, steps: int) -> float:
    for _ in range(abs(steps)):
        number = float(np.nextafter(number, math.copysign(math.inf, steps)))
    return number


def assert_brackets(case: Case, exact: Fraction, got: float, scale: float = 1.0) -> None:
    """The output's distance from ``got`` lies between its two bounds, in exact rationals.

    scale: of the terms that the output is the sum of.
    """
    enclosed = enclosure(case)
    error = abs(Fraction(got) - exact)
    low = float(enclosed.distance("outputs", [[got]])[0, 0])
    high = float(enclosed.distance_upper("outputs", [[got]])[0, 0])
    assert 0 <= Fraction(low) <= error
    assert high == math.inf or error <= Fraction(high)
    assert Fraction(enclosed.lower("outputs")[0, 0]) <= exact <= Fraction(enclosed.upper("outputs")[0, 0])
    # Not only right but useful: the two bounds are a step apart beyond the ball's own width.
    if TINY * 2**60 < error < HUGE / 2:
        assert high - low <= 4 * np.spacing(high) + 2.0**-120 * max(abs(got), scale)


@given(inputs=st.lists(factors, min_size=3, max_size=3), weights=st.lists(factors, min_size=3, max_size=3), got=floats)
def test_distances_bracket_the_exact_one(inputs: list[float], weights: list[float], got: float) -> None:
    assert_brackets(linear(inputs, weights), exact_sum(inputs, weights), got, scale_of(inputs, weights))


@given(inputs=st.lists(factors, min_size=3, max_size=3), weights=st.lists(factors, min_size=3, max_size=3), by=around)
def test_distances_bracket_the_exact_one_nearby(inputs: list[float], weights: list[float], by: int) -> None:
    exact = exact_sum(inputs, weights)
    assert_brackets(linear(inputs, weights), exact, steps_from(float(exact), by), scale_of(inputs, weights))


@given(w=st.floats(-30, 30), b=st.floats(-30, 30), by=around)
def test_distances_bracket_an_irrational_one(w: float, b: float, by: int) -> None:
    exact = exact_sigmoid(w, b)
    assert_brackets(sigmoid_case(w, b), exact, steps_from(float(exact), by))


def test_the_distance_of_what_is_no_number_is_infinite() -> None:
    enclosed = enclosure(sigmoid_case(1.0, 2.0))
    for word in (math.nan, math.inf, -math.inf):
        assert enclosed.distance("outputs", [[word]]).tolist() == [[math.inf]]
        assert enclosed.distance_upper("outputs", [[word]]).tolist() == [[math.inf]]


@given(case=cases(extremes=True, depth=(1, 2), width=(1, 3), batch=(1, 2)))
def test_bounds_are_numbers_in_order_whatever_the_case(case: Case) -> None:
    enclosed = enclosure(case)
    for name in enclosed.names():
        for got in (0.0, 1.0, -HUGE):
            answer = np.full(enclosed.shape(name), got)
            low, high = enclosed.distance(name, answer), enclosed.distance_upper(name, answer)
            assert bool(np.all((low >= 0) & (low <= high)))
        assert bool(np.all(enclosed.lower(name) <= enclosed.upper(name)))


@given(inputs=st.lists(floats, min_size=3, max_size=3), weights=st.lists(floats, min_size=3, max_size=3))
def test_nearest_is_the_correctly_rounded_sum(inputs: list[float], weights: list[float]) -> None:
    exact = exact_sum(inputs, weights)
    try:
        want = float(exact)
    except OverflowError:
        want = math.inf if exact > 0 else -math.inf
    assert enclosure(linear(inputs, weights)).nearest("outputs")[0, 0] == want


@given(w=st.floats(-700, 700), b=st.floats(-700, 700))
def test_nearest_is_the_correctly_rounded_sigmoid(w: float, b: float) -> None:
    assert enclosure(sigmoid_case(w, b)).nearest("outputs")[0, 0] == float(exact_sigmoid(w, b))


@pytest.mark.parametrize(("inputs", "weights", "want"), [
    ([1.0, 2.0**-53, 0.0], [1.0, 1.0, 0.0], 1.0),  # a tie goes to the even one, below
    ([1.0, 3 * 2.0**-53, 0.0], [1.0, 1.0, 0.0], 1.0 + 2.0**-51),  # and above
    ([1.0, 2.0**-53, 2.0**-500], [1.0, 1.0, 2.0**-500], 1.0 + 2.0**-52),  # 10⁻³⁰¹ above a tie
    ([1.0, 2.0**-53, 2.0**-500], [1.0, 1.0, -(2.0**-500)], 1.0),
    ([2.0**-537, 0.0, 0.0], [2.0**-538, 0.0, 0.0], 0.0),  # half the least subnormal: a tie with 0
    ([2.0**-537, 2.0**-600, 0.0], [2.0**-538, 2.0**-600, 0.0], TINY),
    ([HUGE, 2.0**970, 0.0], [1.0, 1.0, 0.0], math.inf),  # a tie with what would be the next number
    ([HUGE, 2.0**969, 0.0], [1.0, 1.0, 0.0], HUGE),
    ([HUGE, HUGE, 0.0], [HUGE, -HUGE, 0.0], 0.0),
])  # fmt: skip
def test_nearest_at_ties_and_at_the_ends_of_the_range(inputs: list[float], weights: list[float], want: float) -> None:
    enclosed = enclosure(linear(inputs, weights))
    assert enclosed.nearest("outputs")[0, 0] == want
    assert enclosed.lower("outputs")[0, 0] <= want


def test_nearest_says_when_no_precision_decides() -> None:
    # σ(b) − σ(b) by way of two units is 0 in real arithmetic, but no precision can tell; at a tie it would decide.
    network = Network((1,), (Dense(3), Activation("sigmoid"), Dense(1)))
    parameters: Parameters = {"0.weight": [[0.0, 0.0, 0.0]], "0.bias": [0.7, 0.7, 0.0]}
    for tie, bias in ((2.0**-52, 1.0), (0.0, 0.0)):
        given_last: Parameters = {"2.weight": [[1.0], [-1.0], [tie]], "2.bias": [bias]}
        enclosed = enclosure(Case(network, parameters | given_last, [[0.0]], upstream=[[1.0]]))
        if tie:
            with pytest.raises(PrecisionError, match="outputs: 8192 bits do not decide"):
                enclosed.nearest("outputs")
        else:
            assert enclosed.nearest("outputs") == 0
            assert enclosed.decimal("outputs", (0, 0)).startswith("[+/- ")
        assert not enclosed.kinks("outputs").any()


@given(w=st.floats(-300, 300), b=st.floats(-300, 300), digits=st.integers(1, 120))
def test_decimals_are_right_to_their_last_digit(w: float, b: float, digits: int) -> None:
    exact = exact_sigmoid(w, b)
    text = enclosure(sigmoid_case(w, b)).decimal("outputs", (0, 0), digits)
    # Relative to the leading digit: 10^(1 − digits) is one unit of the last place, at most.
    assert abs(Fraction(text) - exact) <= exact * Fraction(10) ** (1 - digits)
    assert len(text.partition("e")[0].replace(".", "").lstrip("0")) <= digits


def test_decimals_of_exact_numbers_are_exact() -> None:
    enclosed = enclosure(linear([0.1, 3.0, 0.0], [1.0, 0.0, 0.0]))
    assert Fraction(enclosed.decimal("outputs", (0, 0), 60)) == Fraction(0.1)
    assert enclosed.decimal("inputs", (0, 1)) == "0"
    with pytest.raises(ArgumentError, match="digits: expected at least 1, got 0"):
        enclosed.decimal("loss", (), 0)


def test_cancelled_digits_come_back_at_higher_precision() -> None:
    # σ' at 200: 1 − tanh² would cancel to nothing at 128 bits.
    network = Network((1,), (Dense(1), Activation("tanh")))
    case = Case(network, {"0.weight": [[200.0]], "0.bias": [0.0]}, [[1.0]], upstream=[[1.0]])
    with mpmath.workdps(800):
        slope = plain.to_fraction(1 / mpmath.cosh(200) ** 2)
    enclosed = enclosure(case)
    assert enclosed.nearest("0.weight")[0, 0] == float(slope)
    assert abs(Fraction(enclosed.decimal("0.weight", (0, 0), 30)) - slope) < slope * Fraction(10) ** -29


def test_precision_rises_until_a_cross_entropy_is_bounded() -> None:
    # 1 − p has a thousand leading zeros, or nines; log(1 − p) is about −1000.
    network = Network((1,), (Dense(1), Activation("sigmoid")), Loss("binary_cross_entropy", "sum"))
    case = Case(network, {"0.weight": [[1000.0]], "0.bias": [0.0]}, [[1.0]], targets=[[0.0]])
    enclosed = enclosure(case)
    assert enclosed.nearest("loss")[()] == 1000.0
    assert enclosed.nearest("0.weight")[0, 0] == 1.0
    assert enclosed.working_bits > enclosed.bits == 128


def test_where_no_precision_bounds_a_number_nothing_is_claimed() -> None:
    network = Network((1,), (Dense(1), Activation("sigmoid")), Loss("binary_cross_entropy", "sum"))
    case = Case(network, {"0.weight": [[1e6]], "0.bias": [0.0]}, [[1.0]], targets=[[0.0]])
    enclosed = enclosure(case)
    assert enclosed.distance("loss", 3.0)[()] == 0
    assert enclosed.distance_upper("loss", 3.0)[()] == math.inf
    assert [float(enclosed.lower("loss")), float(enclosed.upper("loss"))] == [-math.inf, math.inf]
    with pytest.raises(PrecisionError):
        enclosed.nearest("loss")


def test_numbers_beyond_all_floats_are_no_trouble() -> None:
    # σ'(−10¹⁰) has ten digits in its exponent.
    enclosed = enclosure(sigmoid_case(-1e10, 0.0))
    assert enclosed.nearest("0.weight").tolist() == [[0.0]]
    assert enclosed.distance("0.weight", [[1.0]])[0, 0] == steps_from(1.0, -1)
    assert enclosed.upper("0.weight")[0, 0] == TINY
    assert enclosed.decimal("0.weight", (0, 0), 5).endswith("e-4342944820")


@pytest.mark.parametrize("bits", [LEAST_BITS, 64, 128, 1000, MOST_BITS])
def test_every_precision_encloses_the_same_numbers(bits: int) -> None:
    case = seeded_case(Network((2,), (Dense(3), Activation("relu"), Dense(2), Activation("softmax"))), 2, seed=9)
    rough, fine = enclosure(case, bits), enclosure(case, 2000)
    for name in rough.names():
        for ball, finer in zip(rough.balls(name).flat, fine.balls(name).flat, strict=True):
            assert ball.overlaps(finer)
            assert ball.rad() <= 2.0 ** (8 - min(bits, 1000)) * (1 + abs(ball.mid()))


@pytest.mark.parametrize("bits", [-1, 0, LEAST_BITS - 1, MOST_BITS + 1])
def test_precision_out_of_range_is_refused(bits: int) -> None:
    with pytest.raises(ArgumentError, match=f"bits: expected 53 to 8192, got {bits}"):
        enclosure(sigmoid_case(1.0, 1.0), bits)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"outputs: expected shape \(1, 1\), got shape \(1,\)"):
        enclosure(sigmoid_case(1.0, 1.0)).distance("outputs", [1.0])


def test_the_precision_of_others_is_left_alone() -> None:
    before = ctx.prec
    try:
        ctx.prec = 77
        enclosed = enclosure(sigmoid_case(-50.0, 1.0), 500)
        enclosed.nearest("0.weight")
        enclosed.decimal("0.weight", (0, 0), 300)
        enclosed.distance("outputs", [[1.0]])
        enclosed.kinks("outputs")
        assert ctx.prec == 77
        with contextlib.suppress(ZeroDivisionError), precision(99):
            assert ctx.prec == 99
            raise ZeroDivisionError
        assert ctx.prec == 77
    finally:
        ctx.prec = before


def test_balls_are_made_of_exact_finite_numbers() -> None:
    assert exact_balls(np.array([0.1], dtype=np.float32)).tolist() == [arb(float(np.float32(0.1)))]
    assert exact_balls([-0.0, TINY])[1].rad() == 0
    with pytest.raises(ValueError, match="finite"):
        exact_balls([math.nan])


# ---- kinks ----


def relu_case(inputs: list[float], weights: list[float], name: str = "relu", slope: float | None = None) -> Case:
    network = Network((3,), (Dense(1, bias=False), Activation(name, slope)))
    return Case(network, {"0.weight": [[w] for w in weights]}, [inputs], upstream=[[1.0]])


@pytest.mark.parametrize(("inputs", "weights", "kink"), [
    ([1.0, 1.0, 1.0], [0.5, 0.25, -0.75], True),
    ([1.0, 1.0, 1.0], [0.1, 0.2, -0.3], False),  # these three float64 numbers sum up to 2⁻⁵⁵ · 1, not to 0
    ([0.1, 0.3, 0.0], [0.3, -0.1, 0.0], True),  # 0.1 · 0.3 − 0.3 · 0.1, exactly
    ([2.0**200, 2.0**-200, 0.0], [2.0**200, 2.0**-200, 0.0], False),
    ([2.0**200, 2.0**-200, 2.0**200], [2.0**200, 2.0**-200, -(2.0**200)], False),  # 2⁻⁴⁰⁰ is left
    ([0.0, -0.0, 0.0], [1.0, 2.0, 3.0], True),
])  # fmt: skip
def test_exactness_decides_whether_an_argument_is_zero(inputs: list[float], weights: list[float], kink: bool) -> None:
    enclosed = enclosure(relu_case(inputs, weights))
    exact = exact_sum(inputs, weights)
    assert (exact == 0) == kink == bool(enclosed.met_kinks)
    nonzero = np.array([[x != 0] for x in inputs])
    assert enclosed.kinks("0.weight").tolist() == (nonzero & kink).tolist()
    assert not enclosed.kinks("outputs").any()
    if not kink:
        assert enclosed.nearest("0.weight").ravel().tolist() == [x if exact > 0 else 0 for x in inputs]


def test_a_slope_of_one_has_no_kink() -> None:
    enclosed = enclosure(relu_case([1.0, 1.0, 0.0], [1.0, -1.0, 0.0], "leaky_relu", 1.0))
    assert enclosed.met_kinks == 0
    assert enclosed.nearest("0.weight").ravel().tolist() == [1, 1, 0]


@pytest.mark.parametrize("half", [False, True])
def test_the_absolute_value_has_a_kink_at_zero(half: bool) -> None:
    network = Network((1,), (Dense(3, bias=False),), Loss("squared_error", "sum"), Penalty("l1", 0.5, half, False))
    case = Case(network, {"0.weight": [[0.0, -0.0, 2.0]]}, [[0.0]], targets=[[0.0, 0.0, 0.0]])
    enclosed = enclosure(case)
    end = 0.25 if half else 0.5
    assert enclosed.kinks("0.weight").tolist() == [[True, True, False]]
    assert enclosed.lower("0.weight").tolist() == [[-end, -end, end]]
    assert enclosed.upper("0.weight").tolist() == [[end, end, end]]
    assert enclosed.distance("0.weight", [[0.1, end, end]]).tolist() == [[0, 0, 0]]
    assert enclosed.distance("0.weight", [[1.0, -1.0, 0.0]]).tolist() == [[1 - end, 1 - end, end]]
    with pytest.raises(PrecisionError, match="a kink makes a set"):
        enclosed.nearest("0.weight")
    assert enclosed.nearest("loss")[()] == 2 * end


def test_only_what_the_kink_reaches_is_a_set() -> None:
    # Unit 0 stands at its kink, unit 1 does not; the sign of unit 2 needs 300 bits.
    network = Network((3,), (Dense(3, bias=False), Activation("relu"), Dense(1), Activation("tanh")))
    weights = [[1.0, 1.0, 2.0**100], [-1.0, 0.0, 2.0**-200], [0.0, 0.0, -(2.0**100)]]
    parameters: Parameters = {"0.weight": weights, "2.weight": [[0.3], [0.7], [2.0**-100]], "2.bias": [0.1]}
    enclosed = enclosure(Case(network, parameters, [[1.0, 1.0, 1.0]], upstream=[[1.0]]))
    assert enclosed.working_bits > enclosed.bits
    assert enclosed.met_kinks == 1
    assert enclosed.kinks("0.weight").tolist() == [[True, False, False]] * 3
    assert not enclosed.kinks("2.weight").any()
    assert enclosed.kinks("inputs").tolist() == [[True, True, False]]
    assert enclosed.decimal("2.weight", (0, 0)) == "0"


def test_a_sign_that_no_precision_tells_counts_as_a_kink() -> None:
    # tanh(b) − tanh(b) again, now under a ReLU: 0, but by irrational numbers.
    network = Network((1,), (Dense(2), Activation("tanh"), Dense(1, bias=False), Activation("relu")))
    parameters: Parameters = {"0.weight": [[0.0, 0.0]], "0.bias": [0.7, 0.7], "2.weight": [[1.0], [-1.0]]}
    enclosed = enclosure(Case(network, parameters, [[0.0]], upstream=[[1.0]]))
    assert enclosed.met_kinks == 1
    assert enclosed.kinks("2.weight").all()
    assert enclosed.distance("2.weight", np.zeros((2, 1))).tolist() == [[0], [0]]
    assert enclosed.distance("2.weight", np.full((2, 1), math.tanh(0.7)))[0, 0] < 1e-15


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("slope", [0.0, 0.25])
def test_a_sign_beyond_the_precision_tried_only_widens_the_enclosure(sign: float, slope: float) -> None:
    # ±2⁻⁶⁰⁰ is left beside 2⁶⁰⁰ − 2⁶⁰⁰: more bits apart than are tried.
    inputs, weights = [2.0**300, 2.0**-300, 2.0**300], [2.0**300, sign * 2.0**-300, -(2.0**300)]
    enclosed = enclosure(relu_case(inputs, weights, "leaky_relu", slope))
    assert enclosed.met_kinks == 1
    taken = 1.0 if sign > 0 else slope
    exact = {"outputs": [[taken * sign * 2.0**-600]], "0.weight": [[taken * x] for x in inputs]}
    for name, values in exact.items():
        assert not enclosed.distance(name, values).any()
        assert np.all(enclosed.lower(name) <= values)
        assert np.all(enclosed.upper(name) >= values)


@given(case=cases(depth=(1, 3), width=(1, 3), batch=(1, 2)))
def test_nothing_is_a_set_where_no_kink_is_met(case: Case) -> None:
    enclosed = enclosure(case)
    met = bool(enclosed.met_kinks)
    assert met or not any(enclosed.kinks(name).any() for name in enclosed.names())
    assert not enclosed.kinks("loss").any()
    assert not enclosed.kinks("outputs").any()

"""The allowance holds what careful arithmetic does, and no more than it must."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Dense, Residual
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.allowance import ROUND_UP, allowance
from refimpl.balls import BallArithmetic, exact_balls, precision
from refimpl.enclosure import enclosure
from refimpl.formats import FORMATS, Format, Precision
from refimpl.functions import FUNCTIONS
from refimpl.variants import VARIANTS, Suprema, overflowing

HALF_SQUARED = Loss("half_squared_error", "sum")

ARGUMENTS = {"log": (1e-30, 1e30), "reciprocal": (1e-15, 1e15), "sqrt": (1e-30, 1e30)}
"""Positive functions are tried over many binades; the others on [−80, 80], where no formula overflows in float32."""


def arguments(function: str, dtype: Dtype) -> Any:
    rng = np.random.default_rng(7)
    if function in ARGUMENTS:
        low, high = np.log(ARGUMENTS[function])
        return np.exp(rng.uniform(low, high, 1500)).astype(dtype)
    spread = np.concatenate([rng.uniform(-40, 40, 700), rng.normal(size=500), rng.normal(size=300) * 1e-4, [0.0]])
    return spread.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "order"), list(VARIANTS))
def test_each_formula_stays_within_its_bound(function: str, order: int, dtype: Dtype) -> None:
    z = arguments(function, dtype)
    with precision(400):
        exact = BallArithmetic().apply(function, order, exact_balls(z))
        value = np.array([float(abs(ball).upper()) for ball in exact])
        zeroth = BallArithmetic().apply(function, 0, exact_balls(z))
    suprema = Suprema(np.abs(z.astype(float)), np.array([float(abs(ball).upper()) for ball in zeroth]), value)
    bound = VARIANTS[function, order].bound(Format.of(dtype).unit, suprema) + 8 * Format.of(dtype).tiny
    for words, formula in VARIANTS[function, order].formulas.items():
        got = formula(z)
        assert got.dtype == z.dtype, words
        with precision(400):
            error = np.array([float((arb(float(g)) - e).abs_upper()) for g, e in zip(got, exact, strict=True)])
        worst = int(np.argmax(error - bound))
        assert error[worst] <= bound[worst], (words, z[worst], error[worst], bound[worst])


def test_the_table_covers_every_function_and_its_first_derivative() -> None:
    assert set(VARIANTS) == set(itertools.product(FUNCTIONS, (0, 1)))


def linear(weights: Any, inputs: Any, dtype: Dtype) -> Case:
    network = Network((len(weights),), (Dense(1, bias=False),), HALF_SQUARED)
    column = np.asarray(weights).reshape(-1, 1)
    return Case(network, {"0.weight": column}, np.asarray(inputs).reshape(1, -1), targets=[[0]], dtype=dtype)


def pairwise(terms: Any) -> Any:
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return pairwise(terms[:middle]) + pairwise(terms[middle:])


ORDERS = {
    "sequential": lambda t: np.add.accumulate(t)[-1],
    "reversed": lambda t: np.add.accumulate(t[::-1])[-1],
    "ascending": lambda t: np.add.accumulate(t[np.argsort(np.abs(t))])[-1],
    "descending": lambda t: np.add.accumulate(t[np.argsort(-np.abs(t))])[-1],
    "cancelling last": lambda t: np.add.accumulate(np.sort(t))[-1],
    "pairwise": pairwise,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 17, 128, 1000, 4000])
def test_dot_products_in_any_order_stay_within(n: int, dtype: Dtype) -> None:
    rng = np.random.default_rng(n)
    w, x = rng.normal(size=n).astype(dtype), rng.normal(size=n).astype(dtype)
    if n > 3:  # makes the sum cancel to a small rest
        w[-1], x[-1] = -np.dot(w[:-1].astype(float), x[:-1].astype(float)), 1
    case = linear(w, x, dtype)
    enclosed = enclosure(case)
    allowed = allowance(case).rigorous["outputs"]
    sums = {name: order(w * x) for name, order in ORDERS.items()} | {"blas": np.dot(w, x)}
    for name, got in sums.items():
        assert got.dtype == np.dtype(dtype)
        assert enclosed.distance_upper("outputs", [[got]])[0, 0] <= allowed[0, 0], name


@given(st.integers(1, 40), st.sampled_from(DTYPES))
def test_a_sum_may_cost_no_more_than_the_textbook_bound(n: int, dtype: Dtype) -> None:
    rng = np.random.default_rng(n)
    case = linear(rng.normal(size=n), rng.normal(size=n), dtype)
    target = Format.of(dtype)
    magnitudes = sum(
        abs(Fraction(float(w)) * Fraction(float(x)))
        for w, x in zip(case.parameters["0.weight"][:, 0], case.inputs[0], strict=True)
    )
    allowed = allowance(case).rigorous["outputs"][0, 0]
    assert allowed <= (ROUND_UP + 2.0**-20) * target.gamma(n) * float(magnitudes) + 2 * n * target.tiny


def test_every_further_rounding_would_show() -> None:
    """A dot product of n ones and tiny positive terms that are lost one by one comes near its bound."""
    n, unit = 1000, Format.of("float32").unit
    w = np.full(n, unit * 0.999, dtype="float32")
    w[0] = 1
    case = linear(w, np.ones(n), "float32")
    lost = np.add.accumulate(w)[-1]
    distance = enclosure(case).distance("outputs", [[lost]])[0, 0]
    allowed = allowance(case).rigorous["outputs"][0, 0]
    assert 0.9 * allowed < distance <= allowed


def test_a_kink_that_the_targets_own_error_cannot_exclude_counts() -> None:
    near = 1e-17  # far below the rounding of 1·1 + b
    network = Network((1,), (Dense(1), Activation("relu")), HALF_SQUARED)
    case = Case(network, {"0.weight": [[1.0]], "0.bias": [-1.0 + 2.0**-53]}, [[1.0]], targets=[[1.0]])
    allowed = allowance(case).rigorous
    assert allowed["0.weight"][0, 0] >= 1  # the whole jump of the derivative, times delta = a − t, nearly −1
    clear = case.replace(parameters={"0.weight": [[1.0]], "0.bias": [-0.5]})
    assert allowance(clear).rigorous["0.weight"][0, 0] < near * 1000


def test_an_exact_kink_is_a_set_and_needs_no_allowance() -> None:
    network = Network((1,), (Dense(1), Activation("relu")), HALF_SQUARED)
    case = Case(network, {"0.weight": [[1.0]], "0.bias": [-1.0]}, [[1.0]], targets=[[1.0]])
    enclosed = enclosure(case)
    assert enclosed.met_kinks == 1
    assert allowance(case).rigorous["0.weight"][0, 0] < 1e-13
    assert enclosed.distance("0.weight", [[0.0]])[0, 0] == 0
    assert enclosed.distance("0.weight", [[-1.0]])[0, 0] == 0
    assert enclosed.distance("0.weight", [[0.5]])[0, 0] > 0.4


def test_overflow_promises_nothing() -> None:
    case = linear([1e30], [1e30], "float32")
    assert np.all(np.isinf(allowance(case).rigorous["outputs"]))
    assert np.all(np.isfinite(allowance(case, "float64").rigorous["outputs"]))


def test_leaves_are_rounded_where_the_target_computes_in_less() -> None:
    case = linear([0.1], [0.1], "float64")
    own = allowance(case).rigorous["outputs"][0, 0]
    single = allowance(case, "float32").rigorous["outputs"][0, 0]
    assert single > 2 * 0.01 * 2.0**-24 > own


def test_a_dtype_of_another_name_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"dtype.*float64"):
        allowance(linear([1.0], [1.0], "float64"), "float128")  # type: ignore[arg-type]


def test_a_bound_is_vacuous_where_n_u_reaches_1_unless_sums_are_held_wider() -> None:
    for n, vacuous in ((255, False), (256, True)):
        case = linear(np.ones(n), np.ones(n), "float32")
        narrow = allowance(case, "bfloat16").rigorous["outputs"]
        assert np.all(np.isinf(narrow)) == vacuous
        wide = allowance(case, "bfloat16", accumulator="float32").rigorous["outputs"]
        assert np.all(wide <= 4 * n * 2.0**-8)  # two rounded leaves a term, one rounding of the sum, second order


def _formats() -> dict[Precision, Any]:
    return {"float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def test_formats_are_those_of_the_libraries() -> None:
    for name, dtype in _formats().items():
        info: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
        ours = Format.of(name)
        assert (ours.unit, ours.tiny) == (float(info.eps) / 2, float(info.smallest_normal))
        assert ours.largest == float(info.max)
    assert set(FORMATS) == set(_formats())


@given(st.floats(-(2.0**20), 2.0**20), st.sampled_from(sorted(FORMATS)))
def test_a_format_holds_exactly_the_normal_numbers_that_survive_a_cast(number: float, name: Precision) -> None:
    target = Format.of(name)
    with np.errstate(over="ignore"):
        cast = float(np.asarray(number, dtype=np.float64).astype(_formats()[name]))
    normal = number == 0 or target.tiny <= abs(number) <= target.largest
    assert target.holds(Fraction(number)) == (normal and cast == number)


@pytest.mark.parametrize("precision_name", ["float16", "bfloat16"])
def test_narrow_dot_products_stay_within(precision_name: Precision) -> None:
    dtype = _formats()[precision_name]
    rng = np.random.default_rng(2)
    w, x = (rng.normal(size=60).astype(dtype) for _ in range(2))
    case = linear(w.astype(np.float64), x.astype(np.float64), "float64")
    total = dtype(0)
    for term in w * x:
        total = dtype(total + term)
    allowed = allowance(case, precision_name).rigorous["outputs"]
    assert 0 < enclosure(case).distance_upper("outputs", [[float(total)]])[0, 0] <= allowed[0, 0]


def test_an_accumulator_that_is_not_wider_is_refused() -> None:
    case = linear([1.0], [1.0], "float32")
    with pytest.raises(ArgumentError, match=r"accumulator: expected a format with more digits than float32"):
        allowance(case, accumulator="float16")


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus"])
def test_an_argument_whose_error_reaches_across_0_has_a_finite_bound(activation: str) -> None:
    network = Network((2,), (Dense(1, bias=False), Activation(activation)), HALF_SQUARED)
    case = Case(network, {"0.weight": [[0.1], [-0.1]]}, [[3.0, 3.0]], targets=[[3.0]])
    assert all(np.all(np.isfinite(allowed)) for allowed in allowance(case).rigorous.values())


def test_residual_sums_in_any_order_stay_within() -> None:
    rng = np.random.default_rng(3)
    network = Network((4,), (Residual((Dense(4),)), Residual((Dense(4, bias=False),))), HALF_SQUARED)
    parameters = {name: rng.normal(size=shape) for name, shape in network.parameter_shapes.items()}
    case = Case(network, parameters, rng.normal(size=(3, 4)), targets=np.zeros((3, 4)), dtype="float32")
    x, p = case.inputs, case.parameters
    first = p["0.body.0.bias"] + x + x @ p["0.body.0.weight"]  # the bias first: another order than the program's
    got = first @ p["1.body.0.weight"] + first
    assert np.all(enclosure(case).distance_upper("outputs", got) <= allowance(case).rigorous["outputs"])


def test_a_penalty_is_part_of_the_sum() -> None:
    network = Network((2,), (Dense(1),), HALF_SQUARED, Penalty("l2", 0.1, half=True, biases=False))
    parameters = {"0.weight": np.array([[1e8], [1.0]]), "0.bias": np.array([0.0])}
    case = Case(network, parameters, [[0.0, 1.0]], targets=[[0.0]], dtype="float32")
    rounded = np.float32(0.1)  # λ itself rounded to float32 is admissible
    got = np.array([[rounded * np.float32(1e8)], [np.float32(1) + rounded]])
    assert np.all(enclosure(case).distance_upper("0.weight", got) <= allowance(case).rigorous["0.weight"])


def within(case: Case, quantity: str, got: Any) -> bool:
    return bool(np.all(enclosure(case).distance_upper(quantity, got) <= allowance(case).rigorous[quantity]))


def test_a_leaf_below_the_normal_numbers_may_be_read_as_0() -> None:
    case = linear([1e30], [1e-40], "float32")
    assert within(case, "outputs", [[0.0]])  # as XLA does
    assert not within(case, "outputs", [[2e-10]])
    assert not within(linear([1e30], [1e-37], "float32"), "outputs", [[0.0]])


def test_a_constant_below_the_normal_numbers_may_be_0() -> None:
    layers = (Dense(1, bias=False), Activation("leaky_relu", 1e-50))
    case = Case(Network((1,), layers, HALF_SQUARED), {"0.weight": [[-1e20]]}, [[1e15]], targets=[[0]], dtype="float32")
    assert within(case, "outputs", [[0.0]])
    assert within(case.replace(targets=[[1]]), "inputs", [[0.0]])
    penalised = Network((1,), (Dense(1, bias=False),), HALF_SQUARED, Penalty("l2", 1e-50, half=True, biases=False))
    case = Case(penalised, {"0.weight": [[1e15]]}, [[0.0]], targets=[[0]], dtype="float32")
    assert within(case, "0.weight", [[0.0]])
    assert within(case, "loss", 0.0)
    assert not within(case, "0.weight", [[3e-35]])


@pytest.mark.parametrize(("z", "dtype"), [(-49.0, "float32"), (-500.0, "float64")])
def test_a_square_that_overflows_in_a_formula_of_the_table_may_cost_the_whole_slope(z: float, dtype: Dtype) -> None:
    """e⁻ᶻ/(1 + e⁻ᶻ)² is 0 where the square overflows, although σ′ is a normal number."""
    case = Case(Network((1,), (Activation("sigmoid"),)), {}, [[z]], upstream=[[1.0]], dtype=dtype)
    with np.errstate(over="ignore"):
        got = VARIANTS["sigmoid", 1].formulas["exp(-z)/(1 + exp(-z))^2"](case.inputs)
    assert got == 0
    assert within(case, "inputs", got)
    assert not within(case.replace(inputs=[[z / 2]]), "inputs", [[0.0]])


@pytest.mark.parametrize("loss", [None, Loss("categorical_cross_entropy_with_logits", "sum")])
def test_logits_may_be_shifted_by_the_largest_of_the_batch(loss: Loss | None) -> None:
    z = np.array([[300.0, 0.0, 0.0], [0.37, 0.111, 0.7]])
    goal = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    exponentials = np.exp(z - np.max(z))
    p = exponentials / exponentials.sum(axis=-1, keepdims=True)
    if loss is None:
        case = Case(Network((3,), (Activation("softmax"),)), {}, z, upstream=goal)
        assert within(case, "outputs", p)
        assert within(case, "inputs", p * (goal - (p * goal).sum(axis=-1, keepdims=True)))
    else:
        assert within(Case(Network((3,), (Activation("identity"),), loss), {}, z, targets=goal), "inputs", p - goal)


def test_exponentials_of_logits_that_are_not_shifted_may_be_below_the_normal_numbers() -> None:
    z = np.array([[-95.0, -96.0]], dtype=np.float32)
    got = np.exp(z) / np.exp(z).sum()  # of subnormal numbers, of few digits each
    case = Case(Network((2,), (Activation("softmax"),)), {}, z, upstream=[[1.0, 2.0]], dtype="float32")
    assert within(case, "outputs", got)
    assert not within(case.replace(inputs=z + 64), "outputs", got)  # exactly the same outputs, none of them lost
    loss = Loss("categorical_cross_entropy_with_logits", "sum")
    case = Case(Network((2,), (Activation("identity"),), loss), {}, z, targets=[[1.0, 0.0]], dtype="float32")
    assert within(case, "loss", -np.log(got)[0, 0])
    assert within(case, "inputs", got - [[1.0, 0.0]])


def test_only_sums_are_held_wider() -> None:
    """Eight products with a slope that float16 rounds by nearly u, each rounded to float16 itself."""
    slope = 1 + 10.9 * 2.0**-11
    x = np.arange(-2048, -1024).astype(np.float16)
    got = x
    for _ in range(8):
        got = got * np.float16(slope)
    exact = [Fraction(float(start)) * Fraction(slope) ** 8 for start in x]
    errors = [abs(Fraction(float(g)) - e) / abs(e) for g, e in zip(got, exact, strict=True)]
    worst = int(np.argmax(np.array(errors, dtype=float)))
    assert errors[worst] > 9 * 2.0**-11  # one rounding for each layer and the leaf would not do
    network = Network((1,), (Activation("leaky_relu", slope),) * 8)
    case = Case(network, {}, [[float(x[worst])]], upstream=[[1.0]])
    allowed = allowance(case, "float16", accumulator="float32").rigorous["outputs"]
    assert np.all(enclosure(case).distance_upper("outputs", [[float(got[worst])]]) <= allowed)


def softmax_case(weight: float, dtype: Dtype) -> Case:
    network = Network((1,), (Dense(2), Activation("softmax")), HALF_SQUARED)
    parameters = {"0.weight": np.array([[weight, -weight]]), "0.bias": np.zeros(2)}
    return Case(network, parameters, [[1.0]], targets=[[1.0, 0.0]], dtype=dtype)


def test_overflowing_names_the_layer_the_formula_and_the_dtype() -> None:
    (words, *_) = overflowing(softmax_case(100, "float32"))
    assert "layer 1: softmax" in words
    assert "exp(z)" in words
    assert "float32" in words
    assert overflowing(softmax_case(100, "float32"), "float64") == ()
    assert overflowing(softmax_case(20, "float32")) == ()


def test_a_derivative_whose_numerator_is_multiplied_first_may_overflow() -> None:
    """δ·eᶻ/(1 + eᶻ) is δ for z = 40, but δ·eᶻ is beyond float32 from δ = 1.5e21 on."""
    network = Network((1,), (Dense(1, bias=False), Activation("softplus")))
    large, small = (
        Case(network, {"0.weight": [[40.0]]}, [[1.0]], upstream=[[d]], dtype="float32") for d in (1e22, 1e20)
    )
    (words,) = overflowing(large)
    assert words.startswith("derivative of layer 1: softplus: softplus′ as exp(z)/(1 + exp(z)), multiplied first")
    assert overflowing(small) == ()

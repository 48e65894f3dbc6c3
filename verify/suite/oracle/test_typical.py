"""The typical allowance: what careful implementations lose, and careless ones exceed without being wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from fastimpl import gradients
from gradproof.case import Case
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.allowance import allowance
from refimpl.enclosure import enclosure
from refimpl.typical import ENTRIES, RISK, SAMPLES, factor
from verify.strategies import cases


@given(cases())
@settings(max_examples=60)
def test_a_careful_implementation_stays_within(case: Case) -> None:
    enclosed = enclosure(case)
    allowed = allowance(case, enclosed=enclosed)
    for name, got in gradients(case).quantities().items():
        if name in allowed.typical and np.all(np.isfinite(np.asarray(got))):
            assert np.all(allowed.typical[name] <= allowed.rigorous[name])
            assert np.all(enclosed.distance(name, got) <= allowed.typical[name])


def test_it_is_the_same_each_time() -> None:
    network = Network((3,), dense_chain((3, 4, 2), (Activation("tanh"),) * 2), Loss("squared_error", "sum"))
    rng = np.random.default_rng(0)
    parameters = {name: rng.normal(size=shape) for name, shape in network.parameter_shapes.items()}
    case = Case(network, parameters, rng.normal(size=(2, 3)), targets=np.ones((2, 2)))
    once, again = (allowance(case).typical for _ in range(2))
    for name, typical in once.items():
        assert np.array_equal(typical, again[name])


def test_a_cancelling_tanh_exceeds_it_and_stays_within_the_rigorous_one() -> None:
    """(eᶻ − e⁻ᶻ)/(eᶻ + e⁻ᶻ) is the right formula and loses the digits of a small z."""
    network = Network((1,), (Dense(1, bias=False), Activation("tanh")))
    z = 1e-6 / 3
    case = Case(network, {"0.weight": [[1.0]]}, [[z]], upstream=[[1.0]])
    careless = (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))
    allowed = allowance(case)
    off = enclosure(case).distance("outputs", [[careless]])[0, 0]
    assert allowed.typical["outputs"][0, 0] < off <= allowed.rigorous["outputs"][0, 0]


def test_near_a_kink_careful_arithmetic_may_jump() -> None:
    """Exactly, z = float32(1.8)·(−½) + float32(0.4)/2 − float32(0.6)/2 + 1 is tiny and positive; in float32 it is 0."""
    network = Network((3,), (Dense(1), Activation("relu")))
    parameters = {"0.weight": np.array([[-0.5], [0.5], [-0.5]]), "0.bias": np.array([1.0])}
    case = Case(network, parameters, [[1.8, 0.4, 0.6]], upstream=[[1.0]], dtype="float32")
    allowed = allowance(case)
    assert allowed.near_kinks == 1
    assert enclosure(case).met_kinks == 0
    assert enclosure(case).distance("0.bias", [0.0])[0] == 1 <= allowed.typical["0.bias"][0]


def test_what_underflows_may_be_lost_however_much_it_is_amplified_later() -> None:
    """1e-30 · 1e-10 is subnormal in float32, and 0 where subnormal numbers are; times 1e10 it is 1e-30 again, or 0."""
    network = Network((1,), (Dense(1, bias=False), Dense(1, bias=False)))
    parameters = {"0.weight": [[1e-10]], "1.weight": [[1e10]]}
    case = Case(network, parameters, [[1e-30]], upstream=[[1.0]], dtype="float32")
    flushed = enclosure(case).distance("outputs", [[0.0]])[0, 0]
    assert 0.99e-30 < flushed <= allowance(case).typical["outputs"][0, 0]


def test_an_error_beyond_its_number_is_rounded_too() -> None:
    """δ₁ and δ₂ are nothing but the error of 1 − a², once tanh is saturated; softmax subtracts them from each other."""
    network = Network((1,), (Dense(2), Activation("softmax"), Dense(2), Activation("tanh")))
    parameters = {
        "0.weight": np.array([[0.0, 0.0]]),
        "0.bias": np.array([-60.0, 0.0]),
        "2.weight": np.array([[3.0, 5.0], [7.0, 11.0]]),
        "2.bias": np.array([60.0, 70.0]),
    }
    case = Case(network, parameters, [[1.0]], upstream=[[1.0, 1.0]])
    enclosed, allowed = enclosure(case), allowance(case)
    # The two are p₁p₂(δ₁ − δ₂) and its negative; with a ball's worth of digits lost in p₂ = 1, the second is 1e-26 off.
    assert np.all(enclosed.distance("0.bias", [0.0, 0.0]) <= allowed.typical["0.bias"])
    assert allowed.typical["0.bias"][1] > 1e10 * np.abs(enclosed.nearest("0.bias")[1])


def log_sigmoid(z: Any) -> Any:
    return np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z)))


LOGIT_LOSSES = {
    "(1 - t) z - l(z)": lambda z, t: (1 - t) * z - log_sigmoid(z),
    "-t l(z) - (1 - t) l(-z)": lambda z, t: -(t * log_sigmoid(z) + (1 - t) * log_sigmoid(-z)),
    "max(z, 0) - t z + log1p(exp(-|z|))": lambda z, t: np.maximum(z, 0) - t * z + np.log1p(np.exp(-np.abs(z))),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("words", LOGIT_LOSSES)
def test_the_cross_entropy_of_logits_by_every_usual_formula(words: str, dtype: Dtype) -> None:
    """The first loses what softplus(z) has below the last digit of z: for z < −16 more than softplus itself loses."""
    network = Network((1,), (Dense(1, bias=False),), Loss("binary_cross_entropy_with_logits", "sum", "free"))
    rng = np.random.default_rng(0)
    for span in (1.0, 5.0, 35.0):
        for t in (0.0, 1.0, 0.3, -1.7, 40.0):
            for number in rng.uniform(-span, span, 8):
                z = np.dtype(dtype).type(number)
                case = Case(network, {"0.weight": [[1.0]]}, [[z]], targets=[[t]], dtype=dtype)
                got = LOGIT_LOSSES[words](z, np.dtype(dtype).type(t))
                assert got.dtype == np.dtype(dtype)
                off, allowed = enclosure(case).distance("loss", got), allowance(case)
                assert off <= allowed.typical["loss"] <= allowed.rigorous["loss"], (z, t)


def log_sigmoid_slope(z: Any) -> Any:
    """1 − sigmoid(z) as JAX differentiates −softplus(−z): by an exponential whose argument loses what −z + ℓ(z) has."""
    return np.exp(-z + log_sigmoid(z))


@pytest.mark.parametrize(("dtype", "far", "roundings"), [("float64", -33.3, 30), ("float32", -14.6, 7)])
def test_the_gradient_of_cross_entropy_by_log_sigmoid_is_allowed_what_it_loses(
    dtype: Dtype, far: float, roundings: int
) -> None:
    """It loses most where e⁻|ᶻ| is just less than half the spacing of floats at z, and log_sigmoid(z) rounds to z."""
    network = Network((1,), (Dense(1, bias=False),), Loss("binary_cross_entropy_with_logits", "sum", "free"))
    rng = np.random.default_rng(0)

    def off(z: Any, t: Any) -> float:
        case = Case(network, {"0.weight": [[1.0]]}, [[z]], targets=[[t]], dtype=dtype)
        got = (1 - t) * log_sigmoid_slope(-z) - t * log_sigmoid_slope(z)
        assert got.dtype == np.dtype(dtype)
        distance = enclosure(case).distance("inputs", [[got]])
        assert distance <= allowance(case).rigorous["inputs"], (z, t)
        return float(distance[0, 0])

    number = np.dtype(dtype).type
    for span in (1.0, 10.0, 35.0, 80.0):
        for t in (0.0, 1.0, 0.3, -1.7, 40.0):
            for z in rng.uniform(-span, span, 8):
                off(number(z), number(t))
    assert off(number(far), number(1)) > roundings * np.finfo(dtype).eps / 2  # far more than a sigmoid would lose


def test_depth_inflates_the_rigorous_bound_and_hardly_the_typical_one() -> None:
    depth, width = 12, 8
    rng = np.random.default_rng(1)
    network = Network(
        (width,), dense_chain((width,) * (depth + 1), (Activation("tanh"),) * depth), Loss("half_squared_error", "sum")
    )
    parameters = {name: rng.normal(size=shape) / math.sqrt(width) for name, shape in network.parameter_shapes.items()}
    case = Case(network, parameters, rng.normal(size=(4, width)), targets=rng.normal(size=(4, width)), dtype="float32")
    allowed, exact = allowance(case), enclosure(case)
    first = np.abs(exact.nearest("0.weight"))
    assert np.median(allowed.typical["0.weight"] / first) <= 1e-3
    assert np.median(allowed.rigorous["0.weight"] / first) > 10 * np.median(allowed.typical["0.weight"] / first)


def test_the_factor_is_what_the_stated_risk_asks_for() -> None:
    share = RISK / (2 * ENTRIES)
    deviations = math.sqrt(2 * math.log(2 / share))
    q = (deviations / factor()) ** 2
    assert (q * math.exp(1 - q)) ** (SAMPLES / 2) == pytest.approx(share, rel=1e-9)
    assert 0 < q < 1

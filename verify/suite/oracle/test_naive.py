"""Formulas that people really use are never beyond the naive allowance, however many digits they lose; mistakes are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradproof.case import Case
from gradproof.gradients import Gradients
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.allowance import allowance
from refimpl.enclosure import enclosure
from refimpl.naive import naive_allowance
from verify.judge import judge

E = np.e


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def _tanh_half(z: Any) -> Any:
    return (1 + np.tanh(z / 2)) / 2


def _complement(z: Any) -> Any:
    return 1 - _sigmoid(-z)


def _by_logarithms(z: Any) -> Any:
    return np.exp(z - np.logaddexp(z, np.zeros_like(z)))


def _quotient(z: Any) -> Any:
    return np.exp(z) / (1 + np.exp(z))


def _powered(z: Any) -> Any:
    return 1 / (1 + E ** (-z))


def _tanh_one(z: Any) -> Any:
    return 1 - 2 / (np.exp(2 * z) + 1)


def _tanh_powered(z: Any) -> Any:
    return (E ** (2 * z) - 1) / (E ** (2 * z) + 1)


def _tanh_sinh(z: Any) -> Any:
    return np.sinh(z) / np.cosh(z)


def _softplus_below(z: Any) -> Any:
    return z + np.log(1 + np.exp(-z))


def _softplus_sigmoid(z: Any) -> Any:
    return -np.log(_sigmoid(-z))


def _softplus(z: Any) -> Any:
    return np.log(1 + np.exp(z))


def _of_value(function: Any) -> Any:
    return lambda z: function(z) * (1 - function(z))


FORMULAS: dict[str, tuple[str, Any, Any]] = {
    "sigmoid: (1 + tanh(z/2))/2": ("sigmoid", _tanh_half, _of_value(_tanh_half)),
    "sigmoid: tanh(z/2), slope (1 - tanh^2)/4": ("sigmoid", _tanh_half, lambda z: (1 - np.tanh(z / 2) ** 2) / 4),
    "sigmoid: 1 - sigmoid(-z), slope a - a^2": ("sigmoid", _complement, lambda z: _complement(z) - _complement(z) ** 2),
    "sigmoid: exp(z - softplus(z))": ("sigmoid", _by_logarithms, lambda z: _by_logarithms(z) * _by_logarithms(-z)),
    "sigmoid: exp(z)/(1 + exp(z)), slope over its square": (
        "sigmoid", _quotient, lambda z: np.exp(z) / (1 + np.exp(z)) ** 2,
    ),
    "sigmoid: np.e ** -z": ("sigmoid", _powered, lambda z: E ** (-z) / (1 + E ** (-z)) ** 2),
    "sigmoid: slope a^2 exp(-z)": ("sigmoid", _sigmoid, lambda z: _sigmoid(z) ** 2 * np.exp(-z)),
    "tanh: 1 - 2/(exp(2z) + 1)": ("tanh", _tanh_one, lambda z: 1 - _tanh_one(z) ** 2),
    "tanh: by np.e ** 2z": ("tanh", _tanh_powered, lambda z: (1 - _tanh_powered(z)) * (1 + _tanh_powered(z))),
    "tanh: sinh/cosh": ("tanh", _tanh_sinh, lambda z: 1 / np.cosh(z) ** 2),
    "tanh: 2 sigmoid(2z) - 1": ("tanh", lambda z: 2 * _sigmoid(2 * z) - 1, lambda z: 4 * _of_value(_sigmoid)(2 * z)),
    "softplus: z + log(1 + exp(-z))": ("softplus", _softplus_below, _complement),
    "softplus: -log(sigmoid(-z)), slope 1 - exp(-a)": (
        "softplus", _softplus_sigmoid, lambda z: 1 - np.exp(-_softplus_sigmoid(z)),
    ),
    "softplus: log(1 + exp(z)), slope exp(z - a)": ("softplus", _softplus, lambda z: np.exp(z - _softplus(z))),
    "leaky relu: by |z| and its sign": (
        "leaky_relu",
        lambda z: z.dtype.type(0.505) * z + z.dtype.type(0.495) * np.abs(z),
        lambda z: z.dtype.type(0.505) + z.dtype.type(0.495) * np.sign(z),
    ),
}  # fmt: skip
"""Name → the activation, its formula and its derivative's, at the dtype of what they are given."""


def unit(activation: str, z: Any, dtype: Dtype) -> Case:
    """Samples that go through one activation alone."""
    layer = Activation(activation, 0.01 if activation == "leaky_relu" else None)
    network = Network((1,), (Dense(1, bias=False), layer), None)
    z = np.asarray(z, dtype=dtype).reshape(-1, 1)
    return Case(network, {"0.weight": [[1.0]]}, z, upstream=np.ones_like(z), dtype=dtype)


def answered(case: Case, formula: Any, slope: Any) -> Gradients:
    z = np.asarray(case.inputs)
    with np.errstate(all="ignore"):
        back = slope(z)
        assert back.dtype == z.dtype
        return Gradients({"0.weight": (z * back).sum(0, keepdims=True)}, formula(z).sum(), formula(z), back)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_in_use_is_never_wrong(name: str, dtype: Dtype) -> None:
    activation, formula, slope = FORMULAS[name]
    rng = np.random.default_rng(0)
    for span in (1e-6, 1.0, 10.0, 30.0, 40.0):
        case = unit(activation, rng.uniform(-span, span, 24), dtype)
        given, allowed = answered(case, formula, slope), naive_allowance(case).bound
        enclosed = enclosure(case)
        for quantity, got in given.quantities().items():
            assert np.all(enclosed.distance(quantity, got) <= allowed[quantity]), (span, quantity)
        assert judge(case, given).verdict in (Verdict.CORRECT, Verdict.INACCURATE)


@pytest.mark.parametrize(("roundings", "verdict"), [(239, Verdict.INACCURATE), (600, Verdict.WRONG)])
def test_a_library_s_poor_log1p_is_lost_digits(roundings: int, verdict: Verdict) -> None:
    """XLA's: 239 roundings off for p just below √2 − 1."""
    network = Network((1,), (Dense(1, bias=False), Activation("sigmoid")), Loss("binary_cross_entropy", "sum"))
    p = 0.41418
    case = Case(network, {"0.weight": [[1.0]]}, [[np.log(p / (1 - p))]], targets=[[0.0]])
    right = -np.log1p(-p)
    answer = Gradients({"0.weight": p * case.inputs}, right * (1 + roundings * 2.0**-53), [[p]])
    assert judge(case, answer).verdict is verdict


def test_without_the_naive_allowance_such_formulas_would_be_called_wrong() -> None:
    """What the naive allowance is there for: formulas beyond the careful one, in either dtype."""
    beyond = set()
    for name, (activation, formula, slope) in FORMULAS.items():
        case = unit(activation, [-25.0], "float64")
        given, allowed = answered(case, formula, slope), allowance(case).rigorous
        if any(np.any(enclosure(case).distance(q, got) > allowed[q]) for q, got in given.quantities().items()):
            beyond.add(name.partition(":")[0])
    assert beyond == {"sigmoid", "softplus"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [-1.0, 0.0, 2.0, 1.01])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softplus", "leaky_relu"])
def test_another_slope_is_wrong_all_the_same(activation: str, factor: float, dtype: Dtype) -> None:
    _, formula, slope = next(entry for entry in FORMULAS.values() if entry[0] == activation)
    case = unit(activation, [-0.75, 1.5], dtype)
    given = answered(case, formula, lambda z: z.dtype.type(factor) * slope(z))
    assert judge(case, given).verdict is Verdict.WRONG


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_naive_allowance_is_never_below_the_careful_one(dtype: Dtype) -> None:
    for activation in ("sigmoid", "tanh", "softplus", "leaky_relu"):
        case = unit(activation, np.linspace(-40, 40, 33), dtype)
        careful, naive = allowance(case).rigorous, naive_allowance(case).bound
        for quantity, bound in naive.items():
            assert np.all(bound >= careful[quantity] * (1 - 1e-12))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["binary_cross_entropy_with_logits", "categorical_cross_entropy_with_logits"])
def test_a_loss_of_logits_by_way_of_probabilities_is_never_wrong(name: str, dtype: Dtype) -> None:
    rng = np.random.default_rng(1)
    for span in (1.0, 8.0, 14.0, 30.0):
        z = rng.uniform(-span, span, (6, 3)).astype(dtype)
        t = np.eye(3)[rng.integers(3, size=6)].astype(dtype)
        case = Case(Network((3,), (Activation("identity"),), Loss(name, "sum")), {}, z, targets=t, dtype=dtype)
        with np.errstate(all="ignore"):
            if name.startswith("binary"):
                p = _sigmoid(z)
                loss = -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum()
            else:
                p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
                loss = -(t * np.log(p)).sum()
        verdict = judge(case, Gradients({}, loss, z, p - t)).verdict
        assert verdict in (Verdict.CORRECT, Verdict.INACCURATE), span
        assert judge(case, Gradients({}, loss, z, t - p)).verdict is Verdict.WRONG


def weighted(weight: float) -> Case:
    network = Network((1,), (Dense(1, bias=False), Activation("sigmoid")), Loss("half_squared_error", "sum"))
    return Case(network, {"0.weight": [[1.0]]}, [[-60.0]], targets=[[-1e-20]], sample_weights=[weight], dtype="float32")


def test_scalings_may_be_applied_last_though_what_they_scale_underflows_first() -> None:
    case = weighted(1e30)
    zero = Gradients({"0.weight": np.zeros((1, 1), np.float32)}, inputs=np.zeros((1, 1), np.float32))
    exact = enclosure(case).lower("0.weight")
    assert np.abs(exact) > 1e-20  # nothing that a float32 could not hold
    assert judge(case, zero).verdict is Verdict.INACCURATE
    assert judge(weighted(1.0), zero).verdict in (Verdict.CORRECT, Verdict.INACCURATE)
    ordinary = case.replace(inputs=[[-1.0]])
    assert judge(ordinary, zero).verdict is Verdict.WRONG


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_logarithm_of_a_probability_that_a_cancelling_formula_rounds_to_zero_is_lost_digits(dtype: Dtype) -> None:
    loss = Loss("binary_cross_entropy", "sum")
    case = Case(Network((1,), (Activation("sigmoid"),), loss), {}, [[-40.0]], targets=[[1.0]], dtype=dtype)
    p = _complement(np.asarray(case.inputs))
    assert p == 0  # and the exact one is 4e-18
    infinite = Gradients({}, np.array(np.inf, dtype), p)
    verdict = judge(case, infinite)
    assert verdict.verdict is Verdict.INACCURATE
    assert "may lose every digit" in verdict.findings[0].message
    assert judge(case.replace(inputs=[[-4.0]]), infinite).verdict is Verdict.WRONG

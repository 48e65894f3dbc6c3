"""The elementary functions and activations: how accurate they are, and whether what says so can be believed."""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy import exhaustive, sampled
from benchmarks.accuracy.arrays import NAMES, Evaluator, evaluate
from benchmarks.accuracy.certified import CERTAIN, numbers, pieces
from benchmarks.accuracy.command import accuracy
from benchmarks.accuracy.exhaustive import BINADES
from benchmarks.accuracy.functions import FUNCTIONS, SINGLE
from benchmarks.accuracy.oracle import same, units
from benchmarks.polynomials import POLYNOMIALS, derive, nearest
from gradproof.errors import ArgumentError
from gradproof.vocabulary import DTYPES

SUBNORMAL, NEAR_1, NEGATIVE = BINADES[0], BINADES[127], BINADES[255 + 129]
"""Of both signs and ends: 0 to 2^−126, 1 to 2, −4 to −8."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_is_within_its_bound_in_every_binade(name: str) -> None:
    measured = sampled.measure(name, 1)
    assert measured.met, measured.line()
    assert measured.worst > 0.4, "there are numbers that rounding must move by almost half a unit"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_within_its_bound(name: str) -> None:
    measured = exhaustive.measure(name, (SUBNORMAL, NEAR_1, NEGATIVE))
    assert measured.met, measured.line()
    assert measured.inputs >= 3 * 2**23


@pytest.mark.parametrize("off", [2.0**-30, -(2.0**-30)])
def test_an_error_below_a_hundredth_of_a_unit_is_found(off: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a function that is computed in float64 and rounded once."""
    shifted = replace(FUNCTIONS["expm1"], definition=lambda x: (x.exp() - 1) * (1 + off))
    monkeypatch.setattr(exhaustive, "FUNCTIONS", MappingProxyType({"expm1": shifted}))
    measured = exhaustive.measure("expm1", (NEAR_1,))
    assert not measured.met
    assert 0.5 + 2.0**-8 < measured.worst < 0.5 + 2.0**-5
    assert measured.beyond < 2**23 // 16
    assert measured.doubtful > 0, "some lie so near the bound that only the oracle can tell"


def test_another_function_and_another_end_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"tanh": replace(FUNCTIONS["erf"], ends={math.inf: 0.5})}
    for place in (exhaustive, sampled):
        monkeypatch.setattr(place, "FUNCTIONS", MappingProxyType(wrong))
    for measured in (exhaustive.measure("tanh", (NEAR_1,)), sampled.measure("tanh", 1)):
        assert measured.beyond > 1000
        assert measured.wrong_ends == ("inf (1.0)",)


def test_a_wrong_domain_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN where there is a number, and a number where there is none."""
    anywhere = replace(FUNCTIONS["erf"], domain=0.0)
    nowhere = replace(FUNCTIONS["log"], domain=-math.inf, definition=FUNCTIONS["erf"].definition)
    monkeypatch.setattr(exhaustive, "FUNCTIONS", MappingProxyType({"erf": anywhere, "log": nowhere}))
    for name in ("erf", "log"):
        assert exhaustive.measure(name, (NEGATIVE,)).beyond == 2**23


@pytest.mark.parametrize("name", ["log", "gelu_tanh", "erfc", "exp"])
def test_the_polynomials_hold_what_they_certify(name: str) -> None:
    """Against mpmath, which has no part in them; at both ends of each piece and within."""
    functions: dict[str, Any] = {
        "exp": mpmath.exp,
        "log": mpmath.log,
        "erfc": mpmath.erfc,
        "gelu_tanh": lambda x: (
            x / (1 + mpmath.exp(-2 * mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)))
        ),
    }
    found = 0
    with mpmath.workprec(300):
        for start in (BINADES[110], NEAR_1, BINADES[130]):
            for piece in pieces(FUNCTIONS[name], start):
                if len(piece.coefficients) == 0:
                    continue
                found += 1
                x = numbers(piece.start, piece.count)[[0, piece.count // 3, -1]].astype(np.float64)
                values = np.polynomial.polynomial.polyval((x - piece.middle) / piece.half, piece.coefficients)
                for at, value in zip(x.tolist(), values.tolist(), strict=True):
                    exact = functions[name](mpmath.mpf(at))
                    assert abs(mpmath.mpf(value) - exact) <= piece.error
                    assert piece.error <= CERTAIN * max(float(np.spacing(np.float32(abs(float(exact))))), 2.0**-149)
    assert found > 5


@pytest.mark.parametrize(
    ("dtype", "x", "got", "expected"),
    [
        ("float64", 0.0, 1.0 + 2.0**-52, 1.0),
        ("float64", 0.0, 1.0 - 2.0**-53, 0.5),
        ("float32", 0.0, 1.0 + 2.0**-23, 1.0),
        ("float64", 709.0, math.exp(709.0), 0.5),
        ("float64", 710.0, math.inf, 0.0),
        ("float64", 710.0, 1.7976931348623157e308, 1.0),
        ("float64", -744.0, 1e-323, 0.1),
        ("float64", -800.0, 0.0, 0.0),
        ("float64", -800.0, 5e-324, 1.0),
        ("float32", -100.0, 3.783505853677006e-44, 0.5),
        ("float64", 1.0, math.nan, math.inf),
    ],
)
def test_units_in_the_last_place(dtype: str, x: float, got: float, expected: float) -> None:
    measured = units(FUNCTIONS["exp"], dtype, x, got)
    assert measured == pytest.approx(expected, abs=1e-9) or (expected < 0.6 and 0 < measured <= 0.5 and expected != 0.0)


def test_zero_has_a_sign_and_nan_is_itself() -> None:
    assert same(math.nan, math.nan)
    assert same(-0.0, -0.0)
    assert not same(0.0, -0.0)
    assert not same(math.nan, 0.0)


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_the_constants_are_the_ones_that_are_derived(name: str) -> None:
    derived = derive(name)
    assert derived.coefficients == POLYNOMIALS[name].stated
    assert derived.error < (2.0**-51 if POLYNOMIALS[name].dtype == "float64" else 2.0**-22)


def test_the_nearest_polynomial_is_chebyshevs() -> None:
    """x⁵ less its nearest of degree 4 on [−1, 1] is T₅/16."""
    derived = nearest(lambda x: x**5, -1, 1, 4)
    assert derived.error == pytest.approx(1 / 16, rel=1e-3)
    assert derived.coefficients == pytest.approx((0.0, -5 / 16, 0.0, 20 / 16, 0.0), abs=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_any_shape_and_size(dtype: str) -> None:
    for size in (0, 1, 7, 8, 9, 31, 33):
        x = np.linspace(-3.0, 3.0, size).astype(dtype)
        for name in NAMES:
            one_by_one = [evaluate(name, x[i : i + 1], 0.5).item() for i in range(size)]
            np.testing.assert_array_equal(evaluate(name, x, 0.5), np.array(one_by_one, dtype))
    table = np.arange(6.0).reshape(2, 3).astype(dtype)
    got = evaluate("exp", table.T)
    assert got.shape == (3, 2)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, np.exp(table.T), rtol=1e-6)


def test_an_evaluator_leaves_its_inputs_and_gives_slopes() -> None:
    run = Evaluator("sigmoid", "float64", 3)
    run.inputs[...] = (-1.0, 0.0, 1.0)
    for _ in range(2):
        run()
        np.testing.assert_array_equal(run.inputs, (-1.0, 0.0, 1.0))
        np.testing.assert_allclose(run.values, 1 / (1 + np.exp(-run.inputs)))
        np.testing.assert_allclose(run.slopes, run.values * (1 - run.values))


def test_other_names_and_dtypes_are_refused() -> None:
    with pytest.raises(ArgumentError, match="one of exp, "):
        evaluate("sinh", np.zeros(1))
    with pytest.raises(ArgumentError, match="float"):
        evaluate("exp", np.zeros(1, np.int64))


def test_the_command_names_what_it_measures() -> None:
    assert set(FUNCTIONS) <= set(NAMES)
    done = CliRunner().invoke(accuracy, ["--list"])
    assert done.output.split() == list(FUNCTIONS)
    assert CliRunner().invoke(accuracy, ["sinh"]).exit_code == 2
    assert SINGLE > 0.5

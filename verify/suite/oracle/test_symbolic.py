"""The symbolic view: programs and closed forms that read like a textbook's, and exact numbers from them."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest
import sympy
from flint import ctx
from hypothesis import given
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Branches, Dense, Residual
from gradproof.loss import Loss, Penalty
from gradproof.network import Network, dense_chain
from refimpl.balls import precision
from refimpl.bruteforce import enclose_difference, prove_identity, whole_loss
from refimpl.enclosure import PrecisionError, enclosure
from refimpl.expressions import Balls, Entry, Ramp, Step
from refimpl.symbolic import Assignment, symbolic
from verify.strategies import cases, seeded_case
from verify.suite.oracle import plain

SIGMOID, TANH, RELU, IDENTITY = (Activation(name) for name in ("sigmoid", "tanh", "relu", "identity"))
ONE_HIDDEN = Network((1,), dense_chain((1, 1, 1), (SIGMOID, TANH)), Loss("half_squared_error", "sum"))
"""H = f(W1 X + b1), Y = g(W2 H + b2), L = ½ (Y − T)²."""


def test_a_program_names_every_neuron_and_differentiates_locally() -> None:
    assert str(symbolic(ONE_HIDDEN, functions=True)).splitlines() == [
        "z0[0] = b0[0] + w0[0,0]*x[0]",
        "a1[0] = sigmoid(z0[0])",
        "z2[0] = a1[0]*w2[0,0] + b2[0]",
        "a3[0] = tanh(z2[0])",
        "L = (a3[0] - t[0])**2/2",
        "da3[0] = a3[0] - t[0]",
        "a3'[0] = tanh'(z2[0])",
        "dz2[0] = a3'[0]*da3[0]",
        "da1[0] = dz2[0]*w2[0,0]",
        "a1'[0] = sigmoid'(z0[0])",
        "dz0[0] = a1'[0]*da1[0]",
        "dw0[0,0] = dz0[0]*x[0]",
        "db0[0] = dz0[0]",
        "dw2[0,0] = a1[0]*dz2[0]",
        "db2[0] = dz2[0]",
        "dx[0] = dz0[0]*w0[0,0]",
    ]
    defined = str(symbolic(ONE_HIDDEN)).splitlines()
    assert "a1[0] = 1/(1 + exp(-z0[0]))" in defined
    assert "a1'[0] = exp(-z0[0])/(1 + exp(-z0[0]))**2" in defined
    assert "a3'[0] = 1 - tanh(z2[0])**2" in defined


def test_a_closed_form_reads_like_a_textbook_s() -> None:
    view = symbolic(ONE_HIDDEN, functions=True)
    assert view.formula("2.bias", (0,)) == (
        "db2[0] = (-t[0] + tanh(b2[0] + w2[0,0]*sigmoid(b0[0] + w0[0,0]*x[0])))"
        "*tanh'(b2[0] + w2[0,0]*sigmoid(b0[0] + w0[0,0]*x[0]))"
    )
    assert view.formula("loss") == "L = (-t[0] + tanh(b2[0] + w2[0,0]*sigmoid(b0[0] + w0[0,0]*x[0])))**2/2"
    assert view.latex("0.bias", (0,)).startswith(
        r"\frac{\partial L}{\partial b^{(0)}_{0}} = w^{(2)}_{0,0} \left(- t_{0}"
    )
    hidden = r"\sigma\left(b^{(0)}_{0} + w^{(0)}_{0,0} x_{0}\right)"
    assert (
        view.latex("outputs", (0, 0))
        == rf"a^{{(3)}}_{{0}} = \tanh\left(b^{{(2)}}_{{0}} + w^{{(2)}}_{{0,0}} {hidden}\right)"
    )


def test_a_program_in_latex() -> None:
    lines = symbolic(ONE_HIDDEN, functions=True).program_latex().splitlines()
    assert lines[0] == r"\begin{align*}"
    assert lines[-1] == r"\end{align*}"
    assert lines[1] == r"z^{(0)}_{0} &= b^{(0)}_{0} + w^{(0)}_{0,0} x_{0} \\"
    assert r"\dot{a}^{(1)}_{0} &= \sigma'\left(z^{(0)}_{0}\right) \\" in lines
    assert r"\delta^{(0)}_{0} &= \dot{a}^{(1)}_{0} \delta^{(1)}_{0} \\" in lines
    assert r"\frac{\partial L}{\partial w^{(0)}_{0,0}} &= \delta^{(0)}_{0} x_{0} \\" in lines


def test_kinks_hyperparameters_samples_and_paths_have_their_symbols() -> None:
    body = (Dense(1), Activation("leaky_relu", 0.01))
    network = Network((1,), (Residual(body),), Loss("squared_error", "batch_mean"), Penalty("l1", 0.1, True, False))
    text = str(symbolic(network, 2, weighted=True))
    for line in (
        "z0.body.0[1,0] = b0.body.0[0] + w0.body.0[0,0]*x[1,0]",
        "a0.body.1[1,0] = 0.01*z0.body.0[1,0] + (1 - 0.01)*max(0, z0.body.0[1,0])",
        "y0[1,0] = a0.body.1[1,0] + x[1,0]",
        "L = lambda*Abs(w0.body.0[0,0])/2 + omega[0]*(-t[0,0] + y0[0,0])**2/2 + omega[1]*(-t[1,0] + y0[1,0])**2/2",
        "da0.body.1[0,0] = dy0[0,0]",
        "dz0.body.0[0,0] = dy0[0,0]*(0.01 + (1 - 0.01)*step(z0.body.0[0,0], kappa0))",
        "dx[0,0] = dy0[0,0] + dz0.body.0[0,0]*w0.body.0[0,0]",
        "kappa0, kappa1, kappa2: any numbers from 0 to 1 (slopes at kinks)",
    ):
        assert line in text.splitlines(), line
    view = symbolic(network, 2, weighted=True)
    assert {str(symbol): value for symbol, value in view.constants.items()} == {
        "lambda": Fraction(0.1),
        "0.01": Fraction(0.01),
    }
    assert r"w^{(0.\mathrm{body}.0)}_{0,0}" in view.program_latex()
    assert r"\theta_{\kappa_{0}}\left(" in view.program_latex()
    assert r"\kappa_{0}, \kappa_{1}, \kappa_{2} \in [0, 1]" in view.program_latex()
    upstream = str(symbolic(Network((1,), (Activation("softmax"), Dense(1, bias=False)))))
    assert "u0 = exp(x[0])" in upstream
    assert "dz1[0] = g[0]" in upstream


def test_symbols_survive_copies() -> None:
    symbol = symbolic(ONE_HIDDEN).symbol("0.weight", (0, 0))
    for twin in (copy.deepcopy(symbol), pickle.loads(pickle.dumps(symbol))):
        assert twin == symbol
        assert sympy.latex(twin) == sympy.latex(symbol)


def test_ramps_and_steps_take_numbers() -> None:
    z, kappa = Entry("z", "z"), Entry("kappa0", r"\kappa_0")
    assert [Ramp(z).subs(z, number) for number in (-2, 0, 3)] == [0, 0, 3]
    assert [Step(z, kappa).subs(z, number) for number in (-2, 0, 3)] == [0, kappa, 1]
    assert sympy.latex(Ramp(z)) == r"\max\left(0, z\right)"


def test_names_and_indices_are_checked() -> None:
    view = symbolic(ONE_HIDDEN)
    assert view.names() == ("loss", "outputs", "0.weight", "0.bias", "2.weight", "2.bias", "inputs")
    assert str(view.loss) == "L"
    assert view.outputs.shape == (1, 1)
    assert str(view.gradient("inputs")[0, 0]) == "dx[0]"
    with pytest.raises(ArgumentError, match=r"name: expected among loss, outputs, 0\.weight.*, got 1\.weight"):
        view.gradient("1.weight")
    with pytest.raises(ArgumentError, match="name: expected a trainable parameter or inputs, got loss"):
        view.gradient("loss")
    for index in ((), (0,), (0, 1), (-1, 0)):
        with pytest.raises(ArgumentError, match="index: expected an index of shape"):
            view.closed_form("0.weight", index)


def test_what_is_too_large_or_empty_is_refused() -> None:
    with pytest.raises(ArgumentError, match="batch: expected at least 1, got 0"):
        symbolic(ONE_HIDDEN, 0)
    with pytest.raises(ArgumentError, match=r"network: expected a program of at most 200000 terms .*enclosure"):
        symbolic(Network((784,), dense_chain((784, 100, 10), (SIGMOID, SIGMOID))))


def test_cases_of_something_else_are_refused() -> None:
    view = symbolic(ONE_HIDDEN, 2)
    with pytest.raises(ArgumentError, match=r"case\.batch: expected 2, got 1"):
        view.numbers(seeded_case(ONE_HIDDEN, 1))
    with pytest.raises(ArgumentError, match=r"case\.network: expected 1 -> dense 1"):
        view.numbers(seeded_case(ONE_HIDDEN.replace(frozen=("0.bias",)), 2))
    with pytest.raises(ArgumentError, match=r"case\.sample_weights: expected False, got True"):
        view.numbers(seeded_case(ONE_HIDDEN, 2, sample_weights=True))
    with pytest.raises(ArgumentError, match="digits: expected at least 1, got 0"):
        view.numbers(seeded_case(ONE_HIDDEN, 2), 0)


# ---- numbers ----


@given(case=cases(depth=(1, 2), width=(1, 3), batch=(1, 2)))
def test_the_symbolic_program_and_the_enclosure_agree(case: Case) -> None:
    enclosed = enclosure(case)
    numbers = symbolic(
        case.network, case.batch, weighted=case.sample_weights is not None, masked=bool(case.masks)
    ).numbers(case)
    for name in enclosed.names():
        assert numbers.balls(name).shape == enclosed.shape(name)
        for mine, its in zip(numbers.balls(name).flat, enclosed.balls(name).flat, strict=True):
            assert mine.overlaps(its), f"{name}: {mine} and {its}"
        sets = enclosed.kinks(name)
        assert bool(np.all(numbers.sets(name) | ~sets))
        if not numbers.sets(name).any():
            # A quotient like e^z / (e^z + e^z) may stand at a tie, which balls tell only where it is computed exactly.
            with contextlib.suppress(PrecisionError):
                assert numbers.nearest(name).tolist() == enclosed.nearest(name).tolist()


@given(w=st.floats(-40, 40), b=st.floats(-40, 40), digits=st.sampled_from([1, 5, 20, 300, 3000]))
def test_numbers_are_right_to_the_digit_asked_for(w: float, b: float, digits: int) -> None:
    network = Network((1,), (Dense(1), TANH))
    case = Case(network, {"0.weight": [[w]], "0.bias": [b]}, [[1.0]], upstream=[[1.0]])
    before = ctx.prec
    numbers = symbolic(network).numbers(case, digits)
    with mpmath.workdps(digits + 120):
        slope = plain.to_fraction(1 / mpmath.cosh(mpmath.mpf(w) + mpmath.mpf(b)) ** 2)
    assert abs(Fraction(numbers.decimal("0.bias", (0,))) - slope) <= slope * Fraction(10) ** (1 - digits)
    assert numbers.nearest("0.bias")[0] == float(slope)
    assert ctx.prec == before


def test_numbers_do_not_depend_on_how_functions_are_written() -> None:
    case = seeded_case(ONE_HIDDEN, 1, seed=3)
    plainly, named = (symbolic(ONE_HIDDEN, functions=f).numbers(case, 40) for f in (False, True))
    assert plainly.decimal("0.weight", (0, 0)) == named.decimal("0.weight", (0, 0))
    assert plainly.decimal("0.weight", (0, 0)) == enclosure(case).decimal("0.weight", (0, 0), 40)


def test_closed_forms_have_the_values_of_the_program() -> None:
    layers = (
        Branches(((Dense(2), Activation("softmax")), (Dense(1), Activation("leaky_relu", 0.01))), "concat"),
        Dense(2),
        SIGMOID,
    )
    loss = Loss("binary_cross_entropy", "element_mean", "soft")
    network = Network((2,), layers, loss, Penalty("l1", 0.3, False, True))
    case = seeded_case(network, 1, seed=4, sample_weights=True)
    view = symbolic(network, 1, weighted=True)
    numbers = view.numbers(case, 60)
    values = {"x": case.inputs, "t": case.targets, "sample_weights": case.sample_weights, **case.parameters}
    point = {symbol: sympy.Rational(v.numerator, v.denominator) for symbol, v in view.constants.items()}
    for name, symbols in view.leaves.items():
        array: npt.ArrayLike | None = values[name]
        for symbol, number in zip(symbols.flat, np.asarray(array).flat, strict=True):
            exact = Fraction(float(number))
            point[symbol] = sympy.Rational(exact.numerator, exact.denominator)
    for name, index in (
        ("loss", ()),
        ("outputs", (0, 1)),
        ("0.0.0.weight", (1, 1)),
        ("0.1.0.bias", (0,)),
        ("inputs", (0, 1)),
    ):
        closed = view.closed_form(name, index)
        assert closed.free_symbols <= set(point) | set(view.choices)
        # SymPy's own numbers, by mpmath.
        value = closed.xreplace(point).evalf(50)
        want = sympy.Float(numbers.decimal(name, index), 60)
        assert abs(value - want) <= abs(want) * sympy.Float("1e-45"), name


def test_a_kink_s_number_is_a_set() -> None:
    network = Network((1,), (Dense(1), RELU), Loss("squared_error", "sum"))
    case = Case(network, {"0.weight": [[1.0]], "0.bias": [-1.0]}, [[1.0]], targets=[[1.0]])
    numbers = symbolic(network).numbers(case)
    assert numbers.decimal("0.weight", (0, 0)).startswith("[-2.0000000, ")
    assert numbers.balls("0.weight")[0, 0].contains(-2)
    assert numbers.balls("0.weight")[0, 0].contains(0)
    assert bool(numbers.sets("0.weight").all())
    assert not numbers.sets("loss").any()
    assert numbers.nearest("loss") == 1
    with pytest.raises(PrecisionError, match="a kink makes a set"):
        numbers.nearest("inputs")


def test_precision_rises_until_the_side_of_a_kink_is_told() -> None:
    # ±2⁻⁴⁰⁰ is left beside 2⁴⁰⁰ − 2⁴⁰⁰.
    network = Network((3,), (Dense(1, bias=False), RELU))
    for sign in (1.0, -1.0):
        weights = [[2.0**200], [sign * 2.0**-200], [-(2.0**200)]]
        case = Case(network, {"0.weight": weights}, [[2.0**200, 2.0**-200, 2.0**200]], upstream=[[1.0]])
        numbers = symbolic(network).numbers(case)
        assert not numbers.sets("0.weight").any()
        assert numbers.nearest("0.weight").tolist() == enclosure(case).nearest("0.weight").tolist()
        assert numbers.nearest("outputs") == (2.0**-400 if sign > 0 else 0)


def test_no_ball_of_what_programs_do_not_contain() -> None:
    with precision(64), pytest.raises(TypeError, match="no ball for sin"):
        Balls({}).ball(sympy.sin(sympy.Integer(1), evaluate=False))


# ---- brute force ----

TINY = {
    "sigmoid, half squared error": Network(
        (2,), dense_chain((2, 2, 1), (SIGMOID, SIGMOID)), Loss("half_squared_error", "sum")
    ),
    "tanh and softplus, L2": Network(
        (2,),
        dense_chain((2, 2, 1), (TANH, Activation("softplus"))),
        Loss("squared_error", "sum"),
        Penalty("l2", 0.1, True, True),
    ),
    "leaky ReLU, cross-entropy, L1": Network(
        (2,),
        dense_chain((2, 2, 1), (Activation("leaky_relu", 0.01), SIGMOID)),
        Loss("binary_cross_entropy", "sum"),
        Penalty("l1", 0.1, False, False),
    ),
    "ReLU, logits": Network(
        (2,), dense_chain((2, 2, 1), (RELU, IDENTITY)), Loss("binary_cross_entropy_with_logits", "sum")
    ),
    "softmax": Network((2,), dense_chain((2, 2), (Activation("softmax"),)), Loss("categorical_cross_entropy", "sum")),
    "categorical logits": Network((1,), (Dense(2),), Loss("categorical_cross_entropy_with_logits", "batch_mean")),
    "residual, upstream": Network((1,), (Dense(2), Residual((Dense(2, bias=False), TANH)))),
    "shared, branches": Network(
        (2,),
        (Branches(((Dense(1), SIGMOID), (Dense(1),)), "sum"),),
        Loss("squared_error", "sum"),
        shared=(("0.1.0.weight", "0.0.0.weight"),),
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_brute_force_and_the_program_are_one_function(name: str) -> None:
    identity = prove_identity(TINY[name], weighted=name.startswith("leaky"))
    assert identity.holds
    assert set(identity.proved) == {*TINY[name].trainable, "inputs"}


def test_an_identity_is_proved_for_a_batch() -> None:
    network = Network((1,), dense_chain((1, 1, 1), (SIGMOID, IDENTITY)), Loss("squared_error", "batch_mean"))
    assert prove_identity(network, 2, weighted=True).holds


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        ("dw0[0,1]", lambda expression, _: -expression),
        ("dw2[0,0]", lambda expression, a: expression.xreplace({a[0, 0]: a[0, 1]})),  # the other unit's activation
        ("dw0[0,1]", lambda expression, _: expression * (1 + sympy.Rational(1, 10**60))),
    ],
)
def test_a_wrong_program_is_proved_to_be_none(entry: str, wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network = TINY["sigmoid, half squared error"]
    right = symbolic(network)
    units = np.array([[Entry(f"a1[{i}]", "") for i in range(2)]], dtype=object)
    program = tuple(
        Assignment(step.symbol, wrong(step.expression, units) if str(step.symbol) == entry else step.expression)
        for step in right.program
    )
    assert program != right.program
    faulty = replace(right, program=program, _closed={})
    monkeypatch.setattr("refimpl.bruteforce.symbolic", lambda *_, **__: faulty)
    identity = prove_identity(network)
    wrongs = [
        str(symbol)
        for name, proved in identity.proved.items()
        for symbol, holds in zip(right.gradient(name).flat, proved.flat, strict=True)
        if not holds
    ]
    assert wrongs == [entry]
    assert not identity.holds
    difference = enclose_difference(seeded_case(network, 1, seed=1))
    assert not difference.agrees
    assert not difference.below(100)


def test_an_identity_of_more_than_a_tiny_network_is_refused() -> None:
    with pytest.raises(
        ArgumentError, match="network: expected at most 16 parameters and inputs to prove an identity, got 19"
    ):
        prove_identity(Network((2,), dense_chain((2, 3, 2), (TANH, TANH)), Loss("squared_error", "sum")).replace())


LARGER = {
    "tanh, softmax": (
        Network(
            (2,),
            dense_chain((2, 3, 2), (TANH, Activation("softmax"))),
            Loss("categorical_cross_entropy", "batch_mean"),
            Penalty("l1", 0.1, True, True),
        ),
        2,
    ),
    "deep": (
        Network(
            (2,),
            dense_chain((2, 2, 2, 1), (SIGMOID, Activation("softplus"), SIGMOID)),
            Loss("binary_cross_entropy", "sum"),
        ),
        1,
    ),
    "residual ReLU": (
        Network((2,), (Dense(3), RELU, Residual((Dense(3), TANH)), Dense(2)), Loss("squared_error", "sum")),
        1,
    ),
}


@pytest.mark.parametrize("name", LARGER)
def test_brute_force_and_the_program_differ_by_less_than_1e_100(name: str) -> None:
    network, batch = LARGER[name]
    difference = enclose_difference(seeded_case(network, batch, seed=7))
    assert difference.agrees
    assert difference.below(100)
    assert set(difference.balls) == {"loss", *network.trainable, "inputs"}


def test_brute_force_lies_in_the_enclosures() -> None:
    network, batch = LARGER["tanh, softmax"]
    case = seeded_case(network, batch, seed=8)
    enclosed, whole = enclosure(case), whole_loss(network, batch)
    point = {symbol: sympy.Rational(v.numerator, v.denominator) for symbol, v in whole.constants.items()}
    for name, symbols in whole.leaves.items():
        array = {"x": case.inputs, "t": case.targets, **case.parameters}[name]
        fractions = [Fraction(float(number)) for number in np.asarray(array).flat]
        point |= {s: sympy.Rational(f.numerator, f.denominator) for s, f in zip(symbols.flat, fractions, strict=True)}
    value = whole.gradient("0.weight")[0, 1].xreplace(point).evalf(60)
    with precision(256):
        ball = enclosed.balls("0.weight")[0, 1]
        assert abs(ball - type(ball)(str(value))) < 1e-36


@pytest.mark.parametrize("types", ["python", "flint"])
def test_the_symbolic_view_works_with_every_ground_type_of_sympy(types: str) -> None:
    # SymPy computes its rationals with python-flint where that is installed, and with Python's integers elsewhere.
    code = (
        "import sympy.external.gmpy as g; from gradproof import Network, Dense, Activation, Loss, Penalty;"
        "from refimpl.symbolic import symbolic; from refimpl.bruteforce import prove_identity, enclose_difference;"
        "from refimpl.enclosure import enclosure; from verify.strategies import seeded_case;"
        "n = Network((1,), (Dense(2), Activation('sigmoid'), Dense(1), Activation('leaky_relu', 0.01)),"
        " Loss('squared_error', 'batch_mean'), Penalty('l2', 0.3, True, True)); c = seeded_case(n, 1, seed=2);"
        "assert prove_identity(n).holds; assert enclose_difference(c).below(100);"
        "print(g.GROUND_TYPES, enclosure(c).decimal('loss', (), 30), symbolic(n).numbers(c, 30).decimal('loss'))"
    )
    environment = {**os.environ, "SYMPY_GROUND_TYPES": types}
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ground, certified, exact = done.stdout.split()
    assert ground == types
    assert certified == exact

"""The vocabulary and the definitions speak of the same words, and the program of the same leaves and results."""

from __future__ import annotations

from typing import get_args

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest

from gradproof import vocabulary
from gradproof.case import Case
from gradproof.layers import Activation, Dense, Dropout, Layer, Maxout
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from refimpl import definitions
from refimpl.enclosure import enclosure
from refimpl.program import evaluate_numpy, program, program_of
from verify.strategies import seeded_case
from verify.suite.oracle import plain


def test_activations_have_one_definition_each() -> None:
    assert set(definitions.ACTIVATIONS) == set(vocabulary.ACTIVATIONS) == set(plain.ACTIVATIONS)


def test_losses_have_one_definition_each() -> None:
    assert set(definitions.LOSSES) == set(vocabulary.LOSSES) == set(plain.LOSSES)


@pytest.mark.parametrize("name", vocabulary.ACTIVATIONS)
def test_kinks_are_where_the_vocabulary_says(name: str) -> None:
    word = vocabulary.ACTIVATIONS[name]
    network = Network((1,), (Activation(name, 0.5 if word.parameter else None),))
    for z in (-1.0, -0.5, 0.0, 0.5, 1.0):
        met = enclosure(Case(network, {}, [[z]], upstream=[[1.0]])).met_kinks
        assert met == int(z in word.kinks), z


@pytest.mark.parametrize(("alpha", "kinks"), [(0.5, 1), (2.0, 1), (1.0, 0)])
def test_elu_has_one_kink_unless_its_alpha_is_1(alpha: float, kinks: int) -> None:
    case = Case(Network((1,), (Activation("elu", alpha),)), {}, [[0.0]], upstream=[[2.0]])
    enclosed = enclosure(case)
    assert enclosed.met_kinks == kinks
    ends = sorted((2.0, 2.0 * alpha))
    assert [enclosed.lower("inputs")[0, 0], enclosed.upper("inputs")[0, 0]] == ends


@pytest.mark.parametrize(("edge", "inside"), [(-1.0, -0.75), (1.0, 0.75)])
def test_hard_tanh_bends_at_its_ends_and_has_slope_1_between(edge: float, inside: float) -> None:
    network = Network((1,), (Activation("hard_tanh"),))
    for z, slopes in ((edge, (0.0, 3.0)), (inside, (3.0, 3.0)), (2 * edge, (0.0, 0.0))):
        enclosed = enclosure(Case(network, {}, [[z]], upstream=[[3.0]]))
        assert (enclosed.lower("inputs")[0, 0], enclosed.upper("inputs")[0, 0]) == slopes
        assert enclosed.lower("outputs")[0, 0] == np.clip(z, -1, 1)


def test_maxout_takes_the_greatest_of_features_one_behind_another() -> None:
    case = Case(Network((6,), (Maxout(3),)), {}, [[1.0, 3.0, 2.0, -1.0, -5.0, -1.0]], upstream=[[1.0, 10.0]])
    enclosed = enclosure(case)
    assert enclosed.lower("outputs").tolist() == [[3.0, -1.0]]
    assert enclosed.met_kinks == 1
    assert enclosed.lower("inputs").tolist() == [[0, 1, 0, 0, 0, 0]]
    assert enclosed.upper("inputs").tolist() == [[0, 1, 0, 10, 0, 10]]


def test_every_kind_of_layer_has_a_forward_program() -> None:
    handled = {Dense, Activation, Maxout, Dropout, *(kind for kind in get_args(Layer) if hasattr(kind, "merged_shape"))}
    assert handled == set(get_args(Layer))


def test_leaves_are_what_a_case_brings_and_results_what_is_asked_for() -> None:
    network = Network((2,), (Dense(2), Activation("tanh"), Dense(1, bias=False)), Loss("squared_error", "sum"))
    weighted = program(network.replace(frozen=("0.bias",)), 3, True)
    assert list(weighted.leaves) == ["0.weight", "0.bias", "2.weight", "x", "t", "sample_weights"]
    assert list(weighted.results) == ["loss", "outputs", "0.weight", "2.weight", "inputs"]
    upstream = program(network.replace(loss=None), 3, False)
    assert list(upstream.leaves) == ["0.weight", "0.bias", "2.weight", "x", "upstream"]


def test_a_program_is_written_once_for_a_network_and_batch_size() -> None:
    network = Network((2,), (Dense(2),))
    assert program_of(seeded_case(network, 3, seed=0)) is program_of(seeded_case(network, 3, seed=1))
    assert program_of(seeded_case(network, 2, seed=0)) is not program_of(seeded_case(network, 3, seed=0))


def test_the_forward_pass_runs_in_numpy_at_any_dtype() -> None:
    network = Network(
        (2,),
        (Dense(3), Activation("leaky_relu", 0.25), Dense(2), Activation("softmax")),
        Loss("categorical_cross_entropy", "batch_mean"),
        Penalty("l2", 0.1, True, False),
    )
    case = seeded_case(network, 3, seed=5)
    loss, outputs = plain.forward(case, plain.leaves(case))
    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-13), (np.longdouble, 1e-13), (np.complex128, 1e-13)):
        got, got_outputs = evaluate_numpy(case, dtype=dtype)
        assert got_outputs.dtype == dtype
        assert abs(got - float(loss)) < tolerance * float(loss)
        assert np.allclose(got_outputs, outputs.astype(float), rtol=tolerance)
    moved = {name: array + 1 for name, array in case.parameters.items()}
    assert evaluate_numpy(case, parameters=moved)[0] == evaluate_numpy(case.replace(parameters=moved))[0]
    assert evaluate_numpy(case, inputs=case.inputs * 2)[0] == evaluate_numpy(case.replace(inputs=case.inputs * 2))[0]


def test_the_complex_step_sees_the_derivative_of_an_analytic_network() -> None:
    network = Network((2,), (Dense(2), Activation("softmax"), Dense(1), Activation("softplus")))
    case = seeded_case(network, 2, seed=6)
    direction = np.ones((2, 2))
    stepped = {name: array.astype(complex) for name, array in case.parameters.items()}
    stepped["0.weight"] = stepped["0.weight"] + 1e-30j * direction
    with mpmath.workdps(plain.DIGITS):
        exact = float(plain.slope(case, "0.weight", plain.to_mp(direction))[0])
    got = evaluate_numpy(case, parameters=stepped, dtype=np.complex128)[0].imag / 1e-30
    # 64 roundings, of terms that sum up to less than 1 in magnitude, at most.
    assert abs(got - exact) < 64 * np.finfo(float).eps

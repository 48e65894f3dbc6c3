"""The second route overlaps the first, and would not if either were wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Dense, Maxout
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from refimpl.balls import precision
from refimpl.enclosure import enclosure
from refimpl.taylor import COORDINATES, conflicts, projection, slope_along, witness
from verify.strategies import cases


@given(cases())
@settings(max_examples=60)
def test_every_coordinate_overlaps(case: Case) -> None:
    assert conflicts(enclosure(case)) == ()


@given(cases(), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_the_inputs_gradient_overlaps_along_random_directions(case: Case, seed: int) -> None:
    direction = {"inputs": np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], size=case.inputs.shape)}
    enclosed = enclosure(case)
    assert slope_along(case, direction, enclosed.working_bits).overlaps(projection(enclosed, direction))


def large() -> Case:
    rng = np.random.default_rng(0)
    tanh = Activation("tanh")
    network = Network((20,), dense_chain((20, 12, 3), (tanh, tanh)), Loss("squared_error", "batch_mean"))
    parameters = {name: rng.normal(size=shape) for name, shape in network.parameter_shapes.items()}
    return Case(network, parameters, rng.normal(size=(4, 20)), targets=rng.normal(size=(4, 3)))


def test_random_directions_overlap_on_a_network_above_the_limit() -> None:
    case = large()
    assert sum(array.size for array in case.parameters.values()) > COORDINATES
    assert conflicts(enclosure(case), directions=3) == ()


@pytest.mark.parametrize("case", [large(), None], ids=["by directions", "by coordinates"])
def test_one_planted_wrong_entry_is_a_conflict(case: Case | None) -> None:
    if case is None:
        network = Network((2,), (Dense(2), Activation("sigmoid")), Loss("half_squared_error", "sum"))
        case = Case(network, {"0.weight": np.eye(2), "0.bias": [0.5, 1.0]}, [[1.0, 2.0]], targets=[[0.0, 1.0]])
    enclosed = enclosure(case)
    balls = enclosed.balls("0.weight").copy()
    with precision(enclosed.working_bits):
        balls[0, 0] = balls[0, 0] * (1 + arb(10) ** -30)
    values = {**enclosed.values, id(enclosed.computation.results["0.weight"]): balls}
    wrong = replace(enclosed, values=values)
    assert any(conflicts(wrong, seed=seed) for seed in range(20))


def test_a_direction_of_another_name_or_shape_is_refused() -> None:
    case = large()
    with pytest.raises(ArgumentError, match=r"direction: expected names among 0\.weight"):
        slope_along(case, {"weight": np.ones(3)})
    with pytest.raises(ArgumentError, match=r"shape \(12,\)"):
        slope_along(case, {"0.bias": np.ones(3)})


def test_the_witness_speaks_against_a_loss_and_an_entry_that_are_wrong_and_for_right_ones() -> None:
    case = large()
    enclosed = enclosure(case)
    assert witness(enclosed, {"loss": (), "0.weight": (0, 0)}) == ()
    for name, index in (("loss", ()), ("0.bias", (1,))):
        balls = enclosed.balls(name).copy()
        with precision(enclosed.working_bits):
            balls[index] = balls[index] * (1 + arb(10) ** -30)
        wrong = replace(enclosed, values={**enclosed.values, id(enclosed.computation.results[name]): balls})
        assert any(name in words for words in witness(wrong, {name: index}))


def test_the_lesser_of_numbers_of_very_different_size_keeps_its_digits() -> None:
    layers = (Dense(2, bias=False), Activation("hard_tanh"), Dense(4, bias=False), Maxout(2))
    network = Network((1,), layers, Loss("half_squared_error", "sum"))
    weights = {"0.weight": [[2.0**600, 0.25]], "2.weight": [[2.0**300, 1.0, 0.5, 1.0], [1.0, 2.0, 3.0, 2.0**-500]]}
    enclosed = enclosure(Case(network, weights, [[1.0]], targets=[[1.0, 2.0]]))
    for name in network.trainable:
        for index in np.ndindex(*enclosed.shape(name)):
            unit = np.zeros(enclosed.shape(name))
            unit[index] = 1
            slope = slope_along(enclosed.case, {name: unit}, enclosed.working_bits)
            assert slope.overlaps(enclosed.balls(name)[index])
            assert slope.rel_accuracy_bits() > 64 or slope == 0

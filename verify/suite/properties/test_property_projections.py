"""Projections: right gradients pass, wrong ones are missed no more often than is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import fastimpl
from gradproof import Activation, ArgumentError, Case, Loss, Network, dense_chain
from gradproof.gradients import INPUTS
from refimpl.allowance import allowance
from verify.projections import DIRECTIONS, projections
from verify.strategies import cases, seeded_case

LAYERS = dense_chain((8, 6, 4), (Activation("tanh"), Activation("sigmoid")))
CASE = seeded_case(Network((8,), LAYERS, Loss("half_squared_error", "batch_mean")), 5, seed=1)
RIGHT: dict[str, Any] = {**fastimpl.gradients(CASE).parameters, INPUTS: fastimpl.gradients(CASE).inputs}


def changed(changes: dict[tuple[int, int], float]) -> dict[str, Any]:
    weights = RIGHT["0.weight"].copy()
    for index, change in changes.items():
        weights[index] += change
    return {**RIGHT, "0.weight": weights}


@settings(max_examples=20)
@given(cases())
def test_gradients_of_the_fast_implementation_pass(case: Case) -> None:
    found = fastimpl.gradients(case)
    allowed = allowance(case).rigorous
    gradient: dict[str, Any] = {**found.parameters, INPUTS: found.inputs}
    assert not projections(case, gradient, allowed=allowed, directions=3, seed=0).contradicted


def test_what_is_said_of_a_right_gradient() -> None:
    found = projections(CASE, RIGHT, seed=5)
    assert not found.contradicted
    assert len(found.projections) == DIRECTIONS
    assert found.miss_probability == 2.0**-DIRECTIONS
    assert found.resolution < 1e-6
    assert str(found).startswith("not contradicted by 20 random directions, which miss an entry that is off by more ")
    assert str(found).endswith("with a probability of at most 1e-06")


def test_one_wrong_entry_is_missed_by_no_direction() -> None:
    resolution = projections(CASE, RIGHT, seed=6).resolution
    found = projections(CASE, changed({(3, 2): 1.1 * resolution}), seed=6)
    assert all(one.contradicted for one in found.projections)


def test_entries_that_cancel_are_missed_by_half_of_the_directions() -> None:
    wrong = changed({(3, 2): 0.1, (0, 0): -0.1})
    found = projections(CASE, wrong, directions=200, seed=7)
    seen = sum(one.contradicted for one in found.projections)
    # Binomial with p = 1/2: beyond 60 of 200 from the mean by Hoeffding with probability 2 exp(-2 60^2 / 200) < 1e-15.
    assert abs(seen - 100) < 60
    assert found.contradicted


def test_what_rounding_may_do_is_let_pass_and_told() -> None:
    allowed = {name: np.full(np.shape(array), 1e-3) for name, array in RIGHT.items()}
    wrong = changed({(3, 2): 1e-2})
    assert projections(CASE, wrong, seed=8, directions=4).contradicted
    loose = projections(CASE, wrong, seed=8, directions=4, allowed=allowed)
    assert not loose.contradicted
    assert loose.resolution > 1e-3 * sum(np.size(array) for array in RIGHT.values())


def test_directions_are_fresh_unless_a_seed_repeats_them() -> None:
    first, second = (projections(CASE, RIGHT, directions=2) for _ in range(2))
    assert {one.seed for one in first.projections}.isdisjoint(one.seed for one in second.projections)
    again = projections(CASE, RIGHT, directions=2, seed=first.projections[0].seed)
    assert again == first


def test_arrays_that_are_not_given_stay() -> None:
    told: list[tuple[int, int]] = []
    found = projections(CASE, {"2.bias": RIGHT["2.bias"]}, directions=2, seed=1, progress=lambda *d: told.append(d))
    assert not found.contradicted
    assert told == [(1, 2), (2, 2)]
    wrong = projections(CASE, {"2.bias": RIGHT["2.bias"] * 2}, directions=8, seed=1)
    assert wrong.contradicted


@pytest.mark.parametrize(
    ("gradient", "options", "message"),
    [
        ({"1.bias": np.zeros(1)}, {}, r"gradient\['1.bias'\]: expected a name and shape of the case"),
        ({"0.bias": np.zeros(1)}, {}, r"gradient\['0.bias'\]: .* got shape \(1,\)"),
        (RIGHT, {"directions": 0}, "directions: expected at least 1, got 0"),
        (RIGHT, {"method": "secant"}, "method: expected among"),
        ({}, {}, "gradient: expected at least one array"),
    ],
)
def test_bad_arguments_are_refused(gradient: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        projections(CASE, gradient, **options)

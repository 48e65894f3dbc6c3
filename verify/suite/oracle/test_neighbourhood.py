"""The allowance of a loss around a case bounds that of every case around it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fastimpl
from gradproof import Activation, ArgumentError, Case, Dense, Loss, Network
from gradproof.gradients import INPUTS, LOSS
from refimpl.allowance import ROUND_UP, allowance
from refimpl.enclosure import enclosure
from refimpl.neighbourhood import loss_allowance
from verify.strategies import cases, seeded_case

NETWORK = Network((3,), (Dense(4), Activation("tanh"), Dense(2)), Loss("half_squared_error", "sum"))


@settings(max_examples=25)
@given(cases())
def test_at_the_case_itself_it_is_the_allowance(case: Case) -> None:
    whole = float(allowance(case).rigorous[LOSS])
    assert loss_allowance(case) == pytest.approx(whole, rel=1e-9)
    assert loss_allowance(case, dict.fromkeys((*case.parameters, INPUTS), 0.0)) == loss_allowance(case)


@settings(max_examples=25)
@given(cases(), st.sampled_from([2.0**-30, 2.0**-10, 2.0**-4]), st.randoms(use_true_random=False))
def test_it_bounds_the_allowance_of_every_case_around(case: Case, radius: float, random: Any) -> None:
    around = loss_allowance(case, dict.fromkeys((*case.parameters, INPUTS), radius))
    assume(math.isfinite(around))
    generator = np.random.default_rng(random.randrange(2**32))

    def moved(array: Any) -> Any:
        shifted = array + radius * generator.choice((-1.0, -0.3, 0.0, 1.0), array.shape)
        # Numbers of the dtype no farther away than the radius.
        near = shifted.astype(array.dtype)
        return np.where(np.abs(near.astype(np.float64) - array) > radius, array, near)

    parameters = {name: moved(array) for name, array in case.parameters.items()}
    other = case.replace(parameters=parameters, inputs=moved(case.inputs))
    assert loss_allowance(other) <= around * ROUND_UP
    assert enclosure(other).distance(LOSS, fastimpl.loss(other)) <= around


def test_it_grows_with_the_radius_and_only_for_what_moves() -> None:
    case = seeded_case(NETWORK, 4)
    sizes = [loss_allowance(case, {"0.weight": radius}) for radius in (0.0, 1e-6, 1e-3, 1e-2)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] < 10 * sizes[0]
    entry = np.zeros((3, 4))
    entry[1, 2] = 1e-2
    assert sizes[0] < loss_allowance(case, {"0.weight": entry}) < sizes[-1]


@settings(max_examples=25)
@given(cases(), st.randoms(use_true_random=False))
def test_points_that_are_missed_are_paid_for(case: Case, random: Any) -> None:
    generator = np.random.default_rng(random.randrange(2**32))

    def moved(array: Any) -> Any:
        return (array + 2.0**-16 * generator.choice((-1.0, 1.0), array.shape)).astype(array.dtype)

    other = case.replace(parameters={n: moved(a) for n, a in case.parameters.items()}, inputs=moved(case.inputs))
    missed = {
        name: np.abs(other.parameters[name].astype(np.float64) - array) for name, array in case.parameters.items()
    }
    missed[INPUTS] = np.abs(other.inputs.astype(np.float64) - case.inputs)
    assert enclosure(case).distance(LOSS, fastimpl.loss(other)) <= loss_allowance(case, missed=missed)


def test_where_nothing_is_promised_it_is_infinite() -> None:
    assert loss_allowance(seeded_case(NETWORK, 4), {"0.weight": 1e6}) == np.inf


def test_around_zero_numbers_may_be_flushed() -> None:
    case = seeded_case(Network((1,), (Dense(1, bias=False),)), 1)
    case = case.replace(parameters={"0.weight": [[2.0**200]]}, inputs=[[2.0**-1030]], upstream=[[2.0**700]])
    flushed = 2.0 ** (200 - 1030 + 700)
    assert loss_allowance(case) >= flushed
    assert loss_allowance(case, {INPUTS: 2.0**-1000}) >= flushed


@pytest.mark.parametrize(
    ("radii", "message"),
    [
        ({"1.weight": 1.0}, "radii: expected names among 0.weight, .*inputs, got 1.weight"),
        ({"0.bias": np.ones(3)}, r"radii\['0.bias'\]: expected shape \(4,\), or one number, got shape \(3,\)"),
        ({"0.bias": -1.0}, r"radii\['0.bias'\]: expected finite numbers of at least 0"),
        ({INPUTS: np.inf}, r"radii\['inputs'\]: expected finite"),
    ],
)
def test_bad_radii_are_refused(radii: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        loss_allowance(seeded_case(NETWORK, 4), radii)

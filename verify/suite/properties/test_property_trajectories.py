"""Stochastic gradient descent, step by step: each step against the oracle, and the steps of an epoch as one chain.

Resynchronised: every step is judged from the parameters that the implementation itself had before it, so that one
fault is located and no rounding error grows along the way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastimpl import dropout_masks, permutation, train
from gradproof import Case
from gradproof.gradients import LOSS
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import LOSSES
from refimpl.allowance import allowance
from refimpl.enclosure import enclosure
from verify.strategies import cases, everything

TRAINED = tuple(loss for loss in everything().losses if loss.split("/")[0] in LOSSES)
RATES = st.sampled_from([0.5, 0.125, 2.0**-7])
"""Powers of two: η is exact in both dtypes, and so is its product with a gradient, underflow aside."""


def step(case: Case, parameters: Any, rate: float, **settings: Any) -> Any:
    assert case.targets is not None
    return train(
        case.network,
        parameters,
        case.inputs,
        case.targets,
        optimiser=Optimiser("sgd", rate),
        sample_weights=case.sample_weights,
        dtype=case.dtype,
        **settings,
    )


def assert_step_of_the_oracle(case: Case, rate: float, stepped: Any, loss: float) -> None:
    """Each stepped parameter is within η·allowance, and the rounding of one subtraction, of θ − η ∂L/∂θ.

    The gradient used is within its allowance E of the exact one, g; η times it is exact but for underflow, and the
    subtraction is off by at most u times what it gives, which is at most |θ| + η(|g| + E).
    """
    truth, allowed = enclosure(case), allowance(case)
    unit, tiny = float(np.finfo(case.dtype).eps) / 2, float(np.finfo(case.dtype).tiny)
    for name, before in case.parameters.items():
        after = stepped[name].astype(np.float64)
        if name in case.network.frozen:
            assert after.tolist() == before.tolist()
            continue
        theta, error = before.astype(np.float64), allowed.rigorous[name]
        low, high = truth.lower(name), truth.upper(name)
        size = np.maximum(np.abs(low), np.abs(high))
        # The comparison itself is made in float64: four more roundings of numbers no larger than these.
        slack = rate * error + (unit + 4 * 2.0**-53) * (np.abs(theta) + rate * (size + error)) + tiny
        assert np.all(after <= theta - rate * low + slack), name
        assert np.all(after >= theta - rate * high - slack), name
    assert truth.distance(LOSS, loss) <= allowed.rigorous[LOSS]


@settings(max_examples=40)
@given(cases(losses=TRAINED), RATES)
def test_a_trajectory_of_full_batches_follows_the_oracle_at_every_step(case: Case, rate: float) -> None:
    for _ in range(3):
        run = step(case, case.parameters, rate, epochs=1, batch_size=None, shuffle=False)
        assert run.diverged is None
        masked = case.replace(masks=dropout_masks(case.network, case.batch, seed=0, step=0))
        assert_step_of_the_oracle(masked, rate, run.parameters, float(run.step_losses[0]))
        case = case.replace(parameters=run.parameters)


@settings(max_examples=30)
@given(
    cases(losses=TRAINED, batch=(2, 7), dropout=False),
    RATES,
    st.integers(1, 4),
    st.integers(0, 2**64 - 1),
    st.booleans(),
)
def test_an_epoch_is_its_batches_one_after_another(
    case: Case, rate: float, size: int, seed: int, shuffle: bool
) -> None:
    assert case.targets is not None
    epochs = 2
    run = step(case, case.parameters, rate, epochs=epochs, batch_size=size, seed=seed, shuffle=shuffle)
    parameters: Any = case.parameters
    losses: list[float] = []
    for epoch in range(epochs):
        order = permutation(case.batch, seed, epoch) if shuffle else np.arange(case.batch)
        assert sorted(order) == list(range(case.batch))
        for start in range(0, case.batch, size):
            chosen = order[start : start + size]
            weights = None if case.sample_weights is None else case.sample_weights[chosen]
            batch = Case(
                case.network,
                parameters,
                case.inputs[chosen],
                targets=case.targets[chosen],
                sample_weights=weights,
                dtype=case.dtype,
            )
            one = step(batch, parameters, rate, epochs=1, batch_size=None, shuffle=False)
            assert_step_of_the_oracle(batch, rate, one.parameters, float(one.step_losses[0]))
            parameters = one.parameters
            losses += one.step_losses.tolist()
    assert run.step_losses.tolist() == losses
    for name, array in run.parameters.items():
        assert array.tobytes() == parameters[name].tobytes(), name

"""Dropout in compiled code: the masks are the stated function, and each training step is the masked case's.

Masks are recomputed here from the statement in ``fastimpl.dropout`` with Python's whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastimpl
from fastimpl import dropout_masks, permutation, train
from fastimpl.dropout import threshold
from gradproof import Activation, ArgumentError, Branches, Case, Dense, Dropout, Loss, Network, Optimiser, Residual
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.allowance import allowance
from verify.judge import judge
from verify.strategies import seeded_case
from verify.trajectories import Trajectory, gradients_of, judge_trajectory

WORD = 2**64
STEP = 0x9E3779B97F4A7C15
PURPOSE = int.from_bytes(b"DROPOUTS", "big")
BRANCHES = Branches(((Dense(3), Activation("relu"), Dropout(0.25)), (Dropout(0.75), Dense(2))), "concat")
NETWORK = Network(
    (4,),
    (Dropout(0.1), Dense(5), Activation("tanh"), Dropout(0.5), BRANCHES, Residual((Dropout(0.3), Dense(5))), Dense(2)),
    Loss("half_squared_error", "batch_mean"),
)
SEED = 2**63 + 17


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def output(state: int, number: int) -> int:
    """Output ``number``, from 0, of the stream that starts at a state."""
    return mix((state + (number + 1) * STEP) % WORD)


def stated(network: Network, batch: int, seed: int, step: int) -> dict[str, list[Any]]:
    of_step = output(mix(mix(seed) ^ PURPOSE), step)
    masks = {}
    layers = {site.path: site.layer for site in network.sites}
    for number, (path, shape_of_one) in enumerate(network.dropouts.items()):
        state, shape, layer = output(of_step, number), (batch, *shape_of_one), layers[path]
        assert isinstance(layer, Dropout)
        least = Fraction(layer.probability) * 2**53
        kept = [(output(state, entry) >> 11) >= least for entry in range(math.prod(shape))]
        masks[path] = np.array(kept).reshape(shape).tolist()
    return masks


@settings(max_examples=12)
@given(st.integers(1, 4), st.integers(0, WORD - 1), st.integers(0, 2**63 - 1), st.integers(1, 3))
def test_masks_are_the_stated_function(batch: int, seed: int, step: int, rows: int) -> None:
    network = Network((rows, 3), (Dropout(0.3), Activation("tanh"), Dropout(0.9), Dropout(0.0)))
    for which in (network, NETWORK):
        masks = dropout_masks(which, batch, seed, step)
        assert {path: mask.tolist() for path, mask in masks.items()} == stated(which, batch, seed, step)
        assert all(mask.dtype == np.bool_ for mask in masks.values())


def test_a_short_batch_has_the_first_rows_and_places_count_not_samples() -> None:
    whole, short = (dropout_masks(NETWORK, batch, SEED, 5) for batch in (9, 4))
    for path, mask in whole.items():
        np.testing.assert_array_equal(mask[:4], short[path])


def test_seeds_steps_and_layers_have_masks_of_their_own() -> None:
    network = Network((200,), (Dropout(0.5), Dropout(0.5)))
    drawn = [dropout_masks(network, 1, seed, step) for seed in (0, 1, WORD - 1) for step in (0, 1, 2)]
    flat = np.array([mask.ravel() for masks in drawn for mask in masks.values()], dtype=float)
    agreement = (flat[:, None] == flat[None]).mean(axis=2)[~np.eye(len(flat), dtype=bool)]
    assert np.all(np.abs(agreement - 0.5) < 5 * 0.5 / np.sqrt(200))


@pytest.mark.parametrize("probability", [0.0, 0.5, 0.1, 0.9, 1 / 3, 2.0**-53, 1e-300, 1 - 2.0**-53])
def test_the_probability_realised_is_p_as_near_as_53_bits_come(probability: float) -> None:
    realised, wanted = Fraction(threshold(probability), 2**53), Fraction(probability)
    assert wanted <= realised < wanted + Fraction(1, 2**53)
    assert realised == wanted or probability < 0.5
    count = 10**6
    mask = dropout_masks(Network((count,), (Dropout(probability),)), 1, 3, 0)["0"]
    assert abs(count - mask.sum() - count * probability) <= 5 * math.sqrt(count * probability) + (probability > 0)


def test_an_entry_is_kept_from_its_own_number_on() -> None:
    """With p the very number drawn it is kept, with the next larger p dropped."""
    for seed in range(5):
        drawn = output(output(output(mix(mix(seed) ^ PURPOSE), 3), 0), 0) >> 11
        for step, kept in ((0, True), (1, False)):
            network = Network((1,), (Dropout(math.ldexp(drawn + step, -53)),))
            assert dropout_masks(network, 1, seed, 3)["0"].item() is kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NETWORK.layers, 1, 0, 0), "network: expected a Network"),
        ((NETWORK, 0, 0, 0), "batch: expected a whole number of at least 1, got 0"),
        ((NETWORK, 1, -1, 0), "seed: expected a whole number from 0 to 18446744073709551615, got -1"),
        ((NETWORK, 1, 0, 2**63), "step: expected a whole number from 0 to 9223372036854775807, got"),
        ((NETWORK, 1, 0, 0.5), "step: expected a whole number"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        dropout_masks(*arguments)


def test_there_are_none_without_dropout() -> None:
    assert dict(dropout_masks(Network((2,), (Dense(1),)), 3, 0, 0)) == {}


def data(dtype: Dtype, samples: int, network: Network = NETWORK) -> Case:
    """All samples as one case, of random numbers; its masks are those of no step."""
    return seeded_case(network, samples, seed=4, dtype=dtype).replace(masks={})


def trained(case: Case, **given: Any) -> fastimpl.Training:
    assert case.targets is not None
    arguments: dict[str, Any] = {"optimiser": Optimiser("sgd", 0.5), "epochs": 1, "batch_size": None, "seed": SEED}
    return train(case.network, case.parameters, case.inputs, case.targets, dtype=case.dtype, **(arguments | given))


def steps_of(case: Case, epochs: int, size: int) -> list[tuple[np.ndarray, Mapping[str, np.ndarray]]]:
    """Which samples each step of a run takes, and its masks."""
    found: list[tuple[np.ndarray, Mapping[str, np.ndarray]]] = []
    for epoch in range(epochs):
        order = permutation(case.batch, SEED, epoch)
        for start in range(0, case.batch, size):
            chosen = order[start : start + size]
            found.append((chosen, dropout_masks(case.network, len(chosen), SEED, len(found))))
    return found


def batch_of(case: Case, parameters: Any, chosen: np.ndarray, masks: Mapping[str, np.ndarray]) -> Case:
    assert case.targets is not None
    targets = case.targets[chosen]
    return Case(case.network, parameters, case.inputs[chosen], targets=targets, dtype=case.dtype, masks=masks)


def judged(case: Case, optimiser: Optimiser, epochs: int, off: int = 0) -> Verdict:
    """One step an epoch, by updates alone: each step as the case of its masks, or of those of a step further on."""
    parameters: list[Any] = [case.parameters]
    trained(case, optimiser=optimiser, epochs=epochs, on_epoch=lambda _e, _l, now: parameters.append(dict(now)))
    steps = steps_of(case, epochs + off, case.batch)
    cases = [batch_of(case, now, steps[k][0], steps[k + off][1]) for k, now in enumerate(parameters[:-1])]
    centres, radii = zip(*map(gradients_of, cases), strict=True)
    trajectory = Trajectory(parameters, centres, gradient_radii=radii, dtype=case.dtype, fused=case.batch)
    return judge_trajectory(optimiser, trajectory).verdict


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimiser", [Optimiser("sgd", 1.0), Optimiser("momentum", 0.25, momentum=0.9)], ids=str)
def test_the_oracle_is_given_every_step(dtype: Dtype, optimiser: Optimiser) -> None:
    case = data(dtype, 6)
    assert judged(case, optimiser, 3) is Verdict.CORRECT
    assert judged(case, optimiser, 3, off=1) is Verdict.WRONG


WIDE = Network(
    (24,),
    (Dense(32), Activation("relu"), Dropout(0.5), Dense(24), Activation("sigmoid"), Dropout(0.2), Dense(6)),
    Loss("categorical_cross_entropy_with_logits", "batch_mean"),
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_oracle_is_given_steps_whose_products_are_large(dtype: Dtype) -> None:
    assert judged(data(dtype, 16, WIDE), Optimiser("sgd", 1.0), 2) is Verdict.CORRECT


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_takes_the_very_steps_of_the_masked_cases(dtype: Dtype) -> None:
    """Bit for bit, over two epochs with a short last batch."""
    case, size, rate = data(dtype, 21), 8, 0.125
    run = trained(case, optimiser=Optimiser("sgd", rate), epochs=2, batch_size=size)
    parameters: Any = dict(case.parameters)
    losses = []
    for chosen, masks in steps_of(case, 2, size):
        answer = fastimpl.gradients(batch_of(case, parameters, chosen, masks))
        losses.append(float(np.asarray(answer.loss)))
        parameters = {
            name: (array.astype(float) - rate * np.asarray(answer.parameters[name]).astype(float)).astype(dtype)
            for name, array in parameters.items()
        }
    assert run.step_losses.astype(dtype).tolist() == losses
    for name, array in run.parameters.items():
        assert array.tobytes() == parameters[name].tobytes(), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_masked_cases_are_judged_correct(dtype: Dtype) -> None:
    case = seeded_case(WIDE, 24, seed=6, dtype=dtype)
    assert 0.4 < case.masks["2"].mean() < 0.6
    assert judge(case, fastimpl.gradients(case)).verdict is Verdict.CORRECT
    assert judge(case.replace(masks={}), fastimpl.gradients(case)).verdict is Verdict.WRONG


def test_prediction_and_validation_run_without_dropout() -> None:
    case = data("float64", 9)
    plain = fastimpl.predict(NETWORK, case.parameters, case.inputs)
    np.testing.assert_array_equal(plain, np.asarray(fastimpl.gradients(case).outputs))
    masked = case.replace(masks=dropout_masks(NETWORK, 9, SEED, 0))
    assert not np.array_equal(plain, np.asarray(fastimpl.gradients(masked).outputs))
    rate = Optimiser("sgd", 2.0**-5)
    run = trained(case, optimiser=rate, epochs=3, batch_size=4, validation=(case.inputs, case.targets))
    after = fastimpl.loss(case.replace(parameters=run.parameters))
    allowed = float(allowance(case.replace(parameters=run.parameters)).rigorous["loss"])
    assert abs(run.metrics["validation_loss"][-1] - after) <= 2 * allowed


def test_a_run_that_goes_on_draws_the_masks_that_one_run_would_have_drawn() -> None:
    case = data("float32", 10)
    rate = Optimiser("sgd", 2.0**-5)
    whole = trained(case, optimiser=rate, epochs=4, batch_size=3)
    first = trained(case, optimiser=rate, epochs=2, batch_size=3)
    assert case.targets is not None
    settings: Any = {"optimiser": rate, "epochs": 2, "batch_size": 3, "dtype": "float32"}
    rest = train(NETWORK, first.state, case.inputs, case.targets, **settings)
    for name, array in whole.parameters.items():
        assert array.tobytes() == rest.parameters[name].tobytes()


def test_dropping_everything_leaves_the_biases_behind() -> None:
    network = Network((3,), (Dense(4), Dropout(0.5), Dense(2)), Loss("half_squared_error", "sum"))
    case = seeded_case(network, 2, seed=1).replace(masks={"1": np.zeros((2, 4), dtype=bool)})
    answer = fastimpl.gradients(case)
    np.testing.assert_array_equal(np.asarray(answer.outputs), np.broadcast_to(case.parameters["2.bias"], (2, 2)))
    assert not np.any(answer.parameters["0.weight"])
    assert not np.any(answer.inputs)
    assert np.any(answer.parameters["2.bias"])

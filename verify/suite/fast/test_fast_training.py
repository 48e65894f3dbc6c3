"""Training: the compiled loop against the same steps taken one by one in Python."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fastimpl
from fastimpl import permutation
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss, Penalty
from gradproof.network import Network, dense_chain
from gradproof.optimiser import Optimiser, WeightDecay
from gradproof.target import UPSTREAM
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.allowance import allowance
from refimpl.enclosure import enclosure
from verify.strategies import cases, everything, seeded_case

LOSSES = tuple(loss for loss in everything().losses if loss != UPSTREAM)
TANH, IDENTITY = Activation("tanh"), Activation("identity")

Parameters = Mapping[str, np.ndarray]


def sgd(rate: float) -> Optimiser:
    return Optimiser("sgd", rate)


def batches(samples: int, size: int, seed: int, epoch: int, shuffle: bool = True) -> list[np.ndarray]:
    order = permutation(samples, seed, epoch) if shuffle else np.arange(samples)
    return [order[start : start + size] for start in range(0, samples, size)]


def part(case: Case, parameters: Parameters, chosen: np.ndarray, masks: Mapping[str, np.ndarray] | None = None) -> Case:
    weights = None if case.sample_weights is None else case.sample_weights[chosen]
    return Case(
        case.network,
        parameters,
        case.inputs[chosen],
        targets=np.asarray(case.targets)[chosen],
        sample_weights=weights,
        dtype=case.dtype,
        masks=masks,
    )


def step_by_step(case: Case, rate: float, epochs: int, size: int, seed: int) -> list[tuple[float, Parameters]]:
    """(loss, parameters before the update) of every step, then (NaN, the last parameters).

    Ends early where an update leaves numbers that are not finite.
    """
    parameters: Parameters = {name: np.array(value) for name, value in case.parameters.items()}
    visited: list[tuple[float, Parameters]] = []
    for epoch in range(epochs):
        for chosen in batches(case.batch, size, seed, epoch):
            masks = fastimpl.dropout_masks(case.network, len(chosen), seed, len(visited))
            batch = part(case, parameters, chosen, masks)
            answer = fastimpl.gradients(batch)
            loss = float(np.asarray(answer.loss))
            if np.isinf(loss):  # which it may be in the dtype alone: training sums it in float64
                data = (batch.inputs, np.asarray(batch.targets))
                loss = fastimpl.evaluate(case.network, parameters, *data, dtype=case.dtype).loss
            visited.append((loss, parameters))
            if not np.isfinite(loss):
                return visited
            parameters = dict(parameters)
            for name, gradient in answer.parameters.items():
                wide = parameters[name].astype(np.float64) - rate * np.asarray(gradient).astype(np.float64)
                with np.errstate(over="ignore"):
                    parameters[name] = wide.astype(case.dtype)
            if not all(np.all(np.isfinite(value)) for value in parameters.values()):
                return visited
    visited.append((float("nan"), parameters))
    return visited


def run(case: Case, **settings: object) -> fastimpl.Training:
    arguments = {
        "optimiser": sgd(0.5),
        "epochs": 1,
        "batch_size": None,
        "sample_weights": case.sample_weights,
    }
    return fastimpl.train(
        case.network,
        case.parameters,
        case.inputs,
        np.asarray(case.targets),
        dtype=case.dtype,
        **(arguments | settings),  # type: ignore[arg-type]
    )


def assert_same(got: Parameters, expected: Parameters) -> None:
    assert set(got) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name, strict=True)


@settings(max_examples=120)
@given(
    cases(losses=LOSSES, batch=(1, 9), dropout=False),
    st.sampled_from([1.0, 0.1, 3.0, 0.0]),
    st.integers(1, 10),
    st.integers(0, 2**64 - 1),
)
def test_it_takes_the_very_steps_that_gradients_gives(case: Case, rate: float, size: int, seed: int) -> None:
    """Bit for bit, with updates as large as the weights: sharing, freezing, penalties, weights, short batches."""
    epochs = 2
    *steps, (_, last) = step_by_step(case, rate, epochs, size, seed)
    per_epoch = -(-case.batch // size)
    assume(len(steps) == epochs * per_epoch)  # the divergent ones have a test of their own
    training = run(case, optimiser=sgd(rate), epochs=epochs, batch_size=size, seed=seed)
    assert training.diverged is None
    assert training.steps_per_epoch == per_epoch
    np.testing.assert_array_equal(training.step_losses.astype(case.dtype), [loss for loss, _ in steps])
    assert_same(training.parameters, last)
    for name in case.network.frozen:
        np.testing.assert_array_equal(training.parameters[name], case.parameters[name], strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [3, 20])
def test_a_shared_weight_is_updated_once_by_all_its_places(width: int, dtype: Dtype) -> None:
    layers = dense_chain((width,) * 4, (TANH, TANH, IDENTITY))
    shared = (("2.weight", "0.weight"), ("4.weight", "0.weight"), ("4.bias", "0.bias"))
    network = Network((width,), layers, Loss("half_squared_error", "batch_mean"), shared=shared)
    case = seeded_case(network, 11, seed=6, dtype=dtype)
    *_, (_, last) = step_by_step(case, 1.0, 2, 4, seed=2)
    assert_same(run(case, optimiser=sgd(1.0), epochs=2, batch_size=4, seed=2).parameters, last)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_updates_within_the_product_are_those_of_the_exact_gradient(dtype: Dtype, scale: float) -> None:
    """Where BLAS updates a weight while it multiplies, a step must still start from the weights before it.

    θ₁ is off by what careful arithmetic may be off in the gradient, and by the roundings of the product with η and of
    the difference: u |θ₁| + 2 u η |g|, as γ₂ covers.
    """
    network = Network((40,), dense_chain((40, 48, 24), (TANH, IDENTITY)), Loss("half_squared_error", "sum"))
    case = seeded_case(network, 32, seed=9, dtype=dtype)
    case = case.replace(parameters={name: scale * value for name, value in case.parameters.items()})
    training = run(case, optimiser=sgd(1.0), batch_size=32, shuffle=False)
    exact, allowed, u = enclosure(case), allowance(case).rigorous, np.finfo(dtype).eps / 2
    for name in network.trainable:
        gradient = exact.nearest(name)
        expected = case.parameters[name].astype(np.float64) - gradient
        slack = allowed[name] + 4 * u * (np.abs(expected) + np.abs(gradient))
        assert np.all(np.abs(training.parameters[name] - expected) <= slack), name
        if scale == 0.0 and name == "2.weight":
            assert not np.any(training.parameters[name]), "tanh of nothing moves no weight behind it"


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_short_last_batch_of_a_large_layer_starts_where_the_step_before_ended(dtype: Dtype) -> None:
    """Full batches go through BLAS and the last one through loops: what one leaves must not leak into the other."""
    network = Network((16,), (Dense(16),), Loss("half_squared_error", "sum"))
    case = seeded_case(network, 17, seed=2, dtype=dtype)
    first = run(part(case, case.parameters, np.arange(16)), optimiser=sgd(0.01), batch_size=16, shuffle=False)
    second = run(part(case, first.parameters, np.arange(16, 17)), optimiser=sgd(0.01), batch_size=16, shuffle=False)
    both = run(case, optimiser=sgd(0.01), batch_size=16, shuffle=False)
    assert_same(both.parameters, second.parameters)
    again = run(case, optimiser=sgd(0.01), batch_size=16, shuffle=False, epochs=2)
    next_epoch = run(case.replace(parameters=both.parameters), optimiser=sgd(0.01), batch_size=16, shuffle=False)
    assert_same(again.parameters, next_epoch.parameters)


SMALL = seeded_case(Network((2,), dense_chain((2, 3, 2), (TANH, IDENTITY)), Loss("squared_error", "batch_mean")), 7)


def test_full_batches_and_single_samples_are_ends_of_the_same_loop() -> None:
    for size, steps in ((None, 1), (7, 1), (100, 1), (1, 7), (6, 2)):
        training = run(SMALL, batch_size=size, epochs=3)
        assert len(training.step_losses) == 3 * steps
        assert training.batch_sizes.sum() == 7
    assert_same(run(SMALL, batch_size=None).parameters, run(SMALL, batch_size=7).parameters)


def test_losses_of_epochs_weigh_steps_by_their_samples() -> None:
    training = run(SMALL, batch_size=3, epochs=4, optimiser=sgd(0.1))
    expected = [(3 * a + 3 * b + c) / 7 for a, b, c in training.step_losses.reshape(4, 3)]
    np.testing.assert_allclose(training.epoch_losses, expected, rtol=4 * np.finfo(float).eps)
    still = run(SMALL, batch_size=3, optimiser=sgd(0.0))
    assert_same(still.parameters, SMALL.parameters)
    assert still.epoch_losses[0] == pytest.approx(fastimpl.loss(SMALL), rel=20 * np.finfo(float).eps)


def test_it_learns_xor() -> None:
    sigmoid = Activation("sigmoid")
    network = Network((2,), dense_chain((2, 3, 1), (sigmoid, sigmoid)), Loss("half_squared_error", "sum"))
    case = seeded_case(network, 1, seed=4)
    x, t = [[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]]
    training = fastimpl.train(network, case.parameters, x, t, optimiser=sgd(2.0), epochs=4000, batch_size=1, seed=1)
    assert np.array_equal(fastimpl.predict(network, training.parameters, x).round(), t)
    assert training.epoch_losses[-1] < 0.01 * training.epoch_losses[0]


def test_the_same_arguments_give_the_same_bits() -> None:
    first, second = (run(SMALL, batch_size=2, epochs=30, seed=5) for _ in range(2))
    assert_same(first.parameters, second.parameters)
    np.testing.assert_array_equal(first.step_losses, second.step_losses)
    assert not np.array_equal(first.step_losses, run(SMALL, batch_size=2, epochs=30, seed=6).step_losses)


def test_on_epoch_sees_each_epoch_and_can_end_it() -> None:
    seen: list[tuple[int, float, Parameters]] = []

    def watch(epoch: int, loss: float, parameters: Parameters) -> bool:
        seen.append((epoch, loss, parameters))
        return epoch == 4

    training = run(SMALL, batch_size=2, epochs=30, seed=5, on_epoch=watch)
    assert [epoch for epoch, _, _ in seen] == [0, 1, 2, 3, 4]
    assert [loss for _, loss, _ in seen] == training.epoch_losses.tolist()
    assert_same(training.parameters, seen[-1][2])
    assert_same(training.parameters, run(SMALL, batch_size=2, epochs=5, seed=5).parameters)
    with pytest.raises(ValueError, match="read-only"):
        seen[0][2]["0.weight"][0, 0] = 1.0


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("size", [None, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", [1e2, 1e5, 1e20, 1e60, 1e160, 1e300])
def test_divergence_stops_at_its_step_and_keeps_the_last_good_parameters(
    rate: float, dtype: Dtype, size: int | None, watched: bool
) -> None:
    network = Network((2,), dense_chain((2, 3, 2), (IDENTITY, IDENTITY)), Loss("squared_error", "sum"))
    case = seeded_case(network, 7, seed=1, dtype=dtype)
    epochs = 40
    with np.errstate(all="ignore"):
        steps = step_by_step(case, rate, epochs, size or 7, seed=3)
    loss = steps[-1][0]
    watch = (lambda epoch, loss, parameters: None) if watched else None
    training = run(case, optimiser=sgd(rate), batch_size=size, epochs=epochs, seed=3, on_epoch=watch)
    assert training.diverged is not None
    per_epoch = training.steps_per_epoch
    at = training.diverged.epoch * per_epoch + training.diverged.step
    assert len(training.step_losses) == at + 1
    assert at == len(steps) - 1
    good = at if np.isfinite(loss) else at - 1  # where the loss is finite, it is the update that overflowed
    expected = steps[max(good, 0)][1]
    assert_same(training.parameters, expected)
    assert all(np.all(np.isfinite(value)) for value in training.parameters.values())
    assert len(training.epoch_losses) == training.diverged.epoch
    assert np.all(np.isfinite(training.epoch_losses))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_an_overflow_in_the_very_last_update_is_a_divergence_too(steps: int) -> None:
    """No loss follows that would show it; the steps before have no gradient."""
    network = Network((1,), (Dense(1, False),), Loss("half_squared_error", "sum"))
    x, t = np.array([[0.0]] * (steps - 1) + [[1e150]]), np.array([[0.0]] * (steps - 1) + [[1.0]])
    training = fastimpl.train(
        network, {"0.weight": [[0.0]]}, x, t, optimiser=sgd(1e200), epochs=1, batch_size=1, shuffle=False
    )
    assert training.diverged == fastimpl.Divergence(epoch=0, step=steps - 1, loss=0.5)
    assert training.parameters["0.weight"].item() == 0.0
    assert np.all(np.isfinite(training.step_losses))


def test_parameters_given_are_not_changed() -> None:
    held = {name: value.copy() for name, value in SMALL.parameters.items()}
    inputs = SMALL.inputs.copy()
    fastimpl.train(
        SMALL.network,
        held,
        inputs,
        np.asarray(SMALL.targets),
        optimiser=sgd(1.0),
        epochs=3,
        batch_size=2,
        dtype=SMALL.dtype,
    )
    assert_same(held, SMALL.parameters)
    np.testing.assert_array_equal(inputs, SMALL.inputs)


def test_everything_frozen_changes_nothing() -> None:
    network = SMALL.network.replace(frozen=SMALL.network.trainable, penalty=Penalty("l2", 1.0, False, True))
    training = run(SMALL.replace(network=network), epochs=2, batch_size=3)
    assert_same(training.parameters, SMALL.parameters)
    assert np.all(training.step_losses > 0)


def test_no_epochs_are_no_steps() -> None:
    training = run(SMALL, epochs=0)
    assert len(training.step_losses) == len(training.epoch_losses) == 0
    assert_same(training.parameters, SMALL.parameters)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"optimiser": 0.1}, "optimiser"),
        ({"optimiser": "sgd"}, "optimiser"),
        (
            {"optimiser": Optimiser("sgd", 0.1, decay=WeightDecay("l2", 0.1, excluded=("4.bias",)))},
            "optimiser.decay.excluded",
        ),
        ({"epochs": -1}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.0}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"dtype": "float16"}, "dtype"),
        ({"sample_weights": [1.0]}, "sample_weights"),
        ({"inputs": [[1.0]]}, "inputs"),
        ({"inputs": np.zeros((0, 2))}, "inputs"),
        ({"inputs": np.full((7, 2), np.nan)}, "inputs[0, 0]"),
        ({"targets": np.zeros((6, 2))}, "targets"),
        ({"targets": None}, "targets"),
        ({"parameters": {}}, "parameters"),
        ({"network": SMALL.network.replace(loss=None)}, "network.loss"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(change: Mapping[str, object], named: str) -> None:
    arguments: dict[str, object] = {
        "network": SMALL.network,
        "parameters": SMALL.parameters,
        "inputs": SMALL.inputs,
        "targets": SMALL.targets,
        "optimiser": sgd(0.1),
        "epochs": 1,
        "batch_size": 2,
    }
    with pytest.raises(ArgumentError) as caught:
        fastimpl.train(**(arguments | dict(change)))  # type: ignore[arg-type]
    assert caught.value.argument == named


def test_the_batches_of_an_epoch_cover_all_samples_once() -> None:
    """Linear in the samples' weights: with η = 1 and a constant output, the bias sums each sample's target once."""
    network = Network((1,), (Dense(1),), Loss("half_squared_error", "sum"), frozen=("0.weight",))
    targets = np.exp2(np.arange(9.0))[:, None]
    taken = []
    for shuffle in (True, False):
        training = fastimpl.train(
            network,
            {"0.weight": [[0.0]], "0.bias": [0.0]},
            np.ones((9, 1)),
            targets,
            optimiser=sgd(1.0),
            epochs=1,
            batch_size=1,
            seed=8,
            shuffle=shuffle,
        )
        # b ← b − (b − t): the bias is each step's target in turn, so the next loss is half the squared difference.
        order = permutation(9, 8, 0) if shuffle else np.arange(9)
        visited = [0.0, *targets[order, 0]]
        np.testing.assert_array_equal(training.step_losses, [(b - a) ** 2 / 2 for a, b in pairwise(visited)])
        taken.append(training.parameters["0.bias"].item())
    assert taken == [targets[permutation(9, 8, 0)[-1], 0], targets[-1, 0]]

"""What is timed: its sizes, its networks, and that float32's allowance tells something about it."""

from __future__ import annotations

import numpy as np
import pytest

import fastimpl
from benchmarks.tasks import KINDS, NAMES, NETWORKS, task
from gradproof.vocabulary import DTYPES
from refimpl.allowance import allowance
from refimpl.enclosure import enclosure

SMALL = [name for name in NAMES if not name.startswith(("784-128", "784-512"))]


def test_there_is_a_task_for_each_network_kind_and_precision() -> None:
    assert len(NAMES) == len(set(NAMES)) == len(NETWORKS) * len(KINDS) * len(DTYPES) == 28


@pytest.mark.parametrize("name", SMALL)
def test_tasks_have_equal_steps_and_one_step_keeps_the_first_of_them(name: str) -> None:
    whole = task(name)
    network, kind, dtype = name.split(".")
    size = NETWORKS[network]
    assert whole.case.stack.widths == size.widths
    assert whole.case.dtype == dtype
    assert (whole.batch, whole.steps, whole.case.batch) == (size.batch, size.steps, size.batch * size.steps)
    hidden = whole.case.stack.activations[:-1]
    assert set(hidden) == {"sigmoid" if kind == "sigmoid_sgd" else "relu"}
    assert whole.optimiser.variant == ("sgd" if kind == "sigmoid_sgd" else "adam")
    single = whole.one_step()
    assert (single.steps, single.optimiser) == (1, whole.optimiser)
    np.testing.assert_array_equal(single.case.inputs, whole.case.inputs[: size.batch])


@pytest.mark.parametrize("name", [name for name in SMALL if "relu_adam" in name])
def test_a_training_that_is_timed_meets_no_subnormal_number(name: str) -> None:
    """As long as it takes float64's moments, too, to get there once a gradient is 0."""
    whole = task(name)
    case = whole.case
    epochs = -(-8000 // whole.steps)
    training = fastimpl.train(
        case.network,
        case.parameters,
        case.inputs,
        np.asarray(case.targets),
        optimiser=whole.optimiser,
        epochs=epochs,
        batch_size=whole.batch,
        dtype=case.dtype,
    )
    least = np.finfo(case.dtype).tiny
    for numbers in (training.parameters, *training.state.moments.values()):
        for parameter, values in numbers.items():
            assert not np.any((values != 0) & (np.abs(values) < least)), parameter


@pytest.mark.parametrize("network", list(NETWORKS))
def test_the_first_mini_batch_has_every_class_and_both_clouds(network: str) -> None:
    single = task(f"{network}.relu_adam.float64").one_step()
    targets = np.asarray(single.case.targets)
    assert np.all(targets.sum(axis=0) > 0)
    signs = np.sign(single.case.inputs.mean(axis=1, where=np.arange(single.case.inputs.shape[1]) % 2 == 0))
    assert set(signs) == {-1.0, 1.0}


@pytest.mark.parametrize("network", ["64-10-10", "784-30-10", "784-128-64-10"])
def test_no_kink_is_met_in_float32_and_most_gradients_stand_out_of_their_allowance(network: str) -> None:
    case = task(f"{network}.relu_adam.float32").one_step().case
    exact = enclosure(case)
    allowed = allowance(case, enclosed=exact)
    for name in case.network.trainable:
        size = np.abs(exact.lower(name))
        assert np.median(allowed.rigorous[name] / np.max(size)) < 1e-2, name

"""Training by fastimpl along trajectories, judged by updates alone: its gradients are never seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastimpl import permutation, train
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from gradproof.optimiser import Optimiser, WeightDecay
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from verify.trajectories import Trajectory, gradients_of, judge_trajectory, which_variant

SAMPLES, EPOCHS, RATE = 6, 8, 0.5
NETWORK = Network(
    (3,), (Dense(4), Activation("tanh"), Dense(2), Activation("sigmoid")), Loss("half_squared_error", "batch_mean")
)


def trained(network: Network, dtype: Dtype, samples: int, bare: Network | None = None) -> Trajectory:
    """Full-batch training, one step an epoch; gradients are enclosed by those of ``bare``, the network unless given."""
    rng = np.random.default_rng(1)
    inputs, targets = rng.normal(size=(samples, 3)).astype(dtype), rng.uniform(size=(samples, 2)).astype(dtype)
    start = {name: rng.normal(size=shape).astype(dtype) for name, shape in network.parameter_shapes.items()}
    parameters: list[Any] = [start]
    train(
        network,
        start,
        inputs,
        targets,
        optimiser=Optimiser("sgd", RATE),
        epochs=EPOCHS,
        batch_size=None,
        seed=3,
        dtype=dtype,
        on_epoch=lambda _epoch, _loss, now: parameters.append(dict(now)),
    )
    centres, radii = [], []
    for epoch, now in enumerate(parameters[:-1]):
        order = permutation(samples, 3, epoch)
        centre, radius = gradients_of(Case(bare or network, now, inputs[order], targets=targets[order], dtype=dtype))
        centres.append(centre)
        radii.append(radius)
    return Trajectory(parameters, centres, gradient_radii=radii, dtype=dtype, fused=samples)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("samples", [1, 4, SAMPLES])
def test_fastimpl_is_never_accused(dtype: Dtype, samples: int) -> None:
    trajectory = trained(NETWORK, dtype, samples)
    assert len(trajectory) == EPOCHS
    assert judge_trajectory(Optimiser("sgd", RATE), trajectory).verdict is Verdict.CORRECT


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_it_did_not_do_is_proved(dtype: Dtype) -> None:
    trajectory = trained(NETWORK, dtype, SAMPLES)
    for other in (
        Optimiser("sgd", RATE * 1.001),
        Optimiser("momentum", RATE, momentum=0.01),
        Optimiser("sgd", RATE, decay=WeightDecay("l2", 0.001)),
    ):
        assert judge_trajectory(other, trajectory).verdict is Verdict.WRONG
    assert which_variant(Optimiser("momentum_torch", RATE, momentum=0.9), trajectory).only == Optimiser("sgd", RATE)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_l2_penalty_with_its_half_is_decay(dtype: Dtype) -> None:
    penalised = Network(NETWORK.input_shape, NETWORK.layers, NETWORK.loss, Penalty("l2", 0.3, half=True, biases=False))
    trajectory = trained(penalised, dtype, SAMPLES, bare=NETWORK)
    biases = tuple(name for name in NETWORK.parameter_shapes if name.endswith("bias"))
    decay = WeightDecay("l2", 0.3, excluded=biases)
    assert judge_trajectory(Optimiser("sgd", RATE, decay=decay), trajectory).verdict is Verdict.CORRECT
    assert judge_trajectory(Optimiser("sgd", RATE), trajectory).verdict is Verdict.WRONG
    everywhere = judge_trajectory(Optimiser("sgd", RATE, decay=WeightDecay("l2", 0.3)), trajectory)
    assert {found.finding.quantity for found in everywhere.findings} == set(biases)


def test_gradients_without_a_bound_are_refused() -> None:
    network = Network((1,), (Dense(1),), Loss("squared_error", "sum"))
    case = Case(network, {"0.weight": [[1e30]], "0.bias": [0]}, [[1e30]], targets=[[0]], dtype="float32")
    with pytest.raises(ArgumentError, match="a bound on the rounding errors"):
        gradients_of(case)

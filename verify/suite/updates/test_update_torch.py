"""torch's own optimisers along trajectories: never accused, and named for what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from gradproof.optimiser import Clipping, Optimiser, Schedule, WeightDecay
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from verify.suite.updates.plain_steps import SHAPES, Arrays
from verify.trajectories import Trajectory, judge_trajectory, which_variant

torch = pytest.importorskip("torch")

STATES = {"momentum_buffer": "buffer", "square_avg": "square", "exp_avg": "mean", "exp_avg_sq": "square"}
ADAM: dict[str, Any] = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
Make = Callable[[list[Any]], Any]


def numbers(tensors: dict[str, Any]) -> Arrays:
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def states(optimiser: Any, tensors: dict[str, Any]) -> dict[str, Arrays]:
    found: dict[str, Arrays] = {}
    for name, tensor in tensors.items():
        for key, value in optimiser.state.get(tensor, {}).items():
            if key in STATES and value is not None:
                found.setdefault(STATES[key], {})[name] = value.numpy().copy()
    return found


def watched(
    make: Make,
    steps: int,
    dtype: Dtype,
    *,
    clip: Callable[[list[Any]], Any] | None = None,
    scheduler: Callable[[Any], Any] | None = None,
    read: bool = True,
    spread: float = 4.0,
    seed: int = 0,
) -> Trajectory:
    """Steps of a torch optimiser on random gradients of many magnitudes, now and then 0."""
    rng = np.random.default_rng(seed)
    tensors = {
        name: torch.tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for name, shape in SHAPES.items()
    }
    optimiser = make(list(tensors.values()))
    schedule = scheduler(optimiser) if scheduler else None
    parameters, given, seen = [numbers(tensors)], [], [states(optimiser, tensors)]
    for step in range(steps):
        size = 0.0 if step % 7 == 3 else 10 ** rng.uniform(-spread, spread)
        gradients = {name: (size * rng.normal(size=shape)).astype(dtype) for name, shape in SHAPES.items()}
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(gradients[name])
        if clip:
            clip(list(tensors.values()))
        optimiser.step()
        if schedule:
            schedule.step()
        given.append(gradients)
        parameters.append(numbers(tensors))
        seen.append(states(optimiser, tensors))
    return Trajectory(parameters, given, seen if read else (), dtype=dtype)


def clip_norm(tensors: list[Any]) -> None:
    torch.nn.utils.clip_grad_norm_(tensors, 1.5)


def clip_value(tensors: list[Any]) -> None:
    torch.nn.utils.clip_grad_value_(tensors, 0.1)


SGD = torch.optim.SGD
EXPONENTIAL = Schedule("exponential", gamma=0.9)
COSINE = Schedule("cosine", end=0.125, period=16)
L2 = WeightDecay("l2", 0.3)
CASES: dict[str, tuple[Optimiser, Make, dict[str, Any]]] = {
    "SGD": (Optimiser("sgd", 0.1), lambda p: SGD(p, 0.1), {}),
    "SGD decay": (Optimiser("sgd", 0.1, decay=L2), lambda p: SGD(p, 0.1, weight_decay=0.3), {}),
    "SGD momentum": (Optimiser("momentum_torch", 0.1, momentum=0.9), lambda p: SGD(p, 0.1, momentum=0.9), {}),
    "SGD dampening": (
        Optimiser("momentum_torch", 0.1, momentum=0.9, dampening=0.4, decay=L2),
        lambda p: SGD(p, 0.1, momentum=0.9, dampening=0.4, weight_decay=0.3),
        {},
    ),
    "SGD Nesterov": (
        Optimiser("nesterov_torch", 0.1, momentum=0.9),
        lambda p: SGD(p, 0.1, momentum=0.9, nesterov=True),
        {},
    ),
    "SGD foreach": (
        Optimiser("nesterov_torch", 0.1, momentum=0.9),
        lambda p: SGD(p, 0.1, momentum=0.9, nesterov=True, foreach=True),
        {},
    ),
    "SGD fused": (
        Optimiser("momentum_torch", 0.1, momentum=0.9, decay=L2),
        lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=0.3, fused=True),
        {},
    ),
    "SGD exponential": (
        Optimiser("momentum_torch", 0.1, momentum=0.9, schedule=EXPONENTIAL),
        lambda p: SGD(p, 0.1, momentum=0.9),
        {"scheduler": lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)},
    ),
    "SGD clipped by norm": (
        Optimiser("sgd", 0.1, decay=L2, clipping=Clipping("norm", 1.5, 1e-6)),
        lambda p: SGD(p, 0.1, weight_decay=0.3),
        {"clip": clip_norm},
    ),
    "SGD clipped by value": (
        Optimiser("sgd", 0.1, decay=L2, clipping=Clipping("value", 0.1)),
        lambda p: SGD(p, 0.1, weight_decay=0.3),
        {"clip": clip_value},
    ),
    "RMSprop": (
        Optimiser("rmsprop", 0.01, rho=0.99, epsilon=1e-8, decay=L2),
        lambda p: torch.optim.RMSprop(p, 0.01, weight_decay=0.3),
        {},
    ),
    "Adam": (
        Optimiser("adam", 0.01, decay=L2, **ADAM),
        lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.3),
        {},
    ),
    "Adam cosine": (
        Optimiser("adam", 0.01, schedule=COSINE, **ADAM),
        lambda p: torch.optim.Adam(p, 0.01),
        {"scheduler": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 16, 0.00125)},
    ),
    "AdamW": (
        Optimiser("adam", 0.01, decay=replace(L2, place="decoupled"), **ADAM),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.3),
        {},
    ),
    "AdamW fused": (
        Optimiser("adam", 0.01, decay=replace(L2, place="decoupled"), **ADAM),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.3, fused=True),
        {},
    ),
}


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_torch_is_never_accused(name: str, dtype: Dtype, read: bool) -> None:
    optimiser, make, options = CASES[name]
    found = judge_trajectory(optimiser, watched(make, 12, dtype, read=read, **options))
    assert (found.verdict, found.steps) == (Verdict.CORRECT, 12), found.first


DECOUPLED = replace(L2, place="decoupled")
COINCIDE: dict[str, set[Optimiser]] = {
    # For SGD decoupled decay is decay.
    "SGD decay": {Optimiser("sgd", 0.1, decay=DECOUPLED)},
    "SGD clipped by value": {Optimiser("sgd", 0.1, decay=DECOUPLED, clipping=Clipping("value", 0.1))},
    # Norms that are clipped are above the limit by more than ε, where both forms are one.
    "SGD clipped by norm": {
        Optimiser("sgd", 0.1, decay=decay, clipping=clipping)
        for decay in (L2, DECOUPLED)
        for clipping in (Clipping("norm", 1.5, 1e-6), Clipping("norm_if_above", 1.5, 1e-6))
    },
    # Without dampening, at a constant rate.
    "SGD momentum": {Optimiser(variant, 0.1, momentum=0.9) for variant in ("momentum", "momentum_dampened")},
    "SGD fused": {Optimiser(variant, 0.1, momentum=0.9, decay=L2) for variant in ("momentum", "momentum_dampened")},
    "SGD Nesterov": {Optimiser("nesterov", 0.1, momentum=0.9)},
    "SGD foreach": {Optimiser("nesterov", 0.1, momentum=0.9)},
    "SGD exponential": {Optimiser("momentum_dampened", 0.1, momentum=0.9, schedule=EXPONENTIAL)},
}
"""What is the same in other words on such trajectories."""


@pytest.mark.parametrize("name", CASES)
def test_torch_is_named_for_what_it_is(name: str) -> None:
    optimiser, make, options = CASES[name]
    fit = which_variant(optimiser, watched(make, 5, "float64", spread=1.5, seed=3, **options))
    assert fit.consistent[0] == optimiser
    assert set(fit.consistent[1:]) == COINCIDE.get(name, set()) - {optimiser}, str(fit)


def test_long_trajectories_are_never_accused() -> None:
    for name in ("SGD dampening", "RMSprop", "AdamW"):
        optimiser, make, options = CASES[name]
        for dtype in DTYPES:
            found = judge_trajectory(optimiser, watched(make, 100, dtype, seed=9, read=False, **options))
            assert (found.verdict, found.steps) == (Verdict.CORRECT, 100), found.first


def test_another_beta_is_wrong_from_the_first_step() -> None:
    optimiser, make, _ = CASES["Adam"]
    found = judge_trajectory(replace(optimiser, beta2=0.99), watched(make, 3, "float32"))
    assert {one.step for one in found.findings} == {1, 2, 3}

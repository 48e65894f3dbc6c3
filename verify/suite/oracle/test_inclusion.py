"""Enclosures contain what a second source computes, through differences at hundreds of digits, on any network."""

from __future__ import annotations

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
from flint import arb
from hypothesis import assume, given
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.layers import Activation, Branches, Dense, Layer, Maxout, Residual
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from gradproof.vocabulary import ACTIVATIONS, LOSSES, REDUCTIONS
from refimpl.balls import precision
from refimpl.enclosure import Enclosure, enclosure
from verify.strategies import cases, seeded_case
from verify.suite.oracle import plain
from verify.suite.oracle.inclusion import WORKING_BITS, compared


def assert_contains(enclosed: Enclosure, seed: int) -> None:
    """Loss, outputs, and the derivative along a random direction in each leaf lie in their balls, which are narrow."""
    comparison = compared(enclosed, seed)
    assert not comparison.unsure, "the second source is no better than the first"
    assert (comparison.misses, comparison.wide) == ((), ())


@given(case=cases(depth=(1, 3), width=(1, 3), batch=(1, 3)), seed=st.integers(0, 2**16))
def test_enclosures_contain_what_differences_at_hundreds_of_digits_give(case: Case, seed: int) -> None:
    enclosed = enclosure(case)
    assume(not enclosed.met_kinks)
    assert_contains(enclosed, seed)


def activated(name: str) -> Activation:
    return Activation(name, 0.3 if ACTIVATIONS[name].parameter else None)


def dense(*layers: Layer) -> tuple[Layer, ...]:
    return (Dense(3), *layers, Dense(2))


STRUCTURES = {
    "residual": dense(Residual((Dense(3), Activation("tanh")))),
    "residual of nothing but its input": (Residual((Activation("identity"),)), Dense(2)),
    "identity first": (Activation("identity"), Dense(2)),
    "softmax first": (Activation("softmax"), Dense(2)),
    "concatenated branches": dense(
        Branches(((Dense(2), Activation("sigmoid")), (Activation("identity"),), (Dense(1),)), "concat")
    ),
    "summed branches": dense(Branches(((Dense(3, bias=False), Activation("tanh")), (Activation("softplus"),)), "sum")),
    "a merge first and last": (Branches(((Dense(2),), (Activation("tanh"),)), "concat"),),
    "one branch": (Branches(((Activation("identity"),),), "concat"), Dense(2)),
    "maxout": (Dense(6), Maxout(3), Dense(2), Maxout(2)),
    "nested": dense(Residual((Branches(((Dense(2),), (Residual((Activation("tanh"),)), Dense(1))), "concat"),))),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_is_enclosed(structure: str) -> None:
    network = Network((3,), STRUCTURES[structure], Loss("squared_error", "sum"))
    assert_contains(enclosure(seeded_case(network, 2, seed=1)), seed=1)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_enclosed(name: str) -> None:
    network = Network((2,), (Dense(3), activated(name), Dense(2)))
    assert_contains(enclosure(seeded_case(network, 2, seed=2)), seed=2)


@pytest.mark.parametrize("targets", ["hard", "soft"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_enclosed(name: str, reduction: str, targets: str) -> None:
    word = LOSSES[name]
    loss = Loss.parse(f"{name}/{reduction}" + ("" if word.targets == "real" else f"/{targets}"))
    last = "identity" if word.domain[0] < -1 else "softmax" if word.categorical else "sigmoid"
    case = seeded_case(Network((2,), (Dense(3), Activation(last)), loss), 2, seed=3, sample_weights=targets == "soft")
    assert_contains(enclosure(case), seed=3)


@pytest.mark.parametrize("guard", ["add=0.001", "add=1e-07", "clip=0.125", "clip=1e-07"])
@pytest.mark.parametrize("name", ["binary_cross_entropy", "categorical_cross_entropy"])
def test_every_guard_is_enclosed(name: str, guard: str) -> None:
    network = Network((2,), (Dense(3), Activation("softmax")), Loss.parse(f"{name}/batch_mean/soft/{guard}"))
    assert_contains(enclosure(seeded_case(network, 4, seed=3, sample_weights=True)), seed=3)


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_every_penalty_is_enclosed(kind: str, half: bool, biases: bool) -> None:
    layers = (Dense(2), Activation("tanh"), Dense(2), Activation("tanh"), Dense(1))
    network = Network(
        (2,),
        layers,
        Loss("half_squared_error", "batch_mean"),
        Penalty(kind, 0.3, half, biases),  # type: ignore[arg-type]
        shared=(("2.weight", "0.weight"), ("2.bias", "0.bias")),
        frozen=("4.weight",),
    )
    enclosed = enclosure(seeded_case(network, 3, seed=4))
    assert enclosed.names() == ("loss", "outputs", "0.weight", "0.bias", "4.bias", "inputs")
    assert_contains(enclosed, seed=4)


def one_sided(case: Case, name: str) -> list[object]:
    """The derivatives to the right and to the left along the only entry of a leaf."""
    with mpmath.workdps(plain.DIGITS):
        return [
            plain.to_ball(*plain.slope(case, name, plain.to_mp(np.ones(case.parameters[name].shape)), side))
            for side in (1, -1)
        ]


@pytest.mark.parametrize(
    ("activation", "ends"),
    [
        (Activation("relu"), (0, -2)),
        (Activation("leaky_relu", 0.25), (-0.5, -2)),
        (Activation("leaky_relu", -1.0), (2, -2)),
        (Activation("leaky_relu", 3.0), (-6, -2)),
    ],
)
def test_a_kink_gives_the_interval_between_the_one_sided_derivatives(
    activation: Activation, ends: tuple[float, float]
) -> None:
    network = Network((1,), (Dense(1), activation), Loss("squared_error", "sum"))
    case = Case(network, {"0.weight": [[1.0]], "0.bias": [-1.0]}, [[1.0]], targets=[[1.0]])
    enclosed = enclosure(case)
    for name in ("0.weight", "0.bias"):
        assert bool(enclosed.kinks(name).all())
        ball = enclosed.balls(name).flat[0]
        with precision(WORKING_BITS):
            assert all(ball.overlaps(side) for side in one_sided(case, name))
            assert all(ball.contains(arb(end)) for end in ends)
            # The radius of a ball has 30 bits: that much, and no more, is added to the interval.
            assert not ball.contains(arb(max(ends) + 1e-6)), ball
            assert not ball.contains(arb(min(ends) - 1e-6)), ball

"""Gradients of the fast implementation against the certified reference, over all that a network can express."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import fastimpl
from fastimpl.kernels.losses import LOSS_KERNELS
from fastimpl.kernels.rows import FEW
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Branches, Dense, Layer, Maxout, Residual
from gradproof.loss import Loss, Penalty
from gradproof.network import Network, dense_chain
from gradproof.optimiser import Optimiser
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, REDUCTIONS, Dtype, Reduction, TargetKind
from refimpl.enclosure import enclosure
from verify.judge import judge
from verify.strategies import cases, large_cases, seeded_case

SIGMOID, SOFTMAX, TANH, RELU = (Activation(name) for name in ("sigmoid", "softmax", "tanh", "relu"))
IDENTITY = Activation("identity")
GUARD = 64
"""Numbers on either side of a buffer that must stay as they are."""


def demand_correct(case: Case) -> None:
    verdict = judge(case, fastimpl.gradients(case))
    assert verdict.verdict is Verdict.CORRECT, (case, verdict.findings)


def refuse_wrong(case: Case) -> None:
    """For extreme numbers, where the bound on careful arithmetic may be infinite: undecided is admitted too."""
    verdict = judge(case, fastimpl.gradients(case))
    assert verdict.verdict in (Verdict.CORRECT, Verdict.UNDECIDED), (case, verdict.findings)


@settings(max_examples=120)
@given(cases())
def test_every_quantity_of_any_case_is_correct(case: Case) -> None:
    demand_correct(case)


@settings(max_examples=60)
@given(cases(extremes=True))
def test_saturated_and_vanishing_numbers_are_correct_too(case: Case) -> None:
    refuse_wrong(case)


@settings(max_examples=12)
@given(large_cases(depth=(1, 3), width=(8, 40), batch=(8, 40)))
def test_sizes_that_mix_loops_and_blas_are_correct(case: Case) -> None:
    demand_correct(case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "source"), [(name, source) for name in LOSS_KERNELS for source in LOSS_KERNELS[name]])
def test_each_loss_by_each_way_it_is_computed(name: str, source: str, reduction: Reduction, dtype: Dtype) -> None:
    layers: tuple[Layer, ...] = (Dense(3), Activation(source)) if source else (Dense(3),)
    kinds: tuple[TargetKind, ...] = ("real",) if "squared" in name else ("hard", "soft", "free")
    for kind in kinds:
        network = Network((2,), layers, Loss(name, reduction, kind))
        demand_correct(seeded_case(network, 4, seed=5, dtype=dtype, sample_weights=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("batch", "classes", "power"),
    [(1, 2, 0), (7, 5, 2), (67, 3, 0), (33, 10, 4), (67, 33, 0), (19, FEW, 3), (3, FEW + 1, 3)],
)
def test_categorical_losses_of_few_and_of_many_classes(batch: int, classes: int, power: int, dtype: Dtype) -> None:
    """Rows that are worked on together, more than are at a time, and each by itself; gradients that are added."""
    twice = Branches(((SOFTMAX,), (SOFTMAX,)), "concat")
    layers: tuple[tuple[Layer, ...], Loss] = ((Dense(classes),), Loss("categorical_cross_entropy_with_logits", "sum"))
    added: tuple[tuple[Layer, ...], Loss] = (
        (Dense(classes), twice),
        Loss("categorical_cross_entropy", "batch_mean", "free"),
    )
    for stack, loss in (layers, added):
        case = seeded_case(Network((2,), stack, loss), batch, seed=3, dtype=dtype, sample_weights=True)
        demand_correct(case.replace(parameters={name: np.ldexp(p, power) for name, p in case.parameters.items()}))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("guard", ["add=0.001", "add=1e-07", "clip=0.125", "clip=1e-07"])
@pytest.mark.parametrize("name", ["binary_cross_entropy", "categorical_cross_entropy"])
def test_each_guarded_loss_is_correct(name: str, guard: str, dtype: Dtype) -> None:
    for source, power in ((SIGMOID, 0), (SOFTMAX, 0), (SIGMOID, 5), (SOFTMAX, 5)):
        for kind in ("hard", "free"):
            network = Network((2,), (Dense(3), source), Loss.parse(f"{name}/sum/{kind}/{guard}"))
            case = seeded_case(network, 4, seed=5, dtype=dtype, sample_weights=True)
            large = {parameter: np.ldexp(array, power) for parameter, array in case.parameters.items()}
            # In float32 an eps of 1e-7 is lost beside 1: nothing bounds what is left of a saturated probability.
            lost = power and guard.endswith("1e-07") and dtype == "float32"
            (refuse_wrong if lost else demand_correct)(case.replace(parameters=large))


ODD_NETWORKS = {
    "softmax over two axes": Network((2, 3), (SOFTMAX,), Loss("categorical_cross_entropy", "element_mean", "soft")),
    "activations over two axes": Network((2, 3), (TANH, SOFTMAX, RELU)),
    "softmax under tanh": Network((3,), (Dense(3), SOFTMAX, TANH), Loss("squared_error", "sum")),
    "softmax read twice": Network((3,), (Dense(3), SOFTMAX, Residual((Dense(3), SIGMOID)))),
    "maxout over two axes, read twice": Network(
        (2, 4), (Branches(((Maxout(2),), (Maxout(2), TANH)), "concat"), Maxout(4))
    ),
    "maxout of one piece and of all": Network((3,), (Dense(4), Maxout(1), Maxout(4)), Loss("squared_error", "sum")),
    "nothing but an activation": Network((3,), (SIGMOID,), Loss("binary_cross_entropy", "sum", "soft")),
    "identity alone": Network((3,), (IDENTITY,), Loss("half_squared_error", "batch_mean")),
    "residual of itself": Network((3,), (Residual((IDENTITY,)), TANH)),
    "residual of the inputs": Network((3,), (Residual((SIGMOID, TANH)),), Loss("squared_error", "sum")),
    "nested residuals": Network((2,), (Residual((Residual((Dense(2), RELU)), TANH)), Dense(1))),
    "probabilities of two kinds": Network(
        (3,),
        (Dense(2), Branches(((SIGMOID,), (SOFTMAX,), (Dense(3), SOFTMAX)), "concat")),
        Loss("binary_cross_entropy", "batch_mean", "soft"),
    ),
    "probabilities of two kinds, free targets": Network(
        (3,),
        (Dense(2), Branches(((SIGMOID,), (Dense(3), SOFTMAX)), "concat")),
        Loss("categorical_cross_entropy", "sum", "free"),
    ),
    "the same probabilities twice": Network(
        (2,),
        (Dense(2), SIGMOID, Branches(((IDENTITY,), (IDENTITY,), (Dense(1), SIGMOID)), "concat")),
        Loss("binary_cross_entropy", "sum", "soft"),
    ),
    "one branch alone": Network((2,), (Branches(((Dense(2), SOFTMAX),), "sum"), Dense(1))),
    "three that share": Network(
        (2,),
        (Dense(2), TANH, Dense(2), TANH, Dense(2)),
        Loss("half_squared_error", "sum"),
        Penalty("l1", 0.5, False, True),
        (("2.weight", "0.weight"), ("4.weight", "0.weight"), ("4.bias", "2.bias")),
    ),
    "frozen in the middle": Network(
        (2,),
        (Dense(3), TANH, Dense(3), TANH, Dense(1)),
        Loss("half_squared_error", "sum"),
        Penalty("l2", 0.5, False, True),
        (),
        ("2.weight", "2.bias", "4.bias"),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ODD_NETWORKS)
def test_networks_that_are_seldom_drawn(name: str, dtype: Dtype) -> None:
    network = ODD_NETWORKS[name]
    generator = np.random.default_rng(7)
    goal = generator.dirichlet(np.ones(network.output_shape[-1]), (3, *network.output_shape[:-1]))
    demand_correct(
        Case(
            network,
            {name: generator.normal(size=shape) for name, shape in network.parameter_shapes.items()},
            generator.normal(size=(3, *network.input_shape)),
            targets=goal if network.loss is not None else None,
            upstream=generator.normal(size=goal.shape) if network.loss is None else None,
            sample_weights=generator.uniform(0.5, 2.0, size=3) if network.loss is not None else None,
            dtype=dtype,
        )
    )


@pytest.mark.parametrize("z", [0.25, 20.0, 40.0, 300.0])
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus"])
def test_derivatives_keep_their_digits_where_units_saturate(name: str, z: float) -> None:
    case = Case(Network((2,), (Activation(name),)), {}, [[z, -z]], upstream=[[1.0, 1.0]])
    got = np.asarray(fastimpl.gradients(case).inputs)
    exact = enclosure(case).nearest("inputs")
    # 4 e r r with r = 1 / (1 + e): e is off by 2 roundings at most, each r by 2 (the sum, the quotient) and by what
    # e brings, and there are two products that round: 2 + 2 (2 + 2) + 2 = 12 halves of eps at most.
    assert np.all(np.abs(got - exact) <= 6 * np.finfo(np.float64).eps * np.abs(exact)), (got, exact)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_saturated_probability_loses_neither_loss_nor_gradient(dtype: Dtype) -> None:
    for activation, loss in ((SIGMOID, "binary_cross_entropy"), (SOFTMAX, "binary_cross_entropy")):
        network = Network((2,), (activation,), Loss(loss, "sum", "soft"))
        case = Case(network, {}, [[800.0, -800.0]], targets=[[0.0, 1.0]], dtype=dtype)
        refuse_wrong(case)
        assert np.isfinite(fastimpl.loss(case))


def test_kinks_follow_one_convention() -> None:
    for name, parameter, at, slope in (
        ("relu", None, 0.0, 0.0),
        ("leaky_relu", 0.25, 0.0, 0.25),
        ("elu", 0.25, 0.0, 0.25),
        ("hard_tanh", None, -1.0, 0.0),
        ("hard_tanh", None, 1.0, 0.0),
    ):
        case = Case(Network((1,), (Activation(name, parameter),)), {}, [[at]], upstream=[[1.0]])
        assert np.asarray(fastimpl.gradients(case).inputs).item() == slope, name
    case = Case(Network((6,), (Maxout(3),)), {}, [[1.0, 2.0, 2.0, 3.0, 3.0, 3.0]], upstream=[[5.0, 7.0]])
    assert np.asarray(fastimpl.gradients(case).inputs).tolist() == [[0.0, 5.0, 0.0, 7.0, 0.0, 0.0]]
    network = Network((1,), (Dense(1, False),), Loss("half_squared_error", "sum"), Penalty("l1", 1.0, False, False))
    case = Case(network, {"0.weight": [[0.0]]}, [[0.0]], targets=[[0.0]])
    assert np.asarray(fastimpl.gradients(case).parameters["0.weight"]).item() == 0.0


@settings(max_examples=60)
@given(cases())
def test_outputs_and_loss_are_those_of_the_gradients(case: Case) -> None:
    case = case.replace(masks={})
    answer = fastimpl.gradients(case)
    outputs = fastimpl.predict(case.network, case.parameters, case.inputs, dtype=case.dtype)
    assert outputs.dtype == case.dtype
    np.testing.assert_array_equal(outputs, np.asarray(answer.outputs), strict=True)
    assert fastimpl.loss(case) == answer.loss
    assert set(answer.parameters) == set(case.network.trainable)
    for array in (*answer.parameters.values(), answer.outputs, answer.inputs, answer.loss):
        assert np.asarray(array).dtype == case.dtype


@settings(max_examples=60)
@given(cases())
def test_kernels_write_nowhere_but_into_their_buffers(case: Case) -> None:
    guarded: list[np.ndarray] = []

    def with_guards(size: int, dtype: Dtype) -> np.ndarray:
        guarded.append(np.full(size + 2 * GUARD, 77.0, dtype=dtype))
        inside = guarded[-1][GUARD : GUARD + size]
        inside[...] = 0.0
        return inside

    with pytest.MonkeyPatch.context() as patch:
        for module in ("buffers", "program"):
            patch.setattr(f"fastimpl.{module}.aligned_zeros", with_guards)
        fastimpl.gradients(case)
        fastimpl.predict(case.network, case.parameters, case.inputs, dtype=case.dtype)
        if case.network.loss is not None:
            fastimpl.train(
                case.network,
                case.parameters,
                case.inputs,
                np.asarray(case.targets),
                optimiser=Optimiser("sgd", 0.1),
                epochs=2,
                batch_size=2,
                sample_weights=case.sample_weights,
                dtype=case.dtype,
            )
    for array in guarded:
        assert np.all(array[:GUARD] == 77.0)
        assert np.all(array[-GUARD:] == 77.0)


def test_predict_runs_any_number_of_samples() -> None:
    network = Network((2,), dense_chain((2, 3, 1), (TANH, IDENTITY)))
    parameters = {name: np.full(shape, 0.5) for name, shape in network.parameter_shapes.items()}
    inputs = np.random.default_rng(0).normal(size=(2500, 2))
    outputs = fastimpl.predict(network, parameters, inputs)
    for start in (0, 1000, 2499):
        one = fastimpl.predict(network, parameters, inputs[start : start + 1])
        np.testing.assert_array_equal(outputs[start], one[0])
    assert fastimpl.predict(network, parameters, np.zeros((0, 2))).shape == (0, 1)


@pytest.mark.parametrize(
    ("parameters", "inputs", "dtype", "named"),
    [
        ({}, [[1.0]], "float64", "parameters"),
        ({"0.weight": [[1.0]], "0.bias": [0.0], "1.bias": [0.0]}, [[1.0]], "float64", "parameters"),
        ({"0.weight": [[1.0, 2.0]], "0.bias": [0.0]}, [[1.0]], "float64", "parameters['0.weight']"),
        ({"0.weight": [[1.0]], "0.bias": [0.0]}, [[1.0, 2.0]], "float64", "inputs"),
        ({"0.weight": [[1.0]], "0.bias": [0.0]}, [[np.nan]], "float64", "inputs"),
        ({"0.weight": [[1e300]], "0.bias": [0.0]}, [[1.0]], "float32", "parameters['0.weight']"),
        ({"0.weight": [[1.0]], "0.bias": [0.0]}, [[1.0]], "float16", "dtype"),
    ],
)
def test_predict_refuses_what_does_not_fit(parameters: object, inputs: object, dtype: object, named: str) -> None:
    network = Network((1,), (Dense(1),))
    with pytest.raises(ArgumentError) as caught:
        fastimpl.predict(network, parameters, inputs, dtype=dtype)  # type: ignore[arg-type]
    assert caught.value.argument.startswith(named)

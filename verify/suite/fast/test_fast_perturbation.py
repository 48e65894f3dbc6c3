"""Losses at perturbed entries: each is one that careful arithmetic gives there, as if all had been computed again."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastimpl
from fastimpl.kernels.activations import tanh
from fastimpl.kernels.dense import dense
from fastimpl.kernels.losses import half_squared_error
from fastimpl.kernels.perturbations import assign, put_column, with_bias, with_feature, with_weight
from fastimpl.perturbation import Losses
from fastimpl.plan import plan
from fastimpl.routes import RouteTable, routes_of
from gradproof import (
    Activation,
    ArgumentError,
    Branches,
    Case,
    Dense,
    Dropout,
    Loss,
    Maxout,
    Network,
    Penalty,
    Residual,
)
from gradproof.gradients import INPUTS, LOSS
from refimpl.enclosure import enclosure
from refimpl.neighbourhood import loss_allowance
from verify.strategies import cases, seeded_case

TANH, RELU, SOFTMAX = Activation("tanh"), Activation("relu"), Activation("softmax")
SQUARED = Loss("half_squared_error", "batch_mean")
LASSO = Penalty("l1", 0.25, half=False, biases=False)

NETWORKS: Final[dict[str, Network]] = {
    "stack": Network((3,), (Dense(4), TANH, Dense(3), TANH, Dense(2)), SQUARED),
    "without activations": Network((3,), (Dense(4), Dense(3, bias=False), Dense(2)), SQUARED),
    "two activations in a row": Network((3,), (Dense(4), TANH, Activation("sigmoid"), Dense(2)), SQUARED),
    "loss of probabilities": Network(
        (3,), (Dense(4), TANH, Dense(3), SOFTMAX), Loss("categorical_cross_entropy", "sum")
    ),
    "softmax within": Network((3,), (Dense(4), SOFTMAX, Dense(2), RELU), SQUARED),
    "maxout": Network((3,), (Dense(6), Maxout(3), Dense(4), Maxout(2)), SQUARED),
    "residual": Network((3,), (Dense(4), Residual((Dense(4), TANH, Dense(4))), TANH, Dense(2)), SQUARED),
    "residual on itself": Network((3,), (Dense(4), Residual((Activation("identity"),)), Dense(2)), SQUARED),
    "sum": Network((3,), (Dense(4), Branches(((Dense(2), TANH), (RELU, Dense(2))), "sum"), Dense(2)), SQUARED),
    "concatenation": Network((3,), (Branches(((Dense(2), TANH), (Dense(3),), (RELU,)), "concat"), Dense(2)), SQUARED),
    "branches within": Network(
        (3,),
        (Branches(((Branches(((Dense(2),), (Dense(2), TANH)), "sum"),), (Dense(2), TANH)), "sum"), Dense(2)),
        SQUARED,
    ),
    "shared": Network((3,), (Dense(3), TANH, Dense(3), TANH), SQUARED, shared=(("2.weight", "0.weight"),)),
    "bias shared": Network((3,), (Dense(3), TANH, Dense(3), TANH), SQUARED, shared=(("2.bias", "0.bias"),)),
    "penalty": Network((3,), (Dense(4), TANH, Dense(2)), SQUARED, LASSO, frozen=("0.bias",)),
    "frozen and penalised": Network(
        (3,), (Dense(4), TANH, Dense(2)), SQUARED, Penalty("l2", 0.5, half=True, biases=True), frozen=("0.weight",)
    ),
    "dropout": Network((3,), (Dropout(0.25), Dense(4), TANH, Dropout(0.5), Dense(4), Dropout(0.25)), SQUARED),
    "upstream": Network((3,), (Dense(4), TANH, Dense(2))),
    "guarded": Network(
        (3,), (Dense(4), Activation("sigmoid")), Loss("binary_cross_entropy", "element_mean", eps=1e-3, guard="add")
    ),
    "no parameters": Network((3,), (TANH, Activation("sigmoid")), SQUARED),
    "several axes": Network((2, 3), (TANH, SOFTMAX), SQUARED),
}


MASKS: Final = {path: np.arange(12).reshape(3, 4) % 5 != 1 for path in ("3", "5")} | {
    "0": np.array([[True, True, False], [True, False, True], [True, True, True]])
}


def at(case: Case, name: str) -> Any:
    return case.inputs if name == INPUTS else case.parameters[name]


def with_entry(case: Case, name: str, entry: int, value: float) -> Case:
    array = at(case, name).copy()
    array.flat[entry] = value
    if name == INPUTS:
        return case.replace(inputs=array)
    return case.replace(parameters={**case.parameters, name: array})


def assert_as_careful(case: Case, loss: float) -> None:
    """Two losses that careful arithmetic may give are both as close to the exact one as its allowance."""
    allowed = loss_allowance(case)
    if np.isfinite(allowed):
        assert abs(loss - fastimpl.loss(case)) <= 2 * allowed


@settings(max_examples=40)
@given(cases(), st.data())
def test_each_loss_is_one_that_careful_arithmetic_gives(case: Case, data: st.DataObject) -> None:
    losses = Losses(case)
    names = data.draw(st.permutations((*case.parameters, INPUTS)), label="names")
    for name in names[:2]:
        here = at(case, name)
        entries = data.draw(st.lists(st.integers(0, here.size - 1), min_size=1, max_size=3), label="entries")
        steps = data.draw(st.sampled_from([(2.0**-12, -(2.0**-12)), (0.25, 0.0, -1.0)]), label="steps")
        values = (here.reshape(-1)[entries][:, None] + np.array(steps)).astype(case.dtype)
        found = losses.replacing(name, entries, values)
        number = data.draw(st.integers(0, len(entries) - 1), label="which")
        for loss, value in zip(found[number], values[number], strict=True):
            assert_as_careful(with_entry(case, name, entries[number], value), loss)
    assert losses.at(case.parameters, case.inputs) == losses.loss
    exact = enclosure(case)
    assert exact.distance(LOSS, losses.loss) <= loss_allowance(case)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_every_entry_of_every_kind_of_network(kind: str, dtype: Any) -> None:
    case = seeded_case(NETWORKS[kind], 3, seed=2).replace(dtype=dtype)
    if case.network.loss is not None:
        case = case.replace(sample_weights=[0.5, 2.0, 1.25])
    if kind == "dropout":
        case = case.replace(masks=MASKS)
    losses = Losses(case)
    for name in (*case.parameters, INPUTS):
        here = at(case, name).reshape(-1)
        values = np.stack([here + 2.0**-5, here - 2.0**-5], axis=1).astype(dtype)
        found = losses.replacing(name, np.arange(here.size), values)
        moved = [[with_entry(case, name, entry, value) for value in row] for entry, row in enumerate(values)]
        plain = np.array([[fastimpl.loss(one) for one in row] for row in moved])
        allowed = 2 * loss_allowance(case, {name: 2.0**-4})
        assert np.abs(found - plain).max() <= allowed
        assert np.abs(found - losses.loss).max() > 2 * allowed, "the entries make no difference"


def test_only_what_changes_is_computed_again() -> None:
    stack = routes_of(NETWORKS["stack"])

    shared = routes_of(NETWORKS["shared"])

    def for_each_value(table: RouteTable, name: str) -> list[Any]:
        _, _, first, stop, _, again = table.routes[name].rows
        rows = (*table.plan.rows[first:stop], *table.plan.rows[again : table.plan.stop])
        return [row.forward for row in rows]

    assert for_each_value(stack, "0.weight") == [
        assign,
        with_weight,
        tanh,
        with_feature,
        tanh,
        dense,
        half_squared_error,
    ]
    assert for_each_value(stack, "2.bias") == [assign, with_bias, tanh, with_feature, half_squared_error]
    assert for_each_value(stack, "4.weight") == [assign, with_weight, put_column, half_squared_error]
    assert for_each_value(shared, "0.weight") == [assign, dense, tanh, dense, tanh, half_squared_error]
    assert for_each_value(shared, "2.bias") == [assign, with_bias, tanh, put_column, half_squared_error]


@pytest.mark.parametrize("kind", NETWORKS)
def test_no_backward_kernel_takes_part(kind: str) -> None:
    backward = {row.backward for row in plan(NETWORKS[kind], "gradients").rows}
    for row in routes_of(NETWORKS[kind]).plan.rows:
        assert row.backward is None
        assert row.forward not in backward


@pytest.mark.parametrize("kind", ["stack", "sum", "shared", "penalty"])
def test_order_and_company_of_entries_change_no_bit(kind: str) -> None:
    case = seeded_case(NETWORKS[kind], 4, seed=3)
    for name in (*case.parameters, INPUTS):
        here = at(case, name).reshape(-1)
        values = np.stack([here + 0.125, here - 0.125, here], axis=1)
        losses = Losses(case)
        entries = np.arange(here.size)
        found = losses.replacing(name, entries, values)
        order = np.random.default_rng(0).permutation(entries)
        assert np.array_equal(losses.replacing(name, order, values[order]), found[order])
        one_by_one = [losses.replacing(name, [entry], values[[entry]])[0] for entry in entries]
        assert np.array_equal(one_by_one, found)
        twice = losses.replacing(name, [0, 0], values[[0, 0]])
        assert np.array_equal(twice, found[[0, 0]])


def test_losses_elsewhere_leave_nothing_behind() -> None:
    case = seeded_case(NETWORKS["residual"], 3, seed=4)
    losses = Losses(case)
    elsewhere = {name: array + 0.5 for name, array in case.parameters.items()}
    moved = losses.at(elsewhere, case.inputs + 1)
    assert moved == fastimpl.loss(case.replace(parameters=elsewhere, inputs=case.inputs + 1))
    assert losses.at(case.parameters, case.inputs) == losses.loss == fastimpl.loss(case)


def test_progress_is_told_up_to_the_end() -> None:
    case = seeded_case(NETWORKS["stack"], 3)
    told: list[int] = []
    for name in ("0.weight", INPUTS):
        told.clear()
        size = at(case, name).size
        Losses(case).replacing(name, np.arange(size), np.zeros((size, 2)), told.append)
        assert told == sorted(told)
        assert told[-1] == size


def test_numbers_that_overflow_are_told_as_such() -> None:
    case = seeded_case(NETWORKS["stack"], 2)
    found = Losses(case).replacing("4.bias", [0, 1], [[1e200], [0.0]])
    assert found[0, 0] == np.inf
    assert np.isfinite(found[1, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("1.weight", [0], [[0.0]]), "name: expected one of 0.weight, .*inputs, got 1.weight"),
        (("0.bias", [4], [[0.0]]), r"entries: expected indices of one axis in 0 … 3"),
        (("0.bias", [-1], [[0.0]]), "entries: expected"),
        (("0.bias", [[0]], [[0.0]]), "entries: expected"),
        (("0.bias", [0], [0.0]), r"values: expected shape \(1, values of each\), got shape \(1,\)"),
        (("0.bias", [0, 1], [[0.0]]), r"values: expected shape \(2, "),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Losses(seeded_case(NETWORKS["stack"], 2)).replacing(*arguments)


def test_bad_points_are_refused() -> None:
    case = seeded_case(NETWORKS["stack"], 2)
    losses = Losses(case)
    with pytest.raises(ArgumentError, match=r"inputs: expected shape \(2, 3\), got shape \(1, 3\)"):
        losses.at(case.parameters, case.inputs[:1])
    for names in ({}, {**case.parameters, "9.weight": np.zeros(1)}):
        with pytest.raises(ArgumentError, match="parameters: expected names"):
            losses.at(names, case.inputs)
    assert losses.at(case.parameters, case.inputs) == losses.loss

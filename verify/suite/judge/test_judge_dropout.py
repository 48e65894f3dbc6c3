"""Targets with dropout: what they are given, what is said of a classic mistake, and how small the case shown is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import gradproof
from gradproof import Case, Supports, Verdict, check
from gradproof.layers import Dropout
from verify.calling import NoAnswer
from verify.loading import adopt
from verify.shrinking import simplify, size
from verify.strategies import cases, seeded_case
from verify.subjects.networks import SUBJECT

SUPPORTS = Supports(losses=("half_squared_error/sum",), depth=(1, 3), dropout=True)
Target = Callable[[Case], Any]


def target(fault: str | None) -> Target:
    @gradproof.target(losses="half_squared_error/sum", depth=(1, 3), dropout=True)
    def network(case: Case) -> Any:
        stack = case.stack
        xs: list[Any] = [case.inputs]
        slopes: list[Any] = []
        for w, b, mask, p in zip(stack.weights, stack.biases, stack.masks, stack.probabilities, strict=True):
            a = 1 / (1 + np.exp(-(xs[-1] @ w + b)))
            forwards: Any = 1 if mask is None else mask / (1 - p)
            backwards: Any = 1 / (1 - p) if fault == "mask missing" else forwards
            xs.append(a * forwards)
            slopes.append(a * (1 - a) * backwards)
        error = xs[-1] - np.asarray(case.targets)
        loss = (error**2).sum() / 2
        dw: list[Any] = []
        db: list[Any] = []
        for x, w, slope in zip(xs[-2::-1], stack.weights[::-1], slopes[::-1], strict=True):
            delta = error * slope
            dw.insert(0, x.T @ delta)
            db.insert(0, delta.sum(0))
            error = delta @ w.T
        return {"loss": loss, "outputs": xs[-1], "inputs": error, "parameters": stack.name(dw, db)}

    return network


@settings(max_examples=80)
@given(cases(SUPPORTS))
def test_where_dropout_is_declared_every_case_with_it_brings_masks(case: Case) -> None:
    assert set(case.masks) == set(case.network.dropouts)
    assert all(0 < site.layer.probability < 1 for site in case.network.sites if isinstance(site.layer, Dropout))
    assert case.stack.probabilities[-1] == 0, "hidden layers alone"


@settings(max_examples=40)
@given(cases(Supports(losses=("half_squared_error/sum",), depth=(1, 3))))
def test_where_it_is_not_declared_there_is_none(case: Case) -> None:
    assert not case.network.dropouts


def test_a_mask_left_out_is_named_and_shown_on_one_dropped_entry() -> None:
    record = check(target("mask missing"), profile="smoke")
    assert record.verdict is Verdict.WRONG
    (failure,) = record.failures
    (cause,) = failure.causes
    assert (cause.name, cause.kind) == ("mask missing", "mistake")
    shown = SUBJECT.from_data(failure.case)
    assert [mask.tolist() for mask in shown.masks.values()] == [[[False]]]
    assert len(shown.network.sites) == 5, "dense, sigmoid, dropout, dense, sigmoid"


@settings(max_examples=20)
@given(cases(SUPPORTS, depth=(2, 3), batch=(2, 3)))
def test_samples_take_their_rows_of_the_masks_along(case: Case) -> None:
    """Shrinking drops samples one by one, and then lets masks keep what it can."""
    smaller = simplify(case, SUPPORTS, lambda one: one.batch < case.batch and set(one.masks) == set(case.masks))
    assert smaller.batch == 1
    assert all(mask.shape[0] == 1 and mask.all() for mask in smaller.masks.values())
    assert size(smaller) < size(case)


def test_a_target_that_writes_to_its_mask_is_found_out() -> None:
    @gradproof.target(losses="half_squared_error/sum", depth=(2, 2), dropout=True)
    def writing(case: Case) -> Any:
        for mask in case.masks.values():
            mask.setflags(write=True)
            mask[...] = True
        return target(None)(case)

    answer = SUBJECT.call(adopt(writing), drawn(0))
    assert isinstance(answer, NoAnswer)
    assert "changes masks['2'] of the case" in answer.findings[0].message


def test_plain_adapters_are_given_masks_as_the_code_lays_its_batches_out() -> None:
    seen: list[tuple[Any, ...]] = []

    @gradproof.adapters.plain(
        losses="half_squared_error/sum", depth=(2, 2), dropout=True, weights="out_in", bias="column", samples="columns"
    )
    def columns(net: Any) -> Any:
        seen.append((net.case, net.masks, net.probabilities))
        raise KeyboardInterrupt  # nothing need be computed

    with pytest.raises(KeyboardInterrupt):
        columns(drawn(0))
    ((given_case, masks, probabilities),) = seen
    assert masks[1] is None
    assert masks[0].dtype == np.float64
    np.testing.assert_array_equal(masks[0].T, given_case.masks["2"])
    assert probabilities == [0.5, 0.0]


def drawn(seed: int) -> Case:
    layers = (gradproof.Dense(3), gradproof.Activation("sigmoid"), Dropout(0.5), gradproof.Dense(2))
    return seeded_case(gradproof.Network((2,), layers, gradproof.Loss("half_squared_error", "sum")), 3, seed=seed)

"""The oracle of operations: the same numbers as of networks, empty batches, sums in more digits, the second route."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.gradients import INPUTS, LOSS, OUTPUTS
from gradproof.layers import Activation, Dense, Residual
from gradproof.loss import Loss
from gradproof.operation_case import OperationCase
from gradproof.operations import Operation, OperationSupports
from gradproof.precisions import PRECISIONS, Precision
from refimpl.enclosure import enclosure
from refimpl.formats import FORMATS
from refimpl.operations import (
    by_probabilities,
    operation_allowance,
    operation_enclosure,
    operation_naive,
    operation_overflows,
    operation_witness,
)
from verify.drawing import Enough, survey
from verify.operations.causes import as_network
from verify.operations.shrinking import named, simplify, size
from verify.operations.strategies import operation_cases, possible_layouts

CHAINS: tuple[tuple[Any, ...], ...] = (
    ("softmax",),
    ("dense", "tanh"),
    ("dense(bias=False)", "softmax", "categorical_cross_entropy/batch_mean"),
    (Residual((Dense(2), Activation("sigmoid"))),),
)


def drawn(parts: tuple[Any, ...], **limits: Any) -> st.SearchStrategy[OperationCase]:
    fixed: dict[str, Any] = {"input_shape": (2,)} if isinstance(parts[0], Residual) else {}
    return operation_cases(OperationSupports(parts=parts, **{"sizes": (1, 4), **fixed, **limits}))


def some(parts: Any, count: int, **supports: Any) -> list[OperationCase]:
    found: list[OperationCase] = []
    survey(operation_cases(OperationSupports(parts=parts, **supports)), 0, count, found.append)
    return found


@pytest.mark.parametrize("parts", CHAINS)
@settings(max_examples=8)
@given(data=st.data())
def test_an_operation_is_a_network_without_the_rest(parts: Any, data: Any) -> None:
    case = data.draw(drawn(parts, batch=(1, 3)))
    network_case = as_network(case)
    assert network_case is not None
    ours, theirs = operation_enclosure(case), enclosure(network_case)
    for name in ours.names():
        there = case.operation.parameters.get(name, name)
        pairs = zip(ours.balls(name).reshape(-1), theirs.balls(there).reshape(-1), strict=True)
        assert all(a.overlaps(b) for a, b in pairs)


@pytest.mark.parametrize("parts", [("softmax",), ("dense", "relu"), ("squared_error/sum",)])
def test_of_no_sample_sums_are_nothing(parts: Any) -> None:
    (case,) = some(parts, 1, batch=(0, 0))
    enclosed = operation_enclosure(case)
    assert enclosed.shape(INPUTS) == case.inputs.shape
    for name in (LOSS, *case.parameters):
        assert np.all(enclosed.distance(name, np.zeros(enclosed.shape(name))) == 0)
        assert np.all(enclosed.distance(name, np.ones(enclosed.shape(name))) == 1)
    assert operation_witness(enclosed, case, {}) == ()


def test_the_mean_of_no_sample_is_not_asked_for() -> None:
    assert all(not case.empty for case in some(("squared_error/batch_mean",), 40))
    assert any(case.empty for case in some(("squared_error/sum",), 40))


@given(data=st.data())
@settings(max_examples=12)
def test_what_gradients_are_added_to_is_added(data: Any) -> None:
    case = data.draw(drawn(("dense",), batch=(1, 3), gradients="added"))
    added = operation_enclosure(case)
    alone = operation_enclosure(case.replace(gradients="returned", into={}, layouts={}))
    for name in (INPUTS, "weight", "bias"):
        difference = added.balls(name) - alone.balls(name)
        pairs = zip(difference.flat, case.into[name].flat, strict=True)
        assert all(ball.contains(float(x)) for ball, x in pairs)


@pytest.mark.parametrize("dtype", PRECISIONS)
@given(data=st.data())
@settings(max_examples=12)
def test_careful_arithmetic_stays_within_its_allowance(dtype: Any, data: Any) -> None:
    case = data.draw(drawn(("softmax",), dtypes=dtype, batch=(1, 3)))
    arguments = case.arguments()
    x, upstream = arguments.inputs, arguments.upstream
    assert upstream is not None
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    y = e / e.sum(axis=-1, keepdims=True)
    dx = y * (upstream - (upstream * y).sum(axis=-1, keepdims=True))
    enclosed = operation_enclosure(case)
    allowed = operation_allowance(case, enclosed)
    for name, got in ((OUTPUTS, y), (INPUTS, dx)):
        assert got.dtype == x.dtype
        off = enclosed.distance(name, got.astype(np.float64))
        assert np.all(off <= allowed.rigorous[name])
        assert np.all(allowed.typical[name] <= allowed.rigorous[name])
        assert np.all(allowed.rigorous[name] <= operation_naive(case, enclosed).bound[name])


def test_long_sums_in_few_digits_are_undecided_unless_held_in_more() -> None:
    softmax = Operation((300,), (Activation("softmax"),))
    x = np.linspace(-1, 1, 300)[None]
    ways: tuple[tuple[Precision | None, bool], ...] = ((None, False), ("float32", True))
    for accumulates, bounded in ways:
        case = OperationCase(softmax, x, upstream=x, dtype="bfloat16", accumulates=accumulates)
        allowed = operation_allowance(case, operation_enclosure(case)).rigorous[OUTPUTS]
        assert np.all(np.isfinite(allowed)) == bounded
    assert FORMATS["bfloat16"].gamma(300) == np.inf


@pytest.mark.parametrize("parts", CHAINS)
def test_the_second_route_agrees_and_speaks_against_a_wrong_enclosure(parts: Any) -> None:
    fixed: dict[str, Any] = {"input_shape": (2,)} if isinstance(parts[0], Residual) else {"sizes": (2, 4)}
    case = some(parts, 3, batch=(2, 2), **fixed)[-1]
    right = operation_enclosure(case)
    entries = {name: (0,) * len(right.shape(name)) for name in right.names()}
    assert operation_witness(right, case, entries) == ()
    other = case.replace(inputs=case.inputs + 0.25, parameters={n: a * 0.5 + 0.125 for n, a in case.parameters.items()})
    assert operation_witness(operation_enclosure(other), case, entries) != ()


def test_naive_formulas_that_overflow_are_told_in_their_precision() -> None:
    sigmoid = Operation((1,), (Activation("sigmoid"),))
    case = OperationCase(sigmoid, [[-12.0]], upstream=[[1.0]], dtype="float16")
    assert any("not finite in float16" in words for words in operation_overflows(case, "float16"))
    assert operation_overflows(case.replace(dtype="float32"), "float32") == ()


def test_losses_of_logits_may_be_computed_from_probabilities() -> None:
    loss = Loss("categorical_cross_entropy_with_logits", "sum")
    case = OperationCase(Operation((2,), (), loss), [[0.5, 2.0]], targets=[[0, 1]])
    other = by_probabilities(case)
    assert other is not None
    assert other.operation.layers == (Activation("softmax"),)
    ours, theirs = operation_enclosure(case), operation_enclosure(other)
    for name in (LOSS, INPUTS):
        assert all(a.overlaps(b) for a, b in zip(ours.balls(name).flat, theirs.balls(name).flat, strict=True))
    behind = OperationCase(
        Operation((1,), (Dense(2),), loss), [[0.5]], {"weight": [[1, 2]], "bias": [0, 1]}, targets=[[0, 1]]
    )
    assert set(by_probabilities(behind).parameters) == {"0.weight", "0.bias"}  # type: ignore[union-attr]
    enclosed = operation_enclosure(behind)
    assert set(operation_naive(behind, enclosed).bound) == set(enclosed.names())


def test_as_a_network_case() -> None:
    case = some(("dense",), 1, batch=(1, 1), dtypes="bfloat16")[0]
    network_case = as_network(case)
    assert isinstance(network_case, Case)
    assert np.array_equal(network_case.parameters["0.weight"], case.parameters["weight"])
    assert as_network(some(("squared_error/sum",), 1)[0]) is None


# ---- what is drawn ----


def test_everything_that_makes_kernels_fail_is_drawn() -> None:
    cases = some(("dense",), 250, dtypes=PRECISIONS)
    widths = {case.operation.input_shape[0] for case in cases}
    assert {1, 2, 3, 5, 7} <= widths
    assert all(widths & {power - 1, power, power + 1} for power in (16, 32, 64, 128))
    assert any(case.empty for case in cases)
    assert {case.dtype for case in cases} == set(PRECISIONS)
    assert any(case.batch == case.operation.input_shape[0] == case.operation.output_shape[0] > 1 for case in cases)
    lying = {(name, layout) for case in cases for name, layout in case.layouts.items()}
    for name, layouts in {
        "weight": {"fortran", "padded", "transposed", "strided", "reversed", "read-only", "offset", "unaligned"},
        "upstream": {"broadcast", "expanded", "strided"},
        "bias": {"strided", "reversed"},
    }.items():
        assert layouts <= {layout for there, layout in lying if there == name}
    uniform = [case for case in cases if case.upstream is not None and len(set(case.upstream.ravel().tolist())) <= 1]
    assert len(uniform) < len(cases) / 2


@given(
    data=st.data(),
    dtypes=st.sampled_from([("float64",), ("float16", "float32")]),
    layouts=st.sampled_from([("contiguous",), ("contiguous", "strided")]),
    batch=st.sampled_from([(0, 2), (3, 3)]),
    sizes=st.sampled_from([(1, 3), (5, 20)]),
)
def test_nothing_is_drawn_that_is_not_declared(data: Any, **limits: Any) -> None:
    case = data.draw(operation_cases(OperationSupports(parts=("dense", "softmax"), **limits)))
    assert case.dtype in limits["dtypes"]
    assert set(case.layouts.values()) <= {*limits["layouts"]}
    assert limits["batch"][0] <= case.batch <= limits["batch"][1]
    for shape in (case.operation.input_shape, case.operation.output_shape):
        assert all(limits["sizes"][0] <= number <= limits["sizes"][1] for number in shape)


def test_layouts_that_no_array_can_have_are_left_out() -> None:
    alone = OperationSupports(parts=("softmax",), batched=False)
    assert "transposed" not in possible_layouts(alone)
    assert "strided" in possible_layouts(alone)
    assert "transposed" in possible_layouts(OperationSupports(parts=("dense",), batched=False))


# ---- how cases shrink ----


def test_cases_shrink_to_one_contiguous_sample_of_round_numbers() -> None:
    supports = OperationSupports(parts=("softmax",))
    start = next(case for case in some(("softmax",), 40) if case.batch > 2 and case.layouts)
    kept = [start]

    def alike(case: OperationCase) -> bool:
        found = case.operation.input_shape[0] >= 2
        if found and size(case) < size(kept[-1]):
            kept.append(case)
        return found

    simplify(start, supports, alike)
    smallest = kept[-1]
    assert (smallest.batch, smallest.operation.input_shape, dict(smallest.layouts)) == (1, (2,), {})
    assert set(np.concatenate([array.ravel() for array in named(smallest).values()]).tolist()) == {0.0}


def test_a_layout_that_matters_stays() -> None:
    supports = OperationSupports(parts=("relu",))
    start = next(case for case in some(("relu",), 60) if case.layouts.get("upstream") == "strided" and case.batch > 1)
    kept = [start]

    def alike(case: OperationCase) -> bool:
        found = case.layouts.get("upstream") == "strided"
        if found and size(case) < size(kept[-1]):
            kept.append(case)
        return found

    simplify(start, supports, alike)
    assert dict(kept[-1].layouts) == {"upstream": "strided"}
    assert kept[-1].inputs.size == 1
    with pytest.raises(Enough):
        simplify(start, supports, lambda case: (_ for _ in ()).throw(Enough()))

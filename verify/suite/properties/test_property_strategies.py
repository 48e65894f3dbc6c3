"""Strategies draw from all of a declaration and from nothing else, keep numbers calm, and shrink to paper."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis import strategies as st

from gradproof import Activation, ArgumentError, Branches, Case, Dense, Loss, Network, Residual, Supports, dense_chain
from gradproof.network import is_bias
from gradproof.target import PENALTY_FORMS, UPSTREAM
from gradproof.vocabulary import ACTIVATIONS, DTYPES, LOSSES, REDUCTIONS
from refimpl.variants import overflowing
from verify.strategies import cases, everything, large_cases, networks, seeded_case

SEARCH = settings(max_examples=300, suppress_health_check=list(HealthCheck))
LOSS_WORDS = (UPSTREAM, *(str(Loss(name, reduction)) for name in LOSSES for reduction in REDUCTIONS))


def ranges(most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(1, most), st.integers(0, 3)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def some(words: Any) -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from(tuple(words)), min_size=1, max_size=3, unique=True).map(tuple)


DECLARATIONS = st.builds(
    Supports,
    losses=some(LOSS_WORDS),
    hidden=some(ACTIVATIONS),
    output=some(ACTIVATIONS),
    depth=ranges(4),
    width=ranges(5),
    batch=ranges(5),
    bias=st.sampled_from(["always", "never", "either"]),
    penalties=st.one_of(st.just(()), some(PENALTY_FORMS)),
    sample_weights=st.booleans(),
    residual=st.booleans(),
    branches=st.booleans(),
    shared=st.booleans(),
    frozen=st.booleans(),
    dtypes=some(DTYPES),
)


def within(number: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= number <= bounds[1]


def assert_declared(case: Case, supports: Supports) -> None:
    network = case.network
    layers = [site.layer for site in network.sites]
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    assert within(len(dense), supports.depth)
    assert all(within(layer.units, supports.width) for layer in dense[:-1])
    assert within(dense[-1].units, supports.outputs or supports.width)
    assert within(network.input_shape[0], supports.width)
    assert within(case.batch, supports.batch)
    activations = [layer.name for layer in layers if isinstance(layer, Activation)]
    assert len(activations) == len(dense)
    assert set(activations[:-1]) <= set(supports.hidden)
    assert activations[-1] in supports.output
    if supports.uniform:
        assert len(set(activations)) == 1
    assert isinstance(network.layers[-2], Dense)
    assert (str(network.loss) if network.loss is not None else UPSTREAM) in supports.losses
    biases = {layer.bias for layer in dense}
    assert len(biases) == 1
    assert supports.bias == "either" or biases == {supports.bias == "always"}
    if network.penalty is not None:
        penalty = network.penalty
        form = f"{penalty.kind}{'/half' * penalty.half}{'+biases' * penalty.biases}"
        assert form in supports.penalties
        assert penalty.strength > 0
    assert supports.residual or not any(isinstance(layer, Residual) for layer in layers)
    assert supports.branches or not any(isinstance(layer, Branches) for layer in layers)
    assert supports.shared or not network.shared
    assert supports.frozen or not network.frozen
    assert network.trainable
    assert all(np.all(array >= 0) for array in (case.sample_weights,) if array is not None)
    assert supports.sample_weights or case.sample_weights is None
    assert case.dtype in supports.dtypes


@settings(max_examples=100)
@given(DECLARATIONS, st.booleans(), st.data())
def test_cases_keep_to_the_declaration(supports: Supports, uniform: bool, data: st.DataObject) -> None:
    try:
        if uniform and set(supports.hidden) & set(supports.output):
            supports = msgspec.structs.replace(supports, uniform=True)
        strategy = cases(supports)
    except ArgumentError as error:
        assert error.argument == "supports.losses"  # noqa: PT017
        assume(False)
    assert_declared(data.draw(strategy), supports)


def drawn(strategy: Any, count: int) -> list[Case]:
    seen: list[Case] = []

    @settings(max_examples=count, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(case: Case) -> None:
        seen.append(case)

    collect()
    return seen


def features(case: Case) -> list[str]:
    """What is special about a case, in words."""
    network = case.network
    layers = [site.layer for site in network.sites]
    found = [case.dtype, *case.tags]
    if network.loss is not None:
        found += [network.loss.name, network.loss.reduction, str(network.loss.targets)]
    found += [type(layer).__name__ for layer in layers]
    found += [layer.name for layer in layers if isinstance(layer, Activation)]
    found += [f"{layer.merge} of {min(len(layer.bodies), 2)}" for layer in layers if isinstance(layer, Branches)]
    found += ["no bias" for layer in layers if isinstance(layer, Dense) and not layer.bias]
    depths = [site.path.count(".") for site in network.sites if isinstance(site.layer, Residual | Branches)]
    found += ["nested" for depth in depths if depth > 0]
    if network.penalty is not None:
        found.append(f"{network.penalty.kind}{'/half' * network.penalty.half}{'+biases' * network.penalty.biases}")
    found += ["shared weight" for name, _ in network.shared if not is_bias(name)]
    found += ["shared bias" for name, _ in network.shared if is_bias(name)]
    widths = [shape[-1] for shape in network.parameter_shapes.values()] + [network.input_shape[0]]
    marks = {
        "upstream": network.loss is None,
        "masks": bool(case.masks),
        "evaluated": bool(network.dropouts) and not case.masks,
        "dropout of inputs": any(path.endswith("0") for path in network.dropouts),
        "frozen": bool(network.frozen),
        "sample weights": case.sample_weights is not None,
        "batch == outputs > 1": case.batch == network.output_shape[0] > 1,
        "a column": network.output_shape == (1,) and case.batch > 1,
        "all widths equal": len(widths) > 3 and len(set(widths)) == 1 and widths[0] > 1,
        "all widths differ": len(network.parameter_shapes) == 4 and len(set(widths)) == 3,
        "no parameters": not network.parameter_shapes,
        "two axes": len(network.input_shape) == 2,
        "merged at the end": isinstance(network.layers[-1], Residual | Branches),
    }
    return sorted({*found, *(word for word, holds in marks.items() if holds)})


def test_everything_is_drawn() -> None:
    seen = Counter(word for case in drawn(cases(), 500) for word in features(case))
    wanted = {
        *ACTIVATIONS, *DTYPES, *PENALTY_FORMS, *LOSSES, *REDUCTIONS, "upstream", "real", "hard", "soft", "free",
        "Dense", "Dropout", "Residual", "Branches", "concat of 2", "sum of 2", "nested", "no bias", "shared weight",
        "shared bias", "frozen", "sample weights", "saturated", "dyadic", "batch == outputs > 1", "a column",
        "all widths equal", "all widths differ", "no parameters", "two axes", "merged at the end", "masks", "evaluated",
        "dropout of inputs",
    }  # fmt: skip
    missing = {word for word in wanted if not seen[word]}
    assert not missing
    for word in ("Residual", "Branches", "shared weight", "frozen", "saturated", "batch == outputs > 1", "float32"):
        assert seen[word] >= 20, (word, seen[word])


def test_kinks_are_met_exactly() -> None:
    def at_kink(case: Case) -> bool:
        stack = case.stack
        bias = 0 if stack.biases[0] is None else stack.biases[0]
        return bool(np.any(case.inputs @ stack.weights[0] + bias == 0))

    seen = drawn(cases(Supports(losses=("half_squared_error/sum",), hidden=("relu",), output=("relu",))), 200)
    assert sum(map(at_kink, seen)) >= 20


@given(cases())
def test_usual_formulas_do_not_overflow_on_ordinary_cases(case: Case) -> None:
    for dtype in DTYPES:
        assert overflowing(case, dtype) == ()


def test_extreme_cases_make_usual_formulas_overflow() -> None:
    seen = drawn(cases(extremes=True), 150)
    assert sum(bool(overflowing(case)) for case in seen) >= 10
    assert {"overflowing exp", "huge", "subnormal", "vanishing"} <= {tag for case in seen for tag in case.tags}


@given(cases())
def test_dyadic_cases_hold_dyadic_numbers(case: Case) -> None:
    if "dyadic" in case.tags:
        for array in (*case.parameters.values(), case.inputs):
            assert np.all(np.ldexp(array.astype(np.float64), 20) % 1 == 0)


def test_networks_shrink_to_one_dense_layer() -> None:
    simplest = "1 -> dense 1 -> identity | half_squared_error/sum"
    assert str(find(networks(), lambda network: True, settings=SEARCH)) == simplest
    case = find(cases(), lambda case: True, settings=SEARCH)
    assert str(case.network) == simplest
    assert (case.inputs.tolist(), case.parameters["0.weight"].tolist()) == ([[1]], [[1]])
    assert case.targets is not None
    assert (case.parameters["0.bias"].tolist(), case.targets.tolist(), case.tags) == ([0], [[0]], ("dyadic",))


@pytest.mark.parametrize(
    ("condition", "most"),
    [
        (lambda case: case.network.penalty is not None, 1),
        (lambda case: case.batch >= 2, 1),
        (lambda case: any(site.layer == Activation("tanh") for site in case.network.sites), 2),
        (lambda case: len([site for site in case.network.sites if isinstance(site.layer, Dense)]) >= 3, 3),
        (lambda case: bool(case.network.shared), 2),
    ],
    ids=["penalty", "batch", "tanh", "depth", "shared"],
)
def test_what_does_not_matter_shrinks_away(condition: Any, most: int) -> None:
    supports = Supports(
        losses=("half_squared_error/sum", "binary_cross_entropy/sum"),
        hidden=tuple(ACTIVATIONS),
        output=tuple(ACTIVATIONS),
        penalties=PENALTY_FORMS,
        shared=True,
        sample_weights=True,
    )
    case = find(cases(supports), condition, settings=SEARCH)
    dense = [site for site in case.network.sites if isinstance(site.layer, Dense)]
    assert len(dense) <= most
    assert all(site.parameter_shapes[f"{site.path}.weight"] == (1, 1) for site in dense)
    assert set(case.inputs.ravel()) == {1.0}
    assert case.sample_weights is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"losses": "binary_cross_entropy/sum", "output": ("tanh", "relu", "identity")},
        {"losses": ("squared_error/sum", "categorical_cross_entropy/sum"), "output": "softplus"},
        {"losses": "categorical_cross_entropy/sum", "output": "softmax", "width": (1, 1)},
        {"losses": "categorical_cross_entropy/sum", "output": "softmax", "outputs": (1, 1)},
        {"losses": "binary_cross_entropy/sum", "output": ("sigmoid", "tanh"), "hidden": "tanh", "uniform": True},
    ],
)
def test_a_loss_that_no_output_activation_fits_is_refused(arguments: Any) -> None:
    with pytest.raises(ArgumentError, match=r"supports.losses: expected losses whose domain an activation among"):
        cases(Supports(**arguments))


@pytest.mark.parametrize(
    "supports",
    [
        Supports(losses=("binary_cross_entropy/sum",), width=(2, 4), outputs=(1, 1)),
        Supports(losses=("categorical_cross_entropy/sum",), output=("softmax",), width=(1, 1), outputs=(1, 3)),
        Supports(losses=("squared_error/sum",), outputs=(5, 6), depth=(1, 2), width=(1, 2)),
    ],
)
def test_the_last_layer_may_have_units_of_its_own(supports: Supports) -> None:
    assert supports.outputs is not None
    found = drawn(cases(supports), 60)
    for case in found:
        assert_declared(case, supports)
    most = {case.network.output_shape[0] for case in found}
    assert most >= set(range(max(supports.outputs[0], 1 + ("softmax" in supports.output)), supports.outputs[1] + 1))
    assert {case.network.input_shape[0] for case in found} == set(range(supports.width[0], supports.width[1] + 1))
    with pytest.raises(ArgumentError, match=r"supports\.outputs"):
        cases(supports, outputs=(2, 1))
    for case in drawn(cases(outputs=(1, 1)), 30):
        assert case.network.output_shape[-1] == 1


def test_limits_replace_what_is_declared() -> None:
    supports = Supports(losses=("squared_error/sum",), hidden=("tanh", "relu"), depth=(1, 4))
    for case in drawn(cases(supports, depth=(2, 2), hidden=("tanh",), dtypes=("float32",)), 20):
        narrow = Supports(losses=("squared_error/sum",), hidden=("tanh",), depth=(2, 2), dtypes=("float32",))
        assert_declared(case, narrow)
    with pytest.raises(ArgumentError, match=r"supports\.depth"):
        cases(depth=(2, 1))


@settings(max_examples=20)
@given(large_cases(everything(), width=(1, 40), batch=(1, 20)))
def test_large_cases_keep_to_the_declaration(case: Case) -> None:
    assert within(case.batch, (1, 20))
    assert all(np.all(np.abs(array) < 10) for array in case.parameters.values())


@pytest.mark.parametrize("loss", [*everything().losses[:-1], None], ids=str)
def test_seeded_cases_are_the_same_for_the_same_arguments(loss: str | None) -> None:
    layers = dense_chain((6, 5, 4), (Activation("tanh"), Activation("softmax")))
    network = Network((6,), layers, None if loss is None else Loss.parse(loss))
    case = seeded_case(network, 3, seed=7, dtype="float32", sample_weights=True)
    assert case == seeded_case(network, 3, seed=7, dtype="float32", sample_weights=True)
    assert case != seeded_case(network, 3, seed=8, dtype="float32", sample_weights=True)
    assert (case.sample_weights is None) == (loss is None)
    with pytest.raises(ArgumentError, match="batch: expected at least 1, got 0"):
        seeded_case(network, 0)

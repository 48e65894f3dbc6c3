"""Cases as values: what they hold, what they refuse, and that nothing changes them."""

# What is refused has a type that the checker refuses too.
# mypy: disable-error-code="arg-type, misc, index, union-attr"

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof import (
    Activation,
    ArgumentError,
    Case,
    Dense,
    Dropout,
    Gradients,
    Loss,
    Network,
    Residual,
    dense_chain,
)
from gradproof.arrays import frozen_array
from verify.strategies import cases

SQUARED = Network((2,), (Dense(2), Activation("tanh")), Loss("squared_error", "sum"))
FREE = SQUARED.replace(loss=None)
HELD: dict[str, Any] = {"0.weight": [[1, 2], [3, 4]], "0.bias": [0.5, -0.5]}
X, T, NONE = [[1.0, 2.0]], [[0.0, 1.0]], np.empty((0, 2))


def with_loss(loss: str, width: int = 2) -> Network:
    return Network((width,), (Activation("sigmoid"),), Loss.parse(loss))


@given(cases())
def test_what_a_case_holds(case: Any) -> None:
    network = case.network
    assert list(case.parameters) == list(network.parameter_shapes)
    for name, shape in network.parameter_shapes.items():
        assert case.parameters[name].shape == shape
    assert case.inputs.shape == (case.batch, *network.input_shape)
    goal, other = (case.targets, case.upstream) if network.loss is not None else (case.upstream, case.targets)
    assert other is None
    assert goal is not None
    assert goal.shape == (case.batch, *network.output_shape)
    for array in (*case.parameters.values(), case.inputs, goal):
        assert array.dtype == case.dtype
        assert np.all(np.isfinite(array))


@given(cases(), st.data())
def test_nothing_changes_a_case(case: Any, data: Any) -> None:
    name = data.draw(st.sampled_from(["network", "parameters", "inputs", "targets", "dtype", "tags", "id", "new"]))
    with pytest.raises(AttributeError, match="immutable"):
        setattr(case, name, None)
    with pytest.raises(AttributeError, match="immutable"):
        delattr(case, name)
    with pytest.raises(TypeError):
        case.parameters["0.weight"] = np.ones((1, 1))
    for array in (*case.parameters.values(), case.inputs):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_case_is_not_changed_through_what_it_was_made_of() -> None:
    weight = np.array([[1.0, 2.0], [3.0, 4.0]])
    inputs = np.array(X)
    case = Case(SQUARED, {"0.weight": weight, "0.bias": [0, 0]}, inputs, targets=T)
    before = case.id
    weight[0, 0] = 9
    inputs[0, 0] = 9
    assert case.parameters["0.weight"][0, 0] == 1
    assert case.inputs[0, 0] == 1
    assert case.replace().id == before


@given(cases())
def test_replace_keeps_the_rest(case: Any) -> None:
    again = case.replace(inputs=np.array(case.inputs))
    assert again == case
    assert case.replace(tags=("new",)).tags == ("new",)
    changed = case.replace(inputs=case.inputs + np.asarray(1, dtype=case.dtype))
    assert changed.id != case.id
    assert changed.network is case.network


def test_tags_are_a_set_of_words() -> None:
    case = Case(SQUARED, HELD, X, targets=T, tags=["kink", "a", "kink"])
    assert case.tags == ("a", "kink")
    assert case.replace(tags="kink").tags == ("kink",)


def test_a_shared_parameter_stands_once() -> None:
    network = Network((2,), (Dense(2, False), Residual((Dense(2, False),))), shared=(("1.body.0.weight", "0.weight"),))
    case = Case(network, {"0.weight": [[1, 2], [3, 4]]}, X, upstream=T)
    assert case.parameter("1.body.0.weight") is case.parameters["0.weight"]


def test_a_strided_or_broadcast_array_is_taken_as_its_values() -> None:
    weight = np.arange(8.0).reshape(4, 2)[::2]
    case = Case(SQUARED, {"0.weight": weight, "0.bias": np.broadcast_to(1.0, 2)}, np.asfortranarray(X), targets=T)
    assert case.parameters["0.weight"].tolist() == [[0, 1], [4, 5]]
    assert case.parameters["0.weight"].flags.c_contiguous


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Case(None, {}, X, targets=T), "network: expected a Network, got None"),
        (lambda: Case(SQUARED, {}, X, targets=T), r"parameters: expected names \['0.weight', '0.bias'\], got \[\]"),
        (lambda: Case(SQUARED, {**HELD, "1.bias": [0]}, X, targets=T), "parameters: expected names"),
        (lambda: Case(SQUARED, [1, 2], X, targets=T), "parameters: expected names"),
        (
            lambda: Case(SQUARED, {**HELD, "0.bias": [0.0]}, X, targets=T),
            r"parameters\['0.bias'\]: expected shape \(2,\), got shape \(1,\)",
        ),
        (
            lambda: Case(SQUARED, {**HELD, "0.bias": [[0.0, 0.0]]}, X, targets=T),
            r"parameters\['0.bias'\]: expected shape \(2,\), got shape \(1, 2\)",
        ),
        (lambda: Case(SQUARED, HELD, [1.0, 2.0], targets=T), r"inputs: expected shape \(any, 2\), got shape \(2,\)"),
        (
            lambda: Case(SQUARED, HELD, NONE, targets=NONE),
            "inputs: expected at least one sample",
        ),
        (lambda: Case(SQUARED, HELD, [[1, 2], [3]], targets=T), "inputs: expected rows of one length"),
        (lambda: Case(SQUARED, HELD, [["1", "2"]], targets=T), "inputs: expected real numbers, got dtype <U1"),
        (lambda: Case(SQUARED, HELD, [[1j, 2]], targets=T), "inputs: expected real numbers, got dtype complex128"),
        (lambda: Case(SQUARED, HELD, None, targets=T), "inputs: expected real numbers, got dtype object"),
        (lambda: Case(SQUARED, HELD, [[np.nan, 2]], targets=T), r"inputs\[0, 0\]: expected a finite float64, got nan"),
        (lambda: Case(SQUARED, HELD, [[1, np.inf]], targets=T), r"inputs\[0, 1\]: expected a finite float64, got inf"),
        (
            lambda: Case(SQUARED, HELD, [[1, 1e39]], targets=T, dtype="float32"),
            r"inputs\[0, 1\]: expected a finite float32, got 1e\+39",
        ),
        (lambda: Case(SQUARED, HELD, X), "targets: expected targets and no upstream, since the network has a loss"),
        (lambda: Case(SQUARED, HELD, X, targets=T, upstream=T), "targets: expected targets and no upstream"),
        (lambda: Case(FREE, HELD, X), "upstream: expected upstream and no targets, since the network has no loss"),
        (lambda: Case(FREE, HELD, X, targets=T), "upstream: expected upstream and no targets"),
        (lambda: Case(FREE, HELD, X, upstream=[[1.0]]), r"upstream: expected shape \(1, 2\), got shape \(1, 1\)"),
        (lambda: Case(SQUARED, HELD, X, targets=[0.0, 1.0]), r"targets: expected shape \(1, 2\), got shape \(2,\)"),
        (lambda: Case(SQUARED, HELD, X, targets=T, sample_weights=[1, 1]), r"sample_weights: expected shape \(1,\)"),
        (lambda: Case(FREE, HELD, X, upstream=T, sample_weights=[1]), "sample_weights: expected None, since"),
        (lambda: Case(SQUARED, HELD, X, targets=T, dtype="float16"), "dtype: expected float64 or float32, got float16"),
        (lambda: Case(SQUARED, HELD, X, targets=T, dtype=np.float32), "dtype: expected float64 or float32"),
    ],
)
def test_impossible_cases_are_refused_with_the_reason(build: Any, message: Any) -> None:
    with pytest.raises(ArgumentError, match=message):
        build()


@pytest.mark.parametrize(
    ("loss", "targets", "message"),
    [
        ("binary_cross_entropy/sum", [0.5, 1], "0 or 1 for binary_cross_entropy/sum, got 0.5"),
        ("binary_cross_entropy_with_logits/sum", [2, 1], "0 or 1"),
        ("binary_cross_entropy/sum/soft", [1.5, 1], r"numbers in \[0, 1\]"),
        ("binary_cross_entropy/sum/soft", [-0.1, 1], r"numbers in \[0, 1\]"),
        ("categorical_cross_entropy/sum", [1, 1], "a sum of 1 for each sample"),
        ("categorical_cross_entropy/sum", [0, 0], "a sum of 1 for each sample"),
        ("categorical_cross_entropy_with_logits/sum", [0.5, 0.5], "0 or 1"),
        ("categorical_cross_entropy/sum/soft", [0.5, 0.25], "a sum of 1 for each sample .*, got a sum of 0.75"),
        ("categorical_cross_entropy/sum/soft", [1.5, -0.5], r"numbers in \[0, 1\]"),
    ],
)
def test_targets_that_the_loss_does_not_admit_are_refused(loss: Any, targets: Any, message: Any) -> None:
    with pytest.raises(ArgumentError, match=f"targets: expected {message}"):
        Case(with_loss(loss), {}, X, targets=[targets])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(parts=st.lists(st.integers(1, 1000), min_size=1, max_size=6))
def test_rounded_distributions_are_soft_targets(dtype: Any, parts: Any) -> None:
    shares = np.array([parts]) / sum(parts)
    network = with_loss("categorical_cross_entropy/sum/soft", len(parts))
    assert Case(network, {}, np.ones((1, len(parts))), targets=shares, dtype=dtype).batch == 1


def test_free_targets_may_be_anything() -> None:
    for loss in ("binary_cross_entropy/sum/free", "categorical_cross_entropy/sum/free", "squared_error/sum"):
        assert Case(with_loss(loss), {}, X, targets=[[-3.0, 7.0]]).targets.tolist() == [[-3.0, 7.0]]


@given(cases())
def test_the_stack_of_a_case_is_its_layers_or_a_reason(case: Any) -> None:
    def plain(layers: Any) -> bool:
        kinds = [type(layer) for layer in layers]
        before = {Activation: (Dense,), Dropout: (Dense, Activation)}
        return set(kinds) <= {Dense, *before} and all(
            kind is Dense or (number > 0 and kinds[number - 1] in before[kind]) for number, kind in enumerate(kinds)
        )

    if not plain(case.network.layers):
        with pytest.raises(ArgumentError, match=r"case.network: expected dense layers, each followed by at most one"):
            _ = case.stack
        return
    stack = case.stack
    rebuilt = dense_chain(stack.widths, tuple(map(Activation, stack.activations, stack.parameters)))
    shapes = [site.layer.units for site in case.network.sites if isinstance(site.layer, Dense)]
    assert [layer.units for layer in rebuilt if isinstance(layer, Dense)] == shapes
    assert stack.widths[0] == case.network.input_shape[0]
    for path, weight, bias in zip(stack.paths, stack.weights, stack.biases, strict=True):
        assert weight is case.parameter(f"{path}.weight")
        assert bias is None or bias is case.parameter(f"{path}.bias")
    named = stack.name(stack.weights, stack.biases)
    assert set(named) == set(case.network.positions)
    dropouts = [site for site in case.network.sites if isinstance(site.layer, Dropout)]
    assert [p for p in stack.probabilities if p] == [
        site.layer.probability for site in dropouts if site.layer.probability
    ]
    masks = [mask for mask in stack.masks if mask is not None]
    assert all(mask is case.masks[site.path] for mask, site in zip(masks, dropouts, strict=bool(case.masks)))


def test_names_of_a_stack() -> None:
    network = Network((2,), dense_chain((2, 3, 1), (Activation("tanh"), Activation("identity"))))
    case = Case(
        network,
        {"0.weight": np.ones((2, 3)), "0.bias": np.ones(3), "2.weight": np.ones((3, 1)), "2.bias": np.ones(1)},
        X,
        upstream=[[1]],
    )
    assert list(case.stack.name([1, 2], [3, 4])) == ["0.weight", "2.weight", "0.bias", "2.bias"]
    assert list(case.stack.name([1, 2])) == ["0.weight", "2.weight"]
    assert list(case.stack.name([1, 2], [3, None])) == ["0.weight", "2.weight", "0.bias"]
    with pytest.raises(ArgumentError, match="weights: expected one for each of 2 dense layers, got 1"):
        case.stack.name([1])
    with pytest.raises(ArgumentError, match="biases: expected one for each of 2 dense layers, got 3"):
        case.stack.name([1, 2], [1, 2, 3])


def test_quantities_of_an_answer_in_the_order_of_the_computation() -> None:
    answer = Gradients({"1.weight": 3, "0.weight": 4}, loss=1, outputs=2, inputs=5)
    assert list(answer.quantities().items()) == [
        ("loss", 1), ("outputs", 2), ("1.weight", 3), ("0.weight", 4), ("inputs", 5)
    ]  # fmt: skip
    assert list(Gradients({}).quantities()) == []


@given(st.lists(st.floats(width=32), min_size=1, max_size=5))
def test_frozen_arrays_are_finite_copies(numbers: Any) -> None:
    if all(map(np.isfinite, numbers)):
        array = frozen_array("x", numbers, "float32", (None,))
        assert array.tolist() == numbers
        assert not array.flags.writeable
    else:
        with pytest.raises(ArgumentError, match=r"x\[\d\]: expected a finite float32"):
            frozen_array("x", numbers, "float32", (None,))

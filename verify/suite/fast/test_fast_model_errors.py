"""What newcomers get wrong has a name: the argument, what was expected and what came, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gradproof import Activation, Dense, EarlyStopping, Loss, Model, Network, Optimiser, dense_chain
from gradproof.errors import ArgumentError

TANH, IDENTITY = Activation("tanh"), Activation("identity")
REGRESSION = Network((3,), dense_chain((3, 5, 2), (TANH, IDENTITY)), Loss("squared_error", "batch_mean"))
CLASSES = Network(
    (3,), dense_chain((3, 5, 4), (TANH, IDENTITY)), Loss("categorical_cross_entropy_with_logits", "batch_mean")
)
NO_LOSS = Network((3,), (Dense(2),))
SGD = Optimiser("sgd", 0.1)
X, T, LABELS = np.ones((6, 3)), np.ones((6, 2)), np.arange(6) % 4


@pytest.fixture(autouse=True)
def _nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled loop, wherever a call would come to it."""

    def computed(*_: object) -> None:
        pytest.fail("something was computed")

    monkeypatch.setattr("fastimpl.running.run_steps", computed)
    monkeypatch.setattr("fastimpl.evaluation.run_once", computed)


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.astype(float)
    changed.flat[-1] = value
    return changed


INPUTS = [
    ("text", "inputs"),
    ([["1", "2", "3"]], "inputs"),
    ([[1, 2, 3], [4, 5]], "inputs"),
    (None, "inputs"),
    (np.ones((6, 3)) * 1j, "inputs"),
    (np.ones((6, 3), dtype=object), "inputs"),
    (np.ones(3), "inputs"),
    (np.ones((6, 4)), "inputs"),
    (np.ones((6, 3, 1)), "inputs"),
    (with_value(X, np.nan), "inputs[5, 2]"),
    (with_value(X, -np.inf), "inputs[5, 2]"),
    (np.array(["2026-01-01"] * 18, dtype="datetime64[D]").reshape(6, 3), "inputs"),
]
TARGETS = [
    (None, "targets"),
    (np.ones((5, 2)), "targets"),
    (np.ones((6, 3)), "targets"),
    (np.ones(6), "targets"),
    ([["a", "b"]] * 6, "targets"),
    (with_value(T, np.nan), "targets[5, 1]"),
]
LABEL_TARGETS = [
    (with_value(LABELS, 4).astype(int), "targets[5]"),
    (with_value(LABELS, -1).astype(int), "targets[5]"),
    (LABELS + 0.5, "targets"),
    (LABELS[:5], "targets"),
    (np.eye(5)[LABELS], "targets"),
    (np.full((6, 4), 0.25), "targets"),
    (["cat"] * 6, "targets"),
]
SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"optimiser": "adam"}, "optimiser"),
    ({"optimiser": 0.1}, "optimiser"),
    ({"optimiser": None}, "optimiser"),
    ({"epochs": -1}, "epochs"),
    ({"epochs": 2.0}, "epochs"),
    ({"epochs": "3"}, "epochs"),
    ({"epochs": True}, "epochs"),
    ({"epochs": 10**12}, "epochs"),
    ({"epochs": 10**40}, "epochs"),
    ({"batch_size": 0}, "batch_size"),
    ({"batch_size": 2.5}, "batch_size"),
    ({"shuffle": "yes"}, "shuffle"),
    ({"sample_weights": [1.0]}, "sample_weights"),
    ({"sample_weights": np.full(6, np.nan)}, "sample_weights[0]"),
    ({"validation": X}, "validation"),
    ({"validation": (X,)}, "validation"),
    ({"validation": (X[:, :2], T)}, "validation.inputs"),
    ({"validation": (X, T[:, :1])}, "validation.targets"),
    ({"early_stopping": 3}, "early_stopping"),
    ({"early_stopping": EarlyStopping(3)}, "validation"),
    ({"accuracy": "yes"}, "accuracy"),
    ({"threads": 0}, "threads"),
    ({"callback": 3}, "callback"),
    ({"progress": "yes"}, "progress"),
]


def refused(call: Callable[[], object], argument: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        call()
    assert caught.value.argument == argument
    message = str(caught.value)
    assert message.startswith(f"{argument}: expected ")
    assert ", got " in message
    assert len(message) < 400


@pytest.mark.parametrize(("inputs", "argument"), INPUTS)
def test_inputs(inputs: Any, argument: str) -> None:
    model = Model(REGRESSION)
    refused(lambda: model.predict(inputs), argument)
    refused(lambda: model.loss_and_gradients(inputs, T), argument)
    refused(lambda: model.fit(inputs, T, optimiser=SGD, epochs=1), argument)
    refused(lambda: model.evaluate(inputs, T), argument)


@pytest.mark.parametrize(("targets", "argument"), TARGETS)
def test_targets(targets: Any, argument: str) -> None:
    model = Model(REGRESSION)
    refused(lambda: model.loss_and_gradients(X, targets), argument)
    refused(lambda: model.fit(X, targets, optimiser=SGD, epochs=1), argument)
    refused(lambda: model.evaluate(X, targets), argument)


@pytest.mark.parametrize(("targets", "argument"), LABEL_TARGETS)
def test_labels(targets: Any, argument: str) -> None:
    model = Model(CLASSES)
    refused(lambda: model.loss_and_gradients(X, targets), argument)
    refused(lambda: model.fit(X, targets, optimiser=SGD, epochs=1), argument)
    refused(lambda: model.evaluate(X, targets), argument)


@pytest.mark.parametrize(("changes", "argument"), SETTINGS, ids=str)
def test_settings(changes: dict[str, Any], argument: str) -> None:
    model = Model(REGRESSION)
    before = model.parameters
    refused(lambda: model.fit(X, T, **{"optimiser": SGD, "epochs": 1, **changes}), argument)
    assert model.parameters is before
    assert model.history.epochs == 0


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Model("784-10"), "network"),  # type: ignore[arg-type]
        (lambda: Model(REGRESSION.layers), "network"),  # type: ignore[arg-type]
        (lambda: Model(REGRESSION, dtype="float16"), "dtype"),  # type: ignore[arg-type]
        (lambda: Model(REGRESSION, dtype=np.float32), "dtype"),  # type: ignore[arg-type]
        (lambda: Model(REGRESSION, seed=-1), "seed"),
        (lambda: Model(REGRESSION, seed=None), "seed"),  # type: ignore[arg-type]
        (lambda: Model(REGRESSION, initialisation="glorot"), "initialisation.name"),
        (lambda: Model(REGRESSION, initialisation="normal"), "initialisation"),
        (lambda: Model(REGRESSION, parameters={}), "parameters"),
        (lambda: Model(REGRESSION, parameters=[1, 2]), "parameters"),  # type: ignore[arg-type]
        (lambda: Model(REGRESSION, parameters=Model(CLASSES).parameters), "parameters['2.weight']"),
        (lambda: Model(REGRESSION, parameters={}, initialisation="he_normal"), "initialisation"),
    ],
)
def test_making(make: Callable[[], object], argument: str) -> None:
    refused(make, argument)


def test_without_a_loss_nothing_is_minimised() -> None:
    model = Model(NO_LOSS)
    refused(lambda: model.fit(X, T, optimiser=SGD, epochs=1), "network.loss")
    refused(lambda: model.evaluate(X, T), "network.loss")
    refused(lambda: model.predict_classes(X), "network.loss")
    refused(lambda: model.loss_and_gradients(X, None), "upstream")  # type: ignore[arg-type]


def test_numbers_too_large_for_the_dtype() -> None:
    model = Model(REGRESSION, dtype="float32")
    refused(lambda: model.predict(with_value(X, 1e300)), "inputs[5, 2]")
    refused(lambda: model.fit(X, with_value(T, 1e300), optimiser=SGD, epochs=1), "targets[5, 1]")
    parameters = {name: array.astype(float) for name, array in model.parameters.items()}
    parameters["2.bias"][0] = 1e300
    refused(lambda: Model(REGRESSION, parameters=parameters, dtype="float32"), "parameters['2.bias'][0]")


ANYTHING = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.floats(),
    st.integers(),
    st.lists(st.lists(st.floats(), max_size=3), max_size=3),
    npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING, st.sampled_from(["inputs", "targets", "sample_weights", "validation", "optimiser", "early_stopping"]))
def test_whatever_is_given_is_taken_or_refused_by_its_name(value: Any, argument: str) -> None:
    model = Model(CLASSES)
    arguments: dict[str, Any] = {"inputs": X, "targets": LABELS, "optimiser": SGD, "epochs": 0, argument: value}
    refusal = ""
    try:
        with np.errstate(all="ignore"):
            model.fit(**arguments)
    except ArgumentError as error:
        refusal = error.argument
    # Inputs of another length can only be seen at the targets.
    assert refusal.startswith((argument, "targets") if argument == "inputs" else argument) or refusal == ""
    assert model.history.epochs == 0


def test_the_guard_of_these_tests_sees_a_computation() -> None:
    with pytest.raises(pytest.fail.Exception):
        Model(REGRESSION).predict(X)

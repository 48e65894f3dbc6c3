"""Layouts in words: what somebody's code is given is what the words say, and what it gives back is read by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import verdicts  # type: ignore[import-not-found,unused-ignore]
from hypothesis import given
from hypothesis import strategies as st

from gradproof import ArgumentError, Case, Supports, Verdict, adapters
from gradproof.adapters.words import INSIDE, WORDS, Conventions
from gradproof.declaration import declaration_of
from verify.loading import adopt
from verify.strategies import cases
from verify.subjects.base import assess
from verify.subjects.networks import SUBJECT

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")

LAYOUT: dict[str, Any] = {"weights": "in_out", "bias": "vector", "samples": "rows"}
CLASSES = "categorical_cross_entropy_with_logits/sum"
CASES = cases(
    Supports(losses=(CLASSES,), hidden=("tanh",), output=("identity",), depth=(1, 3), width=(1, 3), batch=(1, 3))
)


def fits(word: dict[str, Any]) -> bool:
    try:
        Conventions(**word)
    except ArgumentError:
        return False
    return True


ARRAYS = ("numpy", "lists", "matrix", np, lambda array: array)
CONVENTIONS = st.fixed_dictionaries(
    {name: st.sampled_from([w for w in words if w != "none"]) for name, words in WORDS.items()}
    | {"arrays": st.sampled_from(ARRAYS)}
).filter(fits)


def affine(words: dict[str, Any], net: adapters.Given, k: int, x: Any) -> list[float]:
    """What layer k makes of one sample's features, number by number, by what the words say."""
    W, units = np.asarray(net.weights[k]), net.widths[k + 1]
    shift, bias = int(words["bias"].startswith("first")), words["bias"]

    def weight(i: int, j: int) -> float:
        return float(W[i, j] if words["weights"] == "in_out" else W[j, i])

    def offset(j: int) -> float:
        if bias in INSIDE:
            return weight(0 if shift else len(x), j)
        b = np.asarray(net.biases[k])
        return float({"vector": lambda: b[j], "row": lambda: b[0, j], "column": lambda: b[j, 0]}[bias]())

    return [sum(weight(i + shift, j) * x[i] for i in range(len(x))) + offset(j) for j in range(units)]


@given(CASES, CONVENTIONS)
def test_each_word_means_what_it_says_and_the_way_back_loses_nothing(case: Case, words: dict[str, Any]) -> None:
    """The code gives back what it was given; ``affine`` reads it as the words say."""
    seen: list[Any] = []

    @adapters.plain(losses=CLASSES, hidden="tanh", output="identity", **words)
    def echo(net: adapters.Given) -> dict[str, Any]:
        inputs = np.asarray(net.inputs)
        columns = inputs.T if words["samples"] == "columns" else inputs.reshape(net.batch, -1)
        targets = np.asarray(net.targets).reshape(-1)
        seen.append((columns, targets, [affine(words, net, k, range(net.widths[k])) for k in range(len(net.weights))]))
        parameters: Any = net.vector if words["arrays"] != "matrix" else np.asarray(net.vector).reshape(-1)
        return {"inputs": net.inputs, "parameters": parameters}

    answer = echo(case)
    uses = case.batch if words["samples"].startswith("one") else 1  # what comes sample by sample is added up
    for name, array in case.parameters.items():
        assert np.allclose(answer["parameters"][name], uses * array, rtol=1e-15, atol=0)
    assert np.array_equal(answer["inputs"], case.inputs)
    assert np.array_equal(np.concatenate([rows for rows, _, _ in seen]), case.inputs)
    for _, _, made in seen:
        for z, W, b in zip(made, case.stack.weights, case.stack.biases, strict=True):
            assert np.allclose(z, np.arange(len(W)) @ W + np.asarray(b))
    assert case.targets is not None
    if words["labels"] == "integer":
        classes = np.concatenate([targets for _, targets, _ in seen])
        assert np.array_equal(np.eye(case.stack.widths[-1])[classes], case.targets)


@given(CASES, st.sampled_from(list(WORDS["order"])), st.sampled_from(["flat", "grouped", "mapping"]))
def test_gradients_come_in_the_declared_order_however_they_are_nested(case: Case, order: str, form: str) -> None:
    @adapters.plain(losses=CLASSES, hidden="tanh", output="identity", order=order, **LAYOUT)
    def echo(net: adapters.Given) -> dict[str, Any]:
        kinds = [net.weights, net.biases] if order.startswith("weight") else [net.biases, net.weights]
        groups = kinds if "weights" in order else [list(pair) for pair in zip(*kinds, strict=True)]
        flat = [array for group in groups for array in group]
        forms = {"flat": flat, "grouped": groups, "mapping": {str(k): array for k, array in enumerate(flat)}}
        return {"parameters": forms[form]}

    assert all(np.array_equal(echo(case)["parameters"][n], a) for n, a in case.parameters.items())


def mean_squares(reduction: str) -> Any:
    """A linear layer and squared errors of whatever batch it is given, with the declared reduction."""

    def run(net: adapters.Given) -> dict[str, Any]:
        x, t = np.atleast_2d(net.inputs), np.atleast_2d(net.targets)
        y = x @ net.weights[0] + net.biases[0]
        error = y - t
        over = {"sum": 1, "batch_mean": len(x), "element_mean": error.size}[reduction]
        weights = np.ones(len(x)) if net.sample_weights is None else net.sample_weights
        delta = 2 * error * weights[:, None] / over
        shape = np.shape(net.inputs)
        return {
            "loss": (error**2 * weights[:, None]).sum() / over + net.strength * (net.weights[0] ** 2).sum(),
            "outputs": y.reshape(*shape[:-1], -1),
            "inputs": (delta @ net.weights[0].T).reshape(shape),
            "weights": [x.T @ delta + 2 * net.strength * net.weights[0]],
            "biases": [delta.sum(axis=0)],
        }

    return run


@pytest.mark.parametrize("reduction", ["sum", "batch_mean", "element_mean"])
@pytest.mark.parametrize("samples", ["rows", "one", "one_row"])
def test_samples_that_come_one_at_a_time_make_up_the_batch(reduction: str, samples: str) -> None:
    words = {**LAYOUT, "samples": samples, "sample_weights": True, "penalties": () if reduction == "sum" else "l2"}
    declare = adapters.plain(losses=f"squared_error/{reduction}", output="identity", depth=(1, 1), **words)
    assert set(verdicts(declare(mean_squares(reduction)))) == {Verdict.CORRECT}


@pytest.mark.parametrize("wrong", ["weights", "samples"])
def test_a_wrong_word_is_not_passed_over(wrong: str) -> None:
    words = {**LAYOUT, wrong: {"weights": "out_in", "samples": "columns"}[wrong]}
    declare = adapters.plain(losses="squared_error/sum", output="identity", depth=(1, 1), **words)
    found = verdicts(declare(mean_squares("sum")))
    assert found[Verdict.BROKE_PROTOCOL] > 0 or found[Verdict.CRASHED] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"weights": None}, "weights: expected 'in_out' (fan_in, units): z = x W + b or 'out_in'"),
        ({"weights": "rows"}, "weights: expected 'in_out'"),
        ({"bias": "last_row", "weights": "out_in"}, "bias: expected last_column, or weights='in_out', got last_row"),
        ({"bias": "none", "biases": "either"}, "biases: expected never, as bias='none' is declared"),
        ({"biases": "never"}, "bias: expected none, as biases='never' is declared"),
        ({"arrays": "matrix"}, "bias: expected row or column"),
        ({"arrays": "matrix", "bias": "row", "samples": "one"}, "samples: expected one_row or one_column"),
        ({"arrays": "cupy"}, "arrays: expected numpy, lists, matrix, an array library"),
        ({"vector": "rows"}, "order: expected 'weights_biases'"),
        ({"labels": "integer"}, "labels: expected one_hot: squared_error/sum has no classes as targets"),
        ({"samples": "one", "penalties": "l2"}, "penalties: expected none, or a mean over the batch"),
        ({"residual": True}, "residual: expected plain stacks of layers; @gradproof.target hands over whole cases"),
        ({"layout": "C"}, "layout: expected a word among weights, bias, samples"),
        ({"losses": None}, "losses: expected name/reduction"),
        ({"hidden": "swish"}, "supports.hidden: expected among"),
    ],
)
def test_words_that_cannot_be_say_what_to_change(words: dict[str, Any], said: str) -> None:
    given_words = {"losses": "squared_error/sum", **LAYOUT, **words}
    with pytest.raises(ArgumentError) as caught:
        adapters.plain(**{name: word for name, word in given_words.items() if word is not None})
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda net: None, "the adapter's answer: expected a mapping"),
        (lambda net: {"gradients": []}, "the adapter's answer: expected keys among loss, outputs"),
        (lambda net: {"loss": 1.0}, "the adapter's answer: expected gradients, under weights and biases"),
        (lambda net: {"weights": net.weights}, "biases: expected 2, one for each layer, got 0"),
        (
            lambda net: {"weights": [w.T for w in net.weights], "biases": net.biases},
            "weights[0]: expected shape (1, 2), as weights='in_out' is declared, got shape (2, 1) its transpose",
        ),
        (
            lambda net: {"weights": net.weights, "biases": [b[None] for b in net.biases]},
            "biases[0]: expected shape (2,), as bias='vector' is declared, got shape (1, 2)",
        ),
        (lambda net: {"parameters": net.weights}, "order: expected the order of what comes under parameters"),
        (lambda net: {"weights": net.weights, "biases": net.biases, "parameters": []}, "weights: expected either"),
        (
            lambda net: {"weights": net.weights, "biases": net.biases, "outputs": net.inputs},
            "outputs: expected shape (2, 3), as samples='rows' is declared",
        ),
        (lambda net: {"weights": [object(), 1.0], "biases": []}, "weights[0]: expected an array of numbers"),
        (lambda net: net.from_dict({"w1": 0}, "W{}", "b{}"), "weights: expected names among w1, got W1, W2"),
        (lambda net: net.upstream, "upstream: expected targets: that is what this case has"),
        (lambda net: net.vector, "vector: expected the words order and vector"),
    ],
)
def test_what_does_not_fit_breaks_the_protocol_and_says_how(answer: Any, said: str) -> None:
    target = adapters.plain(losses="squared_error/sum", output="identity", **LAYOUT)(answer)
    drawn = Case.from_data(TWO_LAYERS)
    verdict = assess(SUBJECT, adopt(target), drawn).verdict
    assert verdict.verdict is Verdict.BROKE_PROTOCOL
    assert verdict.findings[0].message.startswith(said)


def two_layers() -> Any:
    from gradproof import Activation, Loss, Network, dense_chain

    network = Network(
        (1,), dense_chain((1, 2, 3), (Activation("sigmoid"), Activation("identity"))), Loss("squared_error", "sum")
    )
    parameters = {name: np.ones(shape) for name, shape in network.parameter_shapes.items()}
    return Case(network, parameters, np.ones((2, 1)), targets=np.ones((2, 3))).to_data()


TWO_LAYERS = two_layers()


def test_one_object_has_one_adapter() -> None:
    @adapters.plain(losses="squared_error/sum", **LAYOUT)
    def net(_: adapters.Given) -> None: ...

    with pytest.raises(ArgumentError, match="expected a function, class or object that declares nothing yet"):
        adapters.plain(losses="squared_error/sum", **LAYOUT)(net)  # type: ignore[arg-type]


def test_an_adapter_is_named_by_the_file_of_its_function() -> None:
    target = adapters.plain(losses="squared_error/sum", **LAYOUT)(mean_squares("sum"))
    assert Path(adopt(target).text.partition(":")[0]).resolve() == Path(__file__)
    assert declaration_of(target) == Supports(losses=("squared_error/sum",))


def test_what_the_code_is_given_is_its_own_to_write() -> None:
    @adapters.plain(losses="squared_error/sum", output="identity", depth=(1, 1), **LAYOUT)
    def scribbler(net: adapters.Given) -> dict[str, Any]:
        answer: dict[str, Any] = mean_squares("sum")(net)
        for array in (*net.weights, *net.biases, net.inputs, net.targets):
            array[...] = 7.0
        return answer

    assert set(verdicts(scribbler)) == {Verdict.CORRECT}

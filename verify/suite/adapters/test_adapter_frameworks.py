"""What frameworks' adapters refuse, each with what to change; and what they find wrong when it is planted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from asking import assessments, verdicts  # type: ignore[import-not-found,unused-ignore]

from gradproof import ArgumentError, Verdict, adapters
from gradproof.adapters.arrays import as_numpy

TORCH: dict[str, Any] = {"losses": "squared_error/element_mean", "hidden": "tanh", "output": "identity"}
MLP: dict[str, Any] = {"losses": "half_squared_error/batch_mean", "hidden": "tanh", "output": "identity"}
LAYOUT: dict[str, Any] = {"weights": "in_out", "bias": "vector", "samples": "rows"}


def said(target: Any) -> str:
    ((_, one), *_) = assessments(target, 3)
    assert one.verdict.verdict is Verdict.BROKE_PROTOCOL
    return str(one.verdict.findings[0].message)


class TestTorch:
    @staticmethod
    def perceptron(net: adapters.Given) -> Any:
        torch = pytest.importorskip("torch")
        layers = [torch.nn.Linear(m, n) for m, n in zip(net.widths, net.widths[1:], strict=False)]
        parts = [part for layer in layers for part in (layer, torch.nn.Tanh())][:-1]
        return torch.nn.Sequential(*parts), torch.nn.functional.mse_loss

    def test_names_say_which_parameter_is_which(self) -> None:
        words = {**TORCH, "depth": (2, 2)}
        names = ("0.weight", "0.bias", "2.weight", "2.bias")
        assert set(verdicts(adapters.torch_module(names=names, **words)(self.perceptron), 5)) == {Verdict.CORRECT}
        target = adapters.torch_module(names=("layers.{}.weight", "layers.{}.bias"), **words)(self.perceptron)
        message = said(target)
        assert message.startswith("names: expected the module's parameters: 0.weight, 0.bias, 2.weight, 2.bias")
        assert message.endswith("got layers.0.weight, layers.0.bias, layers.1.weight, layers.1.bias")

    def test_a_module_of_other_layers_is_refused(self) -> None:
        torch = pytest.importorskip("torch")

        @adapters.torch_module(**TORCH)
        def other(net: adapters.Given) -> Any:
            return torch.nn.Linear(7, 9), torch.nn.functional.mse_loss

        assert "got weight (9, 7), bias (9,); names=... says which belong where" in said(other)

    def test_something_else_than_a_module_is_refused(self) -> None:
        pytest.importorskip("torch")
        assert said(adapters.torch_module(**TORCH)(lambda net: 3)).startswith(
            "the adapter's answer: expected a module, and a loss of (outputs, targets)"
        )

    def test_a_wrong_hand_written_backward_is_found(self) -> None:
        torch = pytest.importorskip("torch")

        function: Any = torch.autograd.Function

        class Tanh(function):  # type: ignore[misc]
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                ctx.save_for_backward(x)
                return torch.tanh(x)

            @staticmethod
            def backward(ctx: Any, grad: Any) -> Any:
                (x,) = ctx.saved_tensors
                return grad * (1 - x**2)

        @adapters.tensors(
            lambda array: torch.tensor(array, requires_grad=True),
            losses="squared_error/sum",
            hidden="tanh",
            output="tanh",
            **LAYOUT,
        )
        def net(net: adapters.Given) -> Any:
            x = net.inputs
            for W, b in zip(net.weights, net.biases, strict=True):
                x = Tanh.apply(x @ W + b)
            loss = ((x - net.targets) ** 2).sum()
            loss.backward()
            return {"loss": loss, "outputs": x}

        assert verdicts(net, 10)[Verdict.WRONG] >= 9


class TestJax:
    def test_float64_is_refused_where_jax_computes_in_float32(self) -> None:
        jax = pytest.importorskip("jax")
        refused = pytest.raises(ArgumentError, match="dtypes: expected float32 alone: JAX computes in float32")
        with jax.enable_x64(False), refused:
            adapters.jax_function(losses="squared_error/sum", dtypes="float64", **LAYOUT)

    def test_leaves_must_be_the_arrays_that_were_given(self) -> None:
        jnp = pytest.importorskip("jax.numpy")
        words = {**LAYOUT, "losses": "squared_error/sum", "output": "identity", "depth": (1, 1), "width": (1, 1)}

        def loss(params: Any, x: Any, y: Any) -> Any:
            return jnp.sum((x @ params[0] + params[1] - y) ** 2)

        turned = adapters.jax_function(**words)(lambda net: ([net.weights[0].T, net.biases[0]], loss))
        assert said(turned).startswith("parameters: expected net.weights and net.biases as they are")
        fewer = adapters.jax_function(**words)(lambda net: ([net.weights[0], 0.0], loss))
        assert said(fewer).startswith("parameters: expected net.weights and net.biases as they are")
        alone = adapters.jax_function(**words)(lambda net: (net.weights, lambda p, x, y: jnp.sum((x @ p[0] - y) ** 2)))
        assert "none of the leaves is net.biases[0]" in said(alone)


class TestScikitLearn:
    @pytest.mark.parametrize(
        ("words", "begins"),
        [
            ({"losses": "squared_error/sum"}, "losses: expected among half_squared_error"),
            ({"output": "tanh"}, "output: expected identity alone"),
            ({"hidden": ("tanh", "relu")}, "hidden: expected one activation"),
            ({"hidden": "softplus"}, "hidden: expected among sigmoid, tanh, relu, identity"),
            ({"penalties": "l1"}, "penalties: expected l2/half"),
            ({"biases": "either"}, "biases: expected always"),
            ({"sample_weights": True}, "sample_weights: expected False"),
            ({"weights": "out_in"}, "weights: expected a word among"),
        ],
    )
    def test_what_its_estimators_cannot_do_is_refused(self, words: dict[str, Any], begins: str) -> None:
        with pytest.raises(ArgumentError) as caught:
            adapters.sklearn_mlp(**{**MLP, **words})
        assert str(caught.value).startswith(begins)

    def test_a_classifier_is_no_regressor(self) -> None:
        network = pytest.importorskip("sklearn.neural_network")
        target = adapters.sklearn_mlp(**MLP)(lambda net: network.MLPClassifier())
        assert said(target).startswith("the adapter's answer: expected an MLPRegressor")


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
class TestArrays:
    def test_numbers_come_from_lists_tensors_and_whatever_knows_dlpack(self) -> None:
        class Tensor:
            value = np.arange(3.0)

        class Exports:
            def __dlpack__(self, **words: Any) -> Any:
                return np.arange(3.0).__dlpack__(**words)

            def __dlpack_device__(self) -> Any:
                return np.arange(3.0).__dlpack_device__()

        assert np.array_equal(as_numpy("x", Tensor(), "value"), np.arange(3.0))
        assert np.array_equal(as_numpy("x", [Tensor(), Tensor()], "value"), [np.arange(3.0)] * 2)
        assert np.array_equal(as_numpy("x", Exports()), np.arange(3.0))
        assert np.array_equal(as_numpy("x", np.matrix([[1, 2]])), [[1, 2]])

    def test_what_holds_no_numbers_says_what_to_declare(self) -> None:
        class Tensor:
            value = np.arange(3.0)

        with pytest.raises(ArgumentError, match=r"x: expected an array of numbers, got a Tensor; declare data='value'"):
            as_numpy("x", Tensor())
        with pytest.raises(ArgumentError, match="x: expected rows of one length"):
            as_numpy("x", [np.zeros(2), np.zeros(3)])

    def test_an_attribute_that_is_not_there_is_named(self) -> None:
        class Tensor:
            def __init__(self, value: Any) -> None:
                self.value, self.gradient = value, value

        words = {**LAYOUT, "losses": "squared_error/sum", "output": "identity"}
        target = adapters.tensors(Tensor, data="value", **words)(lambda net: {})
        assert said(target) == "grad: expected an attribute of Tensor (value, gradient), got grad"

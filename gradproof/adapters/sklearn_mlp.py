"""scikit-learn's ``MLPRegressor`` and ``MLPClassifier``: the gradient that their solvers are given.

What these estimators minimise, as their source has it (``sklearn.neural_network``, 1.9): the regressor half the mean
squared error over all outputs, the classifier the cross-entropy averaged over the batch, each plus α/2 · Σw² / N over
the weights. The declared penalty λ/2 · Σw² is therefore α = λN.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from gradproof.adapters.answers import Answer, read
from gradproof.adapters.given import Given
from gradproof.adapters.plain import Decorator, adapting
from gradproof.adapters.words import declared
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.target import Supports

ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu", "identity": "identity", "softmax": "softmax"}
"""Our words → scikit-learn's."""

OUTPUTS_OF = {
    "half_squared_error": ("regressor", "identity"),
    "binary_cross_entropy": ("classifier", "sigmoid"),
    "categorical_cross_entropy": ("classifier", "softmax"),
}
"""Loss → the kind of estimator that has it, and the output that goes with it."""


def sklearn_mlp(**words: Any) -> Decorator:
    """A decorator. Its function makes the estimator that is checked: ``MLPRegressor()`` or ``MLPClassifier()``.

    The words are those of ``gradproof.Supports``; layouts are the estimators' own. Of losses there are
    ``half_squared_error`` with the output ``identity``, ``binary_cross_entropy`` with ``sigmoid`` and
    ``categorical_cross_entropy`` with ``softmax``; the one penalty is ``l2/half``; hidden layers share one activation;
    layers have biases. Sample weights are refused, as the estimators divide by their sum, where others divide by N.

    The estimator is given the case's weights, and its ``_backprop`` the case's batch: loss, outputs and gradients are
    what its solvers start from. (``gradproof.adapters.training_step`` with ``partial_fit`` checks a whole step.)
    Raises ArgumentError for what no such estimator can do.
    """
    layout, supports = declared(words, (), weights="in_out", bias="vector", samples="rows")
    _refuse(supports)

    def asked(function: Callable[[Given], Any], case: Case) -> Answer:
        from sklearn.base import is_classifier, is_regressor

        net = Given(case, layout, lambda array: array)
        estimator, kind = function(net), OUTPUTS_OF[net.loss.name][0] if net.loss else ""
        fits = is_classifier(estimator) if kind == "classifier" else is_regressor(estimator)
        if not fits or not hasattr(estimator, "_backprop"):
            expected = "an MLPClassifier" if kind == "classifier" else "an MLPRegressor"
            raise ArgumentError("the adapter's answer", f"{expected}, as {net.loss} is declared", repr(estimator))
        return read(net, _backprop(estimator, net))

    return adapting(layout, supports, asked)


def _refuse(supports: Supports) -> None:
    """Raises ArgumentError for what the estimators cannot do."""
    for text in supports.losses:
        kind, output = OUTPUTS_OF.get(text.partition("/")[0], ("", ""))
        if not kind:
            raise ArgumentError("losses", f"among {', '.join(OUTPUTS_OF)}", text)
        if set(supports.output) != {output}:
            raise ArgumentError("output", f"{output} alone, which {text} goes with", supports.output)
    if len(supports.hidden) > 1 and supports.depth[1] > 2:
        raise ArgumentError("hidden", "one activation, which all hidden layers share", supports.hidden)
    if "softmax" in supports.hidden or not set(supports.hidden) <= set(ACTIVATIONS):
        raise ArgumentError("hidden", "among sigmoid, tanh, relu, identity", supports.hidden)
    if supports.penalties not in ((), ("l2/half",)):
        raise ArgumentError("penalties", "l2/half, over the weights", supports.penalties)
    if supports.bias != "always":
        raise ArgumentError("biases", "always", supports.bias)
    if supports.sample_weights:
        raise ArgumentError("sample_weights", "False: the estimators divide by the sum of the weights", True)


def _backprop(estimator: Any, net: Given) -> dict[str, Any]:
    """One pass of the estimator's own over the case's batch."""
    hidden = {ACTIVATIONS[name] for name in net.activations[:-1]} or {estimator.activation}
    estimator.set_params(
        activation=hidden.pop(), alpha=net.strength * net.batch, hidden_layer_sizes=tuple(net.widths[1:-1])
    )
    estimator.coefs_, estimator.intercepts_ = net.weights, net.biases
    estimator.n_layers_, estimator.n_outputs_ = len(net.widths), net.widths[-1]
    estimator.out_activation_ = ACTIVATIONS[net.activations[-1]]
    activations = [net.inputs, *(None for _ in net.weights)]
    weights, biases = ([np.empty_like(array) for array in arrays] for arrays in (net.weights, net.biases))
    weighted = "sample_weight" in inspect.signature(estimator._backprop).parameters  # since scikit-learn 1.7
    batch = (net.inputs, net.targets, None) if weighted else (net.inputs, net.targets)
    loss, weights, biases = estimator._backprop(*batch, activations, [None] * len(weights), weights, biases)
    return {"loss": loss, "outputs": activations[-1], "weights": weights, "biases": biases}

"""scikit-learn 1.9.1: what ``MLPClassifier`` and ``MLPRegressor`` train by.

    pip install scikit-learn==1.9.1
    gradproof check examples/third_party/sklearn_mlps.py:classifier
    gradproof check examples/third_party/sklearn_mlps.py:regressor

Conventions. Weights (fan_in, units), one activation for all hidden layers; for a classifier, sigmoid at the end of one
output or several labels. ``_backprop`` returns the loss that ``loss_curve_`` shows, and the gradients. The classifier's
loss is the cross-entropy, summed over outputs, mean over samples; the regressor's is half the squared error, mean over
samples and outputs. Both add alpha/(2·samples) · ΣW²; here alpha = strength × samples. At a ReLU's kink its
derivative is 0.
"""

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

import gradproof

HIDDEN = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


def answer(case, net, out_activation):
    stack = case.stack
    if len(set(stack.activations[:-1])) == 1:
        net.activation = HIDDEN[stack.activations[0]]
    net.alpha = case.network.penalty.strength * case.batch if case.network.penalty else 0.0
    net.n_layers_, net.out_activation_ = len(stack.widths), out_activation
    net.coefs_, net.intercepts_ = list(stack.weights), list(stack.biases)
    activations, empty = [case.inputs] + [None] * len(stack.weights), [None] * len(stack.weights)
    loss, weights, biases = net._backprop(case.inputs, case.targets, None, activations, empty, [*empty], [*empty])
    return {"loss": np.asarray(loss), "outputs": activations[-1], "parameters": stack.name(weights, biases)}


@gradproof.target(
    losses="binary_cross_entropy/batch_mean", hidden=tuple(HIDDEN), output="sigmoid", depth=(1, 2), penalties="l2/half"
)
def classifier(case):
    return answer(case, MLPClassifier(), "logistic")


@gradproof.target(
    losses="half_squared_error/element_mean",
    hidden=tuple(HIDDEN),
    output="identity",
    depth=(1, 2),
    penalties="l2/half",
)
def regressor(case):
    return answer(case, MLPRegressor(), "identity")

"""autograd 1.9.1, HIPS autograd: differentiates functions of NumPy arrays.

    pip install autograd==1.9.1
    gradproof check examples/third_party/autograd_function.py:adapter

Conventions. The network and its loss are written here in ``autograd.numpy``; what is checked is the derivative that
``value_and_grad`` makes of them, for all parameters and the inputs at once. ReLU is ``maximum(z, 0)``, whose
derivative at 0 is ½, shared between both; leaky ReLU is ``where``, and takes the side that it selects.
"""

import autograd.numpy as np
from autograd import value_and_grad

import gradproof


def softmax(z):
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


ACTIVATIONS = {
    "identity": lambda z, _: z,
    "sigmoid": lambda z, _: 1 / (1 + np.exp(-z)),
    "tanh": lambda z, _: np.tanh(z),
    "relu": lambda z, _: np.maximum(z, 0.0),
    "leaky_relu": lambda z, slope: np.where(z > 0, z, slope * z),
    "softplus": lambda z, _: np.logaddexp(z, 0.0),
    "softmax": lambda z, _: softmax(z),
}
LOSSES = {
    "squared_error/sum": lambda y, t: np.sum((y - t) ** 2),
    "squared_error/element_mean": lambda y, t: np.mean((y - t) ** 2),
    "binary_cross_entropy/batch_mean": lambda y, t: -np.sum(t * np.log(y) + (1 - t) * np.log(1 - y)) / len(y),
}


@gradproof.target(
    losses=tuple(LOSSES),
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    depth=(1, 4),
    dtypes=("float64", "float32"),
)
def adapter(case):
    stack = case.stack

    def forward(inputs, weights, biases):
        for w, b, name, parameter in zip(weights, biases, stack.activations, stack.parameters):
            inputs = ACTIVATIONS[name](np.dot(inputs, w) + b, parameter)
        return inputs

    def loss(arguments):
        return LOSSES[str(case.network.loss)](forward(*arguments), case.targets)

    arguments = (case.inputs, stack.weights, stack.biases)
    value, (inputs, weights, biases) = value_and_grad(loss)(arguments)
    named = stack.name(weights, biases)
    return {"loss": value, "outputs": forward(*arguments), "inputs": inputs, "parameters": named}

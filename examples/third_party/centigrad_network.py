"""centigrad 0.1.3: a scalar engine that asks each number for its own gradient.

    pip install centigrad==0.1.3
    gradproof check examples/third_party/centigrad_network.py:adapter

Conventions. Samples are columns, weights (fan_in, units), biases columns, both arrays of scalars. ``cost`` is the
squared error, summed over outputs, mean over samples. ``grad`` follows every path to the root anew, which takes time
that grows as the number of paths: so the networks here are small.
"""

import numpy as np
from centigrad.network import Network

import gradproof

ACTIVATIONS = {"identity": "linear", "sigmoid": "sigmoid", "relu": "relu"}


@gradproof.target(
    losses="squared_error/batch_mean",
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    width=(1, 3),
    batch=(1, 3),
)
def adapter(case):
    stack = case.stack
    activations = [ACTIVATIONS[name] for name in stack.activations]
    columns = [bias[:, None] for bias in stack.biases]
    net = Network(stack.widths[0], stack.widths[1:], activations, "mse", stack.weights, columns)
    loss = net.cost(case.inputs.T, case.targets.T)
    weights, biases = zip(*(layer.backward() for layer in net.layers))
    outputs = np.vectorize(lambda entry: entry.value, otypes=[float])(net.forward(case.inputs.T))
    named = stack.name([w.astype(float) for w in weights], [b[:, 0].astype(float) for b in biases])
    return {"loss": loss, "outputs": outputs.T, "parameters": named}

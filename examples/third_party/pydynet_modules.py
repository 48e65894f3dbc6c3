"""pydynet 1.1: an array engine with modules as in PyTorch.

    pip install pydynet==1.1
    gradproof check examples/third_party/pydynet_modules.py:adapter
    gradproof check examples/third_party/pydynet_modules.py:engine

Conventions. ``nn.Linear`` is x @ weight + bias with weight (fan_in, units). ``mse_loss`` takes the mean over samples
and outputs, or their sum. At a ReLU's kink, ``maximum(0, x)``, its derivative is 1.
"""

import numpy as np
import pydynet
from pydynet import Tensor, nn
from pydynet.core.tensor import Graph
from pydynet.nn import functional

import gradproof

ACTIVATIONS = {
    "identity": lambda x, _: x,
    "sigmoid": lambda x, _: functional.sigmoid(x),
    "tanh": lambda x, _: functional.tanh(x),
    "relu": lambda x, _: functional.relu(x),
    "leaky_relu": functional.leaky_relu,
    "softmax": lambda x, _: functional.softmax(x, axis=1),
}
REDUCTIONS = {"element_mean": "mean", "sum": "sum"}


@gradproof.target(
    losses=("squared_error/element_mean", "squared_error/sum"),
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    bias="either",
    dtypes=("float64", "float32"),
)
def adapter(case):
    Graph.node_list.clear()  # the graph is one for the whole process, and keeps every leaf that it ever met
    Graph.size = 0
    stack = case.stack
    inputs = outputs = Tensor(case.inputs, dtype=case.dtype, requires_grad=True)
    layers = []
    for weight, b, name, parameter in zip(stack.weights, stack.biases, stack.activations, stack.parameters):
        layers.append(nn.Linear(*weight.shape, bias=b is not None, dtype=case.dtype))
        layers[-1].weight.data[...] = weight
        if b is not None:
            layers[-1].bias.data[...] = b
        outputs = ACTIVATIONS[name](layers[-1](outputs), parameter)
    loss = functional.mse_loss(outputs, Tensor(case.targets), REDUCTIONS[case.network.loss.reduction])
    loss.backward()
    biases = [layer.bias and layer.bias.grad for layer in layers]
    named = stack.name([layer.weight.grad for layer in layers], biases)
    return {"loss": np.asarray(loss.data), "outputs": outputs.data, "inputs": inputs.grad, "parameters": named}


def tensor(data):
    return Tensor(data, requires_grad=True)


functions = {name: getattr(pydynet, name) for name in ("exp", "log", "sqrt", "tanh", "sigmoid", "maximum")}


@gradproof.engine(
    leaf="tensor",
    passes="once steps",
    operators="+ - * / ** x**y neg @ sum mean sum(axis) mean(axis) T reshape " + " ".join(functions),
    functions=functions,
)
def engine(graph):
    Graph.node_list.clear()
    Graph.size = 0
    return graph.run(tensor, functions)

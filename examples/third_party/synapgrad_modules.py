"""synapgrad 1.0.2: an array engine with modules as in PyTorch, in float32.

    pip install synapgrad==1.0.2
    gradproof check examples/third_party/synapgrad_modules.py:adapter
    gradproof check examples/third_party/synapgrad_modules.py:engine

Conventions. ``nn.Linear`` is x @ weight.T + bias with weight (units, fan_in). ``MSELoss`` and ``BCEWithLogitsLoss``
take the mean over samples and outputs. At the kinks of ReLU and leaky ReLU the derivative is that on the left.
"""

import synapgrad
from synapgrad import nn

import gradproof

ACTIVATIONS = {
    "identity": lambda x, _: x,
    "sigmoid": lambda x, _: synapgrad.sigmoid(x),
    "tanh": lambda x, _: synapgrad.tanh(x),
    "relu": lambda x, _: synapgrad.relu(x),
    "leaky_relu": synapgrad.leaky_relu,
    "softmax": lambda x, _: synapgrad.softmax(x, 1),
}
LOSSES = {"squared_error": nn.MSELoss, "binary_cross_entropy_with_logits": nn.BCEWithLogitsLoss}


@gradproof.target(
    losses=[f"{name}/element_mean" for name in LOSSES],
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    bias="either",
    dtypes="float32",
)
def adapter(case):
    stack = case.stack
    inputs = outputs = synapgrad.tensor(case.inputs, requires_grad=True)
    layers = []
    for weight, b, name, parameter in zip(stack.weights, stack.biases, stack.activations, stack.parameters):
        layers.append(nn.Linear(*weight.shape, bias=b is not None))
        layers[-1].weight.data[:] = weight.T
        if b is not None:
            layers[-1].bias.data[:] = b
        outputs = ACTIVATIONS[name](layers[-1](outputs), parameter)
    loss = LOSSES[case.network.loss.name]()(outputs, synapgrad.tensor(case.targets))
    loss.backward()
    biases = [None if b is None else layer.bias.grad.data for layer, b in zip(layers, stack.biases)]
    named = stack.name([layer.weight.grad.data.T for layer in layers], biases)
    return {"loss": loss.data, "outputs": outputs.data, "inputs": inputs.grad.data, "parameters": named}


def tensor(data):
    return synapgrad.tensor(data, requires_grad=True)


engine = gradproof.engine(
    tensor,
    gradient="_grad",
    operators="+ - * / ** 2**x neg @ exp log sum mean x[i] x[i:j]",
    passes="once",
    dtypes="float32",
)

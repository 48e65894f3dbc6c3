"""edugrad 0.1.0: an array engine; tensors with ``.value`` and ``.grad``.

    pip install edugrad==0.1.0
    gradproof check examples/third_party/edugrad_tensors.py:adapter
    gradproof check examples/third_party/edugrad_tensors.py:engine

Conventions. ``nn.Linear`` is xW + b with W (fan_in, units); ``ops.relu`` is its one activation; ``ops.mse_loss`` is the
mean over samples and outputs. At a ReLU's kink its derivative is 0.
"""

from edugrad import Tensor, nn, ops

import gradproof


@gradproof.target(
    losses="squared_error/element_mean",
    hidden=("relu", "identity"),
    output=("relu", "identity"),
    depth=(1, 4),
    bias="either",
)
def adapter(case):
    stack, inputs = case.stack, Tensor(case.inputs)
    layers = [nn.Linear(*weight.shape, bias=b is not None) for weight, b in zip(stack.weights, stack.biases)]
    outputs = inputs
    for layer, weight, b, name in zip(layers, stack.weights, stack.biases, stack.activations):
        layer.weight, layer.bias = Tensor(weight), None if b is None else Tensor(b)
        outputs = layer(outputs) if name == "identity" else ops.relu(layer(outputs))
    loss = ops.mse_loss(outputs, Tensor(case.targets))
    loss.backward()
    biases = [layer.bias and layer.bias.grad for layer in layers]
    named = stack.name([layer.weight.grad for layer in layers], biases)
    return {"loss": loss.value, "outputs": outputs.value, "inputs": inputs.grad, "parameters": named}


functions = {"@": ops.matmul, "relu": ops.relu, "sum": ops.reduce_sum, "mean": ops.reduce_mean}
engine = gradproof.engine(
    Tensor, data="value", operators="+ - ** @ relu sum mean", numbers="never", broadcast=False, functions=functions
)

"""pyedunet 0.1.0: one class; a backward step for each layer, arrays in dicts.

    pip install --no-deps pyedunet==0.1.0
    gradproof check examples/third_party/pyedunet_dicts.py:adapter

Conventions. Samples are columns, weights (units, fan_in), biases columns, in ``params``; one activation for all hidden
layers. The network must have one output. Losses are means over samples. At a ReLU's kink its derivative is 0.
"""

import EduNet

import gradproof

ACTIVATIONS = {"identity": EduNet.Identity, "sigmoid": EduNet.Sigmoid, "tanh": EduNet.Tanh, "relu": EduNet.ReLU}
LOSSES = {"squared_error": EduNet.MeanSquaredError, "binary_cross_entropy": EduNet.BinaryCrossEntropy}


@gradproof.target(
    losses=[f"{name}/batch_mean" for name in LOSSES],
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    depth=(1, 2),
    outputs=(1, 1),
    batch=(1, 6),
)
def adapter(case):
    stack, x, t = case.stack, case.inputs.T, case.targets.T
    kinds = [ACTIVATIONS[name] for name in stack.activations]
    net = EduNet.NeuralNetworkBinary(stack.widths, kinds[0], kinds[-1], LOSSES[case.network.loss.name])
    numbers = range(1, net.L + 1)
    net.params = {f"W{i}": weight.T for i, weight in zip(numbers, stack.weights)}
    net.params |= {f"b{i}": b[:, None] for i, b in zip(numbers, stack.biases)}
    outputs, cache = net.feed_forward(x)
    weights, biases, passed_on = [], [], None
    for i in reversed(numbers):
        weight, bias, passed_on = net.backprop_layer(i, cache, case.batch, t, passed_on)
        weights, biases = [weight.T, *weights], [bias[:, 0], *biases]
    values = {"loss": net.cost(outputs, t), "outputs": outputs.T, "inputs": passed_on.T}
    return {**values, "parameters": stack.name(weights, biases)}

"""minimalist-neural-networks 1.1: lists of arrays, by layer.

    pip install --no-deps --target packages/minimalist-neural-networks minimalist-neural-networks==1.1
    PYTHONPATH=packages/minimalist-neural-networks gradproof check examples/third_party/minimalist_columns.py:adapter

The package installs a module named ``neural``, as the package neural does; so it gets a folder of its own.

Conventions. Samples are columns, weights (units, fan_in), biases columns; gradients are left in ``d_W`` and ``d_b``.
The loss is half the squared error, summed. At a ReLU's kink its derivative is 1.
"""

from neural.functions.activation import LeakyRelu, ReLu, Sigmoid
from neural.functions.loss import SquaredError
from neural.structures.deep_neural_network import DeepNeuralNetwork

import gradproof


@gradproof.target(
    losses="half_squared_error/sum",
    hidden=("sigmoid", "relu", "leaky_relu"),
    output=("sigmoid", "relu", "leaky_relu"),
    depth=(2, 4),
)
def adapter(case):
    stack, x, t = case.stack, case.inputs.T, case.targets.T
    kinds = {"sigmoid": lambda _: Sigmoid(), "relu": lambda _: ReLu(), "leaky_relu": LeakyRelu}
    net = DeepNeuralNetwork(stack.widths, [kinds[a](slope) for a, slope in zip(stack.activations, stack.parameters)])
    net.W, net.b = [weight.T for weight in stack.weights], [bias[:, None] for bias in stack.biases]
    outputs, criterion = net._forward(x), SquaredError()
    net._backward(x, outputs, t, criterion)
    named = stack.name([d.T for d in net.d_W], [d[:, 0] for d in net.d_b])
    return {"loss": criterion.func(outputs, t), "outputs": outputs.T, "parameters": named}

"""backpropagation 0.0.3: it only trains, gradients are never returned.

    pip install backpropagation==0.0.3
    gradproof check examples/third_party/backpropagation_step.py:adapter

Conventions. One hidden layer, the same activation in both layers, weights (fan_in, units), biases if they are asked
for, a step summed over the batch. The package prints no loss; its ``target - output`` and its comments, "error term
for each output unit k" and "… hidden unit h", are those of T. Mitchell, Machine Learning (1997), table 4.2, which
descends half the squared error, summed.

The gradient follows from one step of training, w₁ = w₀ − rate·g: g = (w₀ − w₁) / rate. A small rate would bury g under
the rounding of w₁. The rate here is 2^900: times a power of two g keeps every bit, and beside 2^900·g, w₀ vanishes
in both the addition and the subtraction, so that (w₀ − w₁) / rate is g itself, bit for bit, for every
2^-846·|w₀| < |g| < 2^123.
"""

from backpropagation.Backpropagation import Backpropagation
from backpropagation.HyperbolicTangent import HyperbolicTangent
from backpropagation.NeuralNetwork import NeuralNetwork
from backpropagation.ReLU import ReLU
from backpropagation.Sigmoid import Sigmoid

import gradproof

ACTIVATIONS = {"sigmoid": Sigmoid, "tanh": HyperbolicTangent, "relu": ReLU}
RATE = 2.0**900


@gradproof.target(
    losses="half_squared_error/sum",
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    uniform=True,
    depth=(2, 2),
    bias="either",
)
def adapter(case):
    net = NeuralNetwork(*case.stack.widths)
    net.hidden_weights, net.output_weights = (weight.copy() for weight in case.stack.weights)
    net.bias = case.stack.biases[0] is not None
    if net.bias:
        net.hidden_bias_weights, net.output_bias_weights = (bias[None].copy() for bias in case.stack.biases)
    trainer = Backpropagation(net, epochs=1, lr=RATE, activation_function=ACTIVATIONS[case.stack.activations[0]]())
    _, outputs = trainer.feedForward(case.inputs)
    trainer.train(case.inputs, case.targets)
    weights = [(w0 - w1) / RATE for w0, w1 in zip(case.stack.weights, (net.hidden_weights, net.output_weights))]
    biases = []
    if net.bias:
        after = (net.hidden_bias_weights[0], net.output_bias_weights[0])
        biases = [(b0 - b1) / RATE for b0, b1 in zip(case.stack.biases, after)]
    return {"outputs": outputs, "parameters": case.stack.name(weights, biases)}

"""nerva-numpy 1.0.0: layer objects, in float32.

    pip install nerva-numpy==1.0.0
    gradproof check examples/third_party/nerva_layers.py:adapter

Conventions. A layer is a dense layer with its activation; weights (units, fan_in), gradients in ``DW``, ``Db`` and, for
its input, ``DX``. Losses are sums. At a ReLU's kink its derivative is 0.
"""

from nerva_numpy import activation_functions as acts
from nerva_numpy.layers import ActivationLayer, LinearLayer, SoftmaxLayer
from nerva_numpy.loss_functions import SoftmaxCrossEntropyLossFunction, SquaredErrorLossFunction
from nerva_numpy.multilayer_perceptron import MultilayerPerceptron

import gradproof

LAYERS = {
    "identity": lambda size, _: LinearLayer(*size),
    "softmax": lambda size, _: SoftmaxLayer(*size),
    "sigmoid": lambda size, _: ActivationLayer(*size, acts.SigmoidActivation()),
    "tanh": lambda size, _: ActivationLayer(*size, acts.HyperbolicTangentActivation()),
    "relu": lambda size, _: ActivationLayer(*size, acts.ReLUActivation()),
    "leaky_relu": lambda size, slope: ActivationLayer(*size, acts.LeakyReLUActivation(slope)),
}
LOSSES = {
    "squared_error": SquaredErrorLossFunction,
    "categorical_cross_entropy_with_logits": SoftmaxCrossEntropyLossFunction,
}


@gradproof.target(
    losses=[f"{name}/sum" for name in LOSSES], hidden=tuple(LAYERS), output=tuple(LAYERS), dtypes="float32"
)
def adapter(case):
    stack, layers = case.stack, []
    for weight, b, name, parameter in zip(stack.weights, stack.biases, stack.activations, stack.parameters):
        layers.append(LAYERS[name](weight.shape, parameter))
        layers[-1].W[:], layers[-1].b[:] = weight.T, b
    net, loss = MultilayerPerceptron(layers), LOSSES[case.network.loss.name]()
    outputs = net.feedforward(case.inputs)
    net.backpropagate(outputs, loss.gradient(outputs, case.targets))
    named = stack.name([layer.DW.T for layer in layers], [layer.Db for layer in layers])
    rounded = {"outputs": outputs.astype("float32"), "inputs": layers[0].DX.astype("float32")}
    return {"loss": loss(outputs, case.targets), **rounded, "parameters": named}

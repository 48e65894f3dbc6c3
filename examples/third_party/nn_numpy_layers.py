"""nn-numpy 0.0.1: layer objects with forward, backward and a dict of gradients.

    pip install nn-numpy==0.0.1
    gradproof check examples/third_party/nn_numpy_layers.py:adapter

Conventions. ``Linear`` is inputs @ w + b with w (fan_in, units), ``Tanh`` stands wherever the author of a network puts
it, ``backward`` returns the gradient for the inputs. The loss that the package declares, ``nn_numpy.loss.MSE``, is
called a mean and is the sum of the squared errors over outputs and samples; its gradient agrees with that sum.
"""

from nn_numpy.layers import Linear, Tanh
from nn_numpy.loss import MSE
from nn_numpy.nn import NeuralNet

import gradproof


@gradproof.target(losses="squared_error/sum", hidden=("tanh", "identity"), output=("tanh", "identity"), depth=(1, 4))
def adapter(case):
    linear = [Linear(*weight.shape) for weight in case.stack.weights]
    for layer, weight, bias in zip(linear, case.stack.weights, case.stack.biases):
        layer.params = {"w": weight, "b": bias}
    pairs = zip(linear, case.stack.activations)
    net = NeuralNet([layer for dense, name in pairs for layer in (dense, Tanh()) if layer is dense or name == "tanh"])
    outputs = net.forward(case.inputs)
    inputs = net.backward(MSE().grad(outputs, case.targets))
    named = case.stack.name([layer.grads["w"] for layer in linear], [layer.grads["b"] for layer in linear])
    return {"loss": MSE().loss(outputs, case.targets), "outputs": outputs, "inputs": inputs, "parameters": named}

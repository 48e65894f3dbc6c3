"""A loss for HIPS autograd, of a list of (W, b)."""

from networks.autograd_network import loss, predict

import gradproof

LAYOUT = {"weights": "in_out", "bias": "vector", "samples": "rows"}


@gradproof.adapters.autograd_function(losses="squared_error/batch_mean", hidden="tanh", output="identity", **LAYOUT)
def adapter(net):
    return list(zip(net.weights, net.biases)), loss, predict

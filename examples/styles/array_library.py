"""An array library through the array API and DLPack; here torch's tensors, without its autograd."""

import torch
from networks.array_api import run

import gradproof

LAYOUT = {"weights": "in_out", "bias": "vector", "samples": "rows", "arrays": torch}


@gradproof.adapters.plain(losses="half_squared_error/sum", hidden="tanh", output="tanh", **LAYOUT)
def adapter(net):
    outputs, loss, weights, biases, inputs = run(torch, net.weights, net.biases, net.inputs, net.targets)
    return {"loss": loss, "outputs": outputs, "inputs": inputs, "weights": weights, "biases": biases}

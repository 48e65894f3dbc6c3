"""Biases as the last row of each weight."""

from networks.extra_row import gradients

import gradproof

LAYOUT = {"weights": "in_out", "bias": "last_row", "samples": "rows"}


@gradproof.adapters.plain(losses="squared_error/element_mean", hidden="tanh", output="tanh", **LAYOUT)
def adapter(net):
    outputs, loss, weights = gradients(net.weights, net.inputs, net.targets)
    return {"loss": loss, "outputs": outputs, "weights": weights}

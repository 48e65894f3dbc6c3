"""Inverted dropout behind hidden layers; a case brings its masks, 1 where an entry is kept."""

from networks.dropout import run

import gradproof


@gradproof.adapters.plain(
    losses="half_squared_error/sum", dropout=True, weights="in_out", bias="vector", samples="rows"
)
def adapter(net):
    outputs, weights, biases = run(net.weights, net.biases, net.masks, net.probabilities, net.inputs, net.targets)
    return {"outputs": outputs, "weights": weights, "biases": biases}

"""Nested lists of floats, one sample at a time."""

from networks.nested_lists import backward, forward

import gradproof


@gradproof.adapters.plain(
    losses="half_squared_error/sum", weights="out_in", bias="vector", samples="one", arrays="lists"
)
def adapter(net):
    activations = forward(net.weights, net.biases, net.inputs)
    weights, biases = backward(net.weights, activations, net.targets)
    return {"outputs": activations[-1], "weights": weights, "biases": biases}

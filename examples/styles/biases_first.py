"""A function of one sample, a column, that returns the gradients for biases first."""

from networks.one_sample import Network

import gradproof


@gradproof.adapters.plain(losses="half_squared_error/sum", weights="out_in", bias="column", samples="one_column")
def adapter(net):
    network = Network()
    network.weights, network.biases = net.weights, net.biases
    nabla_b, nabla_w = network.backprop(net.inputs, net.targets)
    return {"outputs": network.feedforward(net.inputs), "weights": nabla_w, "biases": nabla_b}

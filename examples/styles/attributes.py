"""An object that keeps its gradients as attributes; samples are columns, weights (units, fan_in), biases columns."""

from networks.attributes import Network

import gradproof


@gradproof.adapters.plain(losses="half_squared_error/batch_mean", weights="out_in", bias="column", samples="columns")
def adapter(net):
    network = Network(net.widths)
    network.weights, network.biases = net.weights, net.biases
    outputs, loss = network.forward(net.inputs), network.cost(net.targets)
    network.backward(net.targets)
    return {"loss": loss, "outputs": outputs, "weights": network.grad_weights, "biases": network.grad_biases}

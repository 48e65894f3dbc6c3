"""numpy.matrix, with biases as rows."""

from networks.matrices import run

import gradproof


@gradproof.adapters.plain(
    losses="half_squared_error/sum", weights="in_out", bias="row", samples="rows", arrays="matrix"
)
def adapter(net):
    outputs, weights, biases = run(net.weights, net.biases, net.inputs, net.targets)
    return {"outputs": outputs, "weights": weights, "biases": biases}

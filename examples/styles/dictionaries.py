"""Functions over dicts, W1, b1 in and dW1, db1 out, in whatever order; samples are columns."""

from networks.dictionaries import backward_propagation, compute_cost, forward_propagation

import gradproof

LAYOUT = {"weights": "out_in", "bias": "column", "samples": "columns"}


@gradproof.adapters.plain(losses="binary_cross_entropy/batch_mean", hidden="tanh", output="sigmoid", **LAYOUT)
def adapter(net):
    parameters = net.to_dict("W{}", "b{}")
    A, cache = forward_propagation(net.inputs, parameters)
    grads = backward_propagation(parameters, cache, net.targets)
    return {"loss": compute_cost(A, net.targets), "outputs": A, **net.from_dict(grads, "dW{}", "db{}")}

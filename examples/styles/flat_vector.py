"""A cost function of one flat vector: each Theta (units, 1 + fan_in) with its bias first, unrolled by columns."""

from networks.flat_vector import cost_function

import gradproof

LAYOUT = {"weights": "out_in", "bias": "first_column", "samples": "rows", "penalties": "l2/half"}
VECTOR = {"order": "weights_biases", "vector": "columns"}


@gradproof.adapters.plain(losses="binary_cross_entropy/batch_mean", **LAYOUT, **VECTOR)
def adapter(net):
    loss, gradient = cost_function(net.vector, net.widths, net.inputs, net.targets, net.strength)
    return {"loss": loss, "parameters": gradient}

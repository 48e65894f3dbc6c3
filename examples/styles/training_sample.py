"""A network that only trains, on one sample at a fixed rate; each unit's list ends in its bias."""

from networks.training import SampleNetwork

import gradproof

LAYOUT = {"weights": "out_in", "bias": "last_column", "samples": "one", "arrays": "lists"}


@gradproof.adapters.training_step(rates=[SampleNetwork.learning_rate], losses="half_squared_error/sum", **LAYOUT)
def adapter(net):
    network = SampleNetwork(net.weights)
    return {"outputs": network.train(net.inputs, net.targets), "weights": network.rows}

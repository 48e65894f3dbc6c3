"""Layer objects with forward, backward and a dict of gradients; the gradient for the inputs comes with it."""

from networks.layers import Dense, ReLU, Sequential

import gradproof

LAYOUT = {"weights": "in_out", "bias": "vector", "samples": "rows"}


@gradproof.adapters.plain(losses="upstream", hidden="relu", output="relu", **LAYOUT)
def adapter(net):
    dense = [Dense(w, b) for w, b in zip(net.weights, net.biases)]
    network = Sequential(*(layer for one in dense for layer in (one, ReLU())))
    outputs, inputs = network.forward(net.inputs), network.backward(net.upstream)
    grads = {kind: [layer.grads[kind[0]] for layer in dense] for kind in ("weights", "biases")}
    return {"outputs": outputs, "inputs": inputs, **grads}

"""A scalar engine: every number of weights, biases and inputs is an object."""

from networks.scalar_engine import Value

import gradproof

LAYOUT = {"weights": "out_in", "bias": "vector", "samples": "one"}


@gradproof.adapters.scalars(Value, losses="squared_error/sum", hidden="tanh", output="tanh", **LAYOUT)
def adapter(net):
    x = net.inputs
    for W, b in zip(net.weights, net.biases):
        x = [sum((w * v for w, v in zip(row, x)), bias).tanh() for row, bias in zip(W, b)]
    loss = sum(((y - t) * (y - t) for y, t in zip(x, net.targets)), Value(0.0))
    loss.backward()
    return {"loss": loss, "outputs": x}

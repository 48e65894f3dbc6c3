"""micrograd 0.1.0: a scalar engine, one object for each number.

    pip install micrograd==0.1.0
    gradproof check examples/third_party/micrograd_engine.py:adapter
    gradproof check examples/third_party/micrograd_engine.py:engine

Conventions. ``micrograd.nn.MLP`` is a stack of dense layers with biases, ReLU after each but the last. A neuron owns
its weights, so that a layer's are (units, fan_in). The package declares no loss: here the squared error, summed over
outputs and samples, is written in its own operators. At a ReLU's kink its derivative is 0. A layer of one neuron
returns a bare number, which the next layer of ``MLP`` cannot take: so the layers are called one by one here, and a
lone number is put into a list again.
"""

from micrograd.engine import Value
from micrograd.nn import MLP

import gradproof


def forward(net, row):
    for layer in net.layers:
        row = layer(row)
        row = row if isinstance(row, list) else [row]
    return row


@gradproof.target(losses="squared_error/sum", hidden="relu", output="identity", depth=(1, 3))
def adapter(case):
    net = MLP(case.stack.widths[0], list(case.stack.widths[1:]))
    for layer, weight, bias in zip(net.layers, case.stack.weights, case.stack.biases):
        for neuron, column, b in zip(layer.neurons, weight.T.tolist(), bias.tolist()):
            neuron.w, neuron.b = [Value(w) for w in column], Value(b)
    inputs = [[Value(x) for x in row] for row in case.inputs.tolist()]
    outputs = [forward(net, row) for row in inputs]
    errors = [y - t for row, targets in zip(outputs, case.targets.tolist()) for y, t in zip(row, targets)]
    loss = sum(error**2 for error in errors)
    loss.backward()
    return {
        "loss": loss.data,
        "outputs": [[y.data for y in row] for row in outputs],
        "inputs": [[x.grad for x in row] for row in inputs],
        "parameters": case.stack.name(
            [list(zip(*([w.grad for w in neuron.w] for neuron in layer.neurons))) for layer in net.layers],
            [[neuron.b.grad for neuron in layer.neurons] for layer in net.layers],
        ),
    }


engine = gradproof.engine(Value, scalar=True, operators="+ - * / ** neg relu", passes="once steps accumulate")

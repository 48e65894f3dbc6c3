"""propgrad 0.1.1: a scalar engine, one object for each number.

    pip install propgrad==0.1.1
    gradproof check examples/third_party/propgrad_engine.py:adapter

Conventions. A neuron owns its weights ``w``, its bias ``b`` and its activation ``nonlin``, by name. The package has no
loss: here the squared error, summed, is written in its own operators.
"""

from propgrad import Neuron, Value

import gradproof

ACTIVATIONS = {"identity": False, "sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu"}


@gradproof.target(losses="squared_error/sum", hidden=tuple(ACTIVATIONS), output=tuple(ACTIVATIONS))
def adapter(case):
    layers = []
    for weight, bias, activation in zip(case.stack.weights, case.stack.biases, case.stack.activations):
        layers.append([Neuron(len(weight), ACTIVATIONS[activation]) for _ in bias])
        for neuron, column, b in zip(layers[-1], weight.T.tolist(), bias.tolist()):
            neuron.w, neuron.b = [Value(w) for w in column], Value(b)
    inputs = outputs = [[Value(x) for x in row] for row in case.inputs.tolist()]
    for layer in layers:
        outputs = [[neuron(row) for neuron in layer] for row in outputs]
    predictions = [y for row in outputs for y in row]
    loss = sum((y - t) ** 2 for y, t in zip(predictions, case.targets.ravel().tolist()))
    loss.backward()
    return {
        "loss": loss.data,
        "outputs": [[y.data for y in row] for row in outputs],
        "inputs": [[x.grad for x in row] for row in inputs],
        "parameters": case.stack.name(
            [list(zip(*([w.grad for w in neuron.w] for neuron in layer))) for layer in layers],
            [[neuron.b.grad for neuron in layer] for layer in layers],
        ),
    }

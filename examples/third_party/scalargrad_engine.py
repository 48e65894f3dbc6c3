"""scalargrad 1.0.5: a scalar engine, one object for each number.

    pip install scalargrad==1.0.5
    gradproof check examples/third_party/scalargrad_engine.py:adapter

Conventions. A neuron owns its weights ``w``, its bias ``b`` and its activation, by name. ``MSELoss`` takes a list of
predictions and is their mean; one list holds the outputs of all samples here.
"""

from scalargrad import Scalar
from scalargrad.loss import MSELoss
from scalargrad.nn import Neuron

import gradproof

ACTIVATIONS = {"identity": "linear", "sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu"}


@gradproof.target(losses="squared_error/element_mean", hidden=tuple(ACTIVATIONS), output=tuple(ACTIVATIONS))
def adapter(case):
    layers = []
    for weight, bias, activation in zip(case.stack.weights, case.stack.biases, case.stack.activations):
        layers.append([Neuron(len(weight), ACTIVATIONS[activation]) for _ in bias])
        for neuron, column, b in zip(layers[-1], weight.T.tolist(), bias.tolist()):
            neuron.w, neuron.b = [Scalar(w) for w in column], Scalar(b)
    inputs = outputs = [[Scalar(x) for x in row] for row in case.inputs.tolist()]
    for layer in layers:
        outputs = [[neuron(row) for neuron in layer] for row in outputs]
    loss = MSELoss()([y for row in outputs for y in row], case.targets.ravel().tolist())
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

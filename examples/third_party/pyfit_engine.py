"""pyfit 1.0.2: a scalar engine, one object for each number.

    pip install pyfit==1.0.2
    gradproof check examples/third_party/pyfit_engine.py:adapter

Conventions. A neuron owns its weights ``w`` and bias ``b`` and ends in ReLU where ``nonlin`` is true.
``mean_squared_error`` takes a list of predictions and is their mean; one list holds the outputs of all samples here.
At a ReLU's kink its derivative is 0.
"""

from pyfit.engine import Scalar
from pyfit.metrics import mean_squared_error
from pyfit.nn import Neuron

import gradproof


@gradproof.target(losses="squared_error/element_mean", hidden=("relu", "identity"), output=("relu", "identity"))
def adapter(case):
    layers = []
    for weight, bias, activation in zip(case.stack.weights, case.stack.biases, case.stack.activations):
        layers.append([Neuron(len(weight), nonlin=activation == "relu") for _ in bias])
        for neuron, column, b in zip(layers[-1], weight.T.tolist(), bias.tolist()):
            neuron.w, neuron.b = [Scalar(w) for w in column], Scalar(b)
    inputs = outputs = [[Scalar(x) for x in row] for row in case.inputs.tolist()]
    for layer in layers:
        outputs = [[neuron(row) for neuron in layer] for row in outputs]
    loss = mean_squared_error(case.targets.ravel().tolist(), [y for row in outputs for y in row])
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

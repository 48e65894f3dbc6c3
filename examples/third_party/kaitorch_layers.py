"""kaitorch 0.1.0: a scalar engine below layers as in Keras.

    pip install --no-deps kaitorch==0.1.0
    gradproof check examples/third_party/kaitorch_layers.py:adapter

Conventions. ``Dense`` holds nodes, each with its weights ``w``, bias ``b`` and an activation by name. The loss here is
the squared error, summed, written in the engine's own + − ×, as e·e: the engine's ``**`` adds 1e-8 to its base, and so
does the package's own ``MeanSquaredError``. A layer of one node returns a bare number, which the next one takes.
"""

from kaitorch.core import Scalar
from kaitorch.layers import Dense
from kaitorch.utils import wrap

import gradproof

ACTIVATIONS = {"identity": None, "sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU"}


@gradproof.target(losses="squared_error/sum", hidden=tuple(ACTIVATIONS), output=tuple(ACTIVATIONS))
def adapter(case):
    layers = [Dense(weight.shape[1], ACTIVATIONS[a]) for weight, a in zip(case.stack.weights, case.stack.activations)]
    for layer, weight, bias in zip(layers, case.stack.weights, case.stack.biases):
        layer.__build__(len(weight))
        for node, column, b in zip(layer.nodes, weight.T.tolist(), bias.tolist()):
            node.w, node.b = [Scalar(w) for w in column], Scalar(b)
    inputs = [[Scalar(x) for x in row] for row in case.inputs.tolist()]
    outputs = inputs
    for layer in layers:
        outputs = [wrap(layer(row)) for row in outputs]
    errors = [y - t for row, targets in zip(outputs, case.targets.tolist()) for y, t in zip(row, targets)]
    loss = sum(error * error for error in errors)
    loss.backward()
    return {
        "loss": loss.data,
        "outputs": [[y.data for y in row] for row in outputs],
        "inputs": [[x.grad for x in row] for row in inputs],
        "parameters": case.stack.name(
            [list(zip(*([w.grad for w in node.w] for node in layer.nodes))) for layer in layers],
            [[node.b.grad for node in layer.nodes] for layer in layers],
        ),
    }

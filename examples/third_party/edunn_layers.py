"""edunn 0.1.6: layer objects whose backward returns gradients in a dict.

    pip install edunn==0.1.6
    gradproof check examples/third_party/edunn_layers.py:adapter

Conventions. ``Dense`` is activation(xw + b) with w (fan_in, units); ``MeanError`` of ``SquaredError`` is the sum over
outputs, mean over samples; ``CrossEntropyWithLabels`` takes integer labels, of two samples at least: it squeezes them
and refuses what then has no axis left. At a ReLU's kink its derivative is 0.
"""

import edunn

import gradproof

ACTIVATIONS = {"identity": "id", "sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "softmax": "softmax"}


@gradproof.target(
    losses=("squared_error/batch_mean", "categorical_cross_entropy/batch_mean"),
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    batch=(2, 4),
)
def adapter(case):
    stack, layers = case.stack, []
    for i, (weight, b, name) in enumerate(zip(stack.weights, stack.biases, stack.activations)):
        layers.append(edunn.Dense(*weight.shape, activation_name=ACTIVATIONS[name], name=f"{i}"))
        layers[-1].linear.parameters["w"], layers[-1].bias.parameters["b"] = weight, b
    labelled = case.network.loss.name != "squared_error"
    error = edunn.MeanError(edunn.CrossEntropyWithLabels() if labelled else edunn.SquaredError())
    net, targets = edunn.Sequential(layers), case.targets.argmax(axis=1) if labelled else case.targets
    outputs = net.forward(case.inputs)
    loss = error.forward(targets, outputs)
    inputs, grads = net.backward(error.backward()[0])
    named = stack.name([grads[f"{layer.name}(w)"] for layer in layers], [grads[f"{layer.name}(b)"] for layer in layers])
    return {"loss": loss, "outputs": outputs, "inputs": inputs, "parameters": named}

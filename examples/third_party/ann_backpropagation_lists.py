"""ann-backpropagation-algorithm 0.3.3: lists of dicts.

    pip install ann-backpropagation-algorithm==0.3.3
    gradproof check examples/third_party/ann_backpropagation_lists.py:adapter

Conventions. A network is a list of layers, a layer a list of neurons, a neuron a dict: ``weights`` with the bias last,
``output`` and, after the backward pass, ``delta``, minus the derivative for its pre-activation. One sample at a time
(a row whose last entry is its label), sigmoid everywhere. What it prints while it trains is the squared error, summed.
Its deltas are those of half of that; half the squared error is what is declared here. ``update_weights`` adds
rate × delta × input; from weights of 0, at a rate of 1, that leaves −gradient in their place.
"""

from ann_backpropagation_algorithm.main import backward_propagate_error, forward_propagate, update_weights

import gradproof


@gradproof.target(losses="half_squared_error/sum", depth=(1, 3), batch=(1, 1))
def adapter(case):
    (row,), (target,) = case.inputs.tolist(), case.targets.tolist()
    pairs = zip(case.stack.weights, case.stack.biases)
    net = [[{"weights": [*w.tolist(), b]} for w, b in zip(weight.T, bias.tolist())] for weight, bias in pairs]
    outputs = forward_propagate(net, [*row, None])
    backward_propagate_error(net, target)
    for neuron in (neuron for layer in net for neuron in layer):
        neuron["weights"] = [0.0] * len(neuron["weights"])
    update_weights(net, [*row, None], 1.0)
    weights = [[[-w for w in column] for column in zip(*(n["weights"][:-1] for n in layer))] for layer in net]
    biases = [[-neuron["weights"][-1] for neuron in layer] for layer in net]
    return {"outputs": [outputs], "parameters": case.stack.name(weights, biases)}

"""neural 0.1.0: cost and gradient of one flat vector, for scipy.optimize.

    pip install neural==0.1.0
    gradproof check examples/third_party/neural_flat_vector.py:adapter

Conventions. Sigmoid everywhere. A layer's matrix is (units, 1 + fan_in), the bias in column 0; all matrices, row by
row, make up the vector. The cost is the binary cross-entropy, summed over outputs, mean over samples, with
lambda/(2·samples) · ΣW² added, biases left out; here lambda = strength × samples, so that its penalty is
strength/2 · ΣW². Everything is private to the class, so this adapter sets and calls what ``train`` sets and calls.
"""

import numpy as np
from neural.neural import NeuralNetwork

import gradproof


@gradproof.target(losses="binary_cross_entropy/batch_mean", penalties="l2/half")
def adapter(case):
    stack, penalty = case.stack, case.network.penalty
    net = NeuralNetwork(stack.widths[1:-1], penalty.strength * case.batch if penalty else 0)
    private = {"sizes": stack.widths, "X": np.asmatrix(case.inputs), "y": np.asmatrix(case.targets), "m": case.batch}
    for name, value in private.items():
        setattr(net, f"_NeuralNetwork__{name}", value)
    flat = np.concatenate([np.column_stack([b, w.T]).ravel() for w, b in zip(stack.weights, stack.biases)])
    gradient = net._NeuralNetwork__cost_grad_function(flat)
    sizes = [b.size * (len(w) + 1) for w, b in zip(stack.weights, stack.biases)]
    parts = np.split(gradient, np.cumsum(sizes)[:-1])
    rows = [part.reshape(b.size, -1) for part, b in zip(parts, stack.biases)]
    named = stack.name([row[:, 1:].T for row in rows], [row[:, 0] for row in rows])
    return {"loss": net._NeuralNetwork__cost_function(flat), "parameters": named}

"""NeuNetMlp 0.0.4: it only trains, at a rate of 1; gradients are never returned.

    pip install NeuNetMlp==0.0.4
    gradproof check examples/third_party/neunetmlp_step.py:adapter

Conventions. One hidden layer, sigmoid in both, no biases, weights (fan_in, units). It prints no loss; its error
``y - output`` is minus the derivative of half the squared error, summed over outputs and samples.

A step w₁ = w₀ − g gives the gradient as w₀ − w₁, but only to half an ulp of w₁: a small gradient beside a large weight
is lost. ``backward`` adds its steps by ``+=``, so the weights here are arrays that keep what is added apart.
"""

import numpy as np
from NeuNetMlp import Network

import gradproof


class Keep(np.ndarray):
    """Weights that stay as they are, and keep the step −g that is added to them."""

    def __iadd__(self, step):
        self.step = np.asarray(step)
        return self


@gradproof.target(losses="half_squared_error/sum", depth=(2, 2), bias="never")
def adapter(case):
    net = Network(*case.stack.widths)
    net.W1, net.W2 = (weight.view(Keep) for weight in case.stack.weights)
    outputs = net.run(case.inputs)
    net.backward(case.inputs, case.targets, outputs)
    return {"outputs": np.asarray(outputs), "parameters": case.stack.name([-net.W1.step, -net.W2.step])}

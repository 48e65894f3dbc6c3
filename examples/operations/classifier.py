"""A chain of layers and a loss, as one function with everything in one argument.

gradproof check examples/operations/classifier.py:adapter
"""

import numpy as np

import gradproof


@gradproof.operation("dense", "softmax", "categorical_cross_entropy/batch_mean", batch=(1, 5), sizes=(2, 40))
def adapter(case):
    W, b = case.parameters["0.weight"], case.parameters["0.bias"]
    e = np.exp(case.inputs @ W + b)
    p = e / e.sum(axis=-1, keepdims=True)
    loss = -(case.targets * np.log(p)).sum() / len(p)
    delta = (p - case.targets) / len(p)
    return {"loss": loss, "inputs": delta @ W.T, "0.weight": case.inputs.T @ delta, "0.bias": delta.sum(axis=0)}

"""A dense layer, once with new arrays for its gradients and once adding to those that are there.

gradproof check examples/operations/dense.py:adapter
gradproof check examples/operations/dense.py:accumulating
"""

import gradproof


@gradproof.operation("dense")
def adapter(x, W, b, upstream):
    return x @ W + b, upstream @ W.T, x.T @ upstream, upstream.sum(axis=0)


@gradproof.operation("dense", gradients="added")
def accumulating(x, W, b, upstream, into):
    into["inputs"] += upstream @ W.T
    into["weight"] += x.T @ upstream
    into["bias"] += upstream.sum(axis=0)
    return x @ W + b

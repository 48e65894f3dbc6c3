"""Softmax over the last axis and its backward, in plain NumPy, in four precisions.

gradproof check examples/operations/softmax.py:adapter

bfloat16 comes from the package ml-dtypes.
"""

import numpy as np

import gradproof


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(y, upstream):
    """∂L/∂x from ∂L/∂y: the Jacobian diag(y) − y yᵀ of each row, without ever being built."""
    return y * (upstream - (upstream * y).sum(axis=-1, keepdims=True))


@gradproof.operation("softmax", dtypes=("float64", "float32", "float16", "bfloat16"))
def adapter(x, upstream):
    y = softmax(x)
    return y, softmax_backward(y, upstream)

"""GELU, x Φ(x) with the normal distribution's Φ, and its usual approximation by tanh.

gradproof check examples/operations/gelu.py:adapter
gradproof check examples/operations/gelu.py:approximated
"""

import numpy as np
from scipy.special import ndtr

import gradproof


@gradproof.operation("gelu", dtypes=("float64", "float32"))
def adapter(x, upstream):
    slope = ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi, dtype=x.dtype)
    return x * ndtr(x), upstream * slope


@gradproof.operation("gelu")
def approximated(x, upstream):
    """By tanh, though declared to be GELU itself: what is proved wrong is the declaration."""
    c = np.sqrt(2 / np.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x)
    return 0.5 * x * (1 + t), upstream * slope

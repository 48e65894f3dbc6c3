"""A JAX loss of a tree of parameters. Small, since JAX compiles anew for every shape."""

from networks.jax_networks import mse, predict

import gradproof

LAYOUT = {"weights": "in_out", "bias": "vector", "samples": "rows", "depth": (1, 2), "width": (1, 2), "batch": (1, 2)}


@gradproof.adapters.jax_function(losses="squared_error/element_mean", hidden="tanh", output="identity", **LAYOUT)
def adapter(net):
    return [{"w": w, "b": b} for w, b in zip(net.weights, net.biases)], mse, predict

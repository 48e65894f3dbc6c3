"""A JAX loss with a derivative written by hand (custom_vjp)."""

from networks.jax_networks import sum_of_squares

import gradproof

LAYOUT = {"weights": "in_out", "bias": "vector", "samples": "rows", "depth": (1, 2), "width": (1, 2), "batch": (1, 2)}


@gradproof.adapters.jax_function(losses="squared_error/sum", hidden="tanh", output="identity", **LAYOUT)
def adapter(net):
    return [{"w": w, "b": b} for w, b in zip(net.weights, net.biases)], sum_of_squares

"""JAX: a loss of a list of dicts, and an activation with a custom derivative."""

import jax
import jax.numpy as jnp


def predict(params, x):
    """The outputs: tanh in hidden layers, nothing after the last."""
    for layer in params[:-1]:
        x = jnp.tanh(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


def mse(params, x, y):
    """The squared error, averaged over samples and outputs."""
    return jnp.mean((predict(params, x) - y) ** 2)


@jax.custom_vjp
def square(x):
    return x * x


square.defvjp(lambda x: (x * x, x), lambda x, g: (2 * x * g,))


def sum_of_squares(params, x, y):
    """The squared error, summed, by the function with its own derivative."""
    return jnp.sum(square(predict(params, x) - y))

"""JAX as an engine that differentiates a function: the adapter answers a graph itself.

    gradproof check examples/engines/jax_engine.py:adapter

``graph.evaluate`` is the function to differentiate, ``graph.leaves`` are its arguments, and ``graph.answer`` puts a
value and the gradients in the form that is expected.
"""

import jax
import jax.numpy as jnp

import gradproof

jax.config.update("jax_enable_x64", True)


@gradproof.engine(operators="+ - * / ** neg sum mean sum(axis) @ T reshape x[i] x[i:j]")
def adapter(graph):
    leaves = [jnp.asarray(leaf) for leaf in graph.leaves]
    value, gradients = jax.value_and_grad(graph.evaluate, argnums=tuple(range(len(leaves))))(*leaves)
    return graph.answer(value, gradients)

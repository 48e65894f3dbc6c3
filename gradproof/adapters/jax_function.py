"""A JAX loss function of a tree of parameters; custom derivatives (``custom_vjp``) inside come with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradproof.adapters.answers import Answer
from gradproof.adapters.given import Given
from gradproof.adapters.plain import Decorator, adapting
from gradproof.adapters.trees import answer, functions
from gradproof.adapters.words import declared
from gradproof.case import Case
from gradproof.errors import ArgumentError


def jax_function(**words: Any) -> Decorator:
    """A decorator. Its function returns parameters, a loss of (parameters, inputs, targets), and maybe a third.

    The parameters are a tree, of whatever form, whose leaves are ``net.weights`` and ``net.biases`` as they are. The
    third is a function of (parameters, inputs) that gives the outputs; without it these are not checked. The words are
    those of ``gradproof.adapters.plain``; ``dtypes`` is what JAX computes in: float32, and with JAX_ENABLE_X64=1 (or
    ``jax.config.update("jax_enable_x64", True)`` before) float64 too.

    JAX compiles each operation anew for every shape that it meets: keep depth, width and batch small. Raises
    ArgumentError for words that contradict each other, and for float64 where JAX would compute in float32.
    """
    import jax

    wide = bool(jax.config.jax_enable_x64)
    words.setdefault("dtypes", ("float64", "float32") if wide else ("float32",))
    layout, supports = declared(words)
    if "float64" in supports.dtypes and not wide:
        raise ArgumentError(
            "dtypes", "float32 alone: JAX computes in float32, unless JAX_ENABLE_X64=1 is set", supports.dtypes
        )

    def asked(function: Callable[[Given], Any], case: Case) -> Answer:
        net = Given(case, layout, jax.numpy.asarray)
        tree, loss, predict = functions(function(net))
        value, (gradient, inputs) = jax.value_and_grad(loss, argnums=(0, 1))(tree, net.inputs, net.targets)
        outputs = None if predict is None else predict(tree, net.inputs)
        leaves = jax.tree_util.tree_leaves
        return answer(net, leaves(tree), leaves(gradient), loss=value, outputs=outputs, inputs=inputs)

    return adapting(layout, supports, asked)

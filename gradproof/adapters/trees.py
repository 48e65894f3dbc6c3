"""A function of a tree of parameters: which leaf of the tree is which of the case's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradproof.adapters.answers import Answer, read
from gradproof.adapters.given import Given
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS, OUTPUTS

Functions = tuple[Any, Callable[..., Any], Callable[..., Any] | None]
"""The tree, the loss of (tree, inputs, targets), and the outputs of (tree, inputs) where they are asked for."""


def functions(made: Any) -> Functions:
    """What a decorated function must return. Raises ArgumentError otherwise."""
    if isinstance(made, tuple) and len(made) in (2, 3) and all(map(callable, made[1:])):
        return made[0], made[1], made[2] if len(made) == 3 else None
    expected = "parameters, a loss of (parameters, inputs, targets), and if it has one a function of outputs"
    raise ArgumentError("the adapter's answer", expected, repr(made)[:80])


def leaves(tree: Any) -> list[Any]:
    """Everything in nested mappings, lists and tuples, in order."""
    if isinstance(tree, Mapping):
        return [leaf for key in tree for leaf in leaves(tree[key])]
    if isinstance(tree, list | tuple):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def answer(net: Given, tree_leaves: Sequence[Any], gradient_leaves: Sequence[Any], **given: Any) -> Answer:
    """The answer of a gradient that is a tree as the parameters are.

    A leaf is known by being the very array that the case gave. Raises ArgumentError for one that is not, and for a
    parameter that is no leaf.
    """
    known = {id(array): (kind, k) for kind in ("weights", "biases") for k, array in enumerate(getattr(net, kind))}
    found: dict[str, dict[int, Any]] = {"weights": {}, "biases": {}}
    for leaf, gradient in zip(tree_leaves, gradient_leaves, strict=True):
        if id(leaf) not in known:
            shape = getattr(leaf, "shape", "")
            raise ArgumentError(
                "parameters", "net.weights and net.biases as they are, in a tree of any form", f"another leaf {shape}"
            )
        kind, k = known[id(leaf)]
        found[kind][k] = gradient
    for kind, gradients in found.items():
        missing = sorted(set(range(len(getattr(net, kind)))) - set(gradients))
        if missing:
            raise ArgumentError("parameters", f"all of net.{kind}", f"none of the leaves is net.{kind}[{missing[0]}]")
    ordered = {kind: [gradients[k] for k in sorted(gradients)] for kind, gradients in found.items()}
    return read(net, {**{key: given.get(key) for key in (LOSS, OUTPUTS, INPUTS)}, **ordered})

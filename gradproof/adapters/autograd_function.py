"""A loss function of a tree of parameters, for HIPS autograd (``autograd.numpy``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradproof.adapters.answers import Answer
from gradproof.adapters.given import Given
from gradproof.adapters.plain import Decorator, adapting
from gradproof.adapters.trees import answer, functions, leaves
from gradproof.adapters.words import declared
from gradproof.case import Case


def autograd_function(**words: Any) -> Decorator:
    """A decorator. Its function returns parameters, a loss of (parameters, inputs, targets), and maybe a third.

    The parameters are nested lists, tuples and mappings, whose leaves are ``net.weights`` and ``net.biases`` as they
    are. The third is a function of (parameters, inputs) that gives the outputs; without it these are not checked. The
    words are those of ``gradproof.adapters.plain``.
    """
    layout, supports = declared(words)

    def asked(function: Callable[[Given], Any], case: Case) -> Answer:
        from autograd import grad

        net = Given(case, layout, lambda array: array)
        tree, loss, predict = functions(function(net))
        batch = (tree, net.inputs, net.targets)
        gradient, inputs = (grad(loss, number)(*batch) for number in (0, 1))
        outputs = None if predict is None else predict(*batch[:2])
        return answer(net, leaves(tree), leaves(gradient), loss=loss(*batch), outputs=outputs, inputs=inputs)

    return adapting(layout, supports, asked)

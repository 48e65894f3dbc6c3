"""Functions and objects that compute on arrays, nested lists or matrices, and hand gradients back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gradproof.adapters.answers import Answer, one_by_one, read
from gradproof.adapters.arrays import maker
from gradproof.adapters.given import Given
from gradproof.adapters.words import LAYOUTS, Conventions, declared
from gradproof.case import Case
from gradproof.target import Supports, target

Decorator = Callable[[Callable[[Given], Any]], Callable[[Case], Any]]
HANDED = (*LAYOUTS, "arrays", "order", "vector")
"""The conventions of code that is handed arrays and hands them back."""

Asked = Callable[[Callable[[Given], Any], Case], Answer]
"""How a decorated function is asked about a case (or one sample of it), and what it hands back is read."""


def plain(*, data: str = "", **words: Any) -> Decorator:
    """A decorator: the function that it stands above is given a ``Given``, and returns a mapping.

    The words of every adapter (what each means is said where a wrong one is used, and in ``gradproof.adapters.words``):

    - ``weights``: in_out, out_in;
    - ``bias``: vector, row, column; first_row, last_row, first_column, last_column of the weight; none;
    - ``samples``: rows, columns; one, one_row, one_column for code that takes one sample at a time;
    - ``labels``: one_hot (unless declared), integer;
    - ``biases``: always, never, either: whether layers have one;
    - ``losses``, ``hidden``, ``output``, ``depth``, ``width``, ``batch``, ``penalties``, ``dtypes`` and what else
      ``gradproof.Supports`` has, but for what plain stacks of layers do not have.

    And those of code that is handed arrays and hands them back:

    - ``arrays``: numpy (unless declared), lists, matrix, an array library's namespace, or what makes the code's own
      array of a NumPy one;
    - ``order``: weights_biases, biases_weights, weight_bias, bias_weight: of gradients under ``parameters``;
    - ``vector``: rows, columns: where those are one flat vector;
    - ``data``: the attribute that holds the numbers of the code's own kind of array.

    The mapping holds ``weights`` and ``biases`` (gradients, one for each layer) or ``parameters`` (in the order
    declared), and where the code computes them ``loss``, ``outputs`` and ``inputs`` (the gradient for them). Raises
    ArgumentError for words that are unknown, missing, or contradict each other.
    """
    layout, supports = declared(words, HANDED)
    make = maker(layout.arrays)

    def asked(function: Callable[[Given], Any], case: Case) -> Answer:
        net = Given(case, layout, make)
        return read(net, function(net), data=data)

    return adapting(layout, supports, asked)


def adapting(layout: Conventions, supports: Supports, asked: Asked) -> Decorator:
    """The decorator of an adapter that asks in this way."""

    def decorate(function: Callable[[Given], Any]) -> Callable[[Case], Any]:
        @functools.wraps(function)
        def adapter(case: Case) -> Any:
            if layout.one_by_one:
                return one_by_one(case, lambda sample: asked(function, sample)).handed_over()
            return asked(function, case).handed_over()

        return target(**{name: getattr(supports, name) for name in supports.__struct_fields__})(adapter)

    return decorate

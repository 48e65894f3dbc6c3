"""Autograd engines: the code computes a loss of tensors, or of single numbers, that remember their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradproof.adapters.answers import Answer, read, refuse_keys
from gradproof.adapters.arrays import Maker
from gradproof.adapters.given import Given
from gradproof.adapters.plain import Decorator, adapting
from gradproof.adapters.words import declared
from gradproof.arrays import Array
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS, OUTPUTS

HANDED_BACK = (LOSS, OUTPUTS)


def tensors(
    make: Maker, *, data: str = "data", grad: str = "grad", batch: Maker | None = None, **words: Any
) -> Decorator:
    """A decorator for code of array tensors; the gradients are read from the tensors that it was given.

    ``make`` makes a tensor that wants a gradient of a NumPy array (``Tensor``, or a function); ``batch`` those of
    inputs and targets, which ``make`` makes unless it is given. ``data`` and ``grad`` are the attributes that hold a
    tensor's numbers and its gradient. The words are those of ``gradproof.adapters.plain``.

    The function computes the loss, calls the engine's backward, and returns a mapping with ``loss`` and ``outputs``,
    tensors. A tensor whose gradient is None has none: for inputs that is not checked.
    """
    layout, supports = declared(words)

    def asked(function: Callable[[Given], Any], case: Case) -> Answer:
        net = Given(case, layout, make, make_batch=batch)
        given = refuse_keys(function(net), HANDED_BACK)
        return read(net, {**given, **_gradients(net, lambda one: _gradient(one, grad))}, data=data)

    return adapting(layout, supports, asked)


def scalars(
    make: Callable[[float], Any], *, data: str = "data", grad: str = "grad", arrays: str = "lists", **words: Any
) -> Decorator:
    """A decorator for a scalar engine, where each number is an object.

    ``make`` makes the engine's object of a float: ``Value``. ``arrays`` is ``lists`` of these objects, nested, or
    ``numpy`` for arrays of dtype object, which know ``@``. The rest is as for ``tensors``: gradients are read from the
    objects that the function was given. Raises ArgumentError for other arrays.
    """
    if arrays not in ("lists", "numpy"):
        raise ArgumentError("arrays", "lists or numpy", arrays)
    layout, supports = declared(words, arrays=arrays)

    def made(array: Array) -> Any:
        objects = np.empty(array.shape, dtype=object)
        for index, number in np.ndenumerate(array):
            objects[index] = make(float(number))
        return objects.tolist() if arrays == "lists" else objects

    def gradient(objects: Any) -> list[Any]:
        return [gradient(one) for one in objects] if isinstance(objects, list | np.ndarray) else getattr(objects, grad)

    def asked(function: Callable[[Given], Any], case: Case) -> Answer:
        net = Given(case, layout, made)
        given = refuse_keys(function(net), HANDED_BACK)
        return read(net, {**given, **_gradients(net, gradient)}, data=data)

    return adapting(layout, supports, asked)


def _gradients(net: Given, gradient: Callable[[Any], Any]) -> dict[str, Any]:
    return {
        "weights": [gradient(one) for one in net.weights],
        "biases": [gradient(one) for one in net.biases],
        INPUTS: gradient(net.inputs),
    }


def _gradient(tensor: Any, grad: str) -> Any:
    if not hasattr(tensor, grad):
        kinds = [name for name in vars(tensor) if not name.startswith("_")] if hasattr(tensor, "__dict__") else []
        raise ArgumentError("grad", f"an attribute of {type(tensor).__name__} ({', '.join(kinds)})", grad)
    return getattr(tensor, grad)

"""A ``torch.nn.Module``, a Sequential, anything made of them; custom ``autograd.Function``s inside come with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradproof.adapters.answers import Answer, read
from gradproof.adapters.given import Given
from gradproof.adapters.plain import Decorator, adapting
from gradproof.adapters.words import declared
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS, OUTPUTS


def torch_module(*, names: Sequence[str] = (), **words: Any) -> Decorator:
    """A decorator. Its function makes a module for a case, and returns it with a loss of (outputs, targets).

    ``names`` are those of the module's parameters, with ``{}`` for the number of the layer: ``("linear.{}.weight",
    "linear.{}.bias")``; or without it, one name after the other, each layer's weight before its bias. Where none are
    given, the module's parameters are taken in the order of ``named_parameters``.

    The words are those of ``gradproof.adapters.plain``. Weights are (units, fan_in), biases (units,) and samples rows,
    as ``torch.nn.Linear`` has them, unless a module of one's own is declared to keep them otherwise.

    The module is brought to the case's dtype and given its parameters; outputs, loss and gradients are those of one
    forward and backward pass. Raises ArgumentError for names that match no parameter, and for a module that does not
    have the case's layers.
    """
    layout, supports = declared(words, weights="out_in", bias="vector", samples="rows", order="weight_bias")

    def asked(function: Callable[[Given], Any], case: Case) -> Answer:
        import torch

        net = Given(case, layout, lambda array: array)
        made = function(net)
        if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], torch.nn.Module)):
            raise ArgumentError("the adapter's answer", "a module, and a loss of (outputs, targets)", repr(made))
        module, loss = made
        module = module.to(getattr(torch, case.dtype))
        parameters = _parameters(module, net, tuple(names))
        with torch.no_grad():
            for parameter, (_, array) in zip(parameters, net.in_order(), strict=True):
                parameter.copy_(torch.from_numpy(array))
        inputs = torch.from_numpy(net.inputs).requires_grad_()
        outputs = module(inputs)
        value = loss(outputs, torch.as_tensor(net.targets))
        module.zero_grad()
        value.backward()
        given = {LOSS: value, OUTPUTS: outputs, INPUTS: inputs.grad, "parameters": [p.grad for p in parameters]}
        return read(net, given)

    return adapting(layout, supports, asked)


def _parameters(module: Any, net: Given, names: tuple[str, ...]) -> list[Any]:
    """The module's parameters in the order of the case's."""
    owned = dict(module.named_parameters())
    wanted = net.in_order()
    if names:
        layers = range(len(net.activations))
        listed = [name.format(k) for k in layers for name in names] if any("{" in name for name in names) else names
        unknown = [name for name in listed if name not in owned]
        if unknown:
            raise ArgumentError("names", f"the module's parameters: {', '.join(owned)}", ", ".join(unknown))
        parameters = [owned[name] for name in listed]
    else:
        parameters, listed = list(owned.values()), list(owned)
    shapes = [tuple(parameter.shape) for parameter in parameters]
    if shapes != [array.shape for _, array in wanted]:
        expected = ", ".join(f"{name} {array.shape}" for name, array in wanted)
        came = ", ".join(f"{name} {shape}" for name, shape in zip(listed, shapes, strict=True))
        raise ArgumentError("the module's parameters", expected, f"{came}; names=... says which belong where")
    return parameters

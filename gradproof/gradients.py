"""What an implementation answers for a case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy.typing as npt

LOSS = "loss"
OUTPUTS = "outputs"
INPUTS = "inputs"
TARGET = "target"
"""The quantity of findings about an answer as a whole."""
ATTRIBUTE = re.compile(r"^(step \d+: )?[a-z]\d*\.")
"""What the name of an attribute of an engine's tensor begins with: ``a.grad``, ``step 2: d.data``."""
AFTER_STEP = " after step "
"""In the names of what an optimiser's step left: ``w after step 2``."""
RESERVED = (LOSS, OUTPUTS, INPUTS)
"""Names of quantities that are no parameter's; parameters' names hold a dot, so that none can clash."""
RADIUS = "radius of "
"""What stands before a quantity's name where its radius stands among the quantities."""


def label(quantity: str) -> str:
    """A quantity as mathematics: a value by its name, a gradient as ∂L/∂ of a parameter or the inputs."""
    if quantity in (LOSS, OUTPUTS, TARGET) or AFTER_STEP in quantity or ATTRIBUTE.search(quantity):
        return quantity
    return f"∂L/∂{quantity}"


@dataclass(frozen=True)
class Gradients:
    """An implementation's answer: ∂L/∂θ for each trainable parameter, and what else it computed.

    parameters: name → array of the parameter's shape. loss: L, a number. outputs: (batch, *output_shape).
    inputs: ∂L/∂x, (batch, *input_shape). What is None is not checked. radii: by a quantity's name, how far each of
    its entries may be from what the implementation itself computed, where an adapter could only work that out from
    something else (``gradproof.adapters.training_step``): finite numbers of at least 0, of the quantity's shape.
    """

    parameters: Mapping[str, npt.ArrayLike]
    loss: npt.ArrayLike | None = None
    outputs: npt.ArrayLike | None = None
    inputs: npt.ArrayLike | None = None
    radii: Mapping[str, npt.ArrayLike] = field(default_factory=dict)

    @classmethod
    def of(cls, quantities: Mapping[str, npt.ArrayLike]) -> Gradients:
        """The answer whose ``quantities`` these are; radii stand among them, each under its own name."""
        radii = {n.removeprefix(RADIUS): value for n, value in quantities.items() if n.startswith(RADIUS)}
        names = [name for name in quantities if name not in RESERVED and not name.startswith(RADIUS)]
        parameters = {name: quantities[name] for name in names}
        loss, outputs, inputs = (quantities.get(name) for name in RESERVED)
        return cls(parameters, loss, outputs, inputs, radii)

    def quantities(self) -> dict[str, npt.ArrayLike]:
        """Everything given, radii aside, under one name each: loss, outputs, the parameters, inputs."""
        named = {LOSS: self.loss, OUTPUTS: self.outputs, **self.parameters, INPUTS: self.inputs}
        return {name: value for name, value in named.items() if value is not None}

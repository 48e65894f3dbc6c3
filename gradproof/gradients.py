"""What an implementation answers for a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy.typing as npt

LOSS = "loss"
OUTPUTS = "outputs"
INPUTS = "inputs"
RESERVED = (LOSS, OUTPUTS, INPUTS)
"""Names of quantities that are no parameter's; parameters' names hold a dot, so that none can clash."""


@dataclass(frozen=True)
class Gradients:
    """An implementation's answer: ∂L/∂θ for each trainable parameter, and what else it computed.

    parameters: name → array of the parameter's shape. loss: L, a number. outputs: (batch, *output_shape).
    inputs: ∂L/∂x, (batch, *input_shape). What is None is not checked.
    """

    parameters: Mapping[str, npt.ArrayLike]
    loss: npt.ArrayLike | None = None
    outputs: npt.ArrayLike | None = None
    inputs: npt.ArrayLike | None = None

    @classmethod
    def of(cls, quantities: Mapping[str, npt.ArrayLike]) -> Gradients:
        """The answer whose ``quantities`` these are."""
        parameters = {name: value for name, value in quantities.items() if name not in RESERVED}
        return cls(parameters, **{name: quantities.get(name) for name in RESERVED})

    def quantities(self) -> dict[str, npt.ArrayLike]:
        """Everything given, under one name each: loss, outputs, the parameters, inputs."""
        named = {LOSS: self.loss, OUTPUTS: self.outputs, **self.parameters, INPUTS: self.inputs}
        return {name: value for name, value in named.items() if value is not None}

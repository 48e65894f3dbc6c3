"""A case as tutorials know networks: a plain stack of dense layers, as lists of weights, biases and activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy.typing as npt

from gradproof.arrays import Floats, Mask
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Dense, Dropout

if TYPE_CHECKING:
    from gradproof.case import Case


@dataclass(frozen=True)
class Stack:
    """The dense layers of a case in order, each followed by at most one activation, and that by at most one dropout.

    widths: of inputs, hidden layers and outputs. weights: (fan_in, units) each. biases: (units,) each, None where a
    layer has none. activations: a name for each dense layer, ``identity`` where none follows. parameters: the slope
    or other parameter of each activation, None where it has none. paths: of the dense layers. probabilities: of an
    entry to be dropped behind each activation, 0 where no dropout follows. masks: (batch, units) each, True where an
    entry is kept, None where nothing is dropped.
    """

    widths: tuple[int, ...]
    weights: tuple[Floats, ...]
    biases: tuple[Floats | None, ...]
    activations: tuple[str, ...]
    parameters: tuple[float | None, ...]
    paths: tuple[str, ...]
    probabilities: tuple[float, ...]
    masks: tuple[Mask | None, ...]

    @classmethod
    def of(cls, case: Case) -> Stack:
        """The stack of a case. Raises ArgumentError where the network is not a plain stack of dense layers."""
        network = case.network
        dense: list[tuple[str, Dense]] = []
        activations: list[Activation] = []
        dropped: dict[int, tuple[float, Mask | None]] = {}
        for site in network.sites:
            if isinstance(site.layer, Dense):
                if len(activations) < len(dense):
                    activations.append(Activation("identity"))
                dense.append((site.path, site.layer))
            elif isinstance(site.layer, Activation) and len(activations) == len(dense) - 1:
                activations.append(site.layer)
            elif isinstance(site.layer, Dropout) and dense and len(dense) - 1 not in dropped:
                if len(activations) < len(dense):
                    activations.append(Activation("identity"))
                dropped[len(dense) - 1] = (site.layer.probability, case.masks.get(site.path))
            else:
                expected = "dense layers, each followed by at most one activation, and that by at most one dropout"
                raise ArgumentError("case.network", expected, str(network))
        if len(activations) < len(dense):
            activations.append(Activation("identity"))
        return cls(
            widths=(network.input_shape[0], *(layer.units for _, layer in dense)),
            weights=tuple(case.parameter(f"{path}.weight") for path, _ in dense),
            biases=tuple(case.parameter(f"{path}.bias") if layer.bias else None for path, layer in dense),
            activations=tuple(activation.name for activation in activations),
            parameters=tuple(activation.parameter for activation in activations),
            paths=tuple(path for path, _ in dense),
            probabilities=tuple(dropped.get(number, (0.0, None))[0] for number in range(len(dense))),
            masks=tuple(dropped.get(number, (0.0, None))[1] for number in range(len(dense))),
        )

    def name(
        self, weights: Sequence[npt.ArrayLike], biases: Sequence[npt.ArrayLike | None] = ()
    ) -> Mapping[str, npt.ArrayLike]:
        """Gradients in the order of the layers, under their parameters' names.

        weights: one for each dense layer; biases: one for each, None (or an empty sequence) where there are none.
        """
        for argument, given in (("weights", weights), ("biases", biases or (None,) * len(self.paths))):
            if len(given) != len(self.paths):
                raise ArgumentError(argument, f"one for each of {len(self.paths)} dense layers", f"{len(given)}")
        named = {f"{path}.weight": w for path, w in zip(self.paths, weights, strict=True)}
        named |= {f"{path}.bias": b for path, b in zip(self.paths, biases, strict=False) if b is not None}
        return named

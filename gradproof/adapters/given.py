"""A case as somebody's code writes it, and the way back: gradients of its layouts in the case's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from gradproof.adapters.arrays import Maker, refuse_shape
from gradproof.adapters.words import INSIDE, Conventions
from gradproof.arrays import Array, Floats
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.loss import Loss, Penalty
from gradproof.stack import Stack


class Given:
    """The numbers of one case in the layouts that an adapter declares. Every array is the code's own: it may write.

    Attributes, besides those below:
        case: the case itself. words: the conventions declared.
        widths: of inputs, hidden layers and outputs. activations: a name for each dense layer. slopes: the slope or
            other parameter of each activation, None where it has none.
        rate: the learning rate to train at, for ``training_step``.
    """

    def __init__(self, case: Case, words: Conventions, make: Maker, *, make_batch: Maker | None = None) -> None:
        self.case = case
        self.words = words
        self.rate = 1.0
        self._make, self._make_batch = make, make_batch or make
        self._stack: Stack = case.stack
        self.widths = self._stack.widths
        self.activations = self._stack.activations
        self.slopes = self._stack.parameters
        self.dtype = case.dtype

    @cached_property
    def weights(self) -> list[Any]:
        """One for each layer, with the bias in it where that is declared."""
        return [self._make(weight) for weight, _ in self._laid_out()]

    @cached_property
    def biases(self) -> list[Any]:
        """One for each layer; empty where there are none, or where they stand in the weights."""
        return [self._make(bias) for _, bias in self._laid_out() if bias is not None]

    @property
    def vector(self) -> Any:
        """All parameters as one flat vector, in the order declared."""
        if self.words.vector is None or self.words.order is None:
            raise ArgumentError("vector", "the words order and vector, to make one flat vector by", "neither")
        order: Literal["C", "F"] = "C" if self.words.vector == "rows" else "F"
        return self._make(np.concatenate([array.ravel(order=order) for _, array in self.in_order()]))

    def to_dict(self, weight: str, bias: str, first: int = 1) -> dict[str, Any]:
        """Weights and biases under names with the layer's number in place of ``{}``: ``to_dict("W{}", "b{}")``."""
        pairs = ((weight, self.weights), (bias, self.biases))
        return {name.format(first + k): array for name, arrays in pairs for k, array in enumerate(arrays)}

    def from_dict(self, gradients: Mapping[str, Any], weight: str, bias: str, first: int = 1) -> dict[str, list[Any]]:
        """The gradients of such a dict as ``weights`` and ``biases``. Raises ArgumentError for a missing name."""
        found: dict[str, list[Any]] = {}
        for kind, name, count in (("weights", weight, len(self.weights)), ("biases", bias, len(self.biases))):
            names = [name.format(first + k) for k in range(count)]
            missing = [one for one in names if one not in gradients]
            if missing:
                raise ArgumentError(kind, f"names among {', '.join(map(str, gradients))}", ", ".join(missing))
            found[kind] = [gradients[one] for one in names]
        return found

    @cached_property
    def inputs(self) -> Any:
        """The batch, or the one sample."""
        return self._make_batch(self._batch(self.case.inputs))

    @cached_property
    def targets(self) -> Any:
        """What the outputs should be, laid out as the inputs are; or numbers of classes, (batch,) or one of them."""
        targets = self._asked("targets", self.case.targets)
        if self.words.labels == "integer":
            classes = np.argmax(targets, axis=1)
            if self.words.one_by_one:
                return int(classes[0])
            return classes.tolist() if self.words.arrays == "lists" else classes
        return self._make_batch(self._batch(targets))

    @cached_property
    def upstream(self) -> Any:
        """∂L/∂outputs, laid out as the outputs are; where the case brings it in place of a loss."""
        return self._make_batch(self._batch(self._asked("upstream", self.case.upstream)))

    @cached_property
    def sample_weights(self) -> Any:
        """A factor for each sample's loss, (batch,); None for ones."""
        weights = self.case.sample_weights
        return None if weights is None else self._make_batch(weights.copy())

    @cached_property
    def masks(self) -> list[Any]:
        """Of the dropout behind each layer, 1 where an entry is kept and 0 elsewhere; None where nothing is dropped.

        Numbers of the case's dtype, laid out as the layer's outputs are.
        """
        numbers = (None if mask is None else mask.astype(self.case.dtype) for mask in self._stack.masks)
        return [None if mask is None else self._make_batch(self._batch(mask)) for mask in numbers]

    @property
    def probabilities(self) -> list[float]:
        """Of an entry to be dropped behind each layer; 0 where nothing is."""
        return list(self._stack.probabilities)

    @property
    def batch(self) -> int:
        """Number of samples."""
        return self.case.batch

    @property
    def loss(self) -> Loss | None:
        """What is minimised; None where the case brings ∂L/∂outputs."""
        return self.case.network.loss

    @property
    def penalty(self) -> Penalty | None:
        """The penalty, where the case has one."""
        return self.case.network.penalty

    @property
    def strength(self) -> float:
        """The penalty's λ as it was declared (``l2/half`` has its ½ beside it); 0 without one."""
        return 0.0 if self.penalty is None else self.penalty.strength

    def in_order(self) -> list[tuple[str, Array]]:
        """The parameters' names and arrays as the code keeps them, in the order declared."""
        layers = self._laid_out()
        weights = [(f"weights[{k}]", weight) for k, (weight, _) in enumerate(layers)]
        biases = [(f"biases[{k}]", bias) for k, (_, bias) in enumerate(layers) if bias is not None]
        match self.words.order:
            case "biases_weights":
                return [*biases, *weights]
            case "weight_bias" | "bias_weight" if biases:
                first, second = (weights, biases) if self.words.order == "weight_bias" else (biases, weights)
                return [one for pair in zip(first, second, strict=True) for one in pair]
            case _:
                return [*weights, *biases]

    def named(self, weights: Sequence[Array], biases: Sequence[Array]) -> dict[str, Array]:
        """Arrays of the code's layouts, layer by layer, in the case's own and under the parameters' names.

        Raises ArgumentError, which says what was declared, where there is not one of the right shape for each.
        """
        layers = self._laid_out()
        asked = [bias for _, bias in layers if bias is not None]
        for argument, given, count in (("weights", weights, len(layers)), ("biases", biases, len(asked))):
            if len(given) != count:
                raise ArgumentError(argument, f"{count}, {self._how_many(count, argument)}", str(len(given)))
        found = {}
        for k, (path, (weight, bias), d_weight) in enumerate(zip(self._stack.paths, layers, weights, strict=True)):
            refuse_shape(f"weights[{k}]", d_weight, weight.shape, self._declared(weights=True))
            rows = d_weight if self.words.weights == "in_out" else d_weight.T
            if bias is not None:
                refuse_shape(f"biases[{k}]", biases[k], bias.shape, self._declared(weights=False))
                found[f"{path}.bias"] = np.reshape(biases[k], -1)
            elif self._stack.biases[k] is not None:
                at_first = self.words.bias.startswith("first")
                found[f"{path}.bias"] = rows[0] if at_first else rows[-1]
                rows = rows[1:] if at_first else rows[:-1]
            found[f"{path}.weight"] = rows
        return found

    def samples(self, what: str, array: Array, shape: tuple[int, ...]) -> Array:
        """Outputs, or a gradient for the inputs, as rows (batch, features). Raises ArgumentError for another shape."""
        features = shape[1]
        wanted: dict[str, tuple[int, ...]] = {"rows": shape, "columns": shape[::-1], "one": (features,)}
        wanted |= {"one_row": (1, features), "one_column": (features, 1)}
        want = wanted[self.words.samples]
        refuse_shape(what, array, want, f"samples={self.words.samples!r}")
        return array.T if self.words.samples == "columns" else np.reshape(array, shape)

    def _laid_out(self) -> list[tuple[Array, Array | None]]:
        """Weight and bias of each layer as the code keeps them; new arrays each time."""
        return [self._layer(w, b) for w, b in zip(self._stack.weights, self._stack.biases, strict=True)]

    def _layer(self, weight: Floats, bias: Floats | None) -> tuple[Array, Array | None]:
        word = self.words.bias
        if bias is not None and word in INSIDE:
            parts = (bias[None], weight) if word.startswith("first") else (weight, bias[None])
            weight, bias = np.concatenate(parts), None
        laid = np.ascontiguousarray(weight if self.words.weights == "in_out" else weight.T)
        if laid is weight or not laid.flags.writeable:
            laid = laid.copy()
        if bias is None:
            return laid, None
        shape = {"row": (1, -1), "column": (-1, 1)}.get(word, (-1,))
        stood: Array = bias.reshape(shape).copy()
        return laid, stood

    def _batch(self, rows: Floats) -> Array:
        match self.words.samples:
            case "columns" | "one_column":
                return np.array(rows.T, order="C")
            case "one":
                return np.array(rows[0])
            case _:
                return rows.copy()

    def _asked(self, name: str, array: Floats | None) -> Floats:
        if array is None:
            has = "upstream" if name == "targets" else "targets"
            raise ArgumentError(name, f"{has}: that is what this case has, by the losses declared", name)
        return array

    def _declared(self, *, weights: bool) -> str:
        inside = f" and bias={self.words.bias!r}" if self.words.bias in INSIDE else ""
        return f"weights={self.words.weights!r}{inside}" if weights else f"bias={self.words.bias!r}"

    def _how_many(self, count: int, argument: str) -> str:
        if count:
            return "one for each layer"
        return "none, as they stand in the weights" if self.words.bias in INSIDE else "none, as there are no biases"

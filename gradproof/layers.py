"""The kinds of layers: what each is called, its shapes, and which parameters it holds.

A layer is a frozen value without parameters of its own; parameters live in a ``Case`` under their path in the tree
(``"0.weight"``, ``"2.body.0.bias"``). What a layer computes is defined in ``refimpl`` and written by hand in
``fastimpl``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from gradproof.checks import real, truth, whole
from gradproof.errors import NetworkError
from gradproof.vocabulary import ACTIVATIONS, MERGES, REALS, Interval

Shape = tuple[int, ...]
"""The shape of one sample, without the batch axis; or of a parameter."""

BIAS: Final = "bias"
"""The role of parameters that penalties may leave out."""


class Dense(msgspec.Struct, frozen=True, tag_field="kind", tag="dense"):
    """A fully connected layer, z = x @ weight + bias.

    Parameters: ``weight`` (fan_in, units) and, where ``bias`` is true, ``bias`` (units,).
    """

    units: int
    bias: bool = True

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "units", whole("dense.units", self.units))
        msgspec.structs.force_setattr(self, "bias", truth("dense.bias", self.bias))

    def parameter_shapes(self, path: str, input_shape: Shape) -> dict[str, Shape]:
        """Names (without the path) and shapes of what this layer holds, for inputs of ``input_shape``."""
        if self.units < 1:
            raise NetworkError(f"layer {path}", "a dense layer of at least 1 unit", f"{self.units} units")
        if len(input_shape) != 1:
            raise NetworkError(f"layer {path}", "inputs of one axis (features,) for a dense layer", input_shape)
        shapes: dict[str, Shape] = {"weight": (input_shape[0], self.units)}
        if self.bias:
            shapes[BIAS] = (self.units,)
        return shapes

    def output_shape(self, path: str, input_shape: Shape) -> Shape:
        """(units,)"""
        return (self.units,)

    def output_range(self, input_range: Interval, input_shape: Shape) -> Interval:
        """A dense layer can give any number."""
        return REALS

    def __str__(self) -> str:
        return f"dense {self.units}" + ("" if self.bias else " without bias")


class Activation(msgspec.Struct, frozen=True, tag_field="kind", tag="activation"):
    """An activation from the vocabulary, of each feature by itself or (softmax) over the last axis.

    ``parameter`` is the slope of leaky ReLU for negative inputs, or the alpha of ELU; None for activations without a
    parameter.
    """

    name: str
    parameter: float | None = None

    def __post_init__(self) -> None:
        if self.parameter is not None:
            msgspec.structs.force_setattr(self, "parameter", real("activation.parameter", self.parameter))

    def parameter_shapes(self, path: str, input_shape: Shape) -> dict[str, Shape]:
        """Nothing: an activation holds no trained parameters."""
        word = ACTIVATIONS.get(str(self.name))
        if word is None:
            raise NetworkError(f"layer {path}", f"an activation among {', '.join(ACTIVATIONS)}", self.name)
        if word.parameter is None and self.parameter is not None:
            raise NetworkError(f"layer {path}", f"no parameter for {self.name}", self.parameter)
        if word.parameter is not None and (self.parameter is None or not math.isfinite(self.parameter)):
            raise NetworkError(f"layer {path}", f"a finite {word.parameter} for {self.name}", self.parameter)
        return {}

    def output_shape(self, path: str, input_shape: Shape) -> Shape:
        """The shape of its inputs."""
        return input_shape

    def output_range(self, input_range: Interval, input_shape: Shape) -> Interval:
        """The activation's range; the identity keeps its input's.

        A softmax over one feature is always 1, which the open interval (0, 1) does not hold: a range around 1 says so.
        """
        if self.name == "identity":
            return input_range
        if self.name == "softmax" and input_shape[-1] == 1:
            return (0.5, 1.5)
        return ACTIVATIONS[self.name].range

    def __str__(self) -> str:
        return self.name if self.parameter is None else f"{self.name}({self.parameter!r})"


class Maxout(msgspec.Struct, frozen=True, tag_field="kind", tag="maxout"):
    """The greatest of each ``pieces`` features one behind another: h_i = max_j z[i·pieces + j], j < pieces.

    Behind a dense layer of units · pieces features these are Maxout units (Goodfellow, Warde-Farley, Mirza, Courville
    and Bengio, *Maxout Networks*, ICML 2013); they hold no trained parameters of their own.
    """

    pieces: int

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "pieces", whole("maxout.pieces", self.pieces))

    def parameter_shapes(self, path: str, input_shape: Shape) -> dict[str, Shape]:
        """Nothing."""
        if self.pieces < 1:
            raise NetworkError(f"layer {path}", "maxout over at least 1 piece", f"{self.pieces} pieces")
        if input_shape[-1] % self.pieces:
            expected = f"a multiple of {self.pieces} features for maxout over {self.pieces} pieces"
            raise NetworkError(f"layer {path}", expected, f"{input_shape[-1]}")
        return {}

    def output_shape(self, path: str, input_shape: Shape) -> Shape:
        """One in ``pieces`` along the last axis."""
        return (*input_shape[:-1], input_shape[-1] // self.pieces)

    def output_range(self, input_range: Interval, input_shape: Shape) -> Interval:
        """That of its inputs."""
        return input_range

    def __str__(self) -> str:
        return f"maxout {self.pieces}"


class Dropout(msgspec.Struct, frozen=True, tag_field="kind", tag="dropout"):
    """Inverted dropout, y = a ⊙ mask / (1 − probability): entries are dropped, and the others grow to keep the mean.

    The mask, of True where an entry is kept, comes with the batch (``Case.masks``); without masks a network is
    evaluated, and the layer is the identity. ``probability``, that of an entry to be dropped, is the float64 as it is;
    0 ≤ probability < 1. Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, *Dropout: a simple way to prevent
    neural networks from overfitting*, JMLR 15, 2014, §10 for the inverted form.
    """

    probability: float

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "probability", real("dropout.probability", self.probability) + 0.0)

    def parameter_shapes(self, path: str, input_shape: Shape) -> dict[str, Shape]:
        """Nothing."""
        if not 0 <= self.probability < 1:
            raise NetworkError(f"layer {path}", "dropout with 0 <= probability < 1", self.probability)
        return {}

    def output_shape(self, path: str, input_shape: Shape) -> Shape:
        """The shape of its inputs."""
        return input_shape

    def output_range(self, input_range: Interval, input_shape: Shape) -> Interval:
        """Unbounded: what is dropped is 0, and the rest grows."""
        return REALS

    def __str__(self) -> str:
        return f"dropout {self.probability!r}"


class Residual(msgspec.Struct, frozen=True, tag_field="kind", tag="residual"):
    """A residual connection, y = x + body(x). Paths inside start with ``body``: ``"2.body.0.weight"``."""

    body: tuple[Layer, ...]

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "body", chain_of("residual.body", self.body))

    def chains(self) -> Iterator[tuple[str, tuple[Layer, ...]]]:
        """The chains inside, with their step in the path."""
        yield "body", self.body

    def parameter_shapes(self, path: str, input_shape: Shape) -> dict[str, Shape]:
        """Nothing of its own."""
        return {}

    def merged_shape(self, path: str, input_shape: Shape, outputs: tuple[Shape, ...]) -> Shape:
        """The shape of its inputs, which its body must keep."""
        if outputs[0] != input_shape:
            raise NetworkError(f"layer {path}", f"a residual body that keeps the shape {input_shape}", outputs[0])
        return input_shape

    def merged_range(self, ranges: tuple[Interval, ...]) -> Interval:
        """Unbounded: a sum leaves the ranges of its terms."""
        return REALS

    def __str__(self) -> str:
        return f"residual({chain_text(self.body)})"


class Branches(msgspec.Struct, frozen=True, tag_field="kind", tag="branches"):
    """Several chains over the same inputs, merged by concatenation along the last axis or by their sum.

    Paths inside carry the branch's number: ``"2.0.1.weight"`` is in layer 1 of branch 0 of layer 2.
    """

    bodies: tuple[tuple[Layer, ...], ...]
    merge: Literal["concat", "sum"]

    def __post_init__(self) -> None:
        if not isinstance(self.bodies, list | tuple):
            raise NetworkError("branches.bodies", "a sequence of chains of layers", self.bodies)
        bodies = tuple(chain_of(f"branches.bodies[{number}]", body) for number, body in enumerate(self.bodies))
        msgspec.structs.force_setattr(self, "bodies", bodies)

    def chains(self) -> Iterator[tuple[str, tuple[Layer, ...]]]:
        """The chains inside, with their step in the path."""
        for number, body in enumerate(self.bodies):
            yield str(number), body

    def parameter_shapes(self, path: str, input_shape: Shape) -> dict[str, Shape]:
        """Nothing of its own."""
        if not self.bodies:
            raise NetworkError(f"layer {path}", "at least one branch", "none")
        if self.merge not in MERGES:
            raise NetworkError(f"layer {path}", f"a merge among {', '.join(MERGES)}", self.merge)
        return {}

    def merged_shape(self, path: str, input_shape: Shape, outputs: tuple[Shape, ...]) -> Shape:
        """The outputs' shapes joined along the last axis, or the one shape that all have."""
        if self.merge == "sum":
            if len(set(outputs)) != 1:
                raise NetworkError(f"layer {path}", "branches of one shape to sum", outputs)
            return outputs[0]
        if len({shape[:-1] for shape in outputs}) != 1:
            raise NetworkError(f"layer {path}", "branches alike in all but the last axis to concatenate", outputs)
        return (*outputs[0][:-1], sum(shape[-1] for shape in outputs))

    def merged_range(self, ranges: tuple[Interval, ...]) -> Interval:
        """For a concatenation the smallest interval around all; for a sum unbounded."""
        if self.merge == "sum":
            return REALS
        return (min(low for low, _ in ranges), max(high for _, high in ranges))

    def __str__(self) -> str:
        return f"{self.merge}({', '.join(chain_text(body) for body in self.bodies)})"


Layer = Dense | Activation | Maxout | Dropout | Residual | Branches


class Site(msgspec.Struct, frozen=True):
    """A layer where it stands in a network: its path, and the shapes and range that flow through it."""

    path: str
    layer: Layer
    input_shape: Shape
    output_shape: Shape
    output_range: Interval
    parameter_shapes: Mapping[str, Shape]
    """Full path → shape of each parameter position that the layer itself has."""


def chain_of(argument: str, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Layers as a tuple. Raises NetworkError for what is no sequence of layers."""
    if not isinstance(layers, list | tuple) or not all(isinstance(layer, Layer) for layer in layers):
        raise NetworkError(argument, "a sequence of layers", layers)
    return tuple(layers)


def chain_text(layers: tuple[Layer, ...]) -> str:
    """A chain in one readable line."""
    return " -> ".join(map(str, layers))


def walk(
    layers: tuple[Layer, ...], input_shape: Shape, input_range: Interval = REALS, prefix: str = ""
) -> Iterator[Site]:
    """Every layer of a chain in the order of computation, inner layers before the one that holds them.

    Raises NetworkError where a layer cannot stand: no layers in a chain, widths below 1, shapes that don't fit.
    """
    if not layers:
        raise NetworkError(prefix.rstrip(".") or "layers", "at least one layer", "none")
    shape, interval = input_shape, input_range
    for number, layer in enumerate(layers):
        path = f"{prefix}{number}"
        shapes = {f"{path}.{name}": held for name, held in layer.parameter_shapes(path, shape).items()}
        if isinstance(layer, Residual | Branches):
            ends: list[Site] = []
            for step, body in layer.chains():
                inner = list(walk(body, shape, interval, f"{path}.{step}."))
                yield from inner
                ends.append(inner[-1])
            after = layer.merged_shape(path, shape, tuple(site.output_shape for site in ends))
            interval = layer.merged_range(tuple(site.output_range for site in ends))
        else:
            after = layer.output_shape(path, shape)
            interval = layer.output_range(interval, shape)
        yield Site(path, layer, shape, after, interval, shapes)
        shape = after

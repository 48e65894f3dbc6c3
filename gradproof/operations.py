"""Single operations (an activation, a layer, a chain of layers, a loss), and what a kernel declares of itself."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, get_args

import msgspec

from gradproof.checks import span, truth, whole
from gradproof.declaration import Declaration, Target, declared, declaring
from gradproof.errors import ArgumentError, NetworkError
from gradproof.layers import Activation, Dropout, Layer, Shape
from gradproof.layouts import LAYOUTS, Layout
from gradproof.loss import Loss
from gradproof.network import Network
from gradproof.precisions import BITS, PRECISIONS, Precision
from gradproof.vocabulary import ACTIVATIONS, LOSSES

Range = tuple[int, int]
"""An inclusive range (least, most)."""

GradientsAre = Literal["returned", "added", "written"]
"""What becomes of gradients: ``returned`` as new arrays; ``added`` to those in the arrays that the function is given,
as ``+=`` does; or ``written`` over whatever these hold, as ``out=`` does."""
GRADIENTS_ARE: Final[tuple[GradientsAre, ...]] = get_args(GradientsAre)

KINDS: Final = MappingProxyType(
    {str(kind.__struct_config__.tag): kind for kind in get_args(Layer) if kind is not Dropout}
)
"""Every kind of layer that is an operation, by the word that its JSON has for it: dropout wants a network's masks."""
MOST_AXES: Final = 4
"""Axes of one sample that are tried, to find out how many a layer wants."""


class Operation(msgspec.Struct, frozen=True, dict=True):
    """Layers over inputs of one shape, or a loss, or both: what one function computes, forward and backward.

    ``input_shape`` is the shape of one sample. Without a loss a case brings the upstream gradient ∂L/∂y of its outputs,
    and L = Σ upstream · y. Parameters have their names in the layer (``weight``), and behind the layer's path where
    there are several layers (``0.weight``).

    Raises NetworkError for layers that cannot stand, ArgumentError where there is neither a layer nor a loss.
    """

    input_shape: Shape
    layers: tuple[Layer, ...] = ()
    loss: Loss | None = None

    def __post_init__(self) -> None:
        if not self.layers and self.loss is None:
            raise ArgumentError("operation", "a layer or a loss", "neither")
        if self.layers:
            msgspec.structs.force_setattr(self, "input_shape", self._network.input_shape)
            if self._network.dropouts:
                expected = "layers without dropout, whose masks come with cases of networks alone (gradproof.target)"
                raise ArgumentError("operation", expected, str(self._network))
        elif not self.input_shape or any(whole("input_shape", size) < 1 for size in self.input_shape):
            raise ArgumentError("input_shape", "at least one axis, each of size 1 or more", self.input_shape)

    @cached_property
    def _network(self) -> Network:
        return Network(self.input_shape, self.layers, self.loss)

    @property
    def network(self) -> Network | None:
        """The same as a network; None for a loss alone."""
        return self._network if self.layers else None

    @property
    def output_shape(self) -> Shape:
        """The shape of one sample's outputs."""
        return self._network.output_shape if self.layers else self.input_shape

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The name of each parameter here → its path in the network."""
        if not self.layers:
            return MappingProxyType({})
        skipped = len("0.") if len(self.layers) == 1 else 0
        return MappingProxyType({path[skipped:]: path for path in self._network.parameter_shapes})

    @cached_property
    def parameter_shapes(self) -> Mapping[str, Shape]:
        """Name → shape of each parameter, in the order of the computation."""
        return MappingProxyType({name: self._network.parameter_shapes[p] for name, p in self.parameters.items()})

    def replace(self, **changes: Any) -> Operation:
        """This operation with some of its fields changed; validated anew."""
        return msgspec.structs.replace(self, **changes)

    def __str__(self) -> str:
        if self.layers:
            return str(self._network)
        return f"{'x'.join(map(str, self.input_shape))} -> {self.loss}"


class Template(msgspec.Struct, frozen=True):
    """A layer with some of its fields left open, to be drawn: ``dense`` with any number of units."""

    kind: str
    fixed: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        fields = {field.name: field for field in msgspec.structs.fields(KINDS[self.kind])}
        for name, _ in self.fixed:
            if name not in fields:
                raise ArgumentError(f"operation {self.kind!r}", f"fields among {', '.join(fields)}", name)
        given = dict(self.fixed)
        for field in fields.values():
            if field.required and field.name not in given and field.type is not int:
                raise ArgumentError(
                    f"operation {self.kind!r}", f"its {field.name}, in brackets behind its name", "none"
                )

    @property
    def activation(self) -> str | None:
        """The activation's name; None for other layers."""
        return str(dict(self.fixed)["name"]) if self.kind == "activation" else None

    @property
    def sizes(self) -> tuple[str, ...]:
        """The fields that are whole numbers and left open."""
        fields = msgspec.structs.fields(KINDS[self.kind])
        return tuple(f.name for f in fields if f.required and f.type is int and f.name not in dict(self.fixed))

    @property
    def parameter(self) -> str | None:
        """What the vocabulary calls the parameter of an activation that leaves it open; None otherwise."""
        if self.activation is None or "parameter" in dict(self.fixed):
            return None
        return ACTIVATIONS[self.activation].parameter

    def layer(self, **drawn: Any) -> Layer:
        """The layer with what was open."""
        made: Layer = KINDS[self.kind](**dict(self.fixed), **drawn)
        return made


class OperationSupports(Declaration, frozen=True, kw_only=True):
    """What a function with a hand-written backward can do. Cases are drawn from all of it and from nothing else.

    parts: the layers, one after the other, and perhaps a loss behind them. Each is an activation by its name
        (``"softmax"``; ``"leaky_relu(0.1)"`` fixes its parameter), a kind of layer with sizes to be drawn (``"dense"``,
        ``"dense(bias=False)"``), a layer as a value (``gradproof.Dense(3)``), or a loss (``"squared_error/sum"``).
    dtypes: among float64, float32, float16 and bfloat16.
    accumulates: a wider precision that every sum is held in; None where sums may be held in the case's own.
    layouts: how the arrays that it is given may lie in memory (``gradproof.layouts``).
    gradients: whether they are ``returned``, ``added`` to those in arrays that it is given, or ``written`` over them.
    batch: samples, 0 included; ``batched=False``: there is no batch axis, arrays are those of one sample.
    sizes: of axes of the inputs, and what is left open in layers. input_shape: one shape of a sample in place of drawn
        ones. axes: how many a sample has, in place of the fewest that the layers stand on.
    """

    decorator: ClassVar[str] = "@gradproof.operation"

    parts: tuple[str | Template | Layer | Loss, ...]
    dtypes: tuple[Precision, ...] = ("float64",)
    accumulates: Precision | None = None
    layouts: tuple[Layout, ...] = LAYOUTS
    gradients: GradientsAre = "returned"
    batch: Range = (0, 5)
    batched: bool = True
    sizes: Range = (1, 130)
    input_shape: Shape | None = None
    axes: int | None = None

    def __post_init__(self) -> None:
        set_field = msgspec.structs.force_setattr
        given = (self.parts,) if isinstance(self.parts, str | Loss | Layer | Template) else tuple(self.parts)
        set_field(self, "parts", tuple(_part(part) for part in given))
        for field in ("dtypes", "layouts"):
            value = getattr(self, field)
            if not isinstance(value, str | Iterable):
                raise ArgumentError(f"supports.{field}", "a word or several", value)
            set_field(self, field, (value,) if isinstance(value, str) else tuple(map(str, value)))
        for field, words, known in (
            ("dtypes", self.dtypes, PRECISIONS),
            ("layouts", self.layouts, LAYOUTS),
            ("gradients", (self.gradients,), GRADIENTS_ARE),
            ("accumulates", () if self.accumulates is None else (self.accumulates,), PRECISIONS),
        ):
            for word in words:
                if word not in known:
                    raise ArgumentError(f"supports.{field}", f"among {', '.join(known)}", word)
        if not self.dtypes:
            raise ArgumentError("supports.dtypes", "at least one", "none")
        if "contiguous" not in self.layouts:
            set_field(self, "layouts", ("contiguous", *self.layouts))  # what cases shrink towards
        if self.accumulates is not None:
            narrow = [dtype for dtype in self.dtypes if BITS[self.accumulates] < BITS[dtype]]
            if narrow:
                raise ArgumentError("supports.accumulates", f"no fewer digits than {narrow[0]}", self.accumulates)
        set_field(self, "batched", truth("supports.batched", self.batched))
        for field, floor in (("batch", 0), ("sizes", 1)):
            set_field(self, field, span(f"supports.{field}", getattr(self, field), floor))
        if not self.batched:
            set_field(self, "batch", (1, 1))
        losses = [part for part in self.parts if isinstance(part, Loss)]
        if not self.parts or losses != list(self.parts[len(self.parts) - len(losses) :]) or len(losses) > 1:
            raise ArgumentError("supports.parts", "layers, a loss, or layers and one loss behind them", f"{given}")
        if self.input_shape is not None:
            if not isinstance(self.input_shape, list | tuple):
                raise ArgumentError("supports.input_shape", "the shape of one sample, (4,) say", self.input_shape)
            set_field(self, "input_shape", tuple(whole("supports.input_shape", size) for size in self.input_shape))
        if self.axes is not None and whole("supports.axes", self.axes) < 1:
            raise ArgumentError("supports.axes", "at least 1", self.axes)
        _ = self.shape_axes  # refuses layers that stand on nothing

    @property
    def loss(self) -> Loss | None:
        """The loss at the end; None where the upstream gradient is given."""
        last = self.parts[-1]
        return last if isinstance(last, Loss) else None

    @property
    def templates(self) -> tuple[Template | Layer, ...]:
        """The layers."""
        return tuple(part for part in self.parts if not isinstance(part, Loss | str))

    @property
    def shape_axes(self) -> int:
        """How many axes a sample of the inputs has: those declared, or the fewest that the layers stand on."""
        return len(self.some_operation.input_shape)

    @property
    def some_operation(self) -> Operation:
        """The first operation that stands, all sizes equal and as small as can be. Raises NetworkError without one."""
        tried = range(1, MOST_AXES + 1) if self.axes is None else (self.axes,)
        shapes = ((axes, size) for axes in tried for size in self.some_sizes())
        refusal: NetworkError | None = None
        for axes, size in shapes:
            shape = self.input_shape or (size,) * axes
            drawn = [
                dict.fromkeys(part.sizes, size) | ({"parameter": 1.0} if part.parameter else {})
                if isinstance(part, Template)
                else {}
                for part in self.templates
            ]
            try:
                return self.operation(shape, drawn)
            except NetworkError as error:
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    def some_sizes(self) -> tuple[int, ...]:
        """Sizes within those declared, the smallest first: all small ones, and those around which kernels change ways.

        These are the powers of two from 16 on, in whose multiples kernels work, and their neighbours.
        """
        least, most = self.sizes
        powers = [2**k for k in range(4, most.bit_length() + 1)]
        found = {*range(1, 10), *(size + step for size in powers for step in (-1, 0, 1)), least, most}
        return tuple(size for size in sorted(found) if least <= size <= most)

    def operation(self, input_shape: Shape, drawn: Iterable[Mapping[str, Any]]) -> Operation:
        """The operation over inputs of a shape, with what each template left open. Raises NetworkError."""
        layers = tuple(
            part.layer(**fields) if isinstance(part, Template) else part
            for part, fields in zip(self.templates, drawn, strict=True)
        )
        return Operation(input_shape, layers, self.loss)


def operation(*parts: str | Layer | Loss, **supports: Any) -> Callable[[Target], Target]:
    """Declares which operation a function computes, with its backward; arguments are those of ``OperationSupports``.

    A function of several arguments is given arrays: the inputs, the parameters in order, and the upstream gradient
    or, of a loss, the targets. It returns the outputs (of a loss, the loss) and then the gradients in the same order,
    for the inputs and for the parameters; None for what it does not compute::

        @gradproof.operation("softmax")
        def adapter(x, upstream):
            y = softmax(x)
            return y, softmax_backward(y, upstream)

    A parameter of an activation that is left open comes by its name (``slope=0.1``), and arrays for gradients that are
    ``added`` or ``written`` as ``into``, by the names of what they are gradients for. A function of one argument is
    given all of this in one object (``gradproof.operation_case.Arguments``) and returns a mapping: ``outputs``,
    ``loss``, ``inputs`` (∂L/∂inputs), and gradients under the parameters' names.
    """
    return declaring(declared(OperationSupports, parts=parts, **supports))


def activation_of(part: Template | Layer) -> str | None:
    """The name of the activation that a layer is, open or not; None for other layers."""
    return part.activation if isinstance(part, Template) else part.name if isinstance(part, Activation) else None


def words(loss: Loss | None, parts: Sequence[Template | Layer]) -> tuple[str, ...]:
    """What an operation is made of in words, whatever its sizes: ``dense``, ``relu``, ``squared_error/sum``."""
    kinds = [p.kind if isinstance(p, Template) else str(p.__struct_config__.tag) for p in parts]
    named = [activation_of(part) or kind for part, kind in zip(parts, kinds, strict=True)]
    return (*named, *((str(loss),) if loss is not None else ()))


def _part(part: Any) -> Template | Layer | Loss:
    if isinstance(part, Template | Layer | Loss):
        return part
    if not isinstance(part, str):
        raise ArgumentError("operation", "the name of an activation, layer or loss, or a layer or loss", part)
    if "/" in part:
        return Loss.parse(part)
    name, values, fields = _call(part)
    if name in ACTIVATIONS:
        given = dict(zip(("parameter",), values, strict=False)) | fields
        if len(values) > 1 or set(given) - {"parameter"}:
            raise ArgumentError("operation", f"{name} or {name}(parameter)", part)
        return Template("activation", (("name", name), *given.items()))
    if name in KINDS:
        names = [field.name for field in msgspec.structs.fields(KINDS[name])]
        if len(values) > len(names):
            raise ArgumentError("operation", f"at most {len(names)} fields for {name}", part)
        return Template(name, (*zip(names, values, strict=False), *fields.items()))
    known = (*ACTIVATIONS, *KINDS, *(f"{loss}/sum" for loss in LOSSES))
    raise ArgumentError("operation", f"a name among {', '.join(known)}", part)


def _call(text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """``dense(3, bias=False)`` as its name, values and fields; nothing in it is executed."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, (), {}
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            fields = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in tree.keywords}
            return tree.func.id, tuple(ast.literal_eval(value) for value in tree.args), fields
    except (SyntaxError, ValueError):
        pass
    raise ArgumentError("operation", "a name, perhaps with fields: softmax, leaky_relu(0.1), dense(bias=False)", text)

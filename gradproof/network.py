"""The network: a tree of layers, what is minimised, and which parameters are shared or frozen."""

from __future__ import annotations

from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from gradproof.checks import whole, words
from gradproof.errors import NetworkError
from gradproof.layers import BIAS, Dense, Dropout, Layer, Shape, Site, chain_of, chain_text, walk
from gradproof.loss import Loss, Penalty

if TYPE_CHECKING:
    from collections.abc import Mapping


class Network(msgspec.Struct, frozen=True, dict=True):
    """A network as a value: hashable, printable as one line, and the same after a round trip through JSON.

    ``input_shape`` is the shape of one sample. ``loss`` None means that a case brings the upstream gradient ∂L/∂y of
    its outputs, and L = Σ upstream · y. ``shared`` holds pairs (position, parameter): the position ``"2.weight"``
    uses the parameter ``"0.weight"``. ``frozen`` names parameters that are not trained: no gradient is asked of them.

    Raises NetworkError, with the path at fault, for a network that cannot exist.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    loss: Loss | None = None
    penalty: Penalty | None = None
    shared: tuple[tuple[str, str], ...] = ()
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # One network, one value: order in these two carries no meaning, so equal networks must compare equal.
        self._refuse_other_types()
        sizes = tuple(whole("input_shape", size) for size in self.input_shape)
        msgspec.structs.force_setattr(self, "input_shape", sizes)
        msgspec.structs.force_setattr(self, "layers", chain_of("layers", self.layers))
        msgspec.structs.force_setattr(self, "shared", tuple(sorted(_pairs(self.shared))))
        msgspec.structs.force_setattr(self, "frozen", tuple(sorted(words("frozen", self.frozen))))
        if not self.input_shape or any(size < 1 for size in self.input_shape):
            raise NetworkError("input_shape", "at least one axis, each of size 1 or more", self.input_shape)
        _ = self.sites  # refuses layers that cannot stand, whether or not anything below asks for them
        self._refuse_impossible_sharing()
        for name in self.frozen:
            if name not in self.parameter_shapes:
                raise NetworkError("frozen", self._among(self.parameter_shapes), name)
        if len(set(self.frozen)) != len(self.frozen):
            raise NetworkError("frozen", "each parameter once", self.frozen)
        self._refuse_impossible_loss()

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """Every layer where it stands, in the order of computation; inner layers before the one that holds them."""
        return tuple(walk(self.layers, self.input_shape))

    @property
    def output_shape(self) -> Shape:
        """The shape of one sample's outputs."""
        return self.sites[-1].output_shape

    @cached_property
    def positions(self) -> Mapping[str, Shape]:
        """Every place in the tree that holds a parameter, shared ones included: path → shape."""
        return MappingProxyType({name: shape for site in self.sites for name, shape in site.parameter_shapes.items()})

    @cached_property
    def parameter_shapes(self) -> Mapping[str, Shape]:
        """Every distinct parameter, in the order of computation: path → shape. Frozen ones are among them."""
        aliases = dict(self.shared)
        return MappingProxyType({n: shape for n, shape in self.positions.items() if n not in aliases})

    @cached_property
    def trainable(self) -> tuple[str, ...]:
        """The parameters whose gradient is asked for: all that are not frozen."""
        return tuple(name for name in self.parameter_shapes if name not in self.frozen)

    @cached_property
    def penalised(self) -> tuple[str, ...]:
        """The parameters that the penalty runs over; none where there is no penalty."""
        if self.penalty is None:
            return ()
        return tuple(n for n in self.parameter_shapes if self.penalty.biases or not is_bias(n))

    @cached_property
    def dropouts(self) -> Mapping[str, Shape]:
        """Every dropout layer, in the order of computation: path → shape of one sample's mask."""
        sites = (site for site in self.sites if isinstance(site.layer, Dropout))
        return MappingProxyType({site.path: site.output_shape for site in sites})

    def parameter_at(self, position: str) -> str:
        """The parameter that a place in the tree uses: itself unless it is shared."""
        if position not in self.positions:
            raise NetworkError("position", self._among(self.positions), position)
        return dict(self.shared).get(position, position)

    def _refuse_other_types(self) -> None:
        if not isinstance(self.input_shape, list | tuple):
            raise NetworkError("input_shape", "the shape of one sample, (2,) say", self.input_shape)
        if not (self.loss is None or isinstance(self.loss, Loss)):
            raise NetworkError("loss", "a Loss or None", self.loss)
        if not (self.penalty is None or isinstance(self.penalty, Penalty)):
            raise NetworkError("penalty", "a Penalty or None", self.penalty)

    def _refuse_impossible_sharing(self) -> None:
        aliases = dict(self.shared)
        if len(aliases) != len(self.shared):
            raise NetworkError("shared", "one parameter for each position", self.shared)
        for position, parameter in self.shared:
            for name in (position, parameter):
                if name not in self.positions:
                    raise NetworkError("shared", self._among(self.positions), name)
            if parameter in aliases:
                raise NetworkError("shared", "a parameter that is not itself shared from another", parameter)
            if self.positions[position] != self.positions[parameter]:
                raise NetworkError(
                    f"shared {position} = {parameter}",
                    f"one shape, {self.positions[parameter]}",
                    str(self.positions[position]),
                )

    def _refuse_impossible_loss(self) -> None:
        if self.loss is None:
            return
        word = self.loss.word
        low, high = self.sites[-1].output_range
        if word.domain[0] > low or word.domain[1] < high:
            raise NetworkError(
                f"loss {self.loss.name}",
                f"outputs that cannot leave the open interval {word.domain} (end the network in a sigmoid or softmax)",
                f"outputs of {chain_text(self.layers)}, in {(low, high)}",
            )

    @staticmethod
    def _among(names: Mapping[str, Shape]) -> str:
        return f"a name among {', '.join(names) or '(none: this network has no parameters)'}"

    def to_json(self) -> bytes:
        """This network as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> Network:
        """The network that ``to_json`` wrote. Raises msgspec.ValidationError, or NetworkError, on anything else."""
        return msgspec.json.decode(data, type=cls)

    def replace(self, **changes: Any) -> Network:
        """This network with some of its fields changed; validated anew."""
        return msgspec.structs.replace(self, **changes)

    def __str__(self) -> str:
        inputs = "x".join(map(str, self.input_shape))
        parts = [f"{inputs} -> {chain_text(self.layers)}"]
        parts.append(str(self.loss) if self.loss is not None else "upstream gradient")
        if self.penalty is not None:
            parts.append(str(self.penalty))
        if self.shared:
            parts.append("shared " + ", ".join(f"{a} = {b}" for a, b in self.shared))
        if self.frozen:
            parts.append("frozen " + ", ".join(self.frozen))
        return " | ".join(parts)


def _pairs(shared: Any) -> list[tuple[str, str]]:
    pairs = [words("shared", pair) for pair in shared] if isinstance(shared, list | tuple) else None
    if pairs is None or any(len(pair) != 2 for pair in pairs):
        raise NetworkError("shared", "a sequence of pairs (position, parameter)", repr(shared))
    return [(position, parameter) for position, parameter in pairs]


def is_bias(parameter: str) -> bool:
    """Whether a parameter, by its path, is a bias."""
    return parameter.rpartition(".")[2] == BIAS


def dense_chain(widths: tuple[int, ...], activations: tuple[Layer, ...], *, bias: bool = True) -> tuple[Layer, ...]:
    """The layers of the usual fully connected network: dense, activation, dense, activation, …

    ``widths`` are those of inputs, hidden layers and outputs, (5, 8, 6, 3) say; one activation for each dense layer.
    """
    if len(activations) != len(widths) - 1:
        raise NetworkError("activations", f"{len(widths) - 1} for widths {widths}", f"{len(activations)}")
    layers: list[Layer] = []
    for units, activation in zip(widths[1:], activations, strict=True):
        layers += [Dense(units, bias), activation]
    return tuple(layers)

"""The case: one network with its parameters and one batch. Everything in gradproof consumes this one value."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

from gradproof.arrays import (
    Array,
    ArrayData,
    Floats,
    Mask,
    MaskData,
    from_data,
    from_mask_data,
    frozen_array,
    frozen_mask,
    to_data,
    to_mask_data,
)
from gradproof.errors import ArgumentError
from gradproof.network import Network
from gradproof.vocabulary import DTYPES, Dtype

if TYPE_CHECKING:
    from gradproof.stack import Stack

ID_LENGTH = 12
"""Hex digits of an id: 48 bits, so that a million cases collide with probability 2e-3 at most."""


MASK: Final = "mask"
"""The role of a dropout layer's mask, behind the layer's path as a parameter's is: ``1.mask``."""


def mask_name(path: str) -> str:
    """What the mask of a dropout layer is called among a case's arrays: ``1.mask``."""
    return f"{path}.{MASK}"


class CaseData(msgspec.Struct, frozen=True, tag_field="kind", tag="network", omit_defaults=True):
    """A case as JSON keeps it; without masks there is no word of them."""

    network: Network
    dtype: Dtype
    parameters: dict[str, ArrayData]
    inputs: ArrayData
    targets: ArrayData | None
    upstream: ArrayData | None
    sample_weights: ArrayData | None
    tags: tuple[str, ...]
    masks: dict[str, MaskData] = {}


class Case:
    """A network with its parameters and one batch, at one dtype; immutable, every array read-only.

    Arguments:
        network: what is computed and minimised.
        parameters: one array for each of ``network.parameter_shapes``, of that shape. Shared ones stand once.
        inputs: (batch, *input_shape), at least one sample.
        targets: (batch, *output_shape), where the network has a loss; else None.
        upstream: (batch, *output_shape), ∂L/∂outputs, where it has none; else None.
        sample_weights: (batch,), of the losses of the samples; None for ones.
        dtype: the precision that an implementation is asked to compute in. Numbers are rounded to it once, here, and
            are exact from then on.
        tags: words that say what is special about this case.
        masks: path of each of ``network.dropouts`` → booleans (batch, *shape of the layer), True where an entry is
            kept; none at all where the network is evaluated without dropout.

    Raises ArgumentError, naming the argument, for wrong names or shapes, numbers that are not finite, and targets
    that the loss does not admit.
    """

    __slots__ = (
        "__dict__",
        "dtype",
        "inputs",
        "masks",
        "network",
        "parameters",
        "sample_weights",
        "tags",
        "targets",
        "upstream",
    )

    network: Network
    parameters: Mapping[str, Floats]
    inputs: Floats
    targets: Floats | None
    upstream: Floats | None
    sample_weights: Floats | None
    dtype: Dtype
    tags: tuple[str, ...]
    masks: Mapping[str, Mask]

    def __init__(
        self,
        network: Network,
        parameters: Mapping[str, npt.ArrayLike],
        inputs: npt.ArrayLike,
        *,
        targets: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike | None = None,
        sample_weights: npt.ArrayLike | None = None,
        dtype: Dtype = "float64",
        tags: Iterable[str] = (),
        masks: Mapping[str, npt.ArrayLike] | None = None,
    ) -> None:
        if not isinstance(network, Network):
            raise ArgumentError("network", "a Network", network)
        if not isinstance(parameters, Mapping):
            raise ArgumentError("parameters", f"names {list(network.parameter_shapes)}", type(parameters).__name__)
        if dtype not in DTYPES:
            raise ArgumentError("dtype", " or ".join(DTYPES), dtype)
        if set(parameters) != set(network.parameter_shapes):
            raise ArgumentError("parameters", f"names {list(network.parameter_shapes)}", f"{list(parameters)}")
        held = {
            name: frozen_array(f"parameters[{name!r}]", parameters[name], dtype, shape)
            for name, shape in network.parameter_shapes.items()
        }
        batch = frozen_array("inputs", inputs, dtype, (None, *network.input_shape))
        if len(batch) < 1:
            raise ArgumentError("inputs", "at least one sample", f"shape {batch.shape}")
        outputs = (len(batch), *network.output_shape)
        goal = "targets" if network.loss is not None else "upstream"
        other = "upstream" if network.loss is not None else "targets"
        given = {"targets": targets, "upstream": upstream}
        if given[goal] is None or given[other] is not None:
            has = "has a loss" if network.loss is not None else "has no loss"
            names = [name for name, value in given.items() if value is not None]
            raise ArgumentError(goal, f"{goal} and no {other}, since the network {has}", f"{names}")
        goals = {name: None if a is None else frozen_array(name, a, dtype, outputs) for name, a in given.items()}
        weights = None if sample_weights is None else frozen_array("sample_weights", sample_weights, dtype, outputs[:1])
        if weights is not None and network.loss is None:
            raise ArgumentError("sample_weights", "None, since the network has no loss", f"shape {weights.shape}")
        fields = {
            "network": network,
            "parameters": MappingProxyType(held),
            "inputs": batch,
            **goals,
            "sample_weights": weights,
            "dtype": dtype,
            "tags": tuple(sorted({tags} if isinstance(tags, str) else set(map(str, tags)))),
            "masks": _masks(network, len(batch), masks),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        self._refuse_impossible_targets()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Case is immutable; to change {name}, use case.replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Case is immutable: {name} stays")

    def __reduce__(self) -> tuple[Callable[[CaseData], Case], tuple[CaseData]]:
        return Case.from_data, (self.to_data(),)  # for copies and other processes

    def _refuse_impossible_targets(self) -> None:
        loss, targets = self.network.loss, self.targets
        if loss is None or targets is None or loss.targets in ("real", "free"):
            return
        neither = (targets != 0) & (targets != 1)
        if loss.targets == "hard" and np.any(neither):
            raise ArgumentError("targets", f"0 or 1 for {loss}", f"{_first(targets, neither)}")
        outside = (targets < 0) | (targets > 1)
        if np.any(outside):
            raise ArgumentError("targets", f"numbers in [0, 1] for {loss}", f"{_first(targets, outside)}")
        if not loss.word.categorical:
            return
        # Soft targets are rounded numbers: their sum may miss 1 by half an ulp of 1 a class (each is at most 1).
        totals = targets.astype(np.float64).sum(axis=-1)
        slack = 0.0 if loss.targets == "hard" else float(np.finfo(self.dtype).eps) * targets.shape[-1]
        off = np.abs(totals - 1) > slack
        if np.any(off):
            raise ArgumentError("targets", f"a sum of 1 for each sample for {loss}", f"a sum of {_first(totals, off)}")

    @property
    def batch(self) -> int:
        """Number of samples."""
        return len(self.inputs)

    @cached_property
    def id(self) -> str:
        """The first hex digits of the SHA-256 of this case's JSON, tags aside: equal computations have equal ids."""
        data = msgspec.structs.replace(self.to_data(), tags=())
        return hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()[:ID_LENGTH]

    @cached_property
    def stack(self) -> Stack:
        """This case as tutorials know networks: lists of weights, biases and activation names, layer by layer.

        Raises ArgumentError where the network is not a plain stack of dense layers and activations.
        """
        from gradproof.stack import Stack

        return Stack.of(self)

    def facts(self) -> str:
        """``float64, batch 1``."""
        return f"{self.dtype}, batch {self.batch}"

    def text(self) -> str:
        """The network in one line."""
        return str(self.network)

    def arrays(self) -> dict[str, Array]:
        """Parameters in the order of computation, then the batch, then the masks of dropout layers."""
        batch = {
            "inputs": self.inputs,
            "targets": self.targets,
            "upstream": self.upstream,
            "sample weights": self.sample_weights,
        }
        masks = {mask_name(path): mask for path, mask in self.masks.items()}
        return {**self.parameters, **{name: array for name, array in batch.items() if array is not None}, **masks}

    def parameter(self, position: str) -> Floats:
        """The array that a position in the tree uses, following sharing."""
        return self.parameters[self.network.parameter_at(position)]

    def replace(
        self,
        *,
        network: Network | None = None,
        parameters: Mapping[str, npt.ArrayLike] | None = None,
        inputs: npt.ArrayLike | None = None,
        targets: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike | None = None,
        sample_weights: npt.ArrayLike | None = None,
        dtype: Dtype | None = None,
        tags: Iterable[str] | None = None,
        masks: Mapping[str, npt.ArrayLike] | None = None,
    ) -> Case:
        """This case with some of its fields changed; validated anew. ``masks={}`` takes dropout's masks away."""
        return Case(
            self.network if network is None else network,
            self.parameters if parameters is None else parameters,
            self.inputs if inputs is None else inputs,
            targets=self.targets if targets is None else targets,
            upstream=self.upstream if upstream is None else upstream,
            sample_weights=self.sample_weights if sample_weights is None else sample_weights,
            dtype=self.dtype if dtype is None else dtype,
            tags=self.tags if tags is None else tags,
            masks=self.masks if masks is None else masks,
        )

    def to_data(self) -> CaseData:
        """This case as data for JSON."""
        return CaseData(
            network=self.network,
            dtype=self.dtype,
            parameters={name: to_data(array) for name, array in self.parameters.items()},
            inputs=to_data(self.inputs),
            targets=_data(self.targets),
            upstream=_data(self.upstream),
            sample_weights=_data(self.sample_weights),
            tags=self.tags,
            masks={path: to_mask_data(mask) for path, mask in self.masks.items()},
        )

    @classmethod
    def from_data(cls, data: CaseData) -> Case:
        """The case that ``to_data`` wrote; validated anew. Raises RecordError or ArgumentError on damage."""
        return cls(
            data.network,
            {name: from_data(array) for name, array in data.parameters.items()},
            from_data(data.inputs),
            targets=_array(data.targets),
            upstream=_array(data.upstream),
            sample_weights=_array(data.sample_weights),
            dtype=data.dtype,
            tags=data.tags,
            masks={path: from_mask_data(mask) for path, mask in data.masks.items()},
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Case) and self.id == other.id and self.tags == other.tags

    def __hash__(self) -> int:
        return hash((self.id, self.tags))

    def __repr__(self) -> str:
        return f"<Case {self.id}: {self.network}, batch {self.batch}, {self.dtype}>"


def _masks(network: Network, batch: int, given: Mapping[str, npt.ArrayLike] | None) -> Mapping[str, Mask]:
    if given is None:
        given = {}
    paths = list(network.dropouts)
    names = f"paths {paths}, or no masks" if paths else "no masks, since the network has no dropout"
    if not isinstance(given, Mapping):
        raise ArgumentError("masks", names, type(given).__name__)
    if given and set(given) != set(paths):
        raise ArgumentError("masks", names, f"{list(given)}")
    shapes = network.dropouts.items() if given else ()
    return MappingProxyType(
        {path: frozen_mask(f"masks[{path!r}]", given[path], (batch, *shape)) for path, shape in shapes}
    )


def _data(array: Floats | None) -> ArrayData | None:
    return None if array is None else to_data(array)


def _array(data: ArrayData | None) -> Floats | None:
    return None if data is None else from_data(data)


def _first(values: Floats, where: npt.NDArray[np.bool_]) -> float:
    return float(values[where][0])

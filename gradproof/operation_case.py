"""The case of a single operation: its exact numbers, and how each of its arrays is to lie in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from gradproof.arrays import Array, ArrayData, from_data, to_data
from gradproof.case import ID_LENGTH
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS, OUTPUTS
from gradproof.layers import Activation, Layer, Shape
from gradproof.layouts import LAYOUTS, WORDS, Laid, Layout, laid
from gradproof.loss import Loss
from gradproof.operations import GRADIENTS_ARE, GradientsAre, Operation
from gradproof.precisions import BITS, PRECISIONS, Precision, rounded, type_of
from gradproof.vocabulary import ACTIVATIONS

Float64 = npt.NDArray[np.float64]

UPSTREAM: Final = "upstream"
TARGETS: Final = "targets"
INTO: Final = "into."
"""Before the name of an array that a gradient is to be put into."""


class OperationData(msgspec.Struct, frozen=True, tag_field="kind", tag="operation"):
    """A case of an operation as JSON keeps it. Numbers are float64, which holds those of every precision exactly."""

    operation: Operation
    dtype: Precision
    accumulates: Precision | None
    batched: bool
    gradients: GradientsAre
    inputs: ArrayData
    parameters: dict[str, ArrayData]
    upstream: ArrayData | None
    targets: ArrayData | None
    into: dict[str, ArrayData]
    layouts: dict[str, Layout]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Arguments:
    """What somebody's function is given for one case; arrays are of the case's dtype, and lie as the case says.

    operation: in words. layers, loss: what it is made of. inputs: (batch, *input_shape), or (*input_shape) where no
    batch axis is declared, as is everything else that has one. parameters: by name. upstream: ∂L/∂outputs, where there
    is no loss; targets: where there is one. into: arrays that gradients are added to or written into, by the names of
    what they are gradients for; empty where gradients are returned.
    """

    operation: str
    layers: tuple[Layer, ...]
    loss: Loss | None
    inputs: Array
    parameters: Mapping[str, Array]
    upstream: Array | None
    targets: Array | None
    into: dict[str, Array]
    dtype: Precision
    memory: Mapping[str, Array]
    """The bytes of each array and of the gaps around it, for whoever wants to know whether they were changed."""

    def positional(self) -> tuple[Array, ...]:
        """Inputs, parameters, and the upstream gradient or the targets."""
        last = self.targets if self.upstream is None else self.upstream
        assert last is not None
        return (self.inputs, *self.parameters.values(), last)

    def named(self) -> dict[str, Any]:
        """What comes by name: ``into``, where there is such, and the parameter of a single activation."""
        named: dict[str, Any] = {"into": self.into} if self.into else {}
        match self.layers:
            case (Activation(name, float(parameter)),):
                named[str(ACTIVATIONS[name].parameter)] = parameter
        return named


class OperationCase:
    """An operation with its parameters and one batch, at one precision, and with a memory layout for each array.

    Immutable. Numbers are rounded to the precision once, here, are exact from then on, and are held as float64.

    Arguments:
        operation: what is computed.
        inputs: (batch, *input_shape); a batch may be empty.
        parameters: one array for each of ``operation.parameter_shapes``, of that shape.
        upstream: (batch, *output_shape), ∂L/∂outputs, where there is no loss; else None.
        targets: (batch, *output_shape), where there is one; else None.
        into: what arrays for gradients hold before, by name: ``inputs`` and the parameters', where gradients are
            added or written.
        dtype: the precision that an implementation is asked to compute in. accumulates: a wider one for its sums.
        batched: whether arrays are handed over with their batch axis; without, the batch is 1.
        gradients: whether they are returned, added or written.
        layouts: array's name → layout; contiguous unless named. Names are ``inputs``, ``upstream``, ``targets``, the
            parameters', and ``into.`` with the name of what the gradient is for.
        tags: words that say what is special about this case.

    Raises ArgumentError, naming the argument, for wrong names, shapes or layouts, numbers that are not finite, and
    inputs or targets that the loss does not admit.
    """

    operation: Operation
    inputs: Float64
    parameters: Mapping[str, Float64]
    upstream: Float64 | None
    targets: Float64 | None
    into: Mapping[str, Float64]
    dtype: Precision
    accumulates: Precision | None
    batched: bool
    gradients: GradientsAre
    layouts: Mapping[str, Layout]
    tags: tuple[str, ...]

    def __init__(
        self,
        operation: Operation,
        inputs: npt.ArrayLike,
        parameters: Mapping[str, npt.ArrayLike] | None = None,
        *,
        upstream: npt.ArrayLike | None = None,
        targets: npt.ArrayLike | None = None,
        into: Mapping[str, npt.ArrayLike] | None = None,
        dtype: Precision = "float64",
        accumulates: Precision | None = None,
        batched: bool = True,
        gradients: GradientsAre = "returned",
        layouts: Mapping[str, Layout] | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        if not isinstance(operation, Operation):
            raise ArgumentError("operation", "an Operation", operation)
        for argument, word, known in (("dtype", dtype, PRECISIONS), ("gradients", gradients, GRADIENTS_ARE)):
            if word not in known:
                raise ArgumentError(argument, " or ".join(known), word)
        if accumulates is not None and BITS.get(accumulates, 0) < BITS[dtype]:
            raise ArgumentError("accumulates", f"a precision of no fewer digits than {dtype}, or None", accumulates)

        def exact(argument: str, values: npt.ArrayLike, shape: tuple[int | None, ...]) -> Float64:
            found = rounded(argument, values, dtype)
            fits = len(shape) == found.ndim and all(w in (None, h) for w, h in zip(shape, found.shape, strict=True))
            if not fits:
                wanted = str(tuple("any" if size is None else size for size in shape)).replace("'", "")
                raise ArgumentError(argument, f"shape {wanted}", f"shape {found.shape}")
            return found

        def all_exact(argument: str, given: Mapping[str, npt.ArrayLike], shapes: Mapping[str, Shape]) -> Any:
            if set(given) != set(shapes):
                raise ArgumentError(argument, f"names {list(shapes)}", f"{list(given)}")
            named = {name: exact(f"{argument}[{name!r}]", given[name], shapes[name]) for name in shapes}
            return MappingProxyType(named)

        batch = exact(INPUTS, inputs, (None, *operation.input_shape))
        if not batched and len(batch) != 1:
            raise ArgumentError(INPUTS, "one sample, since there is no batch axis", f"shape {batch.shape}")
        goal, other = (UPSTREAM, TARGETS) if operation.loss is None else (TARGETS, UPSTREAM)
        goals = {UPSTREAM: upstream, TARGETS: targets}
        wanted, unwanted = goals[goal], goals[other]
        if wanted is None or unwanted is not None:
            has = "has no loss" if operation.loss is None else "has a loss"
            raise ArgumentError(goal, f"{goal} and no {other}, since the operation {has}", f"{goal}={wanted!r}")
        gradient_shapes = {INPUTS: batch.shape, **operation.parameter_shapes} if gradients != "returned" else {}
        fields = {
            "operation": operation,
            "inputs": batch,
            "parameters": all_exact("parameters", parameters or {}, operation.parameter_shapes),
            goal: exact(goal, wanted, (len(batch), *operation.output_shape)),
            other: None,
            "into": all_exact("into", into or {}, gradient_shapes),
            "dtype": dtype,
            "accumulates": accumulates,
            "batched": bool(batched),
            "gradients": gradients,
            "tags": tuple(sorted({tags} if isinstance(tags, str) else set(map(str, tags)))),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        odd = {name: layout for name, layout in sorted((layouts or {}).items()) if layout != "contiguous"}
        object.__setattr__(self, "layouts", MappingProxyType(odd))
        self._refuse_impossible_layouts()
        self._refuse_impossible_numbers()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an OperationCase is immutable; to change {name}, use case.replace({name}=...)")

    def __reduce__(self) -> tuple[Callable[[OperationData], OperationCase], tuple[OperationData]]:
        return OperationCase.from_data, (self.to_data(),)

    def _refuse_impossible_layouts(self) -> None:
        arrays = self._named()
        for name, layout in self.layouts.items():
            if name not in arrays:
                raise ArgumentError("layouts", f"names among {', '.join(arrays)}", name)
            if layout not in LAYOUTS:
                raise ArgumentError(f"layouts[{name!r}]", f"among {', '.join(LAYOUTS)}", layout)
            if name.startswith(INTO) and not WORDS[layout].written:
                raise ArgumentError(f"layouts[{name!r}]", "a layout that can be written to", layout)
            laid(self._handed(arrays[name], name), layout)

    def _refuse_impossible_numbers(self) -> None:
        loss, targets = self.operation.loss, self.targets
        if loss is None or targets is None:
            return
        if not self.operation.layers:
            low, high = loss.word.domain
            if not np.all((self.inputs > low) & (self.inputs < high)):
                raise ArgumentError(INPUTS, f"numbers in the open interval {(low, high)} for {loss}", "others")
        if loss.targets == "hard" and np.any((targets != 0) & (targets != 1)):
            raise ArgumentError(TARGETS, f"0 or 1 for {loss}", "others")
        if loss.targets == "soft" and np.any((targets < 0) | (targets > 1)):
            raise ArgumentError(TARGETS, f"numbers in [0, 1] for {loss}", "others")
        if loss.word.categorical and loss.targets in ("hard", "soft"):
            # Soft targets are rounded numbers: their sum may miss 1 by half an ulp of 1 a class (each is at most 1).
            slack = 0.0 if loss.targets == "hard" else 2.0 ** (1 - BITS[self.dtype]) * targets.shape[-1]
            if np.any(np.abs(targets.sum(axis=-1) - 1) > slack):
                raise ArgumentError(TARGETS, f"a sum of 1 for each sample for {loss}", "other sums")

    @property
    def batch(self) -> int:
        """Number of samples."""
        return len(self.inputs)

    @property
    def empty(self) -> bool:
        """Whether there is no sample."""
        return self.batch == 0

    @cached_property
    def id(self) -> str:
        """The first hex digits of the SHA-256 of this case's JSON, tags aside: equal cases have equal ids."""
        data = msgspec.structs.replace(self.to_data(), tags=())
        return hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()[:ID_LENGTH]

    def shapes(self) -> dict[str, Shape]:
        """What can be answered, with its shape: the loss, where there is one; outputs, where there are layers; and
        ∂L/∂ of each parameter and of the inputs.
        """
        found: dict[str, Shape] = {LOSS: ()} if self.operation.loss is not None else {}
        if self.operation.layers:
            found[OUTPUTS] = self._handed_shape((self.batch, *self.operation.output_shape))
        return {**found, **self.operation.parameter_shapes, INPUTS: self._handed_shape(self.inputs.shape)}

    def lying(self) -> dict[str, Laid]:
        """Every array as it lies in memory, new every time, by the name that layouts know it by.

        Raises PrecisionError where the type of the precision cannot be had.
        """
        dtype = type_of(self.dtype)
        return {
            name: laid(self._handed(numbers, name).astype(dtype), self.layouts.get(name, "contiguous"))
            for name, numbers in self._named().items()
        }

    def arguments(self) -> Arguments:
        """What a function is given: new arrays, every time. Raises PrecisionError as ``lying`` does."""
        lying = self.lying()
        arrays = {name: one.array for name, one in lying.items()}
        return Arguments(
            operation=str(self.operation),
            layers=self.operation.layers,
            loss=self.operation.loss,
            inputs=arrays[INPUTS],
            parameters=MappingProxyType({name: arrays[name] for name in self.parameters}),
            upstream=arrays.get(UPSTREAM),
            targets=arrays.get(TARGETS),
            into={name: arrays[f"{INTO}{name}"] for name in self.into},
            dtype=self.dtype,
            memory=MappingProxyType({name: one.memory for name, one in lying.items() if not name.startswith(INTO)}),
        )

    def computing(self, operation: Operation) -> OperationCase:
        """The same numbers for another operation on the same inputs, whose parameters are of the same shapes."""
        names = dict(zip(self.operation.parameters, operation.parameters, strict=True)) | {INPUTS: INPUTS}
        layouts = {names.get(name, name): layout for name, layout in self.layouts.items() if not name.startswith(INTO)}
        layouts |= {f"{INTO}{names[n.removeprefix(INTO)]}": w for n, w in self.layouts.items() if n.startswith(INTO)}
        return self.replace(
            operation=operation,
            parameters={names[name]: array for name, array in self.parameters.items()},
            into={names[name]: array for name, array in self.into.items()},
            layouts=layouts,
        )

    def turned(self) -> OperationCase:
        """The same samples in reverse order: what is computed of each sample is the same, in reverse order."""
        into = {name: a[::-1] if name == INPUTS else a for name, a in self.into.items()}
        return self.replace(
            inputs=self.inputs[::-1],
            upstream=None if self.upstream is None else self.upstream[::-1],
            targets=None if self.targets is None else self.targets[::-1],
            into=into,
        )

    def facts(self) -> str:
        """``float16, batch 2``, and wider sums."""
        batch = f"batch {self.batch}" if self.batched else "one sample without a batch axis"
        sums = f", sums in {self.accumulates}" if self.accumulates is not None else ""
        return f"{self.dtype}{sums}, {batch}"

    def text(self) -> str:
        """The operation; where it is not the plain way, what becomes of gradients, and how arrays lie in memory."""
        lines = [str(self.operation)]
        if self.gradients != "returned":
            lines.append(
                f"gradients are {self.gradients} {'to' if self.gradients == 'added' else 'over'} what is there"
            )
        lines += [f"{name}: {WORDS[layout].words}" for name, layout in self.layouts.items()]
        return "\n".join(lines)

    def arrays(self) -> dict[str, Array]:
        """Every array by name: the inputs, the parameters, upstream or targets, and what gradients are put into.

        As arrays of NumPy's own types, those of bfloat16 as float32: what they print is short and exact.
        """
        dtype = "float32" if self.dtype == "bfloat16" else self.dtype
        return {name: self._handed(array, name).astype(dtype) for name, array in self._named().items()}

    def replace(self, **changes: Any) -> OperationCase:
        """This case with some of its fields changed; validated anew."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in OperationCase.__annotations__}
        return OperationCase(**(fields | changes))

    def to_data(self) -> OperationData:
        """This case as data for JSON."""
        return OperationData(
            operation=self.operation,
            dtype=self.dtype,
            accumulates=self.accumulates,
            batched=self.batched,
            gradients=self.gradients,
            inputs=to_data(self.inputs),
            parameters={name: to_data(array) for name, array in self.parameters.items()},
            upstream=None if self.upstream is None else to_data(self.upstream),
            targets=None if self.targets is None else to_data(self.targets),
            into={name: to_data(array) for name, array in self.into.items()},
            layouts=dict(self.layouts),
            tags=self.tags,
        )

    @classmethod
    def from_data(cls, data: OperationData) -> OperationCase:
        """The case that ``to_data`` wrote; validated anew. Raises RecordError or ArgumentError on damage."""
        return cls(
            data.operation,
            from_data(data.inputs),
            {name: from_data(array) for name, array in data.parameters.items()},
            upstream=None if data.upstream is None else from_data(data.upstream),
            targets=None if data.targets is None else from_data(data.targets),
            into={name: from_data(array) for name, array in data.into.items()},
            dtype=data.dtype,
            accumulates=data.accumulates,
            batched=data.batched,
            gradients=data.gradients,
            layouts=data.layouts,
            tags=data.tags,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OperationCase) and self.id == other.id and self.tags == other.tags

    def __hash__(self) -> int:
        return hash((self.id, self.tags))

    def __repr__(self) -> str:
        return f"<OperationCase {self.id}: {self.operation}, {self.facts()}>"

    def _named(self) -> dict[str, Float64]:
        """Every array, with its batch axis, under the name that layouts know it by."""
        goals = {UPSTREAM: self.upstream, TARGETS: self.targets}
        given = {name: array for name, array in goals.items() if array is not None}
        into = {f"{INTO}{name}": array for name, array in self.into.items()}
        return {INPUTS: self.inputs, **self.parameters, **given, **into}

    def _handed(self, array: Float64, name: str) -> Float64:
        """An array as a function is given it: without the batch axis, where there is none."""
        return array if self.batched or name.removeprefix(INTO) in self.parameters else array[0]

    def _handed_shape(self, shape: Shape) -> Shape:
        return shape if self.batched else shape[1:]

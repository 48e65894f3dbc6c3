"""The update: one step of an optimiser with everything that it starts from. The optimisers' counterpart of the case."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from gradproof.arrays import ArrayData, Floats, from_data, frozen_array, to_data
from gradproof.case import ID_LENGTH
from gradproof.checks import whole
from gradproof.errors import ArgumentError
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import DTYPES, Dtype

Arrays = Mapping[str, Mapping[str, Floats]]
"""State → parameter → array."""
Given = Mapping[str, Mapping[str, npt.ArrayLike]]


GRADIENT = "gradient"
"""Beside the states, what may have an uncertainty."""


def state_name(state: str, parameter: str) -> str:
    """What the state of a parameter is called among a step's results: ``square[0.weight]``."""
    return f"{state}[{parameter}]"


class UpdateData(msgspec.Struct, frozen=True):
    """An update as JSON keeps it."""

    optimiser: Optimiser
    dtype: Dtype
    step: int
    parameters: dict[str, ArrayData]
    gradients: dict[str, ArrayData]
    state: dict[str, dict[str, ArrayData]]
    uncertainty: dict[str, dict[str, ArrayData]]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Update:
    """One step of an optimiser: immutable, every array read-only.

    Arguments:
        optimiser: the update rule in its named variant.
        parameters: name → array, before the step; at least one. A name in ``optimiser.decay.excluded`` must occur.
        gradients: name → array of the parameter's shape, as the step is given them: neither clipped nor decayed.
        state: for each of ``optimiser.word.state``, name → array of the parameter's shape, before the step. What is
            left out is 0, as before the first step.
        step: number of the step, from 1.
        dtype: the precision that an implementation computes in. Parameters, gradients and state are rounded to it
            once, here, and are exact from then on.
        uncertainty: for state that cannot be read, in the same form: the state lies within so much of ``state``, entry
            by entry; where it is given, ``state`` is kept in float64. What is left out is 0; inf: nothing is known.
            Likewise under ``gradient`` for gradients that cannot be read.

    Raises ArgumentError, naming the argument, for wrong names or shapes and for numbers that are not finite.
    """

    optimiser: Optimiser
    parameters: Mapping[str, Floats]
    gradients: Mapping[str, Floats]
    state: Arrays = field(default_factory=dict)
    step: int = 1
    dtype: Dtype = "float64"
    uncertainty: Arrays = field(default_factory=dict)

    def __init__(
        self,
        optimiser: Optimiser,
        parameters: Mapping[str, npt.ArrayLike],
        gradients: Mapping[str, npt.ArrayLike],
        state: Given | None = None,
        *,
        step: int = 1,
        dtype: Dtype = "float64",
        uncertainty: Given | None = None,
    ) -> None:
        if not isinstance(optimiser, Optimiser):
            raise ArgumentError("optimiser", "an Optimiser", optimiser)
        if dtype not in DTYPES:
            raise ArgumentError("dtype", " or ".join(DTYPES), dtype)
        if whole("step", step) < 1:
            raise ArgumentError("step", "at least 1", step)
        if not isinstance(parameters, Mapping):
            raise ArgumentError("parameters", "arrays by name", type(parameters).__name__)
        if not parameters:
            raise ArgumentError("parameters", "at least one", "none")
        held = {
            name: frozen_array(f"parameters[{name!r}]", array, dtype, np.shape(array))
            for name, array in parameters.items()
        }
        shapes = {name: array.shape for name, array in held.items()}
        missing = set(optimiser.decay.excluded if optimiser.decay else ()) - set(shapes)
        if missing:
            raise ArgumentError("optimiser.decay.excluded", f"names among {', '.join(shapes)}", sorted(missing))
        unsure = {
            key: _arrays(f"uncertainty[{key!r}]", given, shapes, "float64", partial=True, infinite=True)
            for key, given in _states("uncertainty", uncertainty, (*optimiser.word.state, GRADIENT)).items()
        }
        known: dict[str, Mapping[str, Floats]] = {}
        given_state = _states("state", state, optimiser.word.state)
        for key in optimiser.word.state:
            zeros = {name: np.zeros(shape) for name, shape in shapes.items()}
            merged = zeros | dict(_named(f"state[{key!r}]", given_state.get(key, {}), shapes, partial=True))
            wide = unsure.get(key, {})
            known[key] = MappingProxyType(
                {
                    name: frozen_array(
                        f"state[{key!r}][{name!r}]", array, "float64" if name in wide else dtype, shapes[name]
                    )
                    for name, array in merged.items()
                }
            )
        values = {
            "optimiser": optimiser,
            "parameters": MappingProxyType(held),
            "gradients": _arrays("gradients", gradients, shapes, "float64" if GRADIENT in unsure else dtype),
            "state": MappingProxyType(known),
            "step": int(step),
            "dtype": dtype,
            "uncertainty": MappingProxyType(unsure),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @cached_property
    def id(self) -> str:
        """The first hex digits of the SHA-256 of this update's JSON: equal updates have equal ids."""
        return hashlib.sha256(msgspec.json.encode(self.to_data(), order="sorted")).hexdigest()[:ID_LENGTH]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter → shape."""
        return {name: array.shape for name, array in self.parameters.items()}

    def replace(self, **changes: Any) -> Update:
        """This update with some of its fields changed; validated anew."""
        return replace(self, **changes)

    def to_data(self) -> UpdateData:
        """This update as data for JSON."""
        return UpdateData(
            optimiser=self.optimiser,
            dtype=self.dtype,
            step=self.step,
            parameters=_to_data(self.parameters),
            gradients=_to_data(self.gradients),
            state={key: _to_data(arrays) for key, arrays in self.state.items()},
            uncertainty={key: _to_data(arrays) for key, arrays in self.uncertainty.items()},
        )

    @classmethod
    def from_data(cls, data: UpdateData) -> Update:
        """The update that ``to_data`` wrote; validated anew. Raises RecordError or ArgumentError on damage."""
        return cls(
            data.optimiser,
            _from_data(data.parameters),
            _from_data(data.gradients),
            {key: _from_data(arrays) for key, arrays in data.state.items()},
            step=data.step,
            dtype=data.dtype,
            uncertainty={key: _from_data(arrays) for key, arrays in data.uncertainty.items()},
        )

    def __reduce__(self) -> tuple[Callable[[UpdateData], Update], tuple[UpdateData]]:
        return Update.from_data, (self.to_data(),)  # for copies and other processes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Update) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Update {self.id}: step {self.step} of {self.optimiser}, {', '.join(self.parameters)}, {self.dtype}>"


def _states(argument: str, given: Given | None, known: tuple[str, ...]) -> Given:
    if given is None:
        return {}
    names = f"names among {', '.join(known)}" if known else "nothing, since this variant keeps no state"
    if not isinstance(given, Mapping):
        raise ArgumentError(argument, names, type(given).__name__)
    if not set(given) <= set(known):
        raise ArgumentError(argument, names, list(given))
    return given


def _named(
    argument: str, given: object, shapes: Mapping[str, tuple[int, ...]], *, partial: bool
) -> Mapping[str, npt.ArrayLike]:
    names = ", ".join(shapes)
    if not isinstance(given, Mapping):
        raise ArgumentError(argument, f"arrays for {names}", type(given).__name__)
    if not set(given) <= set(shapes) or not (partial or set(given) == set(shapes)):
        raise ArgumentError(argument, f"names {'among ' if partial else ''}{names}", list(given))
    return given


def _arrays(
    argument: str,
    given: object,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: Dtype,
    *,
    partial: bool = False,
    infinite: bool = False,
) -> Mapping[str, Floats]:
    named = _named(argument, given, shapes, partial=partial)
    return MappingProxyType(
        {
            name: _radii(f"{argument}[{name!r}]", named[name], shape)
            if infinite
            else frozen_array(f"{argument}[{name!r}]", named[name], dtype, shape)
            for name, shape in shapes.items()
            if name in named
        }
    )


def _radii(argument: str, given: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    radii = np.array(given, dtype=np.float64)
    if radii.shape != shape or not np.all(radii >= 0):
        raise ArgumentError(argument, f"numbers of at least 0 in shape {shape}", f"{radii.tolist()}")
    radii.setflags(write=False)
    return radii


def _to_data(arrays: Mapping[str, Floats]) -> dict[str, ArrayData]:
    return {name: to_data(array) for name, array in arrays.items()}


def _from_data(data: Mapping[str, ArrayData]) -> dict[str, Floats]:
    return {name: from_data(array) for name, array in data.items()}

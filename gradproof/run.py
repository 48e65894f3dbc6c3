"""Optimisers of others: what they declare, and the run that they are asked to make.

A run gives an optimiser its hyperparameters, parameters to start from, and the gradients of every step; what is judged
is what each step leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from gradproof.arrays import ArrayData, Floats, from_data, frozen_array, to_data
from gradproof.case import ID_LENGTH
from gradproof.checks import real, span, truth, words
from gradproof.declaration import Declaration, Target, declared, declaring
from gradproof.errors import ArgumentError
from gradproof.optimiser import CLIP_BY, DECAY_PLACES, OPTIMISERS, SCHEDULES, Optimiser
from gradproof.target import Range
from gradproof.vocabulary import DTYPES, Dtype

NONE = "none"
DECAYS = tuple(f"{kind}/{place}" for kind in ("l1", "l2") for place in DECAY_PLACES)
HYPERPARAMETERS = (
    "rate",
    *dict.fromkeys(name for word in OPTIMISERS.values() for name in word.hyperparameters),
    "decay",
    "limit",
    "clip_epsilon",
)
"""What can be ``fixed``: the optimisers' own hyperparameters, λ of decay, limit and ε of clipping."""


class StepSupports(Declaration, frozen=True, kw_only=True):
    """What an optimiser can do. Runs are drawn from all of it and from nothing else.

    optimisers: names of variants (``gradproof.optimiser.OPTIMISERS``): what the code is meant to be, ``adam``,
        ``momentum_torch``. If it is another tabulated variant, that is what it is said to be.
    decay: ``l1`` or ``l2`` with a place (``gradproof.WeightDecay``), ``l2/decoupled``; ``none`` for runs without.
    clipping: ``value``, ``norm`` or ``norm_if_above`` (``gradproof.Clipping``); ``none`` for runs without.
    clip_after_decay: whether decay is added to the gradients before they are clipped.
    schedules: names of ``gradproof.Schedule``.
    fixed: hyperparameters that the code does not let one choose, by name: ``{"epsilon": 1e-8}``; also ``rate``,
        ``decay`` (its λ), ``limit`` and ``clip_epsilon``.
    steps: how many steps a run has; parameters: how many arrays; size: entries of each.
    dtypes: the precisions that it computes in.
    """

    decorator: ClassVar[str] = "@gradproof.steps"

    optimisers: tuple[str, ...]
    decay: tuple[str, ...] = (NONE,)
    clipping: tuple[str, ...] = (NONE,)
    clip_after_decay: bool = False
    schedules: tuple[str, ...] = ("constant",)
    fixed: Mapping[str, float] = {}
    steps: Range = (1, 5)
    parameters: Range = (1, 2)
    size: Range = (1, 3)
    dtypes: tuple[Dtype, ...] = ("float64",)

    def __post_init__(self) -> None:
        for argument, known in (
            ("optimisers", tuple(OPTIMISERS)),
            ("decay", (NONE, *DECAYS)),
            ("clipping", (NONE, *CLIP_BY)),
            ("schedules", tuple(SCHEDULES)),
            ("dtypes", DTYPES),
        ):
            given = getattr(self, argument)
            listed = (given,) if isinstance(given, str) else words(f"supports.{argument}", given)
            if not listed:
                raise ArgumentError(f"supports.{argument}", "at least one", "none")
            for word in listed:
                if word not in known:
                    raise ArgumentError(f"supports.{argument}", f"among {', '.join(known)}", word)
            msgspec.structs.force_setattr(self, argument, listed)
        for argument in ("steps", "parameters", "size"):
            msgspec.structs.force_setattr(self, argument, span(f"supports.{argument}", getattr(self, argument)))
        truth("supports.clip_after_decay", self.clip_after_decay)
        if not isinstance(self.fixed, Mapping):
            raise ArgumentError("supports.fixed", "numbers by name", self.fixed)
        for name, value in self.fixed.items():
            if name not in HYPERPARAMETERS:
                raise ArgumentError("supports.fixed", f"names among {', '.join(HYPERPARAMETERS)}", name)
            real(f"supports.fixed[{name!r}]", value)
        msgspec.structs.force_setattr(self, "fixed", MappingProxyType(dict(self.fixed)))


def steps(*optimisers: str, **supports: Any) -> Callable[[Target], Target]:
    """Declares which optimiser a function runs; the arguments are those of ``StepSupports``.

    The decorated function takes a ``Run`` and gives, for each step in turn, every parameter after the step::

        @gradproof.steps("momentum_torch", dtypes=("float64", "float32"))
        def sgd(run):
            ours = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in run.parameters.items()}
            optimiser = torch.optim.SGD(ours.values(), lr=run.optimiser.rate, momentum=run.optimiser.momentum)
            for gradients in run.gradients:
                for name, parameter in ours.items():
                    parameter.grad = torch.tensor(gradients[name])
                optimiser.step()
                yield {name: parameter.detach().numpy() for name, parameter in ours.items()}

    To have the state judged too, it gives a pair: the parameters, and state → name → array, named as the optimiser's
    words name it (``gradproof.optimiser.OPTIMISERS``).
    """
    return declaring(declared(StepSupports, optimisers=optimisers, **supports))


class RunData(msgspec.Struct, frozen=True, tag_field="kind", tag="run"):
    """A run as JSON keeps it."""

    optimiser: Optimiser
    dtype: Dtype
    parameters: dict[str, ArrayData]
    gradients: tuple[dict[str, ArrayData], ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Run:
    """What an optimiser is asked to do: K steps from given parameters, with given gradients; immutable.

    Arguments:
        optimiser: the rule with its hyperparameters, exact float64 numbers.
        parameters: name → array, before the first step; at least one.
        gradients: for each step, name → array of the parameter's shape: neither clipped nor decayed.
        dtype: the precision that is computed in; arrays are rounded to it once, here.
        tags: words that say what is special about this run.

    Raises ArgumentError, naming the argument, for wrong names or shapes and for numbers that are not finite.
    """

    optimiser: Optimiser
    parameters: Mapping[str, Floats]
    gradients: tuple[Mapping[str, Floats], ...]
    dtype: Dtype = "float64"
    tags: tuple[str, ...] = field(default=())

    def __init__(
        self,
        optimiser: Optimiser,
        parameters: Mapping[str, npt.ArrayLike],
        gradients: Sequence[Mapping[str, npt.ArrayLike]],
        dtype: Dtype = "float64",
        tags: Iterable[str] = (),
    ) -> None:
        if not isinstance(optimiser, Optimiser):
            raise ArgumentError("optimiser", "an Optimiser", optimiser)
        if dtype not in DTYPES:
            raise ArgumentError("dtype", " or ".join(DTYPES), dtype)
        if not _is_mapping(parameters) or not parameters:
            raise ArgumentError("parameters", "at least one array, by name", parameters)
        if not gradients:
            raise ArgumentError("gradients", "at least one step", "none")
        held = {
            name: frozen_array(f"parameters[{name!r}]", array, dtype, np.shape(array))
            for name, array in parameters.items()
        }
        each = []
        for number, given in enumerate(gradients):
            if not _is_mapping(given) or set(given) != set(held):
                raise ArgumentError(f"gradients[{number}]", f"names {list(held)}", _names(given))
            arrays = {
                name: frozen_array(f"gradients[{number}][{name!r}]", given[name], dtype, array.shape)
                for name, array in held.items()
            }
            each.append(MappingProxyType(arrays))
        values = {
            "optimiser": optimiser,
            "parameters": MappingProxyType(held),
            "gradients": tuple(each),
            "dtype": dtype,
            "tags": tuple(sorted(set(map(str, tags)))),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.gradients)

    @cached_property
    def id(self) -> str:
        """The first hex digits of the SHA-256 of this run's JSON, tags aside: equal runs have equal ids."""
        data = msgspec.structs.replace(self.to_data(), tags=())
        return hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()[:ID_LENGTH]

    def facts(self) -> str:
        """``float64, 3 steps``."""
        return f"{self.dtype}, {len(self)} step{'s' if len(self) > 1 else ''}"

    def text(self) -> str:
        """The optimiser with its hyperparameters, and what its variant does."""
        return f"{self.optimiser}\n{self.optimiser.word.says}"

    def arrays(self) -> dict[str, Floats]:
        """Parameters before the first step, then the gradients of each step."""
        given = {
            f"gradient of {name} at step {number}": array
            for number, arrays in enumerate(self.gradients, 1)
            for name, array in arrays.items()
        }
        return {**self.parameters, **given}

    def replace(
        self,
        *,
        optimiser: Optimiser | None = None,
        parameters: Mapping[str, npt.ArrayLike] | None = None,
        gradients: Sequence[Mapping[str, npt.ArrayLike]] | None = None,
        tags: Iterable[str] | None = None,
    ) -> Run:
        """This run with some of its fields changed; validated anew."""
        return Run(
            self.optimiser if optimiser is None else optimiser,
            self.parameters if parameters is None else parameters,
            self.gradients if gradients is None else gradients,
            self.dtype,
            self.tags if tags is None else tags,
        )

    def to_data(self) -> RunData:
        """This run as data for JSON."""
        return RunData(
            optimiser=self.optimiser,
            dtype=self.dtype,
            parameters={name: to_data(array) for name, array in self.parameters.items()},
            gradients=tuple({name: to_data(array) for name, array in arrays.items()} for arrays in self.gradients),
            tags=self.tags,
        )

    @classmethod
    def from_data(cls, data: RunData) -> Run:
        """The run that ``to_data`` wrote; validated anew. Raises RecordError or ArgumentError on damage."""
        return cls(
            data.optimiser,
            {name: from_data(array) for name, array in data.parameters.items()},
            [{name: from_data(array) for name, array in arrays.items()} for arrays in data.gradients],
            data.dtype,
            data.tags,
        )

    def __reduce__(self) -> tuple[Callable[[RunData], Run], tuple[RunData]]:
        return Run.from_data, (self.to_data(),)  # for copies and other processes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.id == other.id and self.tags == other.tags

    def __hash__(self) -> int:
        return hash((self.id, self.tags))

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.facts()} of {self.optimiser}>"


def _names(given: object) -> object:
    return list(given) if isinstance(given, Mapping) else type(given).__name__


def _is_mapping(given: object) -> bool:
    return isinstance(given, Mapping)

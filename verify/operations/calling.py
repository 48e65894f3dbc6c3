"""Calling somebody's function on the case of an operation, twice, and reading what it returns.

The second call is given the same samples in reverse order: what belongs to a sample must come in reverse order, sums
over samples must come again. So a function that keeps something of an earlier call shows it, in any process.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from gradproof.arrays import Array
from gradproof.gradients import INPUTS, LOSS, OUTPUTS, TARGET, label
from gradproof.operation_case import Arguments, OperationCase
from verify.reading import Fault, described, listed, meant, numbers

AGAIN: Final = "again."
"""Before the names of quantities of the second call, where they differ from the first's."""

HALVES: Final = ("float16", "bfloat16")
"""Precisions whose results may also come as float32: frameworks keep sums of such numbers so."""


@dataclass(frozen=True)
class Handed:
    """What a function is given, for each of the two calls."""

    first: Arguments
    second: Arguments
    into: tuple[Mapping[str, Array], Mapping[str, Array]]
    """The arrays for gradients of both calls, whatever a function puts in their place."""

    @classmethod
    def of(cls, case: OperationCase) -> Handed:
        """New arrays for a case."""
        first, second = case.arguments(), case.turned().arguments()
        return cls(first, second, (dict(first.into), dict(second.into)))

    def lent(self) -> dict[str, Array]:
        """Every array that must not be changed, of the first call: itself where it is read-only, else its memory with
        all that lies between its entries.
        """
        found = {}
        for name, memory in self.first.memory.items():
            array = getattr(self.first, name) if name not in self.first.parameters else self.first.parameters[name]
            found[name] = memory if array.flags.writeable else array
        return found


@dataclass(frozen=True)
class Returned:
    """What came back from the two calls, with the arrays that gradients were to be put into."""

    first: Any
    second: Any
    handed: Handed


def run(function: Callable[..., Any], handed: Handed) -> Returned:
    """Calls a function twice, each time with arrays of its own."""
    return Returned(_called(function, handed.first), _called(function, handed.second), handed)


def _called(function: Callable[..., Any], arguments: Arguments) -> Any:
    if takes_all_in_one(function):
        return function(arguments)
    return function(*arguments.positional(), **arguments.named())


@lru_cache(maxsize=64)
def takes_all_in_one(function: Callable[..., Any]) -> bool:
    """Whether a function takes one argument: the object with everything, since every operation has two arrays."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return False
    return sum(one.kind in kinds and one.default is inspect.Parameter.empty for one in parameters) == 1


def read(returned: Returned, case: OperationCase) -> dict[str, Array] | list[Fault]:
    """The arrays of an answer by quantity, as float64 with their batch axis, or all by which it breaks the protocol.

    Of the second call, put in order again, those quantities under ``again.`` that differ from the first call's.
    """
    first = _quantities(returned.first, returned.handed.into[0], case)
    if isinstance(first, list):
        return first
    second = _quantities(returned.second, returned.handed.into[1], case)
    if isinstance(second, list):
        return [Fault(fault.quantity, fault.kind, f"on a second call, {fault.message}") for fault in second]
    if set(second) != set(first):
        missing = ", ".join(map(label, sorted(set(first) ^ set(second))))
        return [Fault(TARGET, "second call", f"one of two calls gives {missing}, the other does not")]
    again = {name: a[::-1] if name in (OUTPUTS, INPUTS) else a for name, a in second.items()}
    other = {f"{AGAIN}{n}": a for n, a in again.items() if not np.array_equal(a, first[n], equal_nan=True)}
    return {**first, **other}


def _quantities(answer: Any, into: Mapping[str, Array], case: OperationCase) -> dict[str, Array] | list[Fault]:
    named = _named(answer, case)
    if isinstance(named, Fault):
        return [named]
    shapes = case.shapes()
    faults = [
        Fault(TARGET, "key", f"unknown key {name!r}; expected {listed(list(shapes))}{meant(name, shapes)}")
        for name in named
        if name not in shapes
    ]
    gradients = [name for name in shapes if name not in (LOSS, OUTPUTS)]
    if case.gradients != "returned":
        given = [label(name) for name in gradients if named.get(name) is not None]
        if given:
            verb = "added to" if case.gradients == "added" else "written over"
            message = f"{listed(given)} came back; gradients are declared {case.gradients}: {verb} the arrays of 'into'"
            return [Fault(TARGET, "into", message)]
        named |= {name: into[name] for name in gradients}
    elif all(named.get(name) is None for name in gradients):
        return [
            *faults,
            Fault(TARGET, "nothing", f"no gradient came back; expected {listed([*map(label, gradients)])}"),
        ]
    arrays: dict[str, Array] = {}
    for name, shape in shapes.items():
        if named.get(name) is None:
            continue
        found = _numbers(name, named[name], shape, case.dtype)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            arrays[name] = found if case.batched or name not in (OUTPUTS, INPUTS) else found[np.newaxis]
    return faults or arrays


def _named(answer: Any, case: OperationCase) -> dict[str, Any] | Fault:
    """What a function returned, under names."""
    shapes = case.shapes()
    if isinstance(answer, Mapping):
        return dict(answer)
    value = LOSS if LOSS in shapes else OUTPUTS
    names = (value, INPUTS, *case.parameters)
    if case.gradients != "returned":
        alone = answer[0] if isinstance(answer, tuple) and len(answer) == 1 else answer
        return {value: alone}
    if isinstance(answer, tuple) and len(answer) == len(names):
        return dict(zip(names, answer, strict=True))
    if not isinstance(answer, tuple) and answer is not None and not case.parameters:
        return {INPUTS: answer}  # the gradient alone
    words = f"({', '.join(map(label, names))})"
    return Fault(TARGET, "type", f"the target returned {described(answer)}; expected a tuple {words}, or a mapping")


def _numbers(name: str, value: Any, shape: tuple[int, ...], dtype: str) -> Array | Fault:
    if dtype in HALVES and not isinstance(value, int | float | list | tuple):
        array = np.asarray(value)
        if array.dtype.name not in (dtype, "float32"):
            came = f"{label(name)} is of dtype {array.dtype.name}"
            return Fault(name, "dtype", f"{came}, expected {dtype}, or float32 with numbers computed from {dtype}")
        value, dtype = array.astype(np.float64), "float64"
    found = numbers(name, value, shape, dtype)
    return found if isinstance(found, Fault) else found.astype(np.float64)

"""A failing case as a script and a file of arrays, which show the failure without gradproof.

The script needs NumPy and the module that failed. It is the same for every case (``script.txt``) but for the part that
describes the case; the arrays keep the memory that they lay in, strides, offsets and all.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from importlib.resources import files
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from gradproof.case import Case
from gradproof.cases import AnyCase
from gradproof.gradients import INPUTS, LOSS, OUTPUTS
from gradproof.graph import Graph
from gradproof.record import Failure
from gradproof.run import Run
from gradproof.verdict import Finding

PLACE: Final = "# gradproof:case\n"
"""What stands in the script where a case's part goes."""

_FINDABLE = re.compile(r"[^:<>]+:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Standalone:
    """The two files of a case: Python source, and NumPy's ``.npz`` without pickles."""

    script: str
    arrays: bytes


def standalone(target: str, case: AnyCase, failure: Failure, gradproof: str) -> Standalone | None:
    """The files for a failure of a target; None where the target is no name in a module.

    gradproof: the version that found it.
    """
    if not _FINDABLE.fullmatch(target):
        return None
    kept = _Kept()
    named = {
        "TARGET": target,
        "CASE_ID": failure.case_id,
        "VERSION": gradproof,
        "SUMMARY": failure.summary,
        "TEXT": f"{case.facts()}\n{case.text()}",
        "FINDINGS": [_finding(finding) for finding in failure.findings],
        **_read(case),
    }
    lines = [f"{name} = {value!r}" for name, value in named.items()]
    arguments = "None" if isinstance(case, Graph) else f"lambda: {_arguments(case, kept)}"
    lines += [f"ARRAYS = {kept.arrays!r}", f"ARGUMENTS = {arguments}"]
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **kept.memory)
    template = files(__name__).joinpath("script.txt").read_text(encoding="utf-8")
    return Standalone(template.replace(PLACE, "\n".join(lines) + "\n"), stream.getvalue())


def _finding(finding: Finding) -> tuple[Any, ...]:
    message = " ".join(finding.message.split())
    return finding.quantity, finding.index, finding.got, finding.exact, finding.allowed, message


def _read(case: AnyCase) -> dict[str, Any]:
    """How the script reads an answer: names of a tuple's parts; of a graph, its program and where its numbers are."""
    if not isinstance(case, Graph):
        arrays = list(getattr(case, "parameters", ()))
        value = LOSS if getattr(case, "targets", None) is not None else OUTPUTS
        names = (value, INPUTS, *arrays)
        return {"NAMES": names, "STEPS": isinstance(case, Run), "PROGRAM": None, "LEAF": None, "READ": {}}
    last = len(case.steps) - 1
    spelled = [(case.value_name(place), place) for place in case.results]
    spelled += [(case.gradient_name(place), place) for place in range(len(case.leaves))]
    read = {case.quantity(name, last): tuple(name.split(".", 1)) for name, _ in spelled}
    return {"NAMES": (), "STEPS": False, "PROGRAM": case.text(), "LEAF": case.dialect.leaf, "READ": read}


def _arguments(case: AnyCase, kept: _Kept) -> str:
    """What the target is called with, as Python source for a pair: arguments by place, and by name."""
    handed = getattr(case, "arguments", None)
    if handed is None:
        return f"([{_source(case, kept)}], {{}})"
    arguments = handed()
    return f"({_source(list(arguments.positional()), kept)}, {_source(arguments.named(), kept)})"


@dataclass
class _Kept:
    """The memory that is kept, and the arrays that lie in it."""

    memory: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    arrays: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """Key → its memory, dtype, shape, strides, offset in bytes, and whether it can be written to."""

    def keep(self, array: npt.NDArray[Any]) -> str:
        """The key of an array, with all of the memory that it spans."""
        low, high = np.lib.array_utils.byte_bounds(array)
        start = array.__array_interface__["data"][0]
        key = f"array{len(self.arrays)}"
        spanned = np.empty(0, np.uint8)
        if array.size:
            spanned = np.frombuffer(_bytes(low, high - low, array), np.uint8)
        self.memory[key] = spanned
        self.arrays[key] = (key, array.dtype.name, array.shape, array.strides, start - low, array.flags.writeable)
        return key


def _bytes(address: int, size: int, owner: npt.NDArray[Any]) -> bytes:
    """The memory from an address on, which the owner keeps alive."""
    import ctypes

    assert owner.size
    return ctypes.string_at(address, size)


def _source(value: Any, kept: _Kept) -> str:
    """A value as Python source that makes a stand-in for it: arrays from the file, objects as their attributes."""
    match value:
        case None | bool() | int() | float() | str():
            return repr(value) if not isinstance(value, float) or np.isfinite(value) else f"float({str(value)!r})"
        case np.ndarray():
            return f"array({kept.keep(value)!r})"
        case np.generic():
            return _source(value.item(), kept)
        case Mapping():
            return f"{{{', '.join(f'{key!r}: {_source(each, kept)}' for key, each in value.items())}}}"
        case tuple():
            return f"({''.join(f'{_source(each, kept)}, ' for each in value)})"
        case Sequence():
            return f"[{', '.join(_source(each, kept) for each in value)}]"
        case _:
            attributes = _attributes(value)
            return f"Namespace({', '.join(f'{name}={_source(each, kept)}' for name, each in attributes.items())})"


def _attributes(value: Any) -> dict[str, Any]:
    """What can be asked of a value of gradproof: its fields, what follows from them, and its text as ``words``."""
    if isinstance(value, msgspec.Struct):
        fields: tuple[str, ...] = value.__struct_fields__
    elif is_dataclass(value):
        fields = tuple(value.__dataclass_fields__)
    else:
        fields = tuple(name for name in getattr(value, "__slots__", ()) if not name.startswith("_"))
    found = {name: getattr(value, name) for name in fields}
    if isinstance(value, Case):
        found |= {"batch": value.batch, "id": value.id}
        if _is_stack(value):
            found["stack"] = value.stack
    if hasattr(type(value), "__str__") and isinstance(value, msgspec.Struct):
        found["words"] = str(value)
    return found


def _is_stack(case: Case) -> bool:
    from gradproof.errors import ArgumentError

    try:
        return case.stack is not None
    except ArgumentError:
        return False

"""What a compiled function is made of: the values that it is compiled with, and the sources that it was written in.

Numba stamps a cached function with the one file that holds it, so it misses what was inlined from another file (numba
issue 1833), takes two functions of one factory for one another where only their options differ, and never finds one
again that was given a helper by its factory. Here a function is followed through everything that compiling it freezes:
its code, the values of the globals and of the closure that it names, and the same of every helper, with the options
that each is compiled with, however it was imported. So constants that come from elsewhere count, and so does one that
was changed in this process alone. The files that all those functions were written in count as a whole besides.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic
from numba.core.types import Type

_OURS: Final = ("fastimpl", "gradproof")
"""Packages whose functions and modules are looked into, beside that of the function itself; others give their names
alone, and the cache takes the versions of those that compile."""

_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes)


@dataclass(frozen=True)
class Fingerprint:
    """Digests of a function as it would be compiled now. values: of all that is frozen; sources: of the files."""

    values: str
    sources: str


def fingerprint_of(function: FunctionType, options: Mapping[str, Any]) -> Fingerprint:
    """The fingerprint of a function with these options; the same in every process."""
    reader = _Reader({*_OURS, _top(function.__module__)})
    reader.read(options)
    reader.read(function)
    sources = hashlib.sha256(b"".join(_digest_of_file(path) for path in sorted(reader.files)))
    return Fingerprint(reader.digest.hexdigest(), sources.hexdigest())


@cache
def _digest_of_file(path: str) -> bytes:
    """Of its content when this process first looks; empty where it cannot be read, in an archive or a prompt."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).digest()
    except OSError:
        return b""


def _top(module: object) -> str:
    return str(module).partition(".")[0]


class _Reader:
    """Goes through a function and all that it names, each object once, in an order that no process changes."""

    def __init__(self, ours: set[str]) -> None:
        self.ours = ours
        self.digest = hashlib.sha256()
        self.numbers: dict[int, int] = {}
        """Address of an object met before → the how manieth it was."""
        self.alive: list[object] = []
        """Those objects, so that no other can come to lie at such an address."""
        self.files: set[str] = set()
        """Of the modules that what was met was written in."""
        self.attributes: set[tuple[int, str]] = set()
        """(address of a module, name in it) of those taken in."""

    def say(self, *parts: object) -> None:
        self.digest.update(repr(parts).encode("utf-8", "backslashreplace") + b"\n")

    def read(self, value: Any) -> None:
        """Takes in a value of any kind."""
        if isinstance(value, _PLAIN):
            self.say(type(value).__name__, value)
        elif isinstance(value, np.generic | np.ndarray):
            self.say(value.dtype.str, value.shape, value.tobytes())
        elif isinstance(value, tuple | list):
            self.say(type(value).__name__, len(value))
            for item in value:
                self.read(item)
        elif isinstance(value, set | frozenset):
            self.say("set", sorted(map(self.alone, value)))
        elif isinstance(value, Mapping):
            self.say("mapping", sorted((self.alone(key), self.alone(item)) for key, item in value.items()))
        elif isinstance(value, Type | ir.Type):
            self.say("type", str(value))
        elif id(value) in self.numbers:
            self.say("again", self.numbers[id(value)])
        else:
            self.numbers[id(value)] = len(self.numbers)
            self.alive.append(value)
            self.look_into(value)

    def alone(self, value: Any) -> str:
        """The digest of one of several values that have no order."""
        reader = _Reader(self.ours)
        reader.read(value)
        self.files |= reader.files
        return reader.digest.hexdigest()

    def look_into(self, value: Any) -> None:
        """Takes in what has names of its own; of what is none of ours, what it is called alone."""
        module = sys.modules.get(str(getattr(value, "__module__", None)))
        if module is not None and _top(module.__name__) in self.ours:
            self.files.add(getattr(module, "__file__", None) or "")
        if isinstance(value, Dispatcher):
            self.read(value.targetoptions)
            self.read(value.py_func)
        elif isinstance(value, _Intrinsic):
            self.read(value._defn)
        elif isinstance(value, FunctionType) and _top(value.__module__) in self.ours:
            self.function(value)
        elif isinstance(value, CodeType):
            self.say(value.co_code, value.co_names, value.co_varnames, value.co_freevars)
            self.read(value.co_consts)
        else:
            home = getattr(value, "__module__", None) or type(value).__module__
            self.say(type(value).__qualname__, home, getattr(value, "__qualname__", getattr(value, "__name__", None)))

    def function(self, function: FunctionType) -> None:
        """Takes in code, defaults, closure, and the globals that the code names."""
        self.read(function.__code__)
        self.read((function.__defaults__, function.__kwdefaults__))
        names = sorted(set(_names(function.__code__)))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self.named(name, cell.cell_contents, names)
        for name in names:
            if name in function.__globals__:
                self.named(name, function.__globals__[name], names)

    def named(self, name: str, value: Any, attributes: Iterable[str]) -> None:
        """Takes in a value by its name; of a module of ours, those of its attributes that the code may mean."""
        self.say("name", name)
        self.read(value)
        if isinstance(value, ModuleType) and _top(value.__name__) in self.ours:
            for attribute in attributes:
                if attribute in vars(value) and (id(value), attribute) not in self.attributes:
                    self.attributes.add((id(value), attribute))
                    self.named(attribute, vars(value)[attribute], attributes)


def _names(code: CodeType) -> Iterator[str]:
    """The names of globals and attributes in code, and in the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)

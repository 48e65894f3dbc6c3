"""What a compiled function is made of: the sources that it was written in, and the values that it was compiled with.

Numba stamps a cached function with the one file that holds it, so it misses what was inlined from another file (numba
issue 1833), takes two functions of one factory for one another where only their options differ, and never finds one
again that was given a helper by its factory. Two digests, each of which would do on its own, stand in for that:

- the *stamp*, of every file of the package that the function's module imports, directly or not;
- the *fingerprint*, of the function's code and of all that compiling it freezes: the values of the globals and of the
  closure that it names, and the same of every helper, with the options that each is compiled with. So constants that
  come from elsewhere count, and so does one that was changed in this process alone.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
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


def stamp_of(function: Callable[..., Any]) -> str:
    """The digest of the sources that a function is compiled from; empty where they cannot be read."""
    try:
        return _stamp(Path(inspect.getfile(function)))
    except OSError:
        return ""


@cache
def _stamp(module: Path) -> str:
    digest = hashlib.sha256()
    for path in imports_within(module):
        digest.update(_source(path)[0])
    return digest.hexdigest()


def imports_within(module: Path) -> tuple[Path, ...]:
    """A module, by its file, and every one of its own package that it imports, directly or not; sorted.

    The ``__init__`` of every package on the way counts, as Python runs it.
    """
    root = _package_root(module)
    found: set[Path] = set()
    waiting = [module.resolve()]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _files(root, (*_parents(root, path), *_source(path)[1]))
    return tuple(sorted(found))


@cache
def _source(path: Path) -> tuple[bytes, tuple[tuple[str, ...], ...]]:
    """The digest of a file, and what it imports: absolute names in parts; of ``from a import b`` both a and a.b."""
    source = path.read_bytes()
    root = _package_root(path)
    here = (root.name, *path.relative_to(root).parent.parts)
    names: list[tuple[str, ...]] = []
    for node in _run(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) - node.level + 1] if node.level else ()
            origin = (*start, *(node.module.split(".") if node.module else ()))
            names += [origin, *((*origin, alias.name) for alias in node.names)]
    return hashlib.sha256(source).digest(), tuple(name for name in names if name[:1] == (root.name,))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, but for what type checkers alone read."""
    yield node
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _run(child)


def _parents(root: Path, path: Path) -> Iterator[tuple[str, ...]]:
    """The packages that a file lies in, in parts."""
    parts = (root.name, *path.relative_to(root).parent.parts)
    return (parts[:length] for length in range(1, len(parts) + 1))


def _files(root: Path, names: Iterable[tuple[str, ...]]) -> Iterator[Path]:
    """The files of these modules, and of the packages around each; a name may as well be that of a function."""
    for name in names:
        for length in range(1, len(name) + 1):
            stem = root.joinpath(*name[1:length])
            for path in (stem.with_suffix(".py"), stem / "__init__.py"):
                if path.is_file():
                    yield path


def _package_root(module: Path) -> Path:
    root = module.resolve().parent
    while (root.parent / "__init__.py").is_file():
        root = root.parent
    return root


def fingerprint_of(function: FunctionType, options: Mapping[str, Any]) -> str:
    """The digest of a function as it would be compiled now with these options. The same in every process."""
    reader = _Reader({*_OURS, _top(function.__module__)})
    reader.read(options)
    reader.read(function)
    return reader.digest.hexdigest()


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
        return reader.digest.hexdigest()

    def look_into(self, value: Any) -> None:
        """Takes in what has names of its own; of what is none of ours, what it is called alone."""
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

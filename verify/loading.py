"""Finding the implementation that a text like ``path.py:name`` or ``package.module:name`` means, and its surroundings.

Somebody's code runs with its own folder on ``sys.path`` and its own modules in ``sys.modules``, but only while it is
imported and called: a module of its own that is called as one of our rooms hides ours no longer than that, ours never
hides it, and two targets with helpers of one name don't meet.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Protocol

from gradproof.checks import meant
from gradproof.declaration import Declaration, declaration_of
from gradproof.errors import GradproofError

ROOMS = ("benchmarks", "fastimpl", "refimpl", "reports", "verify")
"""Top-level modules of gradproof whose names somebody's project may use for its own."""

HOUSE = Path(__file__).resolve().parents[1]
"""The folder that gradproof and its rooms are installed in."""

WAYS = (
    "verify/calling.py",
    "verify/subjects/base.py",
    "verify/subjects/operations.py",
    "verify/operations/calling.py",
    "verify/isolation/worker.py",
    "gradproof/engines.py",
    "gradproof/graph.py",
    "gradproof/passes.py",
    "gradproof/expressions.py",
)
"""Files of ours through which somebody's code is reached: where nothing else is running, it is not."""

DECLARATION = '@gradproof.target(losses="half_squared_error/sum", hidden="sigmoid", output="sigmoid", depth=(1, 3))'
"""What a target that declares nothing is told to paste."""


class TargetError(GradproofError):
    """A target cannot be had: it is not found, cannot be imported, cannot be called, or declares nothing."""


class Surroundings:
    """What somebody's code needs around it while it runs: its folders first on ``sys.path``, and its own modules."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self.folders = tuple(dict.fromkeys(folder.resolve() for folder in folders))
        self.hidden_rooms = tuple(room for room in ROOMS if any(_holds(folder, room) for folder in self.folders))
        """Our rooms whose names these folders use for modules of their own."""
        self._finder = _Finder(self.hidden_rooms, [str(folder) for folder in self.folders])
        self._modules: dict[str, ModuleType] = {}
        self._current: Path | None = None
        """The current folder, where the code has changed it."""

    @contextmanager
    def entered(self) -> Iterator[None]:
        """While the code is imported or called.

        Afterwards ``sys.path``, ``sys.modules`` and the current folder, below which records are kept, are ours again.
        """
        with self._at_their_folder(), self._with_their_modules():
            yield

    @contextmanager
    def _at_their_folder(self) -> Iterator[None]:
        ours = Path.cwd()
        if self._current is not None:
            with suppress(OSError):
                os.chdir(self._current)
        try:
            yield
        finally:
            theirs = _current_folder()
            if theirs != ours:
                os.chdir(ours)
            self._current = theirs if theirs != ours else None

    @contextmanager
    def _with_their_modules(self) -> Iterator[None]:
        if not self.folders:
            yield
            return
        covered = {name: module for name, module in sys.modules.items() if self._covers(name)}
        for name in covered:
            del sys.modules[name]
        sys.modules.update(self._modules)
        known = frozenset(sys.modules)
        entries = [str(folder) for folder in self.folders]
        sys.path[:0] = entries
        if self.hidden_rooms:
            sys.meta_path.insert(0, self._finder)
        try:
            yield
        finally:
            if self._finder in sys.meta_path:
                sys.meta_path.remove(self._finder)
            for entry in entries:
                if entry in sys.path:
                    sys.path.remove(entry)
            if len(sys.modules) != len(known):
                newcomers = {name: module for name, module in list(sys.modules.items()) if name not in known}
                self._modules |= {name: module for name, module in newcomers.items() if self._owns(module)}
            for name in self._modules:
                sys.modules.pop(name, None)
            sys.modules.update(covered)

    def _covers(self, name: str) -> bool:
        return name in self._modules or (bool(self.hidden_rooms) and name.partition(".")[0] in self.hidden_rooms)

    def _owns(self, module: ModuleType) -> bool:
        """Whether a module lies in the folders themselves, not in an environment below them, nor in our house."""
        file = getattr(module, "__file__", None)
        # A folder without an __init__.py is a package as well, of no file.
        places = [file] if isinstance(file, str) else [str(place) for place in getattr(module, "__path__", ())]
        return bool(places) and all(self._holds(Path(place).resolve()) for place in places)

    def _holds(self, path: Path) -> bool:
        if not any(path.is_relative_to(folder) for folder in self.folders):
            return False
        if any(path.is_relative_to(place) for place in _environment()):
            return False
        return not (path.is_relative_to(HOUSE) and path.relative_to(HOUSE).parts[0] in (*ROOMS, "gradproof"))


@dataclass(frozen=True)
class _Finder:
    """Finds modules under the names of hidden rooms in somebody's folders, and nowhere else.

    ``sys.path`` alone would not do: a package of ours goes before a folder of theirs that has no ``__init__.py``.
    """

    rooms: tuple[str, ...]
    folders: list[str]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or name not in self.rooms:
            return None
        return PathFinder.find_spec(name, self.folders, target)


class Elsewhere(Protocol):
    """Another process that an implementation runs in."""

    def call(self, asking: Any, case: Any) -> Any:
        """What ``verify.calling.call`` gives, from there."""
        ...

    @property
    def exhausted(self) -> str:
        """Why it should not be asked any more, in words; '' while it may."""
        ...


@dataclass(frozen=True)
class Implementation:
    """Somebody's implementation, ready to be called case by case."""

    text: str
    """The target as a person names it."""
    function: Callable[..., Any]
    supports: Declaration
    surroundings: Surroundings
    findable: bool
    """Whether ``load(text)`` finds it again."""
    elsewhere: Elsewhere | None = None
    """Where it runs, if not in this process; ``function`` is not to be called then."""

    def place_of(self, error: BaseException) -> str:
        """Where in somebody's code an exception was raised or passed last, ``net.py:12 in backward``; or ''."""
        frames = traceback.extract_tb(error.__traceback__)
        return place_in([(frame.filename, frame.lineno or 0, frame.name) for frame in frames])


def place_in(frames: Sequence[tuple[str, int, str]]) -> str:
    """The innermost place in somebody's code, ``net.py:12 in backward``, among (file, line, function); or ''.

    The innermost frame comes last.
    """
    own = [frame for frame in frames if _is_somebodys(frame[0])] or [f for f in frames if not _leads_in(f[0])]
    if not own:
        return ""
    file, line, name = own[-1]
    return f"{Path(file).name}:{line} in {name}"


def load(text: str) -> Implementation:
    """The implementation that ``path.py:name`` or ``package.module:name`` means; ``name`` may have dots.

    The file's folder, or for a module the current one, comes first on ``sys.path`` while it is imported and called. A
    class is made once, without arguments. Raises TargetError, with what to change, where it cannot be had.
    """
    found, surroundings = locate(text)
    return _prepared(text, found, surroundings, findable=True)


def locate(text: str) -> tuple[Any, Surroundings]:
    """Whatever such a text names, as it is, and what it needs around it. Raises TargetError where it cannot be had."""
    place, colon, name = text.rpartition(":")
    here = Path.cwd()
    if place.endswith(".py") or (not colon and text.endswith(".py")):
        file = Path(place or text)
        if not file.is_file():
            raise TargetError(f"target {text!r}: no file {str(file)!r} in {here}{_files_like(file)}")
        surroundings = Surroundings((file.resolve().parent, here))
        module = _imported(text, surroundings, lambda: _run_file(file.resolve()))
    elif colon and place:
        surroundings = Surroundings((here,))
        module = _imported(text, surroundings, lambda: importlib.import_module(place))
    else:
        raise TargetError(f"target {text!r}: expected path.py:name or package.module:name")
    if not name or not colon:
        raise TargetError(f"target {text!r}: expected {place or text}:name{_declared_in(module)}")
    return _attribute(text, module, name), surroundings


def adopt(function: Callable[..., Any]) -> Implementation:
    """The implementation that a Python object is. Raises TargetError where it cannot be called or declares nothing."""
    text, findable = _name_of(function)
    return _prepared(text, function, Surroundings(), findable=findable)


def _imported(text: str, surroundings: Surroundings, load_module: Callable[[], ModuleType]) -> ModuleType:
    try:
        with surroundings.entered():
            return load_module()
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        place = text.rpartition(":")[0]
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            where = f"in {Path.cwd()} or among the installed packages"
            raise TargetError(f"target {text!r}: no module {error.name!r} {where}") from None
        raise _import_failure(text, error) from None
    except BaseException as error:  # a script's sys.exit() included
        raise _import_failure(text, error) from None


def _run_file(file: Path) -> ModuleType:
    name = file.stem
    if not name.isidentifier() or name in sys.modules or name in sys.stdlib_module_names:
        name = f"_gradproof_target_{name}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # a file that ends in .py has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _import_failure(text: str, error: BaseException) -> TargetError:
    hint = ""
    if isinstance(error, ImportError) and "attempted relative import" in str(error):
        hint = "\nThe file belongs to a package: name it package.module:name, from the folder that holds the package."
    return TargetError(f"target {text!r} cannot be imported:\n{trace_of(error)}{hint}")


def _attribute(text: str, module: ModuleType, name: str) -> Any:
    found: Any = module
    for step in name.split("."):
        try:
            found = getattr(found, step)
        except AttributeError:
            names = [n for n in dir(found) if not n.startswith("_")]
            hint = meant(step, names) or _declared_in(module)
            owner = Path(module.__file__).name if module.__file__ and found is module else repr(found)
            raise TargetError(f"target {text!r}: {owner} has no {step!r}{hint}") from None
    return found


def _prepared(text: str, found: Any, surroundings: Surroundings, *, findable: bool) -> Implementation:
    if not callable(found):
        raise TargetError(f"target {text!r}: expected a function or class to call, got {_kind(found)}")
    supports = declaration_of(found)
    if supports is None:
        raise TargetError(
            f"target {text!r} does not declare what it supports. Put such a line above it:\n\n    {DECLARATION}\n\n"
            "(python -c 'import gradproof; help(gradproof.Supports)' lists all that can be declared.)"
        )
    if inspect.isclass(found):
        try:
            with surroundings.entered():
                found = found()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise TargetError(f"target {text!r} cannot be made without arguments:\n{trace_of(error)}") from None
        if not callable(found):
            raise TargetError(f"target {text!r}: expected a class with a method __call__(self, case)")
    return Implementation(text, found, supports, surroundings, findable)


def _name_of(function: Any) -> tuple[str, bool]:
    """A name for a Python object, and whether the file that it names has it at its top."""
    named = inspect.unwrap(function) if hasattr(function, "__qualname__") else type(function)
    qualname = str(getattr(named, "__qualname__", repr(named)))
    try:
        file = Path(inspect.getsourcefile(named) or "").resolve()
    except TypeError:
        return qualname, False
    if not file.is_file():
        return qualname, False
    here = Path.cwd()
    shown = file.relative_to(here) if file.is_relative_to(here) else file
    return f"{shown}:{qualname}", hasattr(function, "__qualname__") and "<" not in qualname


def _declared_in(module: ModuleType) -> str:
    names = [n for n, v in vars(module).items() if declaration_of(v) is not None]
    return f" (declared there: {', '.join(names)})" if names else ""


def _files_like(file: Path) -> str:
    beside = [path.name for path in file.parent.glob("*.py")] if file.parent.is_dir() else []
    close = get_close_matches(file.name, beside, n=1)
    return f"; did you mean {str(file.with_name(close[0]))!r}?" if close else ""


def _kind(found: Any) -> str:
    return f"a module {found.__name__!r}" if isinstance(found, ModuleType) else f"{type(found).__name__} {found!r:.60}"


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it has been removed
        return None


def _holds(folder: Path, room: str) -> bool:
    if folder == HOUSE:
        return False
    package = folder / room
    return package.with_suffix(".py").is_file() or any(package.glob("*.py")) or any(package.glob("*/*.py"))


def trace_of(error: BaseException) -> str:
    """A traceback without the frames that lead into somebody's code: neither ours nor the import system's."""
    step: TracebackType | None = error.__traceback__
    while step is not None and _leads_in(step.tb_frame.f_code.co_filename):
        step = step.tb_next
    return "".join(traceback.format_exception(type(error), error, step)).rstrip()


def _leads_in(file: str) -> bool:
    ways = (__file__, importlib.__file__, *(str(HOUSE / way) for way in WAYS))
    return file.startswith("<frozen ") or os.path.realpath(file) in map(os.path.realpath, ways)


def _is_somebodys(file: str) -> bool:
    """Whether a source file is neither Python's, an installed package's, nor ours."""
    path = Path(file)
    places = (*_environment(), *(HOUSE / room for room in (*ROOMS, "gradproof")))
    return path.is_absolute() and not any(path.is_relative_to(place) for place in places)


@cache
def _environment() -> tuple[Path, ...]:
    """Where the standard library and installed packages lie."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(dict.fromkeys(Path(sysconfig.get_paths()[name]).resolve() for name in names))

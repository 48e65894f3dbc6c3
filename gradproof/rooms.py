"""The rooms that do the work, in processes where somebody's own modules have the same names.

A project may have a ``reports`` or ``verify`` of its own. Where such modules come first in a process, ours are out of
sight; ``ours`` brings them back for a while, and leaves the project's as they were.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

from gradproof.errors import GradproofError

ROOMS: Final = ("benchmarks", "fastimpl", "refimpl", "reports", "verify")
"""Top-level modules of gradproof whose names somebody's project may use for its own."""

HOUSE: Final = Path(__file__).resolve().parents[1]
"""The folder that gradproof and its rooms are installed in."""

_kept: Final[dict[str, ModuleType]] = {}
"""Modules of ours that are out of sight: like ``sys.modules``, one for the process."""


class HiddenRoomError(GradproofError):
    """A module of somebody's hides one of gradproof's rooms from it."""


def hidden_rooms() -> dict[str, str]:
    """Each of our rooms that a module of somebody's hides in this process, with the place of that module."""
    places = {room: _place(room) for room in ROOMS}
    return {room: place for room, place in places.items() if place is not None and not _is_ours(place)}


def refuse_hidden() -> None:
    """Raises HiddenRoomError, saying what to do, where a module of somebody's hides one of our rooms."""
    hidden = hidden_rooms()
    if hidden:
        listed = "; ".join(f"{place} hides gradproof's own package {room!r}" for room, place in hidden.items())
        raise HiddenRoomError(
            f"{listed}. In this process gradproof cannot do its work: rename the module, use gradproof.assert_correct "
            "or the pytest plugin, or run the command gradproof check, which judges from a process of its own."
        )


@contextmanager
def ours() -> Iterator[None]:
    """While our rooms are imported and used: their names mean ours. Afterwards they mean what they did before."""
    hidden = tuple(hidden_rooms())
    if not hidden:
        yield
        return
    theirs = _loaded(hidden)
    finder = _Finder(hidden)
    _replace(theirs, _kept)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        used = _loaded(hidden)
        _kept.update(used)
        _replace(used, theirs)


@dataclass(frozen=True)
class _Finder:
    """Finds hidden rooms in our house and nowhere else; what is in them, the room's own path finds."""

    rooms: tuple[str, ...]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(HOUSE)], target) if path is None and name in self.rooms else None


def _place(room: str) -> str | None:
    """Where a room's name leads in this process: to a loaded module, or to what an import would find."""
    module = sys.modules.get(room)
    if module is not None:
        return next(iter(_places(module.__file__, getattr(module, "__path__", ()))), None)
    spec = PathFinder.find_spec(room)
    return None if spec is None else next(iter(_places(spec.origin, spec.submodule_search_locations or ())), None)


def _places(file: str | None, folders: Sequence[str]) -> Iterator[str]:
    if file is not None:
        yield file
    yield from map(str, folders)


def _is_ours(place: str) -> bool:
    path = Path(place).resolve()
    return path.is_relative_to(HOUSE) and path.relative_to(HOUSE).parts[0] in ROOMS


def _loaded(rooms: tuple[str, ...]) -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in rooms}


def _replace(old: dict[str, ModuleType], new: dict[str, ModuleType]) -> None:
    for name in old:
        sys.modules.pop(name, None)
    sys.modules.update(new)

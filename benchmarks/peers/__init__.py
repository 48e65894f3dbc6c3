"""The implementations that are timed beside one another, one file each.

A file here whose name ends in ``_peer`` defines ``PEER``; nothing else has to be told of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Protocol

import numpy.typing as npt

from benchmarks.tasks import Task


class Trainer(Protocol):
    """A network being trained on a task's data; made anew, it holds the task's initial parameters."""

    def run(self, epochs: int) -> None:
        """Goes on for so many epochs and returns when the last update is done; for 0 does what else a call does.

        An epoch visits every sample once, in an order shuffled anew. A step gathers its samples, goes forward and
        backward, and updates the parameters.
        """

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array, as in the task's case."""


@dataclass(frozen=True)
class Peer:
    """An implementation that can train a task.

    package: what has to be installed, by the name it is imported by. what: in words, how it is used here.
    trainer: makes one; imports the package when called.
    """

    name: str
    package: str
    what: str
    trainer: Callable[[Task], Trainer]

    @property
    def installed(self) -> bool:
        """Whether its package can be imported here."""
        return find_spec(self.package) is not None


def peers() -> dict[str, Peer]:
    """Every peer by name, installed or not."""
    modules = (import_module(f"{__name__}.{m.name}") for m in iter_modules(__path__) if m.name.endswith("_peer"))
    found: tuple[Peer, ...] = tuple(module.PEER for module in modules)
    return {peer.name: peer for peer in found}

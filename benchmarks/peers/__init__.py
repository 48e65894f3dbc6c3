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
from gradproof.optimiser import Optimiser


class Trainer(Protocol):
    """A network that can be trained on a task's data, as often as asked for.

    On as many threads as the environment and the process's cores allow (``benchmarks.pinning``).
    """

    def run(self, epochs: int) -> None:
        """Trains the task's initial parameters for so many epochs, and returns when the last update is done.

        An epoch visits every sample once, in an order shuffled anew. A step gathers its samples, goes forward and
        backward, and updates the parameters. Orders, and with them the result, are the same at every call: what
        ``run(1)`` leaves is what ``run(2)`` goes through. For 0 epochs it does what else a call does.
        """

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array, as in the task's case, after the last ``run``."""


def runs_everything(task: Task) -> str | None:
    """No reason against any task."""
    return None


def same_optimiser(optimiser: Optimiser) -> Optimiser:
    """The very rule that the task asks for."""
    return optimiser


@dataclass(frozen=True)
class Peer:
    """An implementation that can train a task.

    package: what has to be installed, by the name it is imported by. what: in words, how it is used here.
    trainer: makes one; imports the package when called.
    cannot: why it cannot run the very steps of a task; None where it can.
    rule: the optimiser whose steps it takes where it is asked for one; they are proved to be those of this one.
    """

    name: str
    package: str
    what: str
    trainer: Callable[[Task], Trainer]
    cannot: Callable[[Task], str | None] = runs_everything
    rule: Callable[[Optimiser], Optimiser] = same_optimiser

    @property
    def installed(self) -> bool:
        """Whether its package can be imported here."""
        return find_spec(self.package) is not None


def peers() -> dict[str, Peer]:
    """Every peer by name, installed or not."""
    modules = (import_module(f"{__name__}.{m.name}") for m in iter_modules(__path__) if m.name.endswith("_peer"))
    found: tuple[Peer, ...] = tuple(module.PEER for module in modules)
    return {peer.name: peer for peer in found}

"""``gradproof init``: looks at an object and writes an adapter for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradproof.declaration import declaration_of
from gradproof.errors import ArgumentError
from gradproof.record import write
from verify.adapters.drafts import CONFIRM, Draft
from verify.adapters.frameworks import loss_function, sklearn_mlp, torch_module
from verify.adapters.objects import network_class
from verify.loading import locate

LOOKS: tuple[Callable[[Any, str], Draft | None], ...] = (sklearn_mlp, torch_module, loss_function, network_class)


@dataclass(frozen=True)
class Written:
    """What was written, and what was told of the object."""

    path: Path
    target: str
    """The adapter, as ``gradproof check`` takes it."""
    kind: str
    recognised: tuple[str, ...]
    open: tuple[str, ...]
    """What is to be confirmed."""


def init(target: str, out: Path | None = None, *, force: bool = False) -> Written:
    """Writes an adapter for ``path.py:name`` or ``package.module:name``: a class, an object or a function.

    The object is looked at and, if it is a class of networks, made and run on a small case. The adapter is written
    whole or not at all, to ``out``, or to ``<name>_adapter.py`` beside the file, or in the current folder for a module.

    Raises TargetError where the target cannot be had, and ArgumentError where it is an adapter already, or where the
    file exists and ``force`` is not set.
    """
    found, surroundings = locate(target)
    if declaration_of(found) is not None:
        raise ArgumentError("target", "code without an adapter", f"{target}, which declares what it supports")
    place, _, name = target.rpartition(":")
    module = Path(place).stem if place.endswith(".py") else place
    folder = Path(place).parent if place.endswith(".py") else Path()
    path = out or folder / f"{name.rpartition('.')[2].lower()}_adapter.py"
    if path.exists() and not force:
        raise ArgumentError("--out", "a new file (or --force to write over it)", f"{path}, which exists")
    with surroundings.entered():
        draft = next(filter(None, (look(found, name) for look in LOOKS)), None) or _blank(found, name)
    first = name.partition(".")[0]
    draft.imports.append(f"from {module} import {first}")
    write(path, draft.text(target).encode())
    return Written(path, f"{path}:adapter", draft.kind, tuple(draft.recognised), tuple(draft.open))


def _blank(found: Any, name: str) -> Draft:
    """An adapter in which everything is to be confirmed."""
    draft = Draft(f"a {type(found).__name__} that is not recognised", "plain")
    for word, value, what in (
        ("losses", "half_squared_error/sum", "the loss whose gradient it computes"),
        ("hidden", "sigmoid", "the activation of hidden layers"),
        ("output", "sigmoid", "the activation after the last layer"),
        ("weights", "in_out", "(fan_in, units), or out_in: (units, fan_in)"),
        ("bias", "vector", "(units,), or row, column, last_row, ..."),
        ("samples", "rows", "(batch, features), or columns, one, ..."),
    ):
        draft.word(word, value, f"{CONFIRM}{what}")
    draft.body = [
        f"# {CONFIRM}how it is called, and what it returns",
        f"loss, outputs, dW, db = {name}(net.weights, net.biases, net.inputs, net.targets)",
        'return {"loss": loss, "outputs": outputs, "weights": dW, "biases": db}',
    ]
    return draft

"""Models in files: the network as JSON, everything else as arrays, in an archive that ``numpy.load`` opens too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import msgspec
import numpy as np

import gradproof
from fastimpl import archives
from fastimpl.archives import ArrayKind, Arrays
from fastimpl.history import History
from fastimpl.results import LOSS, Divergence
from fastimpl.splitmix import MOST_SEED
from gradproof.arrays import Floats
from gradproof.errors import ArgumentError, RecordError
from gradproof.network import Network
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import Dtype


@dataclass(frozen=True)
class Saved:
    """All that a model is.

    optimiser, step, moments: what the next fit goes on with, the updates made and state of the variant → parameter →
    array; None, 0 and nothing where it starts anew.
    """

    network: Network
    dtype: Dtype
    seed: int
    parameters: Mapping[str, Floats]
    history: History
    optimiser: Optimiser | None
    step: int
    moments: Mapping[str, Mapping[str, Floats]]


class _DivergenceData(msgspec.Struct, frozen=True):
    epoch: int
    step: int
    loss: str
    """In hexadecimal, or inf or nan, for which JSON has no word."""

    def __post_init__(self) -> None:
        float.fromhex(self.loss)


class _Header(msgspec.Struct, frozen=True, tag_field="schema", tag="gradproof.model/1"):
    network: Network
    dtype: Dtype
    seed: int
    optimiser: Optimiser | None
    step: int
    epochs: int
    steps: int
    metrics: tuple[str, ...]
    diverged: _DivergenceData | None
    best_epoch: int | None
    gradproof: str
    """Version that wrote the file."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MOST_SEED or min(self.step, self.epochs, self.steps) < 0:
            raise ValueError("seed, step, epochs and steps: expected numbers of at least 0")
        if self.step > self.steps:
            raise ValueError(f"step: expected at most the {self.steps} steps of the history")
        if LOSS not in self.metrics or len(set(self.metrics)) != len(self.metrics):
            raise ValueError(f"metrics: expected {LOSS!r} among them and each once")

    def kinds(self) -> dict[str, ArrayKind]:
        """What arrays belong to it."""
        shapes = self.network.parameter_shapes
        kinds = {f"parameters/{name}": ArrayKind(self.dtype, shape) for name, shape in shapes.items()}
        for state in () if self.optimiser is None else self.optimiser.word.state:
            kinds |= {f"{state}/{name}": ArrayKind(self.dtype, shapes[name]) for name in self.network.trainable}
        kinds["history/step_losses"] = ArrayKind("float64", (self.steps,))
        kinds["history/epoch_steps"] = ArrayKind("int64", (self.epochs, 2))
        return kinds | {f"history/metrics/{name}": ArrayKind("float64", (self.epochs,)) for name in self.metrics}


def path_of(path: str | os.PathLike[str]) -> Path:
    """A path. Raises ArgumentError for what is none."""
    if not isinstance(path, str | os.PathLike):
        raise ArgumentError("path", "the path of a file", path)
    return Path(path)


def write_model(path: Path, saved: Saved) -> None:
    """Writes a model, whole or not at all."""
    history, diverged = saved.history, saved.history.diverged
    header = _Header(
        network=saved.network,
        dtype=saved.dtype,
        seed=saved.seed,
        optimiser=saved.optimiser,
        step=saved.step,
        epochs=history.epochs,
        steps=len(history.step_losses),
        metrics=tuple(history.metrics),
        diverged=None if diverged is None else _DivergenceData(diverged.epoch, diverged.step, diverged.loss.hex()),
        best_epoch=history.best_epoch,
        gradproof=gradproof.__version__,
    )
    arrays: Arrays = {f"parameters/{name}": array for name, array in saved.parameters.items()}
    for state, of_parameters in saved.moments.items():
        arrays |= {f"{state}/{name}": array for name, array in of_parameters.items()}
    arrays["history/step_losses"] = history.step_losses
    arrays["history/epoch_steps"] = history.epoch_steps
    arrays |= {f"history/metrics/{name}": numbers for name, numbers in history.metrics.items()}
    archives.write(path, msgspec.json.encode(header), arrays)


def read_model(path: Path) -> Saved:
    """The model in a file. Raises RecordError, with the path and what is amiss, for anything but a whole model of
    this version whose numbers are finite; OSError where the file cannot be read.
    """
    header, arrays = archives.read(path, _decoded, _Header.kinds)
    network, optimiser = header.network, header.optimiser
    for name, array in arrays.items():
        if not name.startswith("history/") and not np.all(np.isfinite(array)):
            raise RecordError(f"{path}: array {name!r}: expected finite numbers")
    ends, diverged = arrays["history/epoch_steps"], header.diverged
    in_order = np.concatenate([[0], ends.ravel(), [header.steps]])
    if np.any(in_order[1:] < in_order[:-1]):
        raise RecordError(f"{path}: array 'history/epoch_steps': expected steps in their order")
    for name, array in arrays.items():
        if name.startswith("history/"):
            array.setflags(write=False)
    return Saved(
        network=network,
        dtype=header.dtype,
        seed=header.seed,
        parameters={name: arrays[f"parameters/{name}"] for name in network.parameter_shapes},
        history=History(
            step_losses=arrays["history/step_losses"],
            epoch_steps=ends,
            metrics=MappingProxyType({name: arrays[f"history/metrics/{name}"] for name in header.metrics}),
            diverged=None
            if diverged is None
            else Divergence(diverged.epoch, diverged.step, float.fromhex(diverged.loss)),
            best_epoch=header.best_epoch,
        ),
        optimiser=optimiser,
        step=header.step,
        moments={
            state: {name: arrays[f"{state}/{name}"] for name in network.trainable}
            for state in (() if optimiser is None else optimiser.word.state)
        },
    )


def _decoded(data: bytes) -> _Header:
    try:
        return msgspec.json.decode(data, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"not a model of this version of gradproof: {error}") from error

"""How much memory training takes, beside the peers.

One new process for each. It loads the data as NumPy arrays, and lets the peer train the smallest network of the same
kind once, so that the library, its compiler and its pools are there. What its memory, the resident set, grows by from
then on up to its peak while it is given the real network and trains it for an epoch, is what is told: the peer's own
copies of the data, parameters, gradients, moments, activations, and what it compiles for this network. The system's
count of the peak is set to 0 in between; Linux alone can do so.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.commands import CommandError, run
from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.peers import peers
from benchmarks.pinning import pin, settings
from benchmarks.tasks import task
from benchmarks.timing import OURS
from gradproof.record import Figure

SMALL: Final = "2-2-1.relu_adam.float32"
LARGE: Final = "784-512-512-10.relu_adam.float32"

_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")
_RESET_PEAK: Final = "5"


class Growth(msgspec.Struct, frozen=True):
    """Mebibytes. first: up to the peak of an epoch that compiles; again: of another one; before: all there was."""

    first: float
    again: float
    before: float


def training(progress: Progress) -> Figure:
    """Peak memory of training 784-512-512-10, batch 128, ReLU and Adam, float32, above the libraries and the data."""
    if not _CLEAR.exists():
        raise CommandError(f"expected Linux, which can set a process's peak of memory back, got {sys.platform}")
    found: dict[str, Growth] = {}
    failed: dict[str, str] = {}
    for name, peer in peers().items():
        if not peer.installed:
            continue
        progress(f"memory of {peer.what}")
        command = [sys.executable, "-m", "benchmarks.figures.memory", name]
        try:
            said = run(command, settings=settings(1))[1]
        except CommandError as error:
            if name == OURS:
                raise
            failed[name] = str(error)[-300:]
            continue
        found[name] = msgspec.json.decode(said.splitlines()[-1], type=Growth)
    what = task(LARGE).case
    parameters = sum(array.nbytes for array in what.parameters.values()) / 2**20
    again = ", ".join(f"{name} {growth.again:.3g}" for name, growth in found.items())
    before = ", ".join(f"{name} {growth.before:.3g}" for name, growth in found.items())
    notes = [
        f"the parameters take {parameters:.3g} MiB, the data {(what.inputs.nbytes) / 2**20:.3g} MiB",
        f"a second epoch, compiled by then: {again}",
        f"there before, library and data: {before}",
        *(f"{name} failed: {why}" for name, why in failed.items()),
    ]
    return figure(
        "memory.training",
        found[OURS].first,
        "MiB",
        peers={name: growth.first for name, growth in found.items() if name != OURS},
        note="; ".join(notes),
    )


def growth(name: str) -> Growth:
    """Of one peer, in this process."""
    peer, large = peers()[name], task(LARGE)
    small = peer.trainer(task(SMALL))
    small.run(1)
    del small
    before = _reset()
    trainer = peer.trainer(large)
    trainer.run(1)
    first = _mebibytes("VmHWM") - before
    _reset()
    trainer.run(1)
    return Growth(first, _mebibytes("VmHWM") - before, before)


def _reset() -> float:
    """Sets the peak back to what is resident now, which it returns."""
    gc.collect()
    _CLEAR.write_text(_RESET_PEAK)
    return _mebibytes("VmRSS")


def _mebibytes(field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise CommandError(f"expected {field} in {_STATUS}, found none")
    return int(found[1]) / 1024


FIGURES: Final[Mapping[str, Measure]] = {"memory.training": training}


if __name__ == "__main__":
    pin(1)
    print(msgspec.json.encode(growth(sys.argv[1])).decode())

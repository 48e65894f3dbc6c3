"""How long one waits for the compiler: once for all kernels, and never again until a source changes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from benchmarks.commands import CommandError, run
from benchmarks.compile_all import Compiled
from benchmarks.figures.common import Measure, Progress, figure
from gradproof.record import Figure

FIRST_STEPS: Final = 7
SLOWEST: Final = 5
"""Functions that are named."""


def cold(progress: Progress) -> Figure:
    """Compiling every kernel of fastimpl for both dtypes, in a new process that finds nothing on disk."""
    with TemporaryDirectory() as folder:
        progress("compiling every kernel for both dtypes")
        seconds, compiled = _compile_all(folder)
        if compiled.hits:
            raise CommandError(f"expected an empty cache, got {compiled.hits} functions out of it")
        again, loaded = _compile_all(folder)
        if loaded.hits != len(loaded.seconds):
            raise CommandError(f"expected {len(loaded.seconds)} functions out of the cache, got {loaded.hits}")
    slowest = sorted(compiled.seconds.items(), key=lambda item: -item[1])[:SLOWEST]
    compiling = sum(compiled.seconds.values())
    return figure(
        "compilation.cold",
        seconds,
        "s",
        at_most=30,
        note=f"{len(compiled.seconds)} functions, {compiling:.3g} s of the whole process; the slowest: "
        f"{', '.join(f'{name} {taken:.2g} s' for name, taken in slowest)}; loading them all again, {again:.2g} s",
    )


def warm(progress: Progress) -> Figure:
    """A whole process that imports fastimpl and takes a training step of 784-16-16-10, kernels out of the cache."""
    command = [sys.executable, "-m", "benchmarks.first_step"]
    with TemporaryDirectory() as folder:
        progress("the kernels of one network")
        first, _ = run(command, settings={"NUMBA_CACHE_DIR": folder})
        taken = [run(command, settings={"NUMBA_CACHE_DIR": folder})[0] for _ in range(FIRST_STEPS)]
    return figure(
        "compilation.warm",
        median(taken),
        "s",
        at_most=1.5,
        note=f"median of {FIRST_STEPS} processes, {min(taken):.2g} s to {max(taken):.2g} s, Python's own start "
        f"included; the first one, which compiles what the network needs, {first:.2g} s",
    )


def _compile_all(folder: str) -> tuple[float, Compiled]:
    """Seconds of a new process that compiles everything, with what it says."""
    command = [sys.executable, "-m", "benchmarks.compile_all"]
    seconds, said = run(command, settings={"NUMBA_CACHE_DIR": folder})
    return seconds, msgspec.json.decode(said.splitlines()[-1], type=Compiled)


FIGURES: Final[Mapping[str, Measure]] = {"compilation.cold": cold, "compilation.warm": warm}

"""Training steps of all peers and the floor under them, timed in one process, in turn, on the same cores.

A child process does the work (``python -m benchmarks.timing THREADS TASK ...``), since cores and threads have to be
settled before the libraries load; ``time_steps`` starts one for all tasks of a network, so that loading and compiling
are paid once, and reads what it prints.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median, quantiles
from time import perf_counter
from typing import Final, Protocol

import msgspec

from benchmarks.agreement import Agreement, DisagreementError
from benchmarks.floor import Floor
from benchmarks.peers import Peer, Trainer, peers
from benchmarks.pinning import blas_kernels, cores_here, environment, pin
from benchmarks.tasks import Task, task
from gradproof.errors import ArgumentError, GradproofError

OURS: Final = "fastimpl"
FLOOR: Final = "floor"

ROUNDS: Final = 21
TURN: Final = 0.04
"""Seconds that one peer runs at a stretch, or one epoch where that takes longer: far above what the clock costs."""


class Spread(msgspec.Struct, frozen=True):
    """Microseconds of a step over all rounds: the median, the least, and the quartiles."""

    median: float
    least: float
    quartiles: tuple[float, float]

    @classmethod
    def of(cls, microseconds: Sequence[float]) -> Spread:
        """What is kept of the times of at least two rounds."""
        low, middle, high = quantiles(microseconds, n=4)
        return cls(middle, min(microseconds), (low, high))

    @property
    def uncertainty(self) -> float:
        """About one standard error of the median, as a part of it, by the quartiles of ``ROUNDS`` rounds.

        Of a normal distribution the quartiles lie 1.35 standard deviations apart, and the median of n numbers has a
        standard error of 1.25 of these over √n.
        """
        low, high = self.quartiles
        return 1.2533 * (high - low) / 1.349 / ROUNDS**0.5 / self.median


class StepTimes(msgspec.Struct, frozen=True):
    """A task's step times: of each peer whose steps proved right, and of the floor."""

    task: str
    threads: int
    times: dict[str, Spread]
    """Peer, or ``floor``, → times."""
    refused: dict[str, str]
    """Peer → why it was not timed."""
    blas: tuple[str, ...]


class TimingError(GradproofError):
    """The child process that takes times did not finish."""


class Steps(Protocol):
    """Something that is timed: each call takes so many portions of equally many steps."""

    def run(self, portions: int) -> None:
        """For 0 portions it does what else a call does."""


def time_steps(
    names: Sequence[str], threads: int, progress: Callable[[str], None]
) -> tuple[Mapping[str, StepTimes], Mapping[str, TimingError]]:
    """Task → times, for each named task whose times could be taken, and why the others' could not.

    Raises ArgumentError where this process may not use as many cores as threads are wanted.
    """
    if threads > cores_here():
        raise ArgumentError("threads", f"at most the {cores_here()} cores that this process may use", threads)
    found: dict[str, StepTimes] = {}
    failed: dict[str, TimingError] = {}
    networks: dict[str, list[str]] = {}
    for name in names:
        networks.setdefault(name.partition(".")[0], []).append(name)
    for network, wanted in networks.items():
        progress(f"timing {network} ({len(wanted)} tasks, threads: {threads})")
        try:
            for times in _child(threads, wanted):
                found[times.task] = times
                progress(f"  {_line(times)}")
        except TimingError as error:
            failed |= {name: error for name in wanted if name not in found}
    return found, failed


def _child(threads: int, names: Sequence[str]) -> Iterator[StepTimes]:
    command = [sys.executable, "-m", "benchmarks.timing", str(threads), *names]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, env=environment(threads), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            if line.startswith("{"):  # what a library prints besides is its own
                yield msgspec.json.decode(line, type=StepTimes)
        if process.wait() != 0:
            errors.seek(0)
            raise TimingError(f"timing ended with {process.returncode}: {errors.read().strip()[-2000:]}")


def _line(times: StepTimes) -> str:
    each = ", ".join(f"{name} {spread.median:.4g}" for name, spread in times.times.items())
    refused = "".join(f"; {name} not timed: {why}" for name, why in times.refused.items())
    return f"{times.task}: {each} us{refused}"


class RefusedError(GradproofError):
    """A peer is not timed; the message says why."""


def proved(peer: Peer, agreement: Agreement) -> Trainer:
    """A peer's trainer of the agreement's task, its steps proved and its first epoch run. Raises RefusedError."""
    why = peer.cannot(agreement.task)
    if why is not None:
        raise RefusedError(why)
    try:
        agreement.refuse_wrong_steps(peer)
        trainer = peer.trainer(agreement.task)
        trainer.run(1)
    except DisagreementError as error:
        raise RefusedError(f"its step is wrong ({error})") from error
    except Exception as error:  # whatever a peer raises is its reason
        raise RefusedError(f"it fails here ({type(error).__name__}: {error})"[:400]) from error
    return trainer


def time_task(what: Task, threads: int = 1) -> StepTimes:
    """The times of one task in this process: each round gives every peer one turn of about ``TURN`` seconds.

    What a call takes for no epochs at all is measured beside it and taken off: a whole training pays it once.
    """
    runs: dict[str, Steps] = {}
    refused: dict[str, str] = {}
    agreement = Agreement(what)
    for peer in peers().values():
        if not peer.installed:
            continue
        try:
            runs[peer.name] = proved(peer, agreement)
        except RefusedError as error:
            refused[peer.name] = str(error)
    runs[FLOOR] = FloorEpochs(what)
    rounds = _rounds(what, runs)
    return StepTimes(
        what.name, threads, {name: Spread.of(times) for name, times in rounds.items()}, refused, blas_kernels()
    )


class FloorEpochs:
    """The floor, an epoch at a time."""

    def __init__(self, what: Task) -> None:
        self._floor, self._steps = Floor(what), what.steps

    def run(self, portions: int) -> None:
        """So many epochs."""
        self._floor.run(portions * self._steps)


def least_microseconds(what: Task, runs: Mapping[str, Steps]) -> dict[str, float]:
    """The least time of a step over all rounds, of several ways to run the same task."""
    return {name: min(times) for name, times in _rounds(what, runs).items()}


def _rounds(what: Task, runs: Mapping[str, Steps]) -> dict[str, list[float]]:
    """Microseconds of a step, round by round, without what a call takes for no epochs at all (in the median)."""
    epochs = {name: _epochs_a_turn(run) for name, run in runs.items()}
    turns: dict[str, list[float]] = {name: [] for name in runs}
    calls: dict[str, list[float]] = {name: [] for name in runs}
    with _collecting_between_turns():
        for _ in range(ROUNDS):
            for name, run in runs.items():
                gc.collect()
                turns[name].append(_seconds(run, epochs[name]))
                calls[name].append(_seconds(run, 0))
    return {
        name: [1e6 * (turn - median(calls[name])) / (epochs[name] * what.steps) for turn in turns[name]]
        for name in runs
    }


def _epochs_a_turn(run: Steps) -> int:
    """So many that they take about ``TURN``; doubled first until they take so much of it that noise matters little."""
    run.run(1)  # compiles
    epochs = 1
    while (seconds := _seconds(run, epochs) - _seconds(run, 0)) < TURN / 4:
        epochs *= 2
    return max(1, round(epochs * TURN / seconds))


def _seconds(run: Steps, epochs: int) -> float:
    start = perf_counter()
    run.run(epochs)
    return perf_counter() - start


@contextmanager
def _collecting_between_turns() -> Iterator[None]:
    """Python's collector of cycles would run in whoever's turn it falls due; it waits, and leaves what is there now."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


if __name__ == "__main__":
    core_count, *wanted_names = sys.argv[1:]
    pin(int(core_count))
    for wanted_name in wanted_names:
        print(msgspec.json.encode(time_task(task(wanted_name), int(core_count))).decode(), flush=True)

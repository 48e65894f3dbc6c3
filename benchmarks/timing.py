"""Training steps of all peers, timed in one process, in turn, on one core and one thread.

A child process does the work (``python -m benchmarks.timing TASK ...``), since cores and threads have to be settled
before the libraries load; ``time_steps`` starts it and reads what it prints.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Final

import msgspec

from benchmarks.agreement import DisagreementError, refuse_wrong_step
from benchmarks.peers import Trainer, peers
from benchmarks.pinning import blas_kernels, one_thread_environment, pin_to_one_core
from benchmarks.tasks import Task, task
from gradproof.errors import GradproofError

ROUNDS: Final = 15
TURN: Final = 0.1
"""Seconds that one peer runs at a stretch: far above what reading the clock costs."""


class StepTimes(msgspec.Struct, frozen=True):
    """A task's step times in microseconds, the median over rounds, of each peer whose step proved right."""

    task: str
    microseconds: dict[str, float]
    refused: dict[str, str]
    """Peer → why it was not timed: its step is not the gradient's."""
    blas: tuple[str, ...]


class TimingError(GradproofError):
    """The child process that takes times did not finish."""


def time_steps(names: Sequence[str], progress: Callable[[str], None]) -> dict[str, StepTimes]:
    """Task → times, for each named task. Raises TimingError with the child's last words where it fails."""
    found: dict[str, StepTimes] = {}
    for name in names:
        progress(f"timing {name}: {', '.join(p.name for p in peers().values() if p.installed)}")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.timing", name],
            env=one_thread_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise TimingError(f"timing {name} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        found[name] = msgspec.json.decode(done.stdout.splitlines()[-1], type=StepTimes)
    return found


def time_task(what: Task) -> StepTimes:
    """The times of one task in this process: each round gives every peer one turn of about ``TURN`` seconds.

    What a call takes for no epochs at all is measured in the same turn and taken off: a whole training pays it once.
    """
    trainers: dict[str, Trainer] = {}
    refused: dict[str, str] = {}
    for peer in peers().values():
        if not peer.installed:
            continue
        try:
            single = what.one_step()
            refuse_wrong_step(peer.trainer(single), single)
        except DisagreementError as error:
            refused[peer.name] = str(error)
            continue
        trainers[peer.name] = peer.trainer(what)
    epochs = {name: _epochs_a_turn(trainer) for name, trainer in trainers.items()}
    rounds: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in range(ROUNDS):
        for name, trainer in trainers.items():
            seconds = _seconds(trainer, epochs[name]) - _seconds(trainer, 0)
            rounds[name].append(1e6 * seconds / (epochs[name] * what.steps))
    return StepTimes(what.name, {name: median(times) for name, times in rounds.items()}, refused, blas_kernels())


def _epochs_a_turn(trainer: Trainer) -> int:
    trainer.run(1)  # compiles
    return max(1, round(TURN / (_seconds(trainer, 1) - _seconds(trainer, 0))))


def _seconds(trainer: Trainer, epochs: int) -> float:
    start = perf_counter()
    trainer.run(epochs)
    return perf_counter() - start


if __name__ == "__main__":
    pin_to_one_core()
    for wanted in sys.argv[1:]:
        print(msgspec.json.encode(time_task(task(wanted))).decode())

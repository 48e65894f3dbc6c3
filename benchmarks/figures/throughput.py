"""How many samples a second are trained, by networks of rising width and by mini-batches of rising size.

Beside JAX, the fastest of the peers, and beside the *floor*: the matrix products of the same steps alone, by the same
BLAS. Each point is timed in a new process with one thread, pinned to one core, all in turn, at its least over many
turns; before it counts, a step at that very size has left the one right result (``benchmarks.known_answer``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from benchmarks.commands import run
from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.known_answer import known_step, sigmoid_network
from benchmarks.peers import peers
from benchmarks.pinning import pin, settings
from benchmarks.tasks import SGD, Task
from benchmarks.timing import FLOOR, OURS, FloorEpochs, Steps, least_microseconds
from gradproof.case import Case
from gradproof.errors import GradproofError
from gradproof.record import Figure, Points
from gradproof.vocabulary import DTYPES, Dtype

WIDTHS: Final = tuple(2**power for power in range(4, 12))
WIDTHS_BATCH: Final = 64
BATCHES: Final = tuple(4**power for power in range(6))
BATCHES_WIDTHS: Final = (784, 128, 64, 10)
TIMED: Final = (OURS, "jax")
SAMPLES: Final = "samples per second"
OPERATIONS: Final = "GFLOP/s of the matrix products"
"""What the curves of either precision are kept in."""
EPOCH_OPERATIONS: Final = 2e8
MOST_STEPS: Final = 256
"""An epoch's steps: so many that they take a few milliseconds, at least two, at most so many."""


def against_width(progress: Progress) -> Figure:
    """Samples per second over the floor's at width 2,048, float64; drawn for widths 16 to 2,048, batch 64."""
    sizes = {width: ((width, width, width, 10), WIDTHS_BATCH) for width in WIDTHS}
    return _throughput("throughput.width", sizes, progress)


def against_batch(progress: Progress) -> Figure:
    """Samples per second over the floor's at batch 1,024, float64, 784-128-64-10; drawn for batches 1 to 1,024."""
    return _throughput("throughput.batch", {batch: (BATCHES_WIDTHS, batch) for batch in BATCHES}, progress)


def operations(widths: tuple[int, ...]) -> int:
    """Additions and multiplications of the matrix products of training on one sample.

    2mn forward for each matrix (m, n), as many for its gradient, as many for its input's but for the first.
    """
    sizes = [m * n for m, n in pairwise(widths)]
    return 6 * sum(sizes) - 2 * sizes[0]


def _throughput(name: str, sizes: Mapping[int, tuple[tuple[int, ...], int]], progress: Progress) -> Figure:
    """The figure of these sizes: what is varied → widths and batch."""
    curves: dict[str, dict[str, Points]] = {}
    shares: dict[Dtype, dict[str, float]] = {}
    for dtype in DTYPES:
        rates: dict[str, list[tuple[float, float]]] = {}
        operated: dict[str, list[tuple[float, float]]] = {}
        for varied, (widths, batch) in sizes.items():
            progress(f"{name}, {dtype}: {'-'.join(map(str, widths))}, batch {batch}")
            for line, seconds in _apart(widths, batch, dtype).items():
                rate = batch / seconds
                rates.setdefault(line, []).append((varied, rate))
                operated.setdefault(line, []).append((varied, rate * operations(widths) / 1e9))
        curves[f"{dtype}, {SAMPLES}"] = {line: tuple(points) for line, points in rates.items()}
        curves[f"{dtype}, {OPERATIONS}"] = {line: tuple(points) for line, points in operated.items()}
        shares[dtype] = {line: points[-1][1] / rates[FLOOR][-1][1] for line, points in rates.items()}
    in_float32 = ", ".join(f"{line} {share:.2f}" for line, share in shares["float32"].items() if line != FLOOR)
    return figure(
        name,
        shares["float64"][OURS],
        "of the floor",
        peers={line: share for line, share in shares["float64"].items() if line not in (OURS, FLOOR)},
        note=f"at the last point of the curve; in float32: {in_float32}",
        curves=curves,
    )


def _apart(widths: tuple[int, ...], batch: int, dtype: Dtype) -> dict[str, float]:
    """Seconds a step of each, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.figures.throughput", dtype, str(batch), *map(str, widths)]
    return msgspec.json.decode(run(command, settings=settings(1))[1].splitlines()[-1], type=dict[str, float])


def seconds_a_step(widths: tuple[int, ...], batch: int, dtype: Dtype) -> dict[str, float]:
    """Name → seconds a step, the least over rounds in which all have their turn. In this process.

    Raises DisagreementError where a step is wrong.
    """
    known = known_step("known", widths, batch, dtype)
    installed = {name: peer for name, peer in peers().items() if name in TIMED and peer.installed}
    for peer in installed.values():
        known.refuse_another(peer.trainer(known.task))
    task = random_task(widths, batch, dtype)
    runs: dict[str, Steps] = {name: peer.trainer(task) for name, peer in installed.items()}
    runs[FLOOR] = FloorEpochs(task)
    return {name: microseconds / 1e6 for name, microseconds in least_microseconds(task, runs).items()}


def random_task(widths: tuple[int, ...], batch: int, dtype: Dtype) -> Task:
    """Random weights of mean 0 and variance 1 / fan_in, random inputs and targets from (0, 1)."""
    steps = int(np.clip(EPOCH_OPERATIONS / (batch * operations(widths)), 2, MOST_STEPS))
    network = sigmoid_network(widths)
    random = np.random.default_rng(0)
    parameters = {
        path: random.normal(size=shape) / np.sqrt(shape[0]) for path, shape in network.parameter_shapes.items()
    }
    inputs, targets = (random.uniform(size=(batch * steps, width)) for width in (widths[0], widths[-1]))
    return Task("throughput", Case(network, parameters, inputs, targets=targets, dtype=dtype), batch, SGD)


FIGURES: Final[Mapping[str, Measure]] = {"throughput.width": against_width, "throughput.batch": against_batch}


if __name__ == "__main__":
    pin(1)
    named: Dtype = "float32" if sys.argv[1] == "float32" else "float64"
    try:
        taken = seconds_a_step(tuple(map(int, sys.argv[3:])), int(sys.argv[2]), named)
    except GradproofError as error:
        raise SystemExit(str(error)) from error
    print(msgspec.json.encode(taken).decode())

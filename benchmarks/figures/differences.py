"""How long numerical differences take: a whole gradient beside torch's gradcheck, and directions of a large network.

Everything is timed in new processes pinned to one core, with one thread; what is compared is timed in turn in one of
them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from statistics import median
from time import perf_counter
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.commands import run
from benchmarks.figures.certified import SMALL, gradcheck, sigmoid_case
from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.implementations import installed
from benchmarks.pinning import pin, settings
from gradproof.case import Case
from gradproof.record import Figure

LARGE: Final = ((784, 512, 512, 10), 128)
GOAL: Final = 1.0
"""Seconds."""
PEER: Final = "torch.autograd.gradcheck"
ROUNDS: Final = 3
TURNS: Final = 5
"""Rounds with gradcheck in turn, which takes seconds, and how often everything else has its turn in each of them."""
STEP: Final = 2.0**-17
"""Of two losses for each parameter and nothing else; gradcheck's is 1e-6."""


class Whole(msgspec.Struct, frozen=True):
    """Of a whole gradient: median seconds by what was done; errors; how many estimates the enclosure contradicts."""

    seconds: dict[str, float]
    parameters: int
    worst: float
    """The largest distance of an estimate from the certified derivative."""
    stated: float
    """The largest error that an estimate states of itself."""
    plain: float
    """The largest distance of a quotient of two losses alone."""
    contradicted: int


class Directions(msgspec.Struct, frozen=True):
    """Of projections: seconds, and what they say."""

    seconds: float
    parameters: int
    said: str
    contradicted: bool
    largest: float
    """The largest entry of the gradient."""


def whole(progress: Progress) -> Figure:
    """Central differences of all 13,002 parameters of 784-16-16-10, ten samples, each with its error estimate."""
    found = _measured("whole", SMALL, Whole, progress)
    return figure(
        "differences.784-16-16-10",
        found.seconds["differences"],
        "s",
        at_most=GOAL,
        provided=found.contradicted == 0,
        peers={PEER: found.seconds["gradcheck"]} if "gradcheck" in found.seconds else {},
        note=f"{found.parameters:,} parameters; off by {found.worst:.1e} at worst, no estimate by more than the "
        f"{found.stated:.1e} at most that it states; two losses for each parameter and no estimate of an error: "
        f"{found.seconds['two losses']:.3g} s, off by {found.plain:.1e} at worst",
    )


def directional(progress: Progress) -> Figure:
    """Holding the gradient of 784-512-512-10, 128 samples, against differences along 20 fresh random directions."""
    found = _measured("directions", LARGE, Directions, progress)
    return figure(
        "differences.directional",
        found.seconds,
        "s",
        note=f"{found.parameters:,} parameters, the largest derivative {found.largest:.3g}; {found.said}",
    )


def _measured(how: str, size: tuple[tuple[int, ...], int], kind: type[Any], progress: Progress) -> Any:
    widths, batch = size
    progress(f"{'-'.join(map(str, widths))}, {batch} samples")
    command = [sys.executable, "-m", "benchmarks.figures.differences", how, str(batch), *map(str, widths)]
    return msgspec.json.decode(run(command, settings=settings(threads=1))[1].splitlines()[-1], type=kind)


def _whole(case: Case) -> Whole:
    """In this process."""
    from fastimpl.perturbation import Losses
    from refimpl.enclosure import enclosure
    from verify.loss_differences import difference_gradient

    names = case.network.trainable

    def two_losses() -> dict[str, Any]:
        losses, quotients = Losses(case), {}
        for name in names:
            x = case.parameters[name].reshape(-1)
            points = np.stack([x + STEP, x - STEP], axis=1)
            found = losses.replacing(name, np.arange(x.size), points)
            quotients[name] = (found[:, 0] - found[:, 1]) / (points[:, 0] - points[:, 1])
        return quotients

    jobs: dict[str, Any] = {
        "differences": lambda: difference_gradient(case, "central", names=names),
        "two losses": two_losses,
    }
    if "torch" in installed():
        jobs["gradcheck"] = gradcheck(case)
    estimates, quotients = jobs["differences"](), jobs["two losses"]()
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            for _ in range(1 if name == "gradcheck" else TURNS):
                start = perf_counter()
                job()
                taken[name].append(perf_counter() - start)
    truth = enclosure(case)
    exact = {name: truth.nearest(name) for name in names}
    return Whole(
        seconds={name: median(seconds) for name, seconds in taken.items()},
        parameters=sum(case.parameters[name].size for name in names),
        worst=max(float(np.abs(estimates[name].value - exact[name]).max()) for name in names),
        stated=max(float(estimates[name].error.max()) for name in names),
        plain=max(float(np.abs(quotients[name] - exact[name].reshape(-1)).max()) for name in names),
        contradicted=sum(
            int(np.sum(estimates[name].contradicts(truth.lower(name), truth.upper(name)))) for name in names
        ),
    )


def _directions(case: Case) -> Directions:
    """In this process."""
    from fastimpl.evaluation import gradients
    from verify.projections import projections

    gradient = {name: np.asarray(array) for name, array in gradients(case).parameters.items()}
    start = perf_counter()
    found = projections(case, gradient)
    seconds = perf_counter() - start
    return Directions(
        seconds=seconds,
        parameters=sum(array.size for array in gradient.values()),
        said=str(found),
        contradicted=found.contradicted,
        largest=max(float(np.abs(array).max()) for array in gradient.values()),
    )


FIGURES: Final[Mapping[str, Measure]] = {
    "differences.784-16-16-10": whole,
    "differences.directional": directional,
}

if __name__ == "__main__":
    pin(1)
    mode, samples, *sizes = sys.argv[1:]
    asked = sigmoid_case(tuple(map(int, sizes)), int(samples))
    print(msgspec.json.encode(_whole(asked) if mode == "whole" else _directions(asked)).decode())

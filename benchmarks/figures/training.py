"""One training step of ours beside the same step of everybody else's, and what these figures come to together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.peers import peers
from benchmarks.tasks import KINDS, LARGE, NAMES, NETWORKS
from benchmarks.timing import FLOOR, OURS, StepTimes, TimingError, time_steps
from gradproof.errors import GradproofError
from gradproof.record import Figure

ONE_CORE: Final = "training_step"
TWO_CORES: Final = "training_step_two_cores"
THREADS: Final[Mapping[str, int]] = MappingProxyType({ONE_CORE: 1, TWO_CORES: 2})
"""Family of figures → cores, and threads of every peer."""

SMALL: Final = tuple(network for network in NETWORKS if network not in LARGE)

Cells = Mapping[str, Figure]
"""Name of a step's figure → the figure."""


def cells(family: str) -> tuple[str, ...]:
    """The names of a family's figures that are times of a step; two cores matter to the large networks alone."""
    tasks = NAMES if family == ONE_CORE else [name for name in NAMES if name.partition(".")[0] in LARGE]
    return tuple(f"{family}.{task}" for task in tasks)


CELLS: Final = tuple(name for family in THREADS for name in cells(family))


def measure_cells(names: Sequence[str], progress: Progress) -> tuple[Cells, Mapping[str, GradproofError]]:
    """The named figures of steps that could be measured, and why the others could not; each network in one process."""
    found: dict[str, Figure] = {}
    failed: dict[str, GradproofError] = {}
    for family, threads in THREADS.items():
        tasks = [name.removeprefix(f"{family}.") for name in names if name.startswith(f"{family}.")]
        times: Mapping[str, StepTimes] = {}
        why: Mapping[str, GradproofError] = {}
        try:
            if tasks:
                times, why = time_steps(tasks, threads, progress)
        except GradproofError as error:
            why = dict.fromkeys(tasks, error)
        failed |= {f"{family}.{task}": error for task, error in why.items()}
        for task, taken in times.items():
            try:
                found[f"{family}.{task}"] = _cell(f"{family}.{task}", taken)
            except TimingError as error:
                failed[f"{family}.{task}"] = error
    return found, failed


def _cell(name: str, times: StepTimes) -> Figure:
    """Microseconds of a step: the median of ours, beside it the medians of the peers and of the floor."""
    if OURS in times.refused:
        raise TimingError(f"{name}: no speed of a wrong result: {times.refused[OURS]}")
    what = {FLOOR: "the matrix products alone", **{peer.name: peer.what for peer in peers().values()}}
    own = times.times[OURS]
    ours = own.median
    notes = [f"ours: least {own.least:.4g} us, ±{100 * own.uncertainty:.1g} %"]
    notes += [
        f"{what[peer]}: {spread.median / ours:.3g} times ours, least {spread.least:.4g} us, "
        f"±{100 * spread.uncertainty:.1g} %"
        for peer, spread in times.times.items()
        if peer != OURS
    ]
    notes += [f"{what.get(peer, peer)}: not timed: {why}" for peer, why in times.refused.items()]
    notes.append(f"BLAS: {', '.join(times.blas)}")
    others = {peer: spread.median for peer, spread in times.times.items() if peer != OURS}
    return figure(name, ours, "us", peers=others, note="; ".join(notes))


def ratio(cell: Figure, peer: str) -> float:
    """A peer's time over ours. Raises TimingError where the peer was not timed."""
    if peer not in cell.peers:
        raise TimingError(f"{cell.name}: {peer} was not timed")
    return cell.peers[peer] / cell.value


def _ratios(
    measured: Cells, peer: str, networks: Sequence[str], kinds: Sequence[str] = tuple(KINDS)
) -> dict[str, float]:
    """Task → ratio, in all cells of these networks and kinds. Raises TimingError where one is missing."""
    found = {}
    for name in cells(ONE_CORE):
        task = name.removeprefix(f"{ONE_CORE}.")
        network, kind, _ = task.split(".")
        if network in networks and kind in kinds:
            if name not in measured:
                raise TimingError(f"{name} was not measured")
            found[task] = ratio(measured[name], peer)
    return found


def _mean(peer: str, goal: float, name: str, measured: Cells) -> Figure:
    ratios = _ratios(measured, peer, tuple(NETWORKS))
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    note = f"{peer}'s time over ours, geometric mean of {len(ratios)} tasks; least {min(ratios.values()):.3g}"
    return figure(name, mean, "times", at_least=goal, note=note)


def _least(
    peer: str, goal: float, networks: Sequence[str], name: str, measured: Cells, kinds: Sequence[str] = tuple(KINDS)
) -> Figure:
    ratios = _ratios(measured, peer, networks, kinds)
    where = min(ratios, key=ratios.__getitem__)
    note = f"{peer}'s time over ours where it is least, {where}"
    return figure(name, ratios[where], "times", at_least=goal, note=note)


FLOOR_GOALS: Final[Mapping[str, float]] = MappingProxyType({"784-512-512-10": 0.95, "784-128-64-10": 0.85})
"""Network → what the products' time over ours is to be at least."""

Derive = Callable[[str, Cells], Figure]

DERIVED: Final[Mapping[str, Derive]] = MappingProxyType(
    {
        "training_step.jax_ratio": partial(_mean, "jax", 4.0),
        "training_step.jax_jitted_ratio": partial(_mean, "jax.jitted", 4.0),
        "training_step.jax_least.small": partial(_least, "jax", 1.25, SMALL),
        "training_step.jax_least.large": partial(_least, "jax", 1.05, LARGE),
        "training_step.torch_ratio": partial(_mean, "torch", 20.0),
        **{
            f"training_step.floor.{network}.{kind}": partial(_least, FLOOR, goal, (network,), kinds=(kind,))
            for network, goal in FLOOR_GOALS.items()
            for kind in KINDS
        },
    }
)
"""Figures that follow from those of the steps, by name."""

_WHAT: Final = MappingProxyType(
    {
        "training_step.jax_ratio": "JAX's time of a step over ours, one core, geometric mean of all tasks.",
        "training_step.jax_jitted_ratio": "The same of JAX with the shuffle in its compiled epoch.",
        "training_step.jax_least.small": "JAX's time over ours, one core, the least of the five smaller networks.",
        "training_step.jax_least.large": "JAX's time over ours, one core, the least of the two largest networks.",
        "training_step.torch_ratio": "PyTorch eager's time over ours, one core, geometric mean of all tasks.",
        **{
            f"training_step.floor.{network}.{kind}": f"The matrix products' time over ours: {network}, {kind}."
            for network in FLOOR_GOALS
            for kind in KINDS
        },
    }
)


def derive(name: str, measured: Cells) -> Figure:
    """The figure of this name in ``DERIVED``, from measured steps. Raises TimingError where some are missing."""
    return DERIVED[name](name, measured)


def derived_again(figures: Sequence[Figure]) -> tuple[Figure, ...]:
    """The same figures, those that follow from others among them worked out anew."""
    known = {figure.name: figure for figure in figures}
    return tuple(derive(each.name, known) if each.name in DERIVED else each for each in figures)


def measure(names: Sequence[str], progress: Progress) -> tuple[Mapping[str, Figure], Mapping[str, GradproofError]]:
    """The named figures of this file from one measurement, and why some could not be had."""
    needed = [name for name in names if name not in DERIVED]
    if any(name in DERIVED for name in names):
        needed += [name for name in cells(ONE_CORE) if name not in needed]
    found, failed = measure_cells(needed, progress)
    figures, reasons = dict(found), dict(failed)
    for name in names:
        if name in DERIVED:
            try:
                figures[name] = derive(name, found)
            except TimingError as error:
                reasons[name] = error
    return {name: figures[name] for name in names if name in figures}, {
        name: reasons[name] for name in names if name in reasons
    }


def _alone(name: str, progress: Progress) -> Figure:
    found, failed = measure([name], progress)
    if name in failed:
        raise failed[name]
    return found[name]


def _described(name: str, what: str) -> Measure:
    alone = partial(_alone, name)
    alone.__doc__ = what
    return alone


def _what(name: str) -> str:
    family, _, task = name.partition(".")
    many = "one core" if THREADS[family] == 1 else f"{THREADS[family]} cores"
    return f"One training step of {task}, {many}: gather, forward, backward and update; beside every installed peer."


FIGURES: Final[Mapping[str, Measure]] = {
    **{name: _described(name, _what(name)) for name in CELLS},
    **{name: _described(name, what) for name, what in _WHAT.items()},
}

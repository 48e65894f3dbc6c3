"""Whether every convention at kinks is admitted and named, and what is none of them is found out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from benchmarks.campaigns.accusations import SharedOracle
from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.implementations import implementation, installed
from gradproof.case import Case
from gradproof.gradients import Gradients
from gradproof.layers import Activation, Dense, Layer, Maxout
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from gradproof.record import Figure
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES
from refimpl.enclosure import enclosure
from verify.conventions import Met, told
from verify.judge import certified, examine

CASES: Final = 1000
NETWORKS: Final = 12
"""Different networks among the cases: JAX compiles each."""
HALVES: Final = np.arange(-4, 5) / 2
"""What weights and inputs are drawn from: sums and products of such numbers are exact, and often exactly 0."""


@dataclass(frozen=True)
class Convention:
    """What somebody takes derivatives at kinks to be.

    relu: ReLU's at 0. edge: hard tanh's at ±1. sign: that of |θ| at 0. share: what each of m pieces that tie for the
    greatest gets of the gradient, from their number m and its place among them.
    """

    relu: float
    edge: float
    sign: float
    share: Callable[[int, int], float]


def _only(which: int) -> Callable[[int, int], float]:
    return lambda tied, place: float(place == which % tied)


CONVENTIONS: Final[Mapping[str, Convention]] = {
    "NumPy 0": Convention(0.0, 0.0, -1.0, _only(0)),
    "NumPy 0.5": Convention(0.5, 0.5, 0.0, lambda tied, place: 1 / tied),
    "NumPy 1": Convention(1.0, 1.0, 1.0, _only(-1)),
}
"""All of them admissible: the same place between the one-sided derivatives everywhere."""
FAULTS: Final[Mapping[str, Convention]] = {
    "2 at ReLU's 0": Convention(2.0, 0.0, 0.0, _only(0)),
    "2 at hard tanh's ends": Convention(0.0, 2.0, 0.0, _only(0)),
    "everything to each that ties": Convention(0.0, 0.0, 0.0, lambda tied, place: 1.0),
}
"""None of them."""


def plain(convention: Convention, case: Case) -> Gradients:
    """Dense layers, ReLU, hard tanh and maxout with half the squared error and an L1 penalty, by hand."""
    network, number = case.network, np.dtype(case.dtype).type
    x: Any = case.inputs
    backs: list[Callable[[Any], Any]] = []
    named: dict[str, Any] = {}
    for site in network.sites:
        x, back = _layer(convention, case, site.path, site.layer, x, named)
        backs.append(back)
    error = x - case.targets
    strength = number(0.0 if network.penalty is None else network.penalty.strength)
    loss = (error**2).sum() / 2 + strength * sum(np.abs(case.parameters[name]).sum() for name in network.penalised)
    delta = error
    for back in reversed(backs):
        delta = back(delta)
    for name in network.penalised:
        theta = case.parameters[name]
        named[name] = named[name] + strength * np.where(theta == 0, number(convention.sign), np.sign(theta))
    return Gradients(named, loss, x, delta)


def _layer(
    convention: Convention, case: Case, path: str, layer: Layer, x: Any, named: dict[str, Any]
) -> tuple[Any, Callable[[Any], Any]]:
    number = np.dtype(case.dtype).type
    match layer:
        case Dense():
            weight = case.parameter(f"{path}.weight")

            def dense_back(delta: Any) -> Any:
                named[f"{path}.weight"], named[f"{path}.bias"] = x.T @ delta, delta.sum(axis=0)
                return delta @ weight.T

            return x @ weight + case.parameter(f"{path}.bias"), dense_back
        case Activation("relu"):
            relu = np.where(x == 0, number(convention.relu), (x > 0).astype(x.dtype))
            return np.maximum(x, 0), lambda delta: delta * relu
        case Activation("hard_tanh"):
            clamped = np.where(np.abs(x) == 1, number(convention.edge), (np.abs(x) < 1).astype(x.dtype))
            return np.clip(x, -1, 1), lambda delta: delta * clamped
        case Maxout(pieces):
            groups = x.reshape(len(x), -1, pieces)
            greatest = groups.max(axis=-1)
            tied = groups == greatest[..., None]
            counts, places = tied.sum(axis=-1, keepdims=True), np.cumsum(tied, axis=-1) - 1
            of_tied = np.vectorize(convention.share, otypes=[x.dtype])(counts, places)
            share = np.where(tied, of_tied, number(0))
            return greatest, lambda delta: (delta[..., None] * share).reshape(x.shape)
        case _:
            raise TypeError(f"no {layer} by hand")


def kinked_networks(rng: np.random.Generator) -> list[Network]:
    """NETWORKS networks in which ReLU, hard tanh and maxout units stand one behind another, in turn."""
    networks = []
    for count in range(NETWORKS):
        pieces = 2 + count % 2
        kinds: list[tuple[Layer, int]] = [
            (Activation("relu"), 1),
            (Activation("hard_tanh"), 1),
            (Maxout(pieces), pieces),
        ]
        layers: list[Layer] = []
        for step in range(3):
            layer, wider = kinds[(count + step) % len(kinds)]
            layers += [Dense(int(rng.integers(1, 4)) * wider), layer]
        layers.append(Dense(int(rng.integers(1, 3))))
        penalty = Penalty("l1", 0.5, half=False, biases=False) if count % 4 == 3 else None
        networks.append(Network((int(rng.integers(1, 4)),), tuple(layers), Loss("half_squared_error", "sum"), penalty))
    return networks


def kinked_cases(count: int, seed: int = 0) -> Iterator[Case]:
    """Cases of which each meets an exact zero under ReLU, a clamp's end under hard tanh, and a tie under maxout."""
    rng = np.random.default_rng(seed)
    networks = kinked_networks(rng)
    while count:
        network = networks[count % NETWORKS]
        case = Case(
            network,
            {name: rng.choice(HALVES, size=shape) for name, shape in network.parameter_shapes.items()},
            rng.choice(HALVES, size=(2, *network.input_shape)),
            targets=rng.normal(size=(2, *network.output_shape)),
            dtype=DTYPES[count // NETWORKS % len(DTYPES)],
        )
        if met_kinks(case) >= {"relu", "hard_tanh", "maxout"} and not enclosure(case).outer_hull:
            yield case
            count -= 1


def met_kinks(case: Case) -> set[str]:
    """Which layers of a chain meet a kink, by name: their inputs are exact, being short multiples of a power of ½."""
    met: set[str] = set()
    x: Any = case.inputs.astype(np.float64)
    convention = CONVENTIONS["NumPy 0"]
    for site in case.network.sites:
        match site.layer:
            case Activation("relu") if np.any(x == 0):
                met.add("relu")
            case Activation("hard_tanh") if np.any(np.abs(x) == 1):
                met.add("hard_tanh")
            case Maxout(pieces):
                groups = x.reshape(len(x), -1, pieces)
                if np.any((groups == groups.max(axis=-1, keepdims=True)).sum(axis=-1) > 1):
                    met.add("maxout")
        x, _ = _layer(convention, case, site.path, site.layer, x, {})
    return met


def conventions(progress: Progress) -> Figure:
    """Answers refused, of targets with several conventions, to 1,000 cases with exact zeros, ties and clamps' ends."""
    right: dict[str, Callable[[Case], Gradients]] = {
        name: partial(plain, convention) for name, convention in CONVENTIONS.items()
    }
    right |= {name: implementation(name) for name in installed()}
    faulty: dict[str, Callable[[Case], Gradients]] = {
        name: partial(plain, convention) for name, convention in FAULTS.items()
    }
    verdicts: dict[str, Counter[Verdict]] = {name: Counter() for name in (*right, *faulty)}
    met: dict[str, list[Met]] = {name: [] for name in right}
    kinks = 0
    for number, case in enumerate(kinked_cases(CASES)):
        if number % 100 == 0:
            progress(f"{number} of {CASES} cases at kinks")
        oracle = SharedOracle(certified()).oracle()
        kinks += enclosure(case).met_kinks
        for name, target in {**right, **faulty}.items():
            judgement = examine(case, target(case), oracle)
            verdicts[name][judgement.verdict.verdict] += 1
            if name in met:
                met[name].append(judgement.conventions)
    refused = sum(CASES - verdicts[name][Verdict.CORRECT] for name in right)
    said = [f"{name}: {' '.join(told(met[name])) or 'nothing told'}" for name in right]
    caught = [f"{name}: wrong in {verdicts[name][Verdict.WRONG]}" for name in faulty]
    return figure(
        "kinks.refused",
        refused,
        "answers",
        at_most=0,
        provided=all(verdicts[name][Verdict.WRONG] for name in faulty) and all(told(met[name]) for name in right),
        note=(
            f"of {CASES * len(right):,}, at {kinks:,} kinks of {CASES:,} cases, each with a zero, a tie and a clamp's "
            f"end; {'; '.join(said)}; faults, {', '.join(caught)} cases"
        ),
    )


FIGURES: Final[Mapping[str, Measure]] = {"kinks.refused": conventions}

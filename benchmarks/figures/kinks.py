"""Whether every convention at kinks is admitted and named, and what is none of them is found out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from benchmarks.campaigns.accusations import SharedOracle
from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.implementations import implementation, installed
from gradproof.case import Case
from gradproof.gradients import Gradients
from gradproof.layers import Activation
from gradproof.loss import Loss, Penalty
from gradproof.network import Network, dense_chain
from gradproof.record import Figure
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES
from refimpl.enclosure import enclosure
from refimpl.kinks import ENUMERATED
from verify.conventions import Met, told
from verify.judge import certified, examine

CASES: Final = 1000
NETWORKS: Final = 12
"""Different networks among the cases: JAX compiles each."""
HALVES: Final = np.arange(-4, 5) / 2
"""What weights and inputs are drawn from: sums and products of such numbers are exact, and often exactly 0."""


def plain(at_0: float, case: Case) -> Gradients:
    """A stack of ReLU layers with half the squared error and an L1 penalty, by hand.

    At 0 it takes ReLU's derivative to be ``at_0``, and that of |θ| 2·at_0 − 1: the same place between the one-sided
    ones.
    """
    stack, number = case.stack, np.dtype(case.dtype).type
    slope, sign = number(at_0), number(2 * at_0 - 1)
    activations: list[Any] = [case.inputs]
    sums: list[Any] = []
    for weight, bias in zip(stack.weights, stack.biases, strict=True):
        sums.append(activations[-1] @ weight + bias)
        activations.append(np.maximum(sums[-1], 0))
    error = activations[-1] - case.targets
    penalty = case.network.penalty
    strength = number(0.0 if penalty is None else penalty.strength)
    loss = (error**2).sum() / 2 + strength * sum(np.abs(weight).sum() for weight in stack.weights)
    delta: Any = error
    found: list[tuple[Any, Any]] = []
    layers = list(zip(stack.weights, sums, activations, strict=False))
    for weight, z, a in reversed(layers):
        delta = delta * np.where(z == 0, slope, (z > 0).astype(z.dtype))
        pull = strength * np.where(weight == 0, sign, np.sign(weight))
        found.append((a.T @ delta + pull, delta.sum(axis=0)))
        delta = delta @ weight.T
    weights, biases = zip(*reversed(found), strict=True)
    return Gradients(stack.name(list(weights), list(biases)), loss, activations[-1], delta)


def kinked_cases(count: int, seed: int = 0) -> Iterator[Case]:
    """Cases of which each meets a kink: arguments of ReLU, or penalised weights, that are exactly 0."""
    rng = np.random.default_rng(seed)
    networks = []
    for number in range(NETWORKS):
        widths = tuple(int(n) for n in rng.integers(1, 4, size=2 + number % 3))
        layers = dense_chain(widths, (Activation("relu"),) * (len(widths) - 1))
        penalty = Penalty("l1", 0.5, half=False, biases=False) if number % 4 == 3 else None
        networks.append(Network(widths[:1], layers, Loss("half_squared_error", "sum"), penalty))
    while count:
        network = networks[count % NETWORKS]
        case = Case(
            network,
            {name: rng.choice(HALVES, size=shape) for name, shape in network.parameter_shapes.items()},
            rng.choice(HALVES, size=(2, *network.input_shape)),
            targets=rng.normal(size=(2, *network.output_shape)),
            dtype=DTYPES[count // NETWORKS % len(DTYPES)],
        )
        # Beyond ENUMERATED what is admissible is an outer hull, which might admit more than it should.
        if 0 < enclosure(case).met_kinks <= ENUMERATED:
            yield case
            count -= 1


def conventions(progress: Progress) -> Figure:
    """Answers refused, of targets with several conventions at kinks, to 1,000 cases with exact zeros under kinks."""
    right: dict[str, Callable[[Case], Gradients]] = {
        f"NumPy {at_0:g}": partial(plain, at_0) for at_0 in (0.0, 0.5, 1.0)
    }
    right |= {name: implementation(name) for name in installed()}
    targets: dict[str, Callable[[Case], Gradients]] = {**right, "NumPy 2": partial(plain, 2.0)}
    verdicts: dict[str, Counter[Verdict]] = {name: Counter() for name in targets}
    met: dict[str, list[Met]] = {name: [] for name in targets}
    for number, case in enumerate(kinked_cases(CASES)):
        if number % 100 == 0:
            progress(f"{number} of {CASES} cases at kinks")
        oracle = SharedOracle(certified()).oracle()
        for name, target in targets.items():
            judgement = examine(case, target(case), oracle)
            verdicts[name][judgement.verdict.verdict] += 1
            met[name].append(judgement.conventions)
    refused = sum(CASES - verdicts[name][Verdict.CORRECT] for name in right)
    said = [f"{name}: {' '.join(told(met[name])) or 'nothing told'}" for name in right]
    wrong = verdicts["NumPy 2"][Verdict.WRONG]
    return figure(
        "kinks.refused",
        refused,
        "answers",
        at_most=0,
        provided=wrong > 0 and all(told(met[name]) for name in right),
        note=f"of {CASES * len(right):,}; {'; '.join(said)}; one that takes 2: wrong in {wrong} of {CASES} cases",
    )


FIGURES: Final[Mapping[str, Measure]] = {"kinks.refused": conventions}

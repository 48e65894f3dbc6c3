"""A second opinion on a gradient that is called wrong: numerical differences of the package's own loss.

The judge holds what a target gives against definitions of this project's own. Here nothing of these takes part: the
loss that the target itself returns is differenced, with an estimate of the error of the differences
(``verify.differences``), at the very entry that was found wrong. Where the target returns no loss, its module's
``own_loss``, a function of a case, is taken, and where there is none, half the squared error of its outputs, summed.
Of an autograd engine the results are differenced that backward was called on, as the engine itself computes them.

    python -m benchmarks.own_differences FILE.py:NAME FAILURE.json
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from gradproof.case import Case, CaseData
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS, OUTPUTS
from gradproof.graph import Graph, GraphData
from gradproof.record import Failure
from gradproof.verdict import Finding, Verdict
from refimpl.graphs import graph_allowance, graph_enclosure
from verify.differences import Difference, difference
from verify.loss_differences import directional_difference

PARAMETERS: Final = "parameters"
OWN_LOSS: Final = "own_loss"


class Witness(msgspec.Struct, frozen=True):
    """What differences of what a package itself computes say of one entry of its gradient."""

    entry: str
    """``∂L/∂0.weight[0, 1]``, ``a.grad[0]``."""
    got: float
    estimate: float
    error: float
    """How far the estimate may be off; at a kink it reaches to both one-sided derivatives."""
    contradicts: bool
    """Whether the gradient that the package gives is out of reach of that error."""
    of: str
    """What is differenced, in words."""

    def __str__(self) -> str:
        said = f"{self.estimate:.9g} ± {self.error:.1g}"
        return f"differences of {self.of} give {said} for {self.entry}, the package {self.got!r}"


def second_opinion(module: Any, name: str, failure: Failure) -> Witness:
    """Differences of what the target ``module.name`` computes, at the first entry of a gradient that is wrong.

    Raises ArgumentError where no gradient is wrong in this failure, or it is not one of networks or engines.
    """
    target = getattr(module, name)
    match failure.case:
        case CaseData():
            return _of_a_network(module, target, Case.from_data(failure.case), failure)
        case GraphData():
            return _of_an_engine(target, Graph.from_data(failure.case), failure)
    raise ArgumentError("failure", "one of a network or an engine", type(failure.case).__name__)


def _of_a_network(module: Any, target: Callable[[Case], Any], case: Case, failure: Failure) -> Witness:
    finding = _finding(failure, lambda quantity: quantity not in (LOSS, OUTPUTS))
    loss, of = _loss(module, target, case)
    unit = np.zeros(np.shape(case.inputs if finding.quantity == INPUTS else case.parameters[finding.quantity]))
    unit[finding.index] = 1
    estimate = directional_difference(case, {finding.quantity: unit}, loss=loss)
    answer = target(case)
    gradient = answer[INPUTS] if finding.quantity == INPUTS else answer[PARAMETERS][finding.quantity]
    return _witness(finding, gradient, estimate, of, f"∂L/∂{finding.quantity}")


def _of_an_engine(target: Callable[[Graph], Any], graph: Graph, failure: Failure) -> Witness:
    places = {
        graph.quantity(graph.gradient_name(place), step): (place, step)
        for place in range(len(graph.leaves))
        for step in range(len(graph.steps))
    }
    finding = _finding(failure, lambda quantity: quantity in places)
    place, step = places[finding.quantity]
    differentiated = graph.backward if graph.again == "adds" else graph.backward[-1:]
    results = [graph.value_name(result) for result in differentiated]

    def moved(arrays: Mapping[str, Any]) -> Graph:
        return graph.replace(steps=[[arrays[str(leaf)] for leaf in range(len(graph.leaves))]])

    def total(arrays: Mapping[str, Any]) -> float:
        answer = target(moved(arrays))
        return float(sum(np.asarray(answer[result]).item() for result in results))

    def noise(arrays: Mapping[str, Any]) -> float:
        allowed = graph_allowance(graph_enclosure(moved(arrays), 64))
        return float(sum(allowed[result] for result in results))

    at = {str(leaf): array for leaf, array in enumerate(graph.steps[step])}
    unit = np.zeros(at[str(place)].shape)
    unit[finding.index] = 1
    estimate = difference(total, at, {str(place): unit}, noise=noise, dtype=graph.dtype)
    return _witness(finding, target(graph)[finding.quantity], estimate, "its own results", finding.quantity)


def _finding(failure: Failure, admits: Callable[[str], bool]) -> Finding:
    for finding in failure.findings:
        if finding.verdict is Verdict.WRONG and admits(finding.quantity):
            return finding
    raise ArgumentError("failure", "a gradient that is wrong", failure.summary)


def _witness(finding: Finding, gradient: Any, estimate: Difference, of: str, name: str) -> Witness:
    got, value, error = map(float, (np.asarray(gradient)[finding.index], estimate.value, estimate.error))
    entry = f"{name}[{', '.join(map(str, finding.index))}]" if finding.index else name
    return Witness(entry, got, value, error, estimate.contradicts(got), of)


def _loss(module: Any, target: Callable[[Case], Any], case: Case) -> tuple[Callable[[Case], float], str]:
    own = getattr(module, OWN_LOSS, None)
    if own is not None:
        return own, "the loss that it shows"
    if LOSS in target(case):
        return lambda moved: float(target(moved)[LOSS]), "its own loss"

    def half_squared_error(moved: Case) -> float:
        assert moved.targets is not None
        return 0.5 * float(np.sum((np.asarray(target(moved)[OUTPUTS]) - moved.targets) ** 2))

    return half_squared_error, "half the squared error of its outputs"


def module_of(path: str) -> Any:
    """A file's module, run anew."""
    spec = importlib.util.spec_from_file_location(f"_target_{Path(path).stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _main(address: str, failure: str) -> None:
    path, _, name = address.rpartition(":")
    kept = msgspec.json.decode(Path(failure).read_bytes(), type=Failure)
    print(msgspec.json.encode(second_opinion(module_of(path), name, kept)).decode())


if __name__ == "__main__":
    _main(*sys.argv[1:])

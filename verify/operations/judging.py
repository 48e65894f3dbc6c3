"""The verdict on an answer to the case of an operation: that of networks, in any precision, for both calls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from gradproof.arrays import Array
from gradproof.gradients import INPUTS, LOSS, OUTPUTS
from gradproof.operation_case import OperationCase
from gradproof.precisions import largest, quantum
from gradproof.verdict import Verdict
from refimpl.operations import (
    by_probabilities,
    operation_allowance,
    operation_enclosure,
    operation_naive,
    operation_overflows,
    operation_reproduced,
    operation_witness,
)
from verify.calling import Cause
from verify.judge import Hearing, Judgement, Oracle, first_wrong, heard
from verify.operations.calling import AGAIN
from verify.reading import layer_of
from verify.resemblance import Fits, resemblance

Float64 = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

SECOND_CALL = "second call"
"""In place of a layer: where a finding belongs that the first call does not show."""


def certified(case: OperationCase) -> Oracle:
    """The oracle of refimpl for one case."""

    def overflowing(_: Any, dtype: Any) -> tuple[str, ...]:
        other = by_probabilities(case)
        found = operation_overflows(case, dtype) + (operation_overflows(other, dtype) if other else ())
        return tuple(dict.fromkeys(found))

    return Oracle(
        cast(Any, operation_enclosure),
        cast(Any, operation_allowance),
        overflowing,
        lambda enclosed, entries: operation_witness(enclosed, case, entries),
        cast(Any, operation_naive),
        cast(Any, operation_reproduced),
    )


def examine(case: OperationCase, answer: Mapping[str, Array], oracle: Oracle | None = None) -> Judgement:
    """The verdict on what two calls gave. The second one counts where the first one is right, and other than it."""
    first = {name: array for name, array in answer.items() if not name.startswith(AGAIN)}
    again = {name.removeprefix(AGAIN): array for name, array in answer.items() if name.startswith(AGAIN)}
    judgement = _heard(case, first, oracle)
    if not again or judgement.verdict.verdict is not Verdict.CORRECT:
        return judgement
    second = _heard(case, again, oracle)
    findings = tuple(
        replace(
            finding,
            message=f"{finding.message}; only on a second call, with the samples in reverse order",
            layer=SECOND_CALL,
        )
        if finding.verdict is not Verdict.ORACLE_CONFLICT
        else finding
        for finding in second.verdict.findings
    )
    cause = (SECOND_CALL, *second.cause) if second.cause else ()
    return Judgement(
        replace(second.verdict, findings=findings),
        cause,
        judgement.entries + second.entries,
        judgement.kinks,
        judgement.conventions,
    )


def _heard(case: OperationCase, given: Mapping[str, Array], oracle: Oracle | None) -> Judgement:
    return heard(case.id, given, lambda: OperationHearing(case, given, oracle or certified(case), {}))


class OperationHearing(Hearing):
    """One answer to the case of an operation before the judge; quantities have their batch axis."""

    case: OperationCase

    def spacing(self, got: Float64) -> Float64:
        """The distance from each number to its next neighbour in the case's precision."""
        return quantum(np.where(np.isfinite(got), got, 0.0), self.case.dtype)

    def largest(self) -> float:
        """The largest finite number of the case's precision."""
        return largest(self.case.dtype)

    def layer(self, name: str) -> str | None:
        """The layer that a parameter belongs to, where there are several."""
        network = self.case.operation.network
        return layer_of(network, name) if network is not None and len(self.case.operation.layers) > 1 else None

    def first_wrong(self, quantities: list[str]) -> list[str]:
        """The outputs, the loss, or the parameters nearest to them; else the inputs' gradient."""
        return first_wrong_of(self.case, quantities)

    def cause(self, quantities: list[str]) -> Cause:
        """Where it goes wrong first."""
        return tuple(self.first_wrong(quantities))

    def resemblance(self, name: str, bad: Booleans, middle: Float64, fits: Fits) -> str:
        """What wrong entries have to do with the exact ones, with what was in the array before, and where they are."""
        got = self.given[name].astype(np.float64)
        outputs = math.prod(self.case.operation.output_shape)
        facts = [self._before(name, got, bad, fits)]
        if not facts[0]:
            facts.append(resemblance(self.case.batch, outputs, self.given[name], bad, middle, fits))
        facts.append(_columns(bad))
        return "; ".join(filter(None, facts))

    def _before(self, name: str, got: Float64, bad: Booleans, fits: Fits) -> str:
        before = self.case.into.get(name)
        if before is None or not np.any(before[bad]):
            return ""
        if self.case.gradients == "added" and np.all(fits(got + before)[bad]):
            return "each is the gradient alone: what was there before is overwritten, not added to"
        if self.case.gradients == "written" and np.all(fits(got - before)[bad]):
            return "each is the gradient added to what was there before, which it should write over"
        if np.array_equal(got, before):
            return "nothing was written"
        return ""


def first_wrong_of(case: OperationCase, quantities: list[str]) -> list[str]:
    """Of the quantities that are not right, those where it starts."""
    for name in (OUTPUTS, LOSS):
        if name in quantities:
            return [name]
    operation = case.operation
    if operation.network is None:
        return quantities
    paths = {path: name for name, path in operation.parameters.items()} | {INPUTS: INPUTS}
    wrong = [path for path, name in paths.items() if name in quantities]
    return [paths[path] for path in first_wrong(operation.network, wrong)]


def _columns(bad: Booleans) -> str:
    """Where in the array wrong entries are, when the first columns are right, or the first samples."""
    for axis, word in ((-1, "columns"), (0, "rows")):
        if bad.ndim <= 1 and word == "rows":
            continue
        lines = np.any(np.moveaxis(bad, axis, 0).reshape(bad.shape[axis], -1), axis=1) if bad.ndim else np.zeros(1)
        start = int(np.argmax(lines))
        if start > 0 and 2 * np.count_nonzero(lines[start:]) > len(lines) - start:
            return f"the first {start} {word} are right" if start > 1 else f"the first of the {word} is right"
    return ""

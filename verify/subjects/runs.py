"""Optimisers: runs of ``gradproof.Run``, answered by what each step left, judged step by step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np
from hypothesis.strategies import SearchStrategy

from gradproof.arrays import Array
from gradproof.cases import AnyCaseData
from gradproof.gradients import TARGET
from gradproof.optimiser import OPTIMISERS
from gradproof.record import Cause
from gradproof.run import Run, RunData, StepSupports
from gradproof.update import state_name
from gradproof.verdict import CaseVerdict, Finding
from verify.judge import Judgement
from verify.loading import Implementation
from verify.reading import Fault, misfit
from verify.runs.reading import after, quantities, trajectory
from verify.runs.strategy import runs
from verify.subjects.base import Assessment, Subject
from verify.trajectories import StepFinding, judge_trajectory

PLAIN = (0.0, 1.0, 0.5, -1.0, 2.0)
"""Numbers that are tried first when a run is made small."""


class Runs(Subject[Run, StepSupports]):
    """Optimisers on given gradients."""

    kind: ClassVar[str] = "run"

    def from_data(self, data: AnyCaseData) -> Run:
        assert isinstance(data, RunData)
        return Run.from_data(data)

    def strategy(self, supports: StepSupports) -> SearchStrategy[Run]:
        return runs(supports)

    def family(self, case: Run) -> str:
        return f"{case.optimiser.variant}-{case.dtype}"

    def families(self, supports: StepSupports) -> Mapping[str, StepSupports]:
        return {
            f"{variant}-{dtype}": msgspec.structs.replace(supports, optimisers=(variant,), dtypes=(dtype,))
            for variant in dict.fromkeys(supports.optimisers)
            for dtype in dict.fromkeys(supports.dtypes)
        }

    def copied(self, case: Run) -> Run:
        return case.replace()

    def lent(self, handed: Run) -> Mapping[str, Array]:
        given = {f"parameters[{name!r}]": array for name, array in handed.parameters.items()}
        for number, arrays in enumerate(handed.gradients):
            given |= {f"gradients[{number}][{name!r}]": array for name, array in arrays.items()}
        return given

    def read(self, answer: Any, case: Run) -> Mapping[str, Array] | list[Fault]:
        return quantities(answer, case)

    def misfit(self, case: Run, quantities: Mapping[str, Array]) -> str:
        steps = range(1, len(case) + 1)
        shapes = {name: array.shape for name, array in case.parameters.items()}
        parameters = {after(name, step): shape for name, shape in shapes.items() for step in steps}
        state = {
            after(state_name(key, name), step): shape
            for key in case.optimiser.word.state
            for name, shape in shapes.items()
            for step in steps
        }
        return misfit(quantities, parameters | state, parameters)

    def examine(self, case: Run, answer: Mapping[str, Array], oracle: Any = None) -> Judgement:
        found = judge_trajectory(case.optimiser, trajectory(case, answer))
        entries = sum(array.size for array in answer.values())
        findings = tuple(
            msgspec.structs.replace(
                one.finding,
                quantity=after(one.finding.quantity, one.step),
                message=f"at step {one.step}, {one.finding.message}",
            )
            for one in found.findings
        )
        return Judgement(CaseVerdict(case.id, found.verdict, findings), _cause(found.first), entries, 0)

    def summary(self, case: Run, findings: tuple[Finding, ...]) -> str:
        first, *others = findings
        more = f"; {len(others)} more after it" if others and first.quantity != TARGET else ""
        return f"{case.optimiser.variant}: {first.message.partition(chr(10))[0]}{more}"

    def notes(self, supports: StepSupports, assessments: Sequence[Assessment]) -> list[str]:
        answers = [assessment for assessment in assessments if assessment.gave]
        has_state = any(OPTIMISERS[variant].state for variant in supports.optimisers)
        if not answers or not has_state or any("[" in name for answer in answers for name in answer.gave):
            return []
        return ["The target never gave its state, so that is judged only by what later steps show of it."]

    def causes(
        self,
        implementation: Implementation,
        failing: Mapping[Run, tuple[Finding, ...]],
        judged: Sequence[tuple[Run, tuple[Finding, ...]]],
        seed: int,
    ) -> Mapping[str, tuple[Cause, ...]]:
        from verify.runs.naming import named

        return named(implementation, failing, judged, seed)

    def simplify(self, case: Run, supports: StepSupports, alike: Callable[[Run], bool]) -> None:
        before = None
        while before is not case:
            before = case
            for change in _simpler(case, supports):
                if self.size(change) < self.size(case) and alike(change):
                    case = change
                    break


SUBJECT = Runs()


def _cause(first: StepFinding | None) -> tuple[str, ...]:
    """Whether it starts with a parameter or its state; at which step depends on the run."""
    if first is None:
        return ()
    return ("state" if "[" in first.finding.quantity else "parameter",)


def _simpler(run: Run, supports: StepSupports) -> Iterator[Run]:
    """Runs with one thing less or plainer, the greatest relief first."""
    steps, names = list(run.gradients), list(run.parameters)
    if len(steps) > supports.steps[0]:
        yield run.replace(gradients=steps[:-1])
        for number in range(len(steps)):
            yield run.replace(gradients=steps[:number] + steps[number + 1 :])
    if len(names) > supports.parameters[0]:
        for dropped in names:
            kept = [name for name in names if name != dropped]
            yield run.replace(
                parameters={name: run.parameters[name] for name in kept},
                gradients=[{name: arrays[name] for name in kept} for arrays in steps],
            )
    for name, index in itertools.chain.from_iterable(
        ((name, index) for index in range(array.size)) for name, array in run.parameters.items()
    ):
        if run.parameters[name].size > supports.size[0]:
            yield run.replace(
                parameters={**run.parameters, name: np.delete(run.parameters[name], index)},
                gradients=[{**arrays, name: np.delete(arrays[name], index)} for arrays in steps],
            )
        for plain in PLAIN:
            yield run.replace(parameters={**run.parameters, name: _put(run.parameters[name], index, plain)})
            for place, arrays in enumerate(steps):
                changed = {**arrays, name: _put(arrays[name], index, plain)}
                yield run.replace(gradients=[*steps[:place], changed, *steps[place + 1 :]])


def _put(array: Array, index: int, number: float) -> Array:
    changed = array.copy()
    changed.reshape(-1)[index] = number
    return changed

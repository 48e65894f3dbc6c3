"""Single operations: cases of ``gradproof.operation_case.OperationCase``, functions with a hand-written backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from hypothesis.strategies import SearchStrategy
from msgspec.structs import replace

from gradproof.arrays import Array
from gradproof.cases import AnyCaseData
from gradproof.gradients import INPUTS, LOSS, OUTPUTS, TARGET, label
from gradproof.operation_case import OperationCase, OperationData
from gradproof.operations import OperationSupports, words
from gradproof.record import Cause
from gradproof.verdict import Finding, Verdict, overall
from verify import conventions
from verify.judge import Judgement, Oracle
from verify.loading import Implementation
from verify.operations import calling, judging, shrinking
from verify.operations.causes import causes
from verify.operations.strategies import operation_cases, possible_layouts
from verify.reading import Fault, layer_of, misfit
from verify.subjects.base import Assessment, Subject

MIXED = "mixed"
"""In the name of a family: arrays of several odd layouts."""
NAMED = 4
"""How many quantities a summary names besides the one where it starts."""
GIVEN = {LOSS: "the loss", OUTPUTS: "the outputs", INPUTS: "the gradient for the inputs"}


class Operations(Subject[OperationCase, OperationSupports]):
    """Layers, activations and losses by themselves."""

    kind: ClassVar[str] = "operation"

    def from_data(self, data: AnyCaseData) -> OperationCase:
        assert isinstance(data, OperationData)
        return OperationCase.from_data(data)

    def strategy(self, supports: OperationSupports) -> SearchStrategy[OperationCase]:
        return operation_cases(supports)

    def families(self, supports: OperationSupports) -> Mapping[str, OperationSupports]:
        name = "-".join(words(supports.loss, supports.templates))
        layouts = possible_layouts(supports)
        parts: dict[str, OperationSupports] = {}
        for dtype in supports.dtypes:
            for layout in layouts:
                parts[f"{name}-{dtype}-{layout}"] = replace(supports, dtypes=(dtype,), layouts=("contiguous", layout))
            if len(layouts) > 2:
                parts[f"{name}-{dtype}-{MIXED}"] = replace(supports, dtypes=(dtype,))
        return parts

    def family(self, case: OperationCase) -> str:
        odd = set(case.layouts.values())
        layout = MIXED if len(odd) > 1 else odd.pop() if odd else "contiguous"
        return f"{'-'.join(words(case.operation.loss, case.operation.layers))}-{case.dtype}-{layout}"

    def copied(self, case: OperationCase) -> Any:
        return calling.Handed.of(case)

    def lent(self, handed: Any) -> Mapping[str, Array]:
        lent = handed if isinstance(handed, calling.Handed) else calling.Handed.of(handed)
        return lent.lent()

    def run(self, function: Callable[..., Any], handed: Any) -> calling.Returned:
        return calling.run(function, handed)

    def read(self, answer: Any, case: OperationCase) -> Mapping[str, Array] | list[Fault]:
        return calling.read(answer, case)

    def misfit(self, case: OperationCase, quantities: Mapping[str, Array]) -> str:
        shapes = case.shapes()
        if not case.batched:  # read with their batch axis
            shapes |= {name: (1, *shapes[name]) for name in (OUTPUTS, INPUTS) if name in shapes}
        gradients = [name for name in shapes if name not in (LOSS, OUTPUTS)]
        given = [name for name in gradients if name in quantities]
        again = {f"{calling.AGAIN}{name}": shape for name, shape in shapes.items()}
        return misfit(quantities, shapes | again, (given or gradients) if case.gradients == "returned" else gradients)

    def place(self, case: OperationCase, quantity: str) -> str | None:
        network = case.operation.network
        return layer_of(network, quantity) if network is not None and len(case.operation.layers) > 1 else None

    def examine(self, case: OperationCase, answer: Mapping[str, Array], oracle: Oracle | None = None) -> Judgement:
        return judging.examine(case, answer, oracle)

    def summary(self, case: OperationCase, findings: tuple[Finding, ...]) -> str:
        verdict = overall(finding.verdict for finding in findings)
        same = [finding for finding in findings if finding.verdict is verdict]
        start = judging.first_wrong_of(case, [f.quantity for f in same]) if same[0].got is not None else []
        finding = next((f for f in same if f.quantity in start), same[0])
        others = [label(f.quantity) for f in same if f is not finding and f.quantity != TARGET]
        more = f"; also {verdict}: {', '.join(others[:NAMED])}" if others else ""
        if len(others) > NAMED:
            more += f" and {len(others) - NAMED} more"
        where = f"in {finding.layer}, " if finding.layer not in (None, judging.SECOND_CALL) else ""
        return f"{where}{finding.message.partition(chr(10))[0]}{more}"

    def notes(self, supports: OperationSupports, assessments: Sequence[Assessment]) -> list[str]:
        answers = [assessment for assessment in assessments if assessment.gave]
        if not answers:
            return []
        gave = frozenset[str]().union(*(assessment.gave for assessment in answers))
        wanted = [INPUTS, *((LOSS,) if supports.loss else ()), *((OUTPUTS,) if supports.templates else ())]
        if supports.loss is not None and supports.templates:
            wanted.remove(OUTPUTS)  # of a loss behind layers, nobody asks for them
        notes = [f"The target never gave {GIVEN[name]}, so that is not checked." for name in wanted if name not in gave]
        kinks = sum(assessment.kinks > 0 for assessment in answers)
        if kinks:
            notes.append(
                f"{kinks} of {len(assessments)} cases meet a kink, where every value between the one-sided derivatives "
                "is admitted."
            )
            notes += conventions.told(assessment.conventions for assessment in answers)
        right = [assessment for assessment in answers if assessment.verdict.verdict is Verdict.CORRECT]
        differing = sum(any(name.startswith(calling.AGAIN) for name in assessment.gave) for assessment in right)
        if differing:
            notes.append(
                f"In {differing} of {len(right)} correct cases a second call, with the samples in reverse order, "
                "rounds differently; both calls are judged."
            )
        return notes

    def causes(
        self,
        implementation: Implementation,
        failing: Mapping[OperationCase, tuple[Finding, ...]],
        judged: Sequence[tuple[OperationCase, tuple[Finding, ...]]],
        seed: int,
    ) -> Mapping[str, tuple[Cause, ...]]:
        return causes(self, implementation, failing, judged, seed)

    def size(self, case: OperationCase) -> shrinking.Size:
        return shrinking.size(case)

    def simplify(
        self, case: OperationCase, supports: OperationSupports, alike: Callable[[OperationCase], bool]
    ) -> None:
        shrinking.simplify(case, supports, alike)


SUBJECT = Operations()

"""Networks: cases of ``gradproof.Case``, answers of ``gradproof.Gradients``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gradproof.arrays import Array
from gradproof.case import Case, CaseData, mask_name
from gradproof.cases import AnyCaseData
from gradproof.gradients import INPUTS, LOSS, OUTPUTS, RADIUS, TARGET, Gradients, label
from gradproof.network import Network
from gradproof.record import Cause
from gradproof.target import UPSTREAM, Supports
from gradproof.verdict import Finding, Verdict, overall
from verify import shrinking
from verify.loading import Implementation
from verify.reading import Fault, described, layer_of, listed, meant, misfit, numbers
from verify.subjects.base import Assessment, Subject

if TYPE_CHECKING:  # what draws and judges is imported by the methods that do: a target's own process does neither
    from hypothesis.strategies import SearchStrategy

    from verify.judge import Judgement, Oracle

PARAMETERS, RADII = "parameters", "radii"
KEYS = (LOSS, OUTPUTS, PARAMETERS, INPUTS, RADII)
"""What an answer may hold."""
GIVEN = {LOSS: "the loss", OUTPUTS: "the outputs", INPUTS: "the gradient for the inputs"}
NAMED = 4
"""How many quantities a summary names besides the one where it starts."""


class Networks(Subject[Case, Supports]):
    """Whole networks, or losses of them, with gradients for parameters and inputs."""

    kind: ClassVar[str] = "network"

    def from_data(self, data: AnyCaseData) -> Case:
        assert isinstance(data, CaseData)
        return Case.from_data(data)

    def strategy(self, supports: Supports) -> SearchStrategy[Case]:
        from verify.strategies import cases

        return cases(supports)

    def families(self, supports: Supports) -> Mapping[str, Supports]:
        from verify.families import families_of

        return families_of(supports)

    def family(self, case: Case) -> str:
        from verify.families import family_of

        return family_of(case)

    def extremes(self, supports: Supports) -> SearchStrategy[Case]:
        from verify.strategies import cases

        return cases(supports, extremes=True)

    def copied(self, case: Case) -> Case:
        return case.replace()

    def lent(self, handed: Case) -> Mapping[str, Array]:
        asked = {mask_name(path): f"masks[{path!r}]" for path in handed.masks}
        asked |= {name: f"parameters[{name!r}]" for name in handed.parameters}
        return {asked.get(name, name.replace(" ", "_")): array for name, array in handed.arrays().items()}

    def read(self, answer: Any, case: Case) -> dict[str, Array] | list[Fault]:
        return quantities(answer, case)

    def misfit(self, case: Case, quantities: Mapping[str, Array]) -> str:
        shapes = _shapes(case)
        radii = {f"{RADIUS}{name}": shape for name, shape in shapes.items()}
        return misfit(quantities, shapes | radii, case.network.trainable)

    def place(self, case: Case, quantity: str) -> str | None:
        return layer_of(case.network, quantity)

    def examine(self, case: Case, answer: Mapping[str, Array], oracle: Oracle | None = None) -> Judgement:
        from verify.judge import examine

        return examine(case, Gradients.of(answer), oracle)

    def reconsidered(
        self,
        implementation: Implementation,
        case: Case,
        answer: Mapping[str, Array],
        judgement: Judgement,
        oracle: Oracle | None,
    ) -> Judgement:
        from verify.wider import reconsidered

        return reconsidered(self, implementation, case, answer, judgement, oracle)

    def summary(self, case: Case, findings: tuple[Finding, ...]) -> str:
        return summary(case, findings)

    def notes(self, supports: Supports, assessments: Sequence[Assessment]) -> list[str]:
        from verify import conventions
        from verify.digits import summed_up

        answers = [assessment for assessment in assessments if assessment.gave]
        if not answers:
            return []
        gave = frozenset[str]().union(*(assessment.gave for assessment in answers))
        has_loss = supports.losses != (UPSTREAM,)
        never = [name for name in (LOSS, OUTPUTS, INPUTS) if name not in gave and (name != LOSS or has_loss)]
        notes = [f"The target never gave {GIVEN[name]}, so that is not checked." for name in never]
        if any(name.startswith(RADIUS) for name in gave):
            notes.append(
                "Gradients are worked out from something else that the target gives; by how much that may be off is "
                "added to what is allowed."
            )
        kinks = sum(assessment.kinks > 0 for assessment in answers)
        if kinks:
            notes.append(
                f"{kinks} of {len(assessments)} cases meet a kink, where every value between the one-sided derivatives "
                "is admitted."
            )
            notes += conventions.told(assessment.conventions for assessment in answers)
        inaccurate = [each.explained for each in answers if each.verdict.verdict is Verdict.INACCURATE]
        if (reason := summed_up(inaccurate)) is not None:
            notes.append(reason)
        return notes

    def causes(
        self,
        implementation: Implementation,
        failing: Mapping[Case, tuple[Finding, ...]],
        judged: Sequence[tuple[Case, tuple[Finding, ...]]],
        seed: int,
    ) -> Mapping[str, tuple[Cause, ...]]:
        from verify.diagnosis import Surveyed, diagnose

        survey = [Surveyed.of(case, findings) for case, findings in judged]
        shown = [Surveyed.of(case, findings) for case, findings in failing.items()]
        found = diagnose(implementation, shown, survey, seed)
        return {case.id: found.causes(case) for case in failing}

    def systematic(
        self, implementation: Implementation, answers: Sequence[tuple[Case, Assessment]], seed: int
    ) -> tuple[Case, Finding, int] | None:
        from verify.systematic import recurring

        return recurring(self, implementation, [(case.dtype, each.deviations) for case, each in answers], seed)

    def size(self, case: Case) -> shrinking.Size:
        return shrinking.size(case)

    def simplify(self, case: Case, supports: Supports, alike: Callable[[Case], bool]) -> None:
        shrinking.simplify(case, supports, alike)


SUBJECT = Networks()


def summary(case: Case, findings: tuple[Finding, ...]) -> str:
    """One line that says what is wrong and where: the finding where it starts, and how many more there are."""
    from verify.judge import first_wrong

    verdict = overall(finding.verdict for finding in findings)
    same = [finding for finding in findings if finding.verdict is verdict]
    start = first_wrong(case.network, [finding.quantity for finding in same]) if same[0].got is not None else []
    finding = next((f for f in same if f.quantity in start), same[0])
    where = ""
    if finding.layer is not None:
        layer, _, kind = finding.layer.partition(": ")
        where = f"in {layer} ({kind}), "
    others = [label(f.quantity) for f in same if f is not finding and f.quantity != TARGET]
    more = f"; also {verdict}: {', '.join(others[:NAMED])}" if others else ""
    if len(others) > NAMED:
        more += f" and {len(others) - NAMED} more"
    return f"{where}{finding.message.partition(chr(10))[0]}{more}"


def quantities(answer: Any, case: Case) -> dict[str, Array] | list[Fault]:
    """The arrays of an answer to a case by quantity, or everything by which it breaks the protocol."""
    if isinstance(answer, Gradients):
        given = {key: getattr(answer, key) for key in KEYS}
    elif isinstance(answer, Mapping):
        given = dict(answer)
    else:
        expected = "gradproof.Gradients, or a mapping with the keys loss, outputs, parameters, inputs"
        return [Fault(TARGET, "type", f"the target returned {described(answer)}; expected {expected}")]
    faults = [_unknown_key(key, case.network) for key in given if key not in KEYS]
    parameters = given.get(PARAMETERS)
    if parameters is None and not case.network.trainable:
        parameters = {}
    if isinstance(parameters, Mapping):
        faults += _wrong_names(parameters, case.network)
    else:
        hint = "; case.stack.name(weights, biases) makes one" if isinstance(parameters, list | tuple) else ""
        expected = "a mapping from each parameter's name to its gradient"
        faults.append(Fault(TARGET, "type", f"parameters: expected {expected}, got {described(parameters)}{hint}"))
        parameters = {}
    asked = _asked(given, parameters, case)
    arrays: dict[str, Array] = {}
    for name, (value, shape) in asked.items():
        read = numbers(name, value, shape, case.dtype)
        if isinstance(read, Fault):
            faults.append(read)
        else:
            arrays[name] = read
    arrays |= _radii(given.get(RADII) or {}, arrays, faults)
    return faults or arrays


def _radii(radii: Any, arrays: Mapping[str, Array], faults: list[Fault]) -> dict[str, Array]:
    """The radii of an answer under their names among quantities; what is no radius is added to the faults."""
    if not isinstance(radii, Mapping):
        message = f"radii: expected a mapping from quantities to arrays, got {described(radii)}"
        faults.append(Fault(TARGET, "type", message))
        return {}
    found = {}
    for name, value in radii.items():
        if name not in arrays:
            if not faults:
                message = f"radii: {name!r} is no quantity of the answer; it has {listed(list(arrays))}"
                faults.append(Fault(TARGET, "unknown radius", message))
            continue
        read = numbers(f"{RADIUS}{name}", value, arrays[name].shape, "float64")
        if not isinstance(read, Fault) and not np.all(np.isfinite(read) & (read >= 0)):
            read = Fault(name, "radius", f"the {RADIUS}{name} is not a finite number of at least 0 everywhere")
        if isinstance(read, Fault):
            faults.append(read)
        else:
            found[f"{RADIUS}{name}"] = read
    return found


def _asked(
    given: Mapping[str, Any], parameters: Mapping[str, Any], case: Case
) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """What is given of what is asked for, with the shape that it must have. Frozen parameters are not asked for."""
    values = {key: given.get(key) for key in (LOSS, OUTPUTS, INPUTS)} | dict(parameters)
    return {name: (values[name], shape) for name, shape in _shapes(case).items() if values.get(name) is not None}


def _shapes(case: Case) -> dict[str, tuple[int, ...]]:
    """Each quantity that is asked for, with its shape."""
    network = case.network
    trainable = {name: network.parameter_shapes[name] for name in network.trainable}
    return {LOSS: (), OUTPUTS: (case.batch, *network.output_shape), **trainable, INPUTS: case.inputs.shape}


def _unknown_key(key: Any, network: Network) -> Fault:
    if key in network.positions:
        message = f"{key!r} stands beside loss and outputs; gradients of parameters belong under the key 'parameters'"
        return Fault(TARGET, "key", message)
    likely = [known for known in KEYS if known != RADII]  # radii come from adapters, not from a slip of the pen
    return Fault(TARGET, "key", f"unknown key {key!r}; expected {', '.join(KEYS)}{meant(key, likely)}")


def _wrong_names(parameters: Mapping[Any, Any], network: Network) -> list[Fault]:
    faults = []
    missing = [name for name in network.trainable if parameters.get(name) is None]
    for name in parameters:
        if name in network.parameter_shapes:
            continue
        if name in network.positions:
            shared = network.parameter_at(name)
            message = f"{name!r} shares {shared!r}: give one gradient for {shared!r}, the sum over its places"
        else:
            names = list(network.trainable)
            message = f"unknown parameter {name!r}; expected {listed(names)}{meant(name, missing or names)}"
        faults.append(Fault(TARGET, "unknown parameter", message))
    faults += [Fault(name, "missing", f"{label(name)} is missing") for name in missing]
    return faults

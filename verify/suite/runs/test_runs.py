"""Optimisers of others as targets: correct ones are accepted, planted faults are proved wrong and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradproof.cases import from_data
from gradproof.errors import ArgumentError
from gradproof.optimiser import OPTIMISERS, Clipping, Optimiser, Schedule, WeightDecay
from gradproof.record import CheckRecord
from gradproof.run import Run, StepSupports, steps
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES
from verify.calling import Answer, NoAnswer
from verify.campaign import check
from verify.loading import adopt
from verify.runs.candidates import CANDIDATES, canonical
from verify.subjects.runs import SUBJECT
from verify.suite.updates.plain_steps import plain_step

EXAMPLES = Path(__file__).parents[3] / "examples" / "optimisers"
ADAM = Optimiser("adam", 0.1, beta1=0.9, beta2=0.999, epsilon=1e-3)
RUN = Run(ADAM, {"w": [1.0, -2.0], "b": [0.5]}, [{"w": [0.5, 1.0], "b": [0.0]}, {"w": [-1.0, 2.0], "b": [3.0]}])

Fault = Callable[[Optimiser], Optimiser]


@pytest.fixture(autouse=True)
def fewer_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.campaign.PROFILES", {"smoke": 24})
    monkeypatch.setattr("verify.runs.naming.FRESH_RUNS", 20)


def walk(run: Run, optimiser: Optimiser, *, state: bool = False) -> Iterator[Any]:
    theta = {name: array.copy() for name, array in run.parameters.items()}
    held = {key: {n: np.zeros_like(a) for n, a in theta.items()} for key in optimiser.word.state}
    for t, gradients in enumerate(run.gradients, 1):
        theta, held = plain_step(optimiser, theta, dict(gradients), held, t, np.dtype(run.dtype).type)
        yield (theta, held) if state else theta


def smoke(target: Any) -> CheckRecord:
    return check(target, profile="smoke")


@pytest.mark.parametrize("variant", OPTIMISERS)
def test_textbook_steps_are_accepted(variant: str) -> None:
    @steps(
        variant,
        decay=("none", "l2/gradient", "l2/decoupled", "l1/gradient"),
        clipping=("none", "norm", "value"),
        schedules=("constant", "exponential"),
        dtypes=DTYPES,
    )
    def target(run: Run) -> Iterator[Any]:
        yield from walk(run, run.optimiser, state=True)

    record = smoke(target)
    assert (record.verdict, record.cases) == (Verdict.CORRECT, 24)
    assert not any("never gave its state" in note for note in record.notes)


def other(**changes: Any) -> Fault:
    from msgspec.structs import replace

    return lambda optimiser: replace(optimiser, **changes)


def rule(variant: str) -> Fault:
    def change(o: Optimiser) -> Optimiser:
        own = {name: o.hyperparameters.get(name) for name in OPTIMISERS[variant].hyperparameters}
        return Optimiser(variant, o.rate, **own, decay=o.decay, clipping=o.clipping, schedule=o.schedule)

    return change


def averaged(o: Optimiser) -> Optimiser:
    return Optimiser("momentum_dampened", o.rate, momentum=o.momentum, dampening=o.momentum, decay=o.decay)


def with_decay(place: Any) -> Fault:
    def change(o: Optimiser) -> Optimiser:
        return o if o.decay is None else other(decay=WeightDecay("l2", o.decay.strength, place))(o)

    return change


PLANTED: dict[str, tuple[str, dict[str, Any], Fault]] = {
    "rule/adam_inside": ("adam", {}, rule("adam_inside")),
    "rule/adam_epsilon_hat": ("adam", {}, rule("adam_epsilon_hat")),
    "rule/adam_uncorrected": ("adam", {}, rule("adam_uncorrected")),
    "rule/rmsprop_inside": ("rmsprop", {}, rule("rmsprop_inside")),
    "rule/momentum_torch": ("nesterov_torch", {}, rule("momentum_torch")),
    "rule/momentum_dampened": ("momentum_torch", {}, rule("momentum_dampened")),
    "rule/sgd": ("momentum", {}, rule("sgd")),
    "momentum/averaged": ("momentum", {"decay": ("none", "l2/gradient")}, averaged),
    "decay/gradient": ("adam", {"decay": "l2/decoupled"}, with_decay("gradient")),
    "decay/decoupled_after": ("adam", {"decay": "l2/decoupled"}, with_decay("decoupled_after")),
    "decay/ignored": ("adam", {"decay": ("none", "l2/gradient")}, other(decay=None)),
    "clipping/ignored": ("sgd", {"clipping": "norm"}, other(clipping=None)),
    "clipping/after decay": (
        "sgd",
        {"clipping": "norm", "decay": "l2/gradient"},
        lambda o: other(clipping=Clipping("norm", o.clipping.limit, o.clipping.epsilon, True))(o),  # type: ignore[union-attr]
    ),
    "schedule/early": (
        "sgd",
        {"schedules": "exponential"},
        lambda o: other(schedule=Schedule("exponential", gamma=o.schedule.gamma, offset=1))(o),
    ),
    "schedule/ignored": ("adam", {"schedules": "exponential"}, other(schedule=Schedule())),
    "betas/swapped": ("adam", {}, lambda o: other(beta1=o.beta2, beta2=o.beta1)(o)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_another_optimiser_than_declared_is_named(name: str) -> None:
    variant, supports, fault = PLANTED[name]

    @steps(variant, **supports)
    def target(run: Run) -> Iterator[Any]:
        yield from walk(run, fault(run.optimiser))

    record = smoke(target)
    assert record.verdict is Verdict.WRONG
    (cause,) = record.failures[0].causes
    same = {cause.name, *cause.same_as}
    assert cause.name == name, same
    assert cause.fresh > 0


def summed(run: Run) -> Iterator[Any]:
    total = {name: np.zeros_like(array) for name, array in run.parameters.items()}
    gradients = []
    for each in run.gradients:
        total = {name: total[name] + each[name] for name in total}
        gradients.append(total)
    yield from walk(run.replace(gradients=gradients), run.optimiser)


def uphill(run: Run) -> Iterator[Any]:
    negative = [{name: -array for name, array in each.items()} for each in run.gradients]
    yield from walk(run.replace(gradients=negative), run.optimiser)


def forgetful(run: Run) -> Iterator[Any]:
    for each in run.gradients:
        (after,) = walk(run.replace(gradients=[each]), run.optimiser)
        yield after
        run = run.replace(parameters=after)


def ahead(run: Run) -> Iterator[Any]:
    theta = {name: array.copy() for name, array in run.parameters.items()}
    state = {key: {n: np.zeros_like(a) for n, a in theta.items()} for key in run.optimiser.word.state}
    for t, gradients in enumerate(run.gradients, 2):
        theta, state = plain_step(run.optimiser, theta, dict(gradients), state, t)
        yield theta


def one_by_one(run: Run) -> Iterator[Any]:
    def alone(name: str) -> Iterator[Any]:
        gradients = [{name: each[name]} for each in run.gradients]
        return walk(run.replace(parameters={name: run.parameters[name]}, gradients=gradients), run.optimiser)

    for parts in zip(*(alone(name) for name in run.parameters), strict=True):
        yield {name: array for part in parts for name, array in part.items()}


MISTAKES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "gradients/summed": ("momentum", {}, summed),
    "gradients/sign": ("rmsprop", {}, uphill),
    "state/lost": ("adam", {}, forgetful),
    "steps/one ahead": ("adam", {}, ahead),
    "clipping/each by itself": ("sgd", {"clipping": "norm", "parameters": (2, 2)}, one_by_one),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name: str) -> None:
    variant, supports, mistaken = MISTAKES[name]
    record = smoke(steps(variant, **supports)(mistaken))
    assert record.verdict is Verdict.WRONG
    assert [cause.name for cause in record.failures[0].causes] == [name]


def test_two_at_once_are_named_together() -> None:
    @steps("adam", decay=("none", "l2/decoupled"))
    def target(run: Run) -> Iterator[Any]:
        yield from walk(run, rule("adam_inside")(with_decay("gradient")(run.optimiser)))

    (cause,) = smoke(target).failures[0].causes
    assert cause.name == "rule/adam_inside and decay/gradient"
    assert "sqrt(s^ + epsilon)" in cause.words


def test_what_no_candidate_explains_is_unknown() -> None:
    @steps("sgd")
    def target(run: Run) -> Iterator[Any]:
        for after in walk(run, run.optimiser):
            yield {name: array + 1e-6 * array**2 + 1e-9 for name, array in after.items()}

    (cause,) = smoke(target).failures[0].causes
    assert (cause.kind, cause.name) == ("unknown", None)


def test_the_smallest_failing_run_has_one_step_of_one_number() -> None:
    @steps("adam", steps=(1, 5), parameters=(1, 2), size=(1, 3))
    def target(run: Run) -> Iterator[Any]:
        yield from walk(run, rule("adam_uncorrected")(run.optimiser))

    failure = smoke(target).failures[0]
    run = from_data(failure.case)
    assert isinstance(run, Run)
    assert (len(run), sum(array.size for array in run.parameters.values())) == (1, 1)
    assert failure.findings[0].quantity == "w after step 1"


def test_a_run_is_the_same_from_json_and_reads() -> None:
    again = from_data(RUN.to_data())
    assert again == RUN
    assert again.id == RUN.id
    assert RUN.facts() == "float64, 2 steps"
    assert list(RUN.arrays()) == ["w", "b", *(f"gradient of {name} at step {t}" for t in (1, 2) for name in "wb")]


def said(answer: Any) -> list[str]:
    read = SUBJECT.call(adopt(steps("adam")(lambda run: answer)), RUN)
    assert isinstance(read, NoAnswer)
    return [finding.message for finding in read.findings]


FINE = {"w": np.array([1.0, 2.0]), "b": np.array([1.0])}


def test_answers_that_are_none_say_what_is_expected() -> None:
    (message,) = said({"w": 1.0})
    assert "expected for each step in turn" in message
    assert "each of 2 steps, got 1" in said([FINE])[0]
    assert "each of 2 steps, got more" in said([FINE, {n: a + 1 for n, a in FINE.items()}, FINE])[0]
    assert "same memory" in said([FINE, FINE])[0]
    assert "b after step 1 is missing" in said(iter([{"w": FINE["w"]}, FINE]))
    assert "unknown parameter 'v'" in said(iter([{**FINE, "v": 1.0}, FINE]))[0]
    assert (
        "unknown state 'men'; expected mean, square; did you mean 'mean'?" in said(iter([(FINE, {"men": {}}), FINE]))[0]
    )
    assert "of shape (1,), expected (2,)" in said(iter([{**FINE, "w": np.array([1.0])}, FINE]))[0]


def test_a_generator_may_give_its_own_arrays_each_time() -> None:
    def target(run: Run) -> Iterator[Any]:
        ours = {name: array.copy() for name, array in run.parameters.items()}
        for _ in run.gradients:
            for array in ours.values():
                np.add(array, 1, out=array)
            yield ours

    read = SUBJECT.call(adopt(steps("adam")(target)), RUN)
    assert isinstance(read, Answer)
    assert read.quantities["w after step 1"].tolist() == [2.0, -1.0]
    assert read.quantities["w after step 2"].tolist() == [3.0, 0.0]


def test_a_target_that_changes_what_it_is_given_is_found_out() -> None:
    def target(run: Run) -> Any:
        run.gradients[0]["w"].setflags(write=True)
        run.gradients[0]["w"] *= 2
        return list(walk(run, run.optimiser))

    read = SUBJECT.call(adopt(steps("adam")(target)), RUN)
    assert isinstance(read, NoAnswer)
    assert "changes gradients[0]['w']" in read.findings[0].message


@pytest.mark.parametrize(
    ("supports", "words"),
    [
        ({"optimisers": ("adamw",)}, "among sgd"),
        ({"optimisers": ()}, "at least one"),
        ({"optimisers": "adam", "decay": "l2"}, "l2/decoupled"),
        ({"optimisers": "adam", "fixed": {"eps": 1e-8}}, "names among rate"),
        ({"optimisers": "adam", "steps": (0, 2)}, "1 <= least"),
        ({"optimisers": "adam", "schedules": "cosin"}, "among constant"),
    ],
)
def test_declarations_that_cannot_be(supports: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words.replace("(", r"\(")):
        StepSupports(**supports)


def test_a_fixed_number_that_no_optimiser_may_have_is_refused_before_anything_is_drawn() -> None:
    with pytest.raises(ArgumentError, match=r"supports\.fixed.*below 1"):
        SUBJECT.strategy(StepSupports(optimisers=("adam",), fixed={"beta1": 2.0}))


def test_fixed_numbers_are_in_every_run() -> None:
    seen = set()

    @steps("adam", fixed={"epsilon": 0.25, "rate": 2.0}, decay="l2/gradient", clipping="norm")
    def target(run: Run) -> Iterator[Any]:
        assert run.optimiser.clipping is not None
        seen.add((run.optimiser.epsilon, run.optimiser.rate))
        yield from walk(run, run.optimiser)

    assert smoke(target).verdict is Verdict.CORRECT
    assert seen == {(0.25, 2.0)}


def test_optimisers_that_are_one_by_mathematics_have_one_canonical_form() -> None:
    for momentum in (0.0, 0.9):
        torch = Optimiser("momentum_torch", 0.1, momentum=momentum)
        assert canonical(torch) == canonical(Optimiser("momentum", 0.1, momentum=momentum))
    dampened = Optimiser("momentum_torch", 0.1, momentum=0.9, dampening=0.5)
    assert canonical(dampened) == dampened
    scheduled = Optimiser("momentum_torch", 0.1, momentum=0.9, schedule=Schedule("exponential", gamma=0.5))
    assert canonical(scheduled) == scheduled


def test_names_are_distinct() -> None:
    assert len({candidate.name for candidate in CANDIDATES}) == len(CANDIDATES)


def torch_target(make: Callable[[Any, Optimiser], Any], *variants: str, **supports: Any) -> Any:
    torch = pytest.importorskip("torch")

    def target(run: Run) -> Iterator[Any]:
        ours = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in run.parameters.items()}
        theirs = make(ours.values(), run.optimiser)
        for gradients in run.gradients:
            for name, parameter in ours.items():
                parameter.grad = torch.tensor(gradients[name])
            if run.optimiser.clipping is not None:
                torch.nn.utils.clip_grad_norm_(ours.values(), run.optimiser.clipping.limit)
            theirs.step()
            yield {name: parameter.detach().numpy() for name, parameter in ours.items()}

    return steps(*variants, dtypes=DTYPES, **supports)(target)


def test_torch_s_optimisers_are_what_they_are_declared_to_be() -> None:
    torch = pytest.importorskip("torch")
    optim = torch.optim

    def decay(o: Optimiser) -> float:
        return o.decay.strength if o.decay else 0.0

    clipped = {"clipping": ("none", "norm"), "fixed": {"clip_epsilon": 1e-6}, "decay": ("none", "l2/gradient")}
    targets = [
        torch_target(lambda p, o: optim.SGD(p, o.rate, o.momentum, o.dampening, decay(o)), "momentum_torch", **clipped),
        torch_target(
            lambda p, o: optim.SGD(p, o.rate, o.momentum, 0, decay(o), nesterov=True),
            "nesterov_torch",
            fixed={"dampening": 0.0, "momentum": 0.9},
            decay=("none", "l2/gradient"),
        ),
        torch_target(lambda p, o: optim.Adam(p, o.rate, (o.beta1, o.beta2), o.epsilon, decay(o)), "adam", **clipped),
        torch_target(lambda p, o: optim.RMSprop(p, o.rate, o.rho, o.epsilon, decay(o)), "rmsprop", **clipped),
    ]
    for target in targets:
        record = smoke(target)
        assert record.verdict is Verdict.CORRECT, record.failures


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("torch_adamw", Verdict.CORRECT), ("optax_adamw", Verdict.CORRECT), ("numpy_adam", Verdict.WRONG)],
)
def test_the_examples_have_the_verdicts_that_they_say(name: str, verdict: Verdict) -> None:
    if not name.startswith("numpy"):
        pytest.importorskip(name.partition("_")[0])
    record = smoke(f"{EXAMPLES / name}.py:adapter")
    assert record.verdict is verdict
    assert {cause.name for failure in record.failures for cause in failure.causes} <= {"rule/adam_inside"}
    assert not record.failures or record.failures[0].causes

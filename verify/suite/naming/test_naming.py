"""Planted mistakes are named, and never by a wrong name; what the catalogue does not hold stays unknown.

Three implementations carry them, which share nothing with the catalogue: whole batches in NumPy over trees of layers
(``vectorised``), loops over lists of floats (``looped``), a scalar engine (``engine``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import engine  # type: ignore[import-not-found,unused-ignore]
import looped  # type: ignore[import-not-found,unused-ignore]
import msgspec
import numpy as np
import pytest
import vectorised  # type: ignore[import-not-found,unused-ignore]

import gradproof
from gradproof import Case, Gradients, Supports
from refimpl.enclosure import enclosure
from verify import diagnosis, drawing
from verify.diagnosis import Diagnosis, Surveyed, diagnose
from verify.loading import adopt
from verify.mistakes import kinks
from verify.mistakes.backward import Backward
from verify.mistakes.catalogue import CATALOGUE, candidates
from verify.mistakes.mistake import Candidate
from verify.mistakes.prediction import Prediction
from verify.strategies import cases as cases_of
from verify.strategies import everything

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # faulty formulas divide by zero now and then

Implementation = Callable[[Case], Any]

KINDS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "softplus", "softmax")
TREES = msgspec.structs.replace(
    everything(), hidden=KINDS, output=KINDS, dtypes=("float64",), depth=(1, 3), width=(1, 3), batch=(1, 3)
)
LOOPS = Supports(
    losses=("half_squared_error/batch_mean",),
    hidden=("sigmoid", "tanh", "relu"),
    output=("sigmoid", "tanh", "relu"),
    penalties=("l2/half",),
)
NUMBERS = Supports(
    losses=("squared_error/batch_mean",),
    hidden=("tanh", "leaky_relu"),
    output=("tanh", "leaky_relu", "identity"),
)
SURVEY, RARE, FRESH = 40, 400, 90
"""Cases drawn: at first, where none of these shows a mistake, and new ones to tell apart what remains."""
DRAW = drawing.survey


@pytest.fixture(autouse=True)
def few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough to name by, and quick: new cases are drawn once for all tests."""

    def again(supports: Supports, seed: int, count: int, visit: Callable[[Case], None]) -> None:
        with contextlib.suppress(drawing.Enough):
            for case in survey(supports, seed, count=FRESH):
                visit(case)

    monkeypatch.setattr(diagnosis, "cases", lambda supports: supports)
    monkeypatch.setattr(drawing, "survey", again)
    # What a mistake gives on a case is the same in every test: it is evaluated once.
    monkeypatch.setattr(diagnosis, "candidates", possible)
    monkeypatch.setattr(diagnosis, "Prediction", lambda case, answer, *, right: enclosed(case).part(answer, right))
    monkeypatch.setattr(diagnosis, "FRESH_CASES", 6)
    monkeypatch.setattr(diagnosis, "WRONG_CASES", 7)
    monkeypatch.setattr(diagnosis, "RIGHT_CASES", 4)


@cache
def survey(supports: Supports, seed: int = 0, count: int = SURVEY) -> tuple[Case, ...]:
    found: list[Case] = []
    DRAW(cases_of(supports), seed, count, found.append)
    return tuple(found)


def quantities(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, Gradients):
        answer = Gradients(answer["parameters"], answer["loss"], answer["outputs"], answer.get("inputs"))
    return dict(answer.quantities())


possible = cache(candidates)


@cache
def enclosed(case: Case) -> Prediction:
    return Prediction(case, {}, right=None)


@cache
def rightly(kind: Any, case: Case) -> dict[str, Any]:
    return quantities(kind()(case))


def wrong(case: Case, implementation: Implementation, right: Implementation) -> frozenset[str]:
    """What differs from the same implementation without a fault, by far more than rounding: no need for the judge."""
    got, exact = quantities(implementation(case)), rightly(cast(Any, type(right)), case)
    names = [name for name in got if name not in case.network.frozen]
    return frozenset(name for name in names if not np.allclose(got[name], exact[name], rtol=1e-9, atol=1e-12))


def diagnosed(implementation: Implementation, right: Implementation, supports: Supports) -> Diagnosis:
    target = gradproof.target(**{name: getattr(supports, name) for name in supports.__struct_fields__})(implementation)
    for count in (SURVEY, RARE):
        surveyed: list[Surveyed] = []
        for case in survey(supports, count=count):
            surveyed.append(Surveyed(case, wrong(case, implementation, right)))
            if len(surveyed) > SURVEY and sum(bool(one.wrong) for one in surveyed) >= diagnosis.WRONG_CASES:
                break  # as many as are compared
        failing = [one for one in surveyed if one.wrong and finite(implementation(one.case))]
        if len(failing) >= diagnosis.LEAST_WRONG:
            break
    assert failing, "no case shows the mistake"
    failing.sort(key=lambda one: sum(array.size for array in (*one.case.parameters.values(), one.case.inputs)))
    return diagnose(adopt(target), failing[:1], surveyed, seed=0)


def finite(answer: Any) -> bool:
    return all(np.all(np.isfinite(array)) for array in quantities(answer).values())


def shown(found: Diagnosis, supports: Supports) -> Case:
    """The failing case that was handed over."""
    drawn = (case for count in (SURVEY, RARE) for case in survey(supports, count=count))
    return next(case for case in drawn if case.id in found.told)


def names(found: Diagnosis) -> list[tuple[str, ...]]:
    """The mistakes named, and those that nothing tells from them."""
    if found.explanation is None:
        return []
    return [tuple(candidate.mistake.name for candidate in each) for each in (found.explanation, *found.same)]


def test_without_a_mistake_the_textbook_pass_is_the_gradient() -> None:
    for case in survey(everything(), seed=3, count=20):
        truth = enclosure(case)
        answer = {name: truth.lower(name) for name in truth.names()}
        prediction = Prediction(case, answer, right=None)
        assert prediction.reproduces(()) or truth.met_kinks
        results = Backward(prediction.forward).results()
        assert list(results) == list(truth.names())
        assert {name: node.shape for name, node in results.items()} == {n: truth.shape(n) for n in truth.names()}


AT_KINKS = [mistake.name for mistake in kinks.MISTAKES]
ELSEWHERE = {*looped.FAULTS, *engine.FAULTS, *AT_KINKS}
FACTORS = ("everything x 2/", "everything x N", "everything x K", "everything x 1/K")
"""The same mistake by another factor."""
ASIDE = ("loss", "gradient: ", *FACTORS)
HERE = [m.name for m in CATALOGUE if not m.name.startswith(ASIDE) and m.name not in ELSEWHERE]


@pytest.mark.parametrize("fault", HERE)
def test_each_mistake_is_named_in_numpy(fault: str) -> None:
    found = diagnosed(vectorised.Vectorised(vectorised.Fault(fault)), vectorised.Vectorised(), TREES)
    assert (fault,) in names(found)


@pytest.mark.parametrize(
    ("fault", "place", "kind"),
    [
        ("derivative at a", "output", None),
        ("derivative missing", "hidden", "tanh"),
        ("derivative twice", "every", "softplus"),
        ("bias zero", "hidden", None),
        ("weight averaged", "output", None),
    ],
)
def test_places_and_activations_are_told(
    fault: str, place: str, kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "FRESH_CASES", 40)  # fewer may hold no other activation in a hidden layer
    found = diagnosed(vectorised.Vectorised(vectorised.Fault(fault, place, kind)), vectorised.Vectorised(), TREES)
    assert names(found)[0] == (fault,)
    assert found.explanation is not None
    candidate = found.explanation[0]
    where = {"output": "the output layer", "hidden": "hidden layers"}.get(place, "every layer")
    assert (candidate.place, candidate.kind) == (where, kind)


@pytest.mark.parametrize(
    "fault",
    [
        "gradient: sum",
        "loss and gradient: batch_mean",
        "loss: element_mean",
        "gradient: squared_error",
        "gradient: binary_cross_entropy",
        "loss and gradient: categorical_cross_entropy/sum",
        "gradient: data x K",
        "loss and gradient: data x 1/2",
    ],
)
def test_conventions_are_named(fault: str) -> None:
    found = diagnosed(vectorised.Vectorised(vectorised.Fault(fault)), vectorised.Vectorised(), TREES)
    assert names(found)[0] == (fault,)
    assert found.explanation is not None
    assert found.explanation[0].mistake.convention


FEW = Supports(
    losses=tuple(f"{name}/{reduction}" for name in vectorised.LOSSES for reduction in vectorised.REDUCTIONS),
    hidden=("tanh",),
    output=("identity", "sigmoid", "softmax"),
    depth=(1, 2),
    width=(1, 3),
    batch=(1, 3),
    penalties=("l1", "l2/half", "l2/half+biases"),
    sample_weights=True,
)
CONVENTIONS = [candidate for candidate in candidates(FEW) if candidate.mistake.convention]


@cache
def predictions() -> list[Prediction]:
    """Of cases that conventions differ on; what each convention gives is evaluated once for all of them."""
    return [enclosed(case) for case in survey(FEW, count=18)]


@pytest.mark.parametrize("fault", [candidate.mistake.name for candidate in CONVENTIONS])
def test_each_convention_is_reproduced_by_itself_alone(fault: str) -> None:
    """Planted in NumPy: its own candidate gives every number on every case, and no other does that is not the same."""
    own = next(candidate for candidate in CONVENTIONS if candidate.mistake.name == fault)
    implementation, left, refuted = vectorised.Vectorised(vectorised.Fault(fault)), list(CONVENTIONS), 0
    for whole in predictions():
        case = whole.case
        answer = {name: np.asarray(array) for name, array in quantities(implementation(case)).items()}
        prediction = whole.part(answer, None)
        refuted += not prediction.reproduces(())
        left = [candidate for candidate in left if prediction.reproduces((candidate,))]
        assert own in left
    assert refuted >= diagnosis.LEAST_WRONG
    for other in left:
        assert other is own or all(agree(whole, own, other) for whole in predictions())


def agree(whole: Prediction, one: Candidate, other: Candidate) -> bool:
    answer = {name: np.zeros(()) for name in ("loss", *whole.case.network.trainable)}
    return whole.part(answer, None).agree((one,), (other,))


@pytest.mark.parametrize("fault", looped.FAULTS)
def test_mistakes_are_named_in_loops(fault: str) -> None:
    assert (fault,) in names(diagnosed(looped.Looped(fault), looped.Looped(), LOOPS))


@pytest.mark.parametrize("fault", engine.FAULTS)
def test_mistakes_are_named_in_an_engine(fault: str) -> None:
    assert (fault,) in names(diagnosed(engine.Engine(fault), engine.Engine(), NUMBERS))


@pytest.mark.parametrize("fault", engine.OUTSIDE)
def test_mistakes_of_an_engine_are_unknown(fault: str) -> None:
    found = diagnosed(engine.Engine(fault), engine.Engine(), NUMBERS)
    assert found.explanation is None
    (cause,) = found.causes(shown(found, NUMBERS))
    assert (cause.kind, cause.name, cause.mend) == ("unknown", None, None)


@pytest.mark.parametrize("fault", ["half learnt weight", "cube of derivative"])
def test_mistakes_outside_the_catalogue_are_unknown(fault: str) -> None:
    found = diagnosed(vectorised.Vectorised(vectorised.Fault(fault)), vectorised.Vectorised(), TREES)
    assert found.explanation is None


def test_two_mistakes_at_once() -> None:
    faults = (vectorised.Fault("extra factor a"), vectorised.Fault("bias zero"))
    found = diagnosed(vectorised.Vectorised(*faults), vectorised.Vectorised(), LOOPS)
    assert {frozenset(pair) for pair in names(found)} == {frozenset(("extra factor a", "bias zero"))}


def test_terms_that_differ_each_get_a_name() -> None:
    faults = (vectorised.Fault("gradient: data x K"), vectorised.Fault("penalty doubled"))
    found = diagnosed(vectorised.Vectorised(*faults), vectorised.Vectorised(), LOOPS)
    assert {frozenset(pair) for pair in names(found)} == {frozenset(("gradient: data x K", "penalty doubled"))}


CLASSES = Supports(
    losses=("categorical_cross_entropy/batch_mean", "squared_error/element_mean"),
    hidden=("tanh", "relu"),
    output=("softmax", "tanh"),
    depth=(1, 2),
    width=(1, 3),
    batch=(1, 3),
)


@pytest.mark.parametrize(
    ("mistake", "factor"),
    [
        (vectorised.Fault("derivative of sigmoid", "output", "softmax"), "gradients averaged"),
        (vectorised.Fault("derivative of sigmoid", "output", "softmax"), "everything x 1/N"),
        (vectorised.Fault("derivative twice", "every", "tanh"), "gradient: data x K"),
        (vectorised.Fault("derivative twice", "every", "tanh"), "gradient: data x 1/NK"),
    ],
)
def test_a_mistake_and_a_factor_in_the_sizes_are_both_named(mistake: vectorised.Fault, factor: str) -> None:
    implementation = vectorised.Vectorised(mistake, vectorised.Fault(factor))
    found = diagnosed(implementation, vectorised.Vectorised(), CLASSES)
    assert {mistake.name, factor} in map(set, names(found))
    assert all(mistake.name in pair for pair in names(found))
    causes = found.causes(shown(found, CLASSES))
    assert len(causes) == 2
    one = shown(found, CLASSES).batch == 1 or shown(found, CLASSES).network.output_shape == (1,)
    assert causes[-1].words.endswith(diagnosis.ELSEWHERE) == one


HINGES = Supports(
    losses=("half_squared_error/sum",), hidden=("relu", "leaky_relu", "elu"), output=("leaky_relu",), maxout=True
)


@pytest.mark.parametrize("fault", AT_KINKS)
def test_mistakes_at_exact_kinks_are_named(fault: str) -> None:
    found = diagnosed(vectorised.Vectorised(vectorised.Fault(fault)), vectorised.Vectorised(), HINGES)
    assert names(found)[0] == (fault,)


def test_the_slope_at_a_kink_is_said() -> None:
    fault = vectorised.Fault("leaky_relu at 0: 1 + slope")
    found = diagnosed(vectorised.Vectorised(fault), vectorised.Vectorised(), HINGES)
    (cause,) = found.causes(shown(found, HINGES))
    assert cause.words == "at 0 the derivative of leaky ReLU is taken as 1 + slope, outside [slope, 1]"


def test_nothing_is_said_of_a_right_answer() -> None:
    cases = survey(TREES)
    target = gradproof.target(losses=("half_squared_error/sum",))(vectorised.Vectorised())
    found = diagnose(adopt(target), [], [Surveyed(case, frozenset()) for case in cases], seed=0)
    assert found.explanation is None


def test_words_name_layer_and_mend() -> None:
    fault = vectorised.Vectorised(vectorised.Fault("derivative at a", "every", "tanh"))
    found = diagnosed(fault, vectorised.Vectorised(), LOOPS)
    (cause,) = found.causes(shown(found, LOOPS))
    assert cause.layer == "layer 0"
    assert cause.words == "the derivative of tanh is taken at the activation a, not at the pre-activation z"
    assert cause.mend == "pass z to the derivative of tanh, or use its formula in terms of a"
    assert cause.fresh >= 6
    assert 0 < cause.wrong < cause.cases


def test_names_are_unique_and_the_catalogue_is_large() -> None:
    found = [mistake.name for mistake in CATALOGUE]
    assert len(set(found)) == len(found)
    assert len([m for m in CATALOGUE if not m.convention]) >= 60
    assert len(candidates(everything())) > len(CATALOGUE)


def test_too_few_wrong_answers_name_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "LEAST_WRONG", 1000)
    found = diagnosed(looped.Looped("bias zero"), looped.Looped(), LOOPS)
    assert found.explanation is None
    (cause,) = found.causes(shown(found, LOOPS))
    assert cause.words == "too few wrong answers to be sure: the bias's gradient is 0"

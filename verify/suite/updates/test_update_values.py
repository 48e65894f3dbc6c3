"""Optimisers and updates as values: JSON bit for bit, one readable line, every impossible value refused by name."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import gradproof
from gradproof.errors import ArgumentError
from gradproof.optimiser import CLIP_BY, DECAY_PLACES, OPTIMISERS, SCHEDULES, Clipping, Optimiser, Schedule, WeightDecay
from gradproof.update import GRADIENT, Update, UpdateData, state_name
from gradproof.vocabulary import DTYPES
from verify.suite.updates.plain_steps import EXTRAS, RULES

SHAPE = (2,)
POSITIVE = st.floats(1e-300, 1e300)
UNIT = st.floats(0, 1, exclude_max=True)


@st.composite
def optimisers(draw: Any) -> Optimiser:
    variant = draw(st.sampled_from(list(OPTIMISERS)))
    ranges = {"rho": UNIT, "beta1": UNIT, "beta2": UNIT, "dampening": st.floats(-2, 2)}
    own = {name: draw(ranges.get(name, POSITIVE)) for name in OPTIMISERS[variant].hyperparameters}
    name = draw(st.sampled_from(list(SCHEDULES)))
    needs = {n: draw(st.integers(1, 9)) if n == "period" else draw(POSITIVE) for n in SCHEDULES[name]}
    schedule = Schedule(name, warmup=draw(st.integers(0, 3)), offset=draw(st.integers(0, 1)), **needs)
    by = draw(st.sampled_from(CLIP_BY))
    clipping = Clipping(by, draw(POSITIVE), 0.0 if by == "value" else draw(POSITIVE), draw(st.booleans()))
    kind, place = draw(st.sampled_from(["l1", "l2"])), draw(st.sampled_from(DECAY_PLACES))
    decay = WeightDecay(kind, draw(POSITIVE), place, tuple(draw(st.sets(st.just("w")))))
    return Optimiser(
        variant,
        draw(POSITIVE),
        **own,
        decay=draw(st.sampled_from([None, decay])),
        clipping=draw(st.sampled_from([None, clipping])),
        schedule=schedule,
    )


@st.composite
def updates(draw: Any) -> Update:
    optimiser, dtype = draw(optimisers()), draw(st.sampled_from(DTYPES))
    finite = npst.arrays(dtype, SHAPE, elements=st.floats(allow_nan=False, allow_infinity=False, width=32))
    radii = npst.arrays(np.float64, SHAPE, elements=st.floats(0, allow_nan=False))
    keys = optimiser.word.state
    return Update(
        optimiser,
        {"w": draw(finite)},
        {"w": draw(finite)},
        {key: {"w": draw(finite)} for key in keys},
        step=draw(st.integers(1, 10**6)),
        dtype=dtype,
        uncertainty={key: {"w": draw(radii)} for key in draw(st.sets(st.sampled_from((*keys, GRADIENT))))},
    )


@given(update=updates())
def test_updates_are_the_same_after_json_copying_and_pickling(update: Update) -> None:
    data = msgspec.json.decode(msgspec.json.encode(update.to_data()), type=UpdateData)
    for other in (Update.from_data(data), copy.deepcopy(update), pickle.loads(pickle.dumps(update)), update.replace()):
        assert other == update
        assert hash(other) == hash(update)
        assert other.optimiser == update.optimiser
        assert hash(other.optimiser) == hash(update.optimiser)
        assert other.parameters["w"].tobytes() == update.parameters["w"].tobytes()
        assert {k: a["w"].tobytes() for k, a in other.state.items()} == {
            k: a["w"].tobytes() for k, a in update.state.items()
        }
    assert update.replace(step=update.step + 1) != update
    assert f"step {update.step} of {update.optimiser.variant}" in repr(update)


def test_updates_are_immutable_and_start_from_state_0() -> None:
    given_parameters = np.ones(2)
    update = Update(RULES[8], {"w": given_parameters}, {"w": np.ones(2)}, dtype="float32")
    given_parameters[0] = 7
    assert update.parameters["w"].tolist() == [1, 1]
    assert {key: arrays["w"].tolist() for key, arrays in update.state.items()} == {"mean": [0, 0], "square": [0, 0]}
    assert all(a.dtype == np.float32 for a in (update.gradients["w"], update.state["mean"]["w"]))
    with pytest.raises(AttributeError):
        update.step = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        update.parameters["w"][0] = 2
    with pytest.raises(TypeError):
        update.parameters["v"] = np.ones(2)  # type: ignore[index]
    unsure = update.replace(state={"mean": {"w": [0.1, 0]}}, uncertainty={"mean": {"w": [1, np.inf]}})
    assert unsure.state["mean"]["w"].tolist() == [0.1, 0]
    assert state_name("mean", "w") == "mean[w]"


def test_optimisers_print_as_one_line_that_tells_them_apart() -> None:
    lines = [str(o) for o in (*RULES, *EXTRAS)]
    assert len(set(lines)) == len(lines)
    assert not any("\n" in line for line in lines)
    assert lines[8] == "adam (rate 0.002, beta1 0.9, beta2 0.999, epsilon 1e-08)"
    assert str(EXTRAS[4]).endswith("l2 decay 0.03 (decoupled, not b)")
    assert str(EXTRAS[1]).endswith("clipped by norm to 1.5 + 0.01, after decay; l2 decay 0.03 (gradient)")
    assert str(EXTRAS[7]).endswith("cosine rate (end 0.1, period 9, warmup 3)")


REFUSED: dict[str, tuple[Any, str]] = {
    "an unknown variant": (lambda: Optimiser("adamax", 0.1), "optimiser.variant"),
    "a rate that is none": (lambda: Optimiser("sgd", -0.1), "optimiser.rate"),
    "a rate of text": (lambda: Optimiser("sgd", "fast"), "optimiser.rate"),  # type: ignore[arg-type]
    "a missing hyperparameter": (lambda: Optimiser("momentum", 0.1), "optimiser.momentum: expected a number"),
    "one that does not belong": (lambda: Optimiser("sgd", 0.1, momentum=0.9), "optimiser.momentum: expected None"),
    "one out of range": (lambda: Optimiser("rmsprop", 0.1, rho=1.0, epsilon=0), "optimiser.rho"),
    "a decay of another type": (lambda: Optimiser("sgd", 0.1, decay=0.1), "optimiser.decay"),  # type: ignore[arg-type]
    "a clipping of another type": (lambda: Optimiser("sgd", 0.1, clipping=1), "clipping"),  # type: ignore[arg-type]
    "no schedule": (lambda: Optimiser("sgd", 0.1, schedule=None), "optimiser.schedule"),  # type: ignore[arg-type]
    "a decay of no kind": (lambda: WeightDecay("l3", 0.1), "decay.kind"),  # type: ignore[arg-type]
    "a decay at no place": (lambda: WeightDecay("l2", 0.1, "loss"), "decay.place"),  # type: ignore[arg-type]
    "a negative decay": (lambda: WeightDecay("l2", -0.1), "decay.strength"),
    "one excluded name": (lambda: WeightDecay("l2", 0.1, excluded="b"), "decay.excluded"),  # type: ignore[arg-type]
    "a limit of 0": (lambda: Clipping("norm", 0), "clipping.limit"),
    "clipping by nothing": (lambda: Clipping("max", 1), "clipping.by"),  # type: ignore[arg-type]
    "ε by value": (lambda: Clipping("value", 1, 1e-6), "clipping.epsilon"),
    "a schedule of no name": (lambda: Schedule("cyclic"), "schedule.name"),  # type: ignore[arg-type]
    "a schedule without γ": (lambda: Schedule("exponential"), "schedule.gamma: expected a number"),
    "a period too many": (lambda: Schedule("exponential", gamma=1, period=2), "schedule.period: expected None"),
    "half a period": (lambda: Schedule("step", gamma=1, period=0.5), "schedule.period"),  # type: ignore[arg-type]
    "a period of 0": (lambda: Schedule("step", gamma=1, period=0), "schedule.period"),
    "no optimiser": (lambda: Update("sgd", {}, {}), "optimiser"),  # type: ignore[arg-type]
    "no parameters": (lambda: Update(RULES[0], {}, {}), "parameters"),
    "parameters without names": (lambda: Update(RULES[0], [1.0], {}), "parameters"),  # type: ignore[arg-type]
    "another name": (lambda: Update(RULES[0], {"w": [1.0]}, {"v": [1.0]}), "gradients: expected names w"),
    "another shape": (lambda: Update(RULES[0], {"w": [1.0]}, {"w": [1.0, 2.0]}), r"gradients\['w'\]: expected shape"),
    "not a number": (lambda: Update(RULES[0], {"w": [1.0]}, {"w": [np.nan]}), r"gradients\['w'\]"),
    "a state it has not": (lambda: Update(RULES[0], {"w": [1]}, {"w": [1]}, {"mean": {}}), "state: expected nothing"),
    "a state of no names": (lambda: Update(RULES[1], {"w": [1]}, {"w": [1]}, {"velocity": [1]}), "velocity"),  # type: ignore[dict-item]
    "states of no names": (lambda: Update(RULES[1], {"w": [1]}, {"w": [1]}, [1]), "state"),  # type: ignore[arg-type]
    "step 0": (lambda: Update(RULES[0], {"w": [1]}, {"w": [1]}, step=0), "step"),
    "a dtype": (lambda: Update(RULES[0], {"w": [1]}, {"w": [1]}, dtype="int8"), "dtype"),  # type: ignore[arg-type]
    "a negative radius": (
        lambda: Update(RULES[0], {"w": [1]}, {"w": [1]}, uncertainty={GRADIENT: {"w": [-1]}}),
        "uncertainty",
    ),
    "an exclusion of nothing": (lambda: Update(EXTRAS[4], {"w": [1]}, {"w": [1]}), "optimiser.decay.excluded"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_by_name(what: str) -> None:
    make, named = REFUSED[what]
    with pytest.raises(ArgumentError, match=named):
        make()


@pytest.mark.parametrize("variant", OPTIMISERS)
def test_usual_hyperparameters_are_those_of_the_variant_and_give_way(variant: str) -> None:
    usual = Optimiser.usual(variant, 0.01)
    assert set(usual.hyperparameters) == set(OPTIMISERS[variant].hyperparameters)
    for name, value in usual.hyperparameters.items():
        assert value == {"rho": 0.9, "beta2": 0.999, "epsilon": 1e-8, "dampening": 0.0}.get(name, 0.9)
        other_value: dict[str, Any] = {name: 0.5}
        assert getattr(Optimiser.usual(variant, 0.01, **other_value), name) == 0.5
    decay, schedule = WeightDecay("l2", 0.1, "decoupled"), Schedule("cosine", end=0.0, period=9)
    other = Optimiser.usual(variant, 0.01, decay=decay, schedule=schedule)
    assert (other.decay, other.schedule, other.clipping) == (decay, schedule, None)


@pytest.mark.parametrize(
    ("give", "argument"),
    [
        (lambda: Optimiser.usual("adm", 0.1), "optimiser.variant"),
        (lambda: Optimiser.usual("sgd", 0.1, momentum=0.9), "optimiser.momentum"),
        (lambda: Optimiser.usual("adam", 0.1, beta=0.9), "optimiser"),
        (lambda: Optimiser.usual("adam", 0.1, beta1=1.0), "optimiser.beta1"),
    ],
)
def test_what_is_not_usual_is_refused_by_name(give: Any, argument: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        give()
    assert caught.value.argument == argument


def test_the_door_opens_them() -> None:
    assert gradproof.Optimiser is Optimiser
    assert gradproof.Update is Update
    assert (gradproof.Schedule, gradproof.Clipping, gradproof.WeightDecay) == (Schedule, Clipping, WeightDecay)
    from verify.trajectories import Trajectory, judge_trajectory, which_variant

    assert gradproof.Trajectory is Trajectory
    assert gradproof.judge_trajectory is judge_trajectory
    assert gradproof.which_variant is which_variant

"""Faults are proved wrong at the very step and parameter; correct steps are never accused; the variant is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import force_setattr, replace

from gradproof.errors import ArgumentError
from gradproof.optimiser import Clipping, Optimiser, Schedule, WeightDecay
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from verify.suite.updates.plain_steps import EXTRAS, RULES, Arrays, State, gradients, plain_step, walk
from verify.trajectories import Trajectory, alternatives, judge_trajectory, which_variant

BAD_STEP, STEPS = 4, 7


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimiser", [*RULES, *EXTRAS], ids=str)
def test_correct_steps_are_never_accused(optimiser: Optimiser, dtype: Dtype) -> None:
    for seed, lerp in enumerate((False, True)):
        for number in (float, np.dtype(dtype).type):  # hyperparameters in double, or in the dtype from the start
            trajectory = walk(optimiser, 8, dtype, seed, lerp=lerp, number=number, zero_at=3, spread=4.0)
            assert judge_trajectory(optimiser, trajectory).findings == ()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimiser", [*RULES, *EXTRAS], ids=str)
def test_correct_steps_are_never_accused_when_state_is_not_read(optimiser: Optimiser, dtype: Dtype) -> None:
    trajectory = walk(optimiser, 12, dtype, 2, lerp=True, number=np.dtype(dtype).type, read=False, zero_at=3)
    found = judge_trajectory(optimiser, trajectory)
    assert (found.verdict, found.steps) == (Verdict.CORRECT, 12)


def test_late_steps_with_dtype_s_own_powers_are_never_accused() -> None:
    rng = np.random.default_rng(3)
    for optimiser in RULES[8:]:
        for first in (50, 999, 20_000):
            theta = gradients(rng, "float32")
            state = {"mean": gradients(rng, "float32"), "square": gradients(rng, "float32")}
            state["square"] = {name: a * a for name, a in state["square"].items()}
            g = gradients(rng, "float32")
            after, new = plain_step(optimiser, theta, g, state, first, np.float32)
            trajectory = Trajectory([theta, after], [g], [state, new], first=first, dtype="float32")
            assert judge_trajectory(optimiser, trajectory).findings == ()


def faulty(right: Optimiser, fault: Any, only: str | None = None, from_step: int | None = None) -> Any:
    """A step that is ``right``'s, but at BAD_STEP (or from a step on) ``fault``'s for some parameters."""

    def step(t: int, theta: Arrays, g: Arrays, state: State) -> tuple[Arrays, State]:
        good, new = plain_step(right, theta, g, state, t)
        if not (t == BAD_STEP if from_step is None else t >= from_step):
            return good, new
        bad, bad_new = fault(t, theta, g, state)
        names = [only] if only else list(theta)
        good |= {name: bad[name] for name in names}
        for key in new:
            new[key] = new[key] | {name: bad_new[key][name] for name in names if name in bad_new.get(key, {})}
        return good, new

    return step


def instead(other: Optimiser) -> Any:
    return lambda t, theta, g, state: plain_step(other, theta, g, state, t)


def decayed(strength: float, place: Any) -> WeightDecay:
    """Decay by a strength that no declaration admits."""
    decay = WeightDecay("l2", 0.03, place)
    force_setattr(decay, "strength", strength)
    return decay


ADAMW = Optimiser("adam", 0.1, decay=WeightDecay("l2", 0.3, "decoupled"), beta1=0.9, beta2=0.999, epsilon=1e-3)
SGD_DECAY = Optimiser("sgd", 0.1, decay=WeightDecay("l2", 0.03))
CLIPPED = Optimiser("sgd", 0.1, decay=WeightDecay("l2", 0.5), clipping=Clipping("norm", 0.5, 1e-2))
TORCH = Optimiser("momentum_torch", 0.1, momentum=0.9, dampening=0.5)
NESTEROV = Optimiser("nesterov_torch", 0.1, momentum=0.9)
ADAM_LARGE = Optimiser("adam", 0.01, beta1=0.9, beta2=0.999, epsilon=1e-3)
STEPPED = Optimiser("sgd", 0.1, schedule=Schedule("exponential", gamma=0.9))

FAULTS = {
    "decay before clipping": (CLIPPED, replace(CLIPPED, clipping=Clipping("norm", 0.5, 1e-2, after_decay=True))),
    "decay coupled": (ADAMW, replace(ADAMW, decay=WeightDecay("l2", 0.3))),
    "decay after the step": (ADAMW, replace(ADAMW, decay=WeightDecay("l2", 0.3, "decoupled_after"))),
    "decay ignored": (SGD_DECAY, Optimiser("sgd", 0.1)),
    "decay sign flipped": (SGD_DECAY, replace(SGD_DECAY, decay=decayed(-0.03, "gradient"))),
    "decoupled decay sign flipped": (ADAMW, replace(ADAMW, decay=decayed(-0.3, "decoupled"))),
    "Nesterov ignored": (NESTEROV, Optimiser("momentum_torch", 0.1, momentum=0.9)),
    "momentum ignored": (TORCH, Optimiser("sgd", 0.1)),
    "epsilon in the root": (ADAM_LARGE, replace(ADAM_LARGE, variant="adam_inside")),
    "epsilon before the correction": (ADAM_LARGE, replace(ADAM_LARGE, variant="adam_epsilon_hat")),
    "bias correction missing": (ADAM_LARGE, replace(ADAM_LARGE, variant="adam_uncorrected")),
    "rate off by one step": (STEPPED, replace(STEPPED, schedule=Schedule("exponential", gamma=0.9, offset=1))),
    "schedule ignored": (STEPPED, Optimiser("sgd", 0.1)),
    "clipping ignored": (CLIPPED, replace(CLIPPED, clipping=None)),
}


MOMENTUM = Optimiser("momentum", 0.1, momentum=0.9)
COINCIDE = {
    # Norms above the limit by more than ε are clipped by both forms alike.
    "decay before clipping": {
        replace(FAULTS["decay before clipping"][1], clipping=Clipping("norm_if_above", 0.5, 1e-2, True))
    },
    # Without dampening, at a constant rate.
    "Nesterov ignored": {MOMENTUM, Optimiser("momentum_dampened", 0.1, momentum=0.9)},
    # For SGD decoupled decay is decay.
    "clipping ignored": {Optimiser("sgd", 0.1, decay=WeightDecay("l2", 0.5, "decoupled"))},
}
"""What cannot be told from the fault on any such trajectory, since it is the same in other words."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_wrong_at_its_step_and_parameter_alone(name: str, dtype: Dtype) -> None:
    right, other = FAULTS[name]
    trajectory = walk(right, STEPS, dtype, 11, faulty(right, instead(other), only="b"), spread=0.3)
    found = judge_trajectory(right, trajectory)
    assert found.verdict is Verdict.WRONG
    assert found.steps == STEPS
    assert {one.step for one in found.findings} == {BAD_STEP}
    assert {one.finding.quantity.partition("[")[2][:-1] or one.finding.quantity for one in found.findings} == {"b"}
    assert found.first is not None
    assert str(found.first).startswith(f"step {BAD_STEP}: ")
    assert "of 2 entries of b are wrong" in str(found.first)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in FAULTS if "flipped" not in name])
def test_the_variant_that_was_run_is_named(name: str, dtype: Dtype) -> None:
    declared, really = FAULTS[name]
    fit = which_variant(declared, walk(really, STEPS, dtype, 12, spread=0.3))
    same = COINCIDE.get(name, set())
    assert set(fit.consistent) == {really} | same, str(fit)
    assert (fit.only == really) is (not same)
    assert str(fit).startswith(f"{len(same) + 1 if same else 'exactly one'} of {fit.tried}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_flipped_decay_fits_none(dtype: Dtype) -> None:
    for name in ("decay sign flipped", "decoupled decay sign flipped"):
        declared, really = FAULTS[name]
        fit = which_variant(declared, walk(really, 3, dtype, 13, spread=0.3))
        assert fit.consistent == ()
        assert str(fit) == f"none of the {fit.tried} tabulated variants"


def test_variants_that_coincide_on_a_trajectory_are_all_named() -> None:
    plain = Optimiser("momentum_torch", 0.1, momentum=0.9)  # no dampening: the first step is like the others
    fit = which_variant(plain, walk(plain, 4, "float64", 1))
    # At a constant rate the rate may stand inside the velocity or outside; the buffer tells them apart once it is read.
    assert {o.variant for o in fit.consistent} == {"momentum_torch", "momentum_dampened", "momentum"}
    assert fit.only is None
    assert "coincide" in str(fit)
    falling = replace(plain, schedule=Schedule("exponential", gamma=0.5))
    fit = which_variant(falling, walk(falling, 4, "float64", 1))
    assert {o.variant for o in fit.consistent} == {"momentum_torch", "momentum_dampened"}
    assert {o.schedule for o in fit.consistent} == {falling.schedule}


def test_dampening_on_the_first_step_is_wrong_there() -> None:
    other = replace(TORCH, variant="momentum_dampened")
    found = judge_trajectory(TORCH, walk(other, STEPS, "float32", 4))
    assert {one.step for one in found.findings} == {1}
    assert {one.finding.quantity for one in found.findings} == {"w", "b", "buffer[w]", "buffer[b]"}
    assert which_variant(TORCH, walk(other, STEPS, "float32", 4)).only == other


@pytest.mark.parametrize("dtype", DTYPES)
def test_state_not_updated_in_one_step_is_wrong_at_that_step(dtype: Dtype) -> None:
    def stale(t: int, theta: Arrays, g: Arrays, state: State) -> tuple[Arrays, State]:
        good, new = plain_step(ADAMW, theta, g, state, t)
        return good, new | {"square": state["square"]}

    trajectory = walk(ADAMW, STEPS, dtype, 5, faulty(ADAMW, stale, only="w"))
    found = judge_trajectory(ADAMW, trajectory)
    assert [(one.step, one.finding.quantity) for one in found.findings] == [(BAD_STEP, "square[w]")]
    # Where the state is not read, the first step that starts from it shows it; what follows is not guessed at.
    unread = Trajectory(trajectory.parameters, trajectory.gradients, dtype=dtype)
    found = judge_trajectory(ADAMW, unread)
    assert found.first is not None
    assert (found.first.step, found.first.finding.quantity) == (BAD_STEP + 1, "w")
    later = {one.finding.verdict for one in found.findings if one.step > BAD_STEP + 1}
    assert later == {Verdict.UNDECIDED}
    assert {one.finding.quantity for one in found.findings} == {"w"}


def test_a_skipped_step_is_wrong_at_that_step() -> None:
    skip = faulty(ADAMW, lambda t, theta, g, state: (theta, state))
    found = judge_trajectory(ADAMW, walk(ADAMW, STEPS, "float64", 6, skip))
    assert {one.step for one in found.findings} == {BAD_STEP}


def test_a_state_before_the_first_step_seen_is_unknown_unless_read() -> None:
    whole = walk(RULES[1], 6, "float64", 7)
    later = Trajectory(whole.parameters[2:], whole.gradients[2:], whole.states[2:], first=3)
    assert judge_trajectory(RULES[1], later).findings == ()
    unread = Trajectory(whole.parameters[2:], whole.gradients[2:], first=3)
    found = judge_trajectory(RULES[1], unread)
    assert found.verdict is Verdict.UNDECIDED
    fit = which_variant([RULES[1]], unread)
    assert fit.undecided == fit.consistent == (RULES[1],)


def test_not_a_number_is_inaccurate_only_where_a_usual_formula_gives_it() -> None:
    def broken(t: int, theta: Arrays, g: Arrays, state: State) -> tuple[Arrays, State]:
        return {name: np.full_like(a, np.nan) for name, a in theta.items()}, state

    for clipping, zero_at, verdict in (
        (Clipping("norm", 1.0), BAD_STEP, Verdict.INACCURATE),
        (Clipping("norm", 1.0), None, Verdict.WRONG),
        (Clipping("norm", 1.0, 1e-6), BAD_STEP, Verdict.WRONG),
    ):
        o = Optimiser("sgd", 0.1, clipping=clipping)
        found = judge_trajectory(o, walk(o, BAD_STEP, "float64", 8, faulty(o, broken), zero_at=zero_at))
        assert {one.step for one in found.findings} == {BAD_STEP}
        assert found.verdict is verdict
        assert found.first is not None
        assert ("norm is 0" in found.first.finding.message) is (verdict is Verdict.INACCURATE)


def test_a_state_that_overflows_is_inaccurate_and_then_unknown() -> None:
    def huge(t: int, theta: Arrays, g: Arrays, state: State) -> tuple[Arrays, State]:
        g["b"] *= np.float32(1e25 if t == 2 else 1)  # in place: the trajectory is given it too
        return plain_step(RULES[6], theta, g, state, t)

    with np.errstate(over="ignore"):
        found = judge_trajectory(RULES[6], walk(RULES[6], 4, "float32", 3, huge, spread=0.3))
    seen = [(one.step, one.finding.quantity, one.finding.verdict) for one in found.findings]
    assert seen == [
        (2, "b", Verdict.UNDECIDED),
        (2, "square[b]", Verdict.INACCURATE),
        *((step, name, Verdict.UNDECIDED) for step in (3, 4) for name in ("b", "square[b]")),
    ]


@pytest.mark.parametrize(("dtype", "least"), [("float64", 1e-12), ("float32", 3e-3)])
@pytest.mark.parametrize("optimiser", RULES, ids=str)
def test_a_small_relative_error_of_the_step_is_proved(optimiser: Optimiser, dtype: Dtype, least: float) -> None:
    def scaled(t: int, theta: Arrays, g: Arrays, state: State) -> tuple[Arrays, State]:
        good, new = plain_step(optimiser, theta, g, state, t)
        return {name: theta[name] + (good[name] - theta[name]) * (1 + 1e3 * least) for name in good}, new

    trajectory = walk(optimiser, BAD_STEP, dtype, 9, faulty(optimiser, scaled, only="w"), spread=0.3)
    found = judge_trajectory(optimiser, trajectory)
    assert [(one.step, one.finding.quantity) for one in found.findings] == [(BAD_STEP, "w")]


def test_alternatives_start_with_the_declared_one_and_hold_each_once() -> None:
    for optimiser in (*RULES, *EXTRAS):
        found = list(alternatives(optimiser))
        assert found[0] == optimiser
        assert len(set(found)) == len(found)
    assert len(list(alternatives(CLIPPED))) > 10


def test_impossible_trajectories_are_refused() -> None:
    x = {"w": np.zeros(2)}
    for arguments, named in (
        (([x], []), "gradients"),
        (([x], [x]), "parameters"),
        (([x, x], [x], [{}]), "states"),
        (([x, {"v": np.zeros(2)}], [x]), r"parameters\[1\]"),
        (([x, x], [{}]), r"gradients\[0\]"),
    ):
        with pytest.raises(ArgumentError, match=named):
            Trajectory(*arguments)
    with pytest.raises(ArgumentError, match="first"):
        Trajectory([x, x], [x], first=0)
    with pytest.raises(ArgumentError, match="dtype"):
        Trajectory([x, x], [x], dtype="int8")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="w: expected shape"):
        judge_trajectory(RULES[0], Trajectory([x, {"w": np.zeros(3)}], [x]))

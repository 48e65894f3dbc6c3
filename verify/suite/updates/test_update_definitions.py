"""Steps are enclosed: against mpmath at far higher precision; kinks as sets; schedules against torch's."""

from __future__ import annotations

from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
from flint import arb

from gradproof.errors import ArgumentError
from gradproof.optimiser import OPTIMISERS, SCHEDULES, ClipBy, Clipping, Optimiser, Schedule, WeightDecay
from gradproof.update import Update, state_name
from refimpl.balls import precision
from refimpl.formats import Format
from refimpl.optimisers import RULES as DEFINED
from refimpl.schedules import multiplier as certified_multiplier
from refimpl.schedules import multiplier_error
from refimpl.updates import overflowing_update, update_allowance, update_enclosure
from verify.suite.updates.plain_steps import EXTRAS, RULES, gradients, multiplier, plain_step, walk


def exact(array: Any) -> Any:
    result = np.empty(np.shape(array), dtype=object)
    result.reshape(-1)[:] = [mpmath.mpf(float(x)) for x in np.asarray(array).reshape(-1)]
    return result


def named(o: Optimiser, theta: Any, state: Any) -> dict[str, Any]:
    return dict(theta) | {state_name(k, n): a for k in o.word.state for n, a in state[k].items()}


def test_each_word_has_one_definition() -> None:
    assert set(DEFINED) == set(OPTIMISERS) == {o.variant for o in RULES}
    assert {o.schedule.name for o in EXTRAS} == set(SCHEDULES)


@pytest.mark.parametrize("optimiser", [*RULES, *EXTRAS], ids=str)
def test_enclosures_hold_the_exact_step_and_are_narrow(optimiser: Optimiser) -> None:
    rng = np.random.default_rng(5)
    for step in (1, 2, 7, 1000):
        theta, g = gradients(rng, float), gradients(rng, float, 10 ** rng.uniform(-3, 2))
        state = {k: {n: np.abs(a) for n, a in gradients(rng, float).items()} for k in optimiser.word.state}
        enclosed = update_enclosure(Update(optimiser, theta, g, state, step=step), 256)
        with mpmath.workdps(150):
            exact_theta, exact_g = ({n: exact(a) for n, a in arrays.items()} for arrays in (theta, g))
            states = {k: {n: exact(a) for n, a in arrays.items()} for k, arrays in state.items()}
            want = named(optimiser, *plain_step(optimiser, exact_theta, exact_g, states, step, mpmath.mpf))
            assert set(want) == set(enclosed.names())
            for name, numbers in want.items():
                for ball, number in zip(enclosed.balls(name).flat, numbers.flat, strict=True):
                    with precision(600):
                        digits = arb(mpmath.nstr(number, 140))
                        assert abs(ball - digits) <= arb(10) ** -65 * (1 + abs(digits))
                        assert ball.rad() < 1e-60


def test_sign_of_0_is_a_set_in_which_every_convention_is_right() -> None:
    o = Optimiser("sgd", 0.5, decay=WeightDecay("l1", 0.25))
    update = Update(o, {"w": [0.0, 1.0]}, {"w": [1.0, 1.0]})
    enclosed = update_enclosure(update)
    assert enclosed.met_kinks == 1
    assert enclosed.kinks("w").tolist() == [True, False]
    allowed = update_allowance(update, enclosed=enclosed).rigorous["w"]
    for at_zero, right in ((0.0, True), (1.0, True), (-1.0, True), (0.5, True), (1.5, False), (-3.0, False)):
        got, _ = plain_step(o, {"w": np.array([0.0, 1.0])}, {"w": np.ones(2)}, {}, 1, at_zero=at_zero)
        assert bool(np.all(enclosed.distance("w", got["w"]) <= allowed)) is right


def test_a_squared_choice_is_within_the_set() -> None:
    # (g + λκ)² has its least value inside: corners would not tell.
    o = Optimiser("rmsprop", 0.5, rho=0.5, epsilon=0.1, decay=WeightDecay("l1", 2.0))
    enclosed = update_enclosure(Update(o, {"w": [0.0]}, {"w": [0.5]}))
    for at_zero in np.linspace(-1, 1, 21):
        got, state = plain_step(
            o, {"w": np.zeros(1)}, {"w": np.array([0.5])}, {"square": {"w": np.zeros(1)}}, 1, at_zero=at_zero
        )
        assert enclosed.distance("w", got["w"])[0] < 1e-15
        assert enclosed.distance("square[w]", state["square"]["w"])[0] < 1e-15


@pytest.mark.parametrize(("epsilon", "kinks"), [(0.5, 1), (0.0, 0)])
def test_norm_equal_to_the_limit_is_a_kink_where_clipping_jumps(epsilon: float, kinks: int) -> None:
    by: ClipBy = "norm_if_above" if epsilon else "norm"
    update = Update(Optimiser("sgd", 1.0, clipping=Clipping(by, 5.0, epsilon)), {"w": [0.0, 0.0]}, {"w": [3.0, 4.0]})
    enclosed = update_enclosure(update)
    assert enclosed.met_kinks == kinks
    low, high = enclosed.lower("w"), enclosed.upper("w")
    assert np.allclose(low, [-3, -4], rtol=1e-15)
    assert np.allclose(high, np.array([-3, -4]) * 5 / (5 + epsilon), rtol=1e-8)
    # One ulp below the limit nobody's norm is sure to be below: the allowance holds the jump, and no more.
    nearly = update.replace(gradients={"w": [3.0, np.nextafter(4.0, 0)]})
    allowed = update_allowance(nearly).rigorous["w"]
    jump = np.array([3, 4]) * (1 - 5 / (5 + epsilon))
    assert np.all(allowed >= jump)
    assert np.all(allowed <= jump * (1 + 2**-18) + 1e-13)


@pytest.mark.parametrize("by", ["norm", "norm_if_above", "value"])
@pytest.mark.parametrize("epsilon", [0.0, 1e-6])
def test_norm_0_leaves_a_gradient_of_0(by: Any, epsilon: float) -> None:
    clipping = Clipping(by, 1.0, 0.0 if by == "value" else epsilon)
    update = Update(Optimiser("sgd", 1.0, clipping=clipping), {"w": [2.0]}, {"w": [0.0]})
    assert update_enclosure(update).distance_upper("w", [2.0])[0] < 1e-15
    assert update_allowance(update).rigorous["w"][0] < 1e-14
    naive = overflowing_update(update)
    assert bool(naive) is (by != "value" and not epsilon)
    assert all("norm is 0" in words for words in naive)


def test_zero_gradients_from_the_start_leave_adam_where_it_is() -> None:
    for o in (o for o in RULES if o.word.family in ("adam", "rmsprop")):
        update = Update(o, {"w": [2.0]}, {"w": [0.0]}, dtype="float32")
        assert update_enclosure(update).distance_upper("w", [2.0])[0] == 0
        assert update_allowance(update).rigorous["w"][0] <= 1e-6
        assert overflowing_update(update) == ()
    nothing = Update(Optimiser("adam", 0.1, beta1=0.9, beta2=0.9, epsilon=0.0), {"w": [2.0]}, {"w": [0.0]})
    assert np.isinf(update_allowance(nothing).rigorous["w"][0])
    assert overflowing_update(nothing) != ()


def test_an_uncertain_state_widens_a_step_by_what_follows_from_it() -> None:
    o = Optimiser("momentum", 0.5, momentum=0.5)
    update = Update(o, {"w": [1.0]}, {"w": [1.0]}, {"velocity": {"w": [2.0]}}, uncertainty={"velocity": {"w": [0.25]}})
    enclosed = update_enclosure(update)
    assert (enclosed.lower("w")[0], enclosed.upper("w")[0]) == pytest.approx((1.375, 1.625), rel=1e-8)
    # What rounding may lose goes with the largest state that there may be.
    near, far = (
        update_allowance(update.replace(state={"velocity": {"w": [0.0]}}, uncertainty={"velocity": {"w": [radius]}}))
        for radius in (1.0, 1e6)
    )
    assert far.rigorous["w"][0] > 1e5 * near.rigorous["w"][0]
    unknown = update.replace(uncertainty={"velocity": {"w": [np.inf]}})
    assert np.isinf(update_enclosure(unknown).upper("w")[0])
    assert np.isinf(update_allowance(unknown).rigorous["w"][0])


@pytest.mark.parametrize("schedule", [o.schedule for o in EXTRAS if o.schedule.name != "constant"], ids=str)
def test_multipliers_are_enclosed(schedule: Schedule) -> None:
    for step in range(1, 30):
        with precision(200), mpmath.workdps(80):
            ball = certified_multiplier(schedule, step)
            assert abs(ball - arb(mpmath.nstr(multiplier(schedule, step, mpmath.mpf), 70))) < 1e-50


def torch_schedulers() -> list[Any]:
    schedulers = pytest.importorskip("torch.optim.lr_scheduler")
    return [
        (Schedule("step", gamma=0.3, period=4), lambda o: schedulers.StepLR(o, 4, 0.3)),
        (Schedule("exponential", gamma=0.93), lambda o: schedulers.ExponentialLR(o, 0.93)),
        (Schedule("linear", start=0.25, end=0.75, period=7), lambda o: schedulers.LinearLR(o, 0.25, 0.75, 7)),
        (Schedule("polynomial", power=1.5, period=12), lambda o: schedulers.PolynomialLR(o, 12, 1.5)),
        (Schedule("cosine", end=0.125, period=20), lambda o: schedulers.CosineAnnealingLR(o, 20, 0.125 * 0.1)),
    ]


@pytest.mark.parametrize("number", range(5))
def test_rates_are_those_of_torch_s_schedulers_within_the_bound(number: int) -> None:
    torch = pytest.importorskip("torch")
    schedule, make = torch_schedulers()[number]
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    scheduler = make(optimiser)
    for step in range(1, 21):
        with precision(128):
            exact_rate = 0.1 * certified_multiplier(schedule, step)
            error = float(abs(optimiser.param_groups[0]["lr"] - exact_rate).upper())
        allowed = 0.1 * multiplier_error(schedule, step, Format.of("float64")) + 1e-17
        assert error <= allowed < 1e-13
        optimiser.step()
        scheduler.step()


def test_an_allowance_for_another_dtype_rounds_what_the_step_starts_from() -> None:
    trajectory = walk(RULES[8], 1, "float64", 3)
    update = Update(RULES[8], trajectory.parameters[0], trajectory.gradients[0])
    wide, narrow = update_allowance(update), update_allowance(update, "float32")
    assert np.all(narrow.rigorous["w"] > 1e6 * wide.rigorous["w"])
    fused = update_allowance(update, fused=10)
    assert np.all(fused.rigorous["w"] > wide.rigorous["w"])
    with pytest.raises(ArgumentError, match="dtype"):
        update_allowance(update, "int8")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="bits"):
        update_enclosure(update, 3)

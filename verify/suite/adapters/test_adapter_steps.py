"""Gradients worked out from training steps: their radii hold, hide nothing else, and show what depends on the rate."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from asking import assessments, verdicts  # type: ignore[import-not-found,unused-ignore]
from hypothesis import given
from hypothesis import strategies as st

from gradproof import ArgumentError, Case, Gradients, Supports, Verdict, adapters
from refimpl.enclosure import enclosure
from verify import diagnosis
from verify.diagnosis import Surveyed, diagnose
from verify.judge import judge
from verify.loading import adopt
from verify.subjects.base import assess
from verify.subjects.networks import SUBJECT

LAYOUT: dict[str, Any] = {"weights": "in_out", "bias": "vector", "samples": "rows"}
WORDS: dict[str, Any] = {**LAYOUT, "losses": "half_squared_error/batch_mean", "hidden": "tanh", "output": "tanh"}


def trained(net: adapters.Given, *, updated_first: bool = False, flaw: float = 0.0) -> dict[str, Any]:
    """One step of descent of a tanh network; each layer may learn before the error passes through it."""
    weights, biases, activations = net.weights, net.biases, [net.inputs]
    for W, b in zip(weights, biases, strict=True):
        activations.append(np.tanh(activations[-1] @ W + b))
    outputs = activations[-1].copy()
    error = (outputs - net.targets) / net.batch
    rate = np.asarray(net.rate, dtype=net.dtype)
    decay = np.asarray(net.strength, dtype=net.dtype)
    for k in reversed(range(len(weights))):
        delta = error * (1 - activations[k + 1] ** 2)
        step = rate * (activations[k].T @ delta * np.asarray(1 + flaw, dtype=net.dtype) + decay * weights[k])
        if not updated_first:
            error = delta @ weights[k].T
        weights[k] = weights[k] - step
        biases[k] = biases[k] - rate * delta.sum(axis=0)
        if updated_first:
            error = delta @ weights[k].T
    return {"outputs": outputs, "weights": weights, "biases": biases}


def target(function: Callable[[adapters.Given], Any] = trained, **words: Any) -> Any:
    return adapters.training_step(**{**WORDS, **words})(function)


@given(st.floats(-10, 10), st.floats(-100, 100), st.sampled_from([2.0**-7, 0.1, 0.5, 1.0, 3.0, 2.0**60]), st.booleans())
def test_a_radius_bounds_what_the_weights_after_the_step_leave_open(
    w: float, g: float, rate: float, single: bool
) -> None:
    """Against exact fractions: the code subtracts rate · g, or decays its weight by rate · λ beside it, with λ = 0."""
    dtype: Any = "float32" if single else "float64"
    case = one_weight(w, dtype)
    gradient, step = np.array([[g]], dtype=dtype), np.asarray(rate, dtype=dtype)

    @adapters.training_step(
        losses="squared_error/sum", output="identity", rates=[float(step)], dtypes=dtype, **{**LAYOUT, "bias": "none"}
    )
    def one(net: adapters.Given) -> dict[str, Any]:
        return {"weights": [net.weights[0] * (1 - step * np.asarray(0, dtype)) - step * gradient]}

    answer = one(case)
    off = abs(Fraction(float(answer["parameters"]["0.weight"].item())) - Fraction(float(gradient.item())))
    radius = answer["radii"]["0.weight"].item()
    assert off <= Fraction(radius)
    unit = np.finfo(dtype).eps
    assert radius <= 4 * unit * ((2 * abs(w) + rate * abs(g)) / rate + abs(g)) + 1e-30  # and says no more than it must


def one_weight(w: float, dtype: Any) -> Case:
    from gradproof import Activation, Loss, Network, dense_chain

    layers = dense_chain((1, 1), (Activation("identity"),), bias=False)
    network = Network((1,), layers, Loss("squared_error", "sum"))
    return Case(network, {"0.weight": [[w]]}, [[1.0]], targets=[[0.0]], dtype=dtype)


@pytest.mark.parametrize("rates", [(0.5, 2.0**60), (0.1,), (0.1, 1.0), (2.0**-10,)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_right_steps_are_never_accused(rates: tuple[float, ...], dtype: str) -> None:
    found = verdicts(target(rates=rates, dtypes=dtype, penalties="l2/half"), 15)
    assert set(found) == {Verdict.CORRECT}


def test_a_radius_hides_no_more_than_rounding() -> None:
    for rates, flaw in (((0.5,), 1e-11), ((0.5, 2.0**60), 1e-12)):
        found = verdicts(target(partial(trained, flaw=flaw), rates=rates), 20)
        assert found[Verdict.WRONG] >= 15


def surveyed(implementation: Any, count: int) -> list[Surveyed]:
    return [Surveyed.of(case, one.verdict.findings) for case, one in assessments(implementation, count)]


@pytest.mark.parametrize(("rates", "penalties"), [((0.5, 2.0**60), ("l2/half",)), ((0.5,), ())])
def test_weights_updated_first_are_named(
    rates: tuple[float, ...], penalties: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "FRESH_CASES", 6)
    faulty = target(lambda net: trained(net, updated_first=True), rates=rates, penalties=penalties)
    survey = surveyed(faulty, 16)
    failing = [one for one in survey if one.wrong]
    assert 0 < len(failing) < len(survey)
    found = diagnose(adopt(faulty), failing[:1], survey, seed=0)
    assert found.explanation is not None
    assert [candidate.mistake.name for candidate in found.explanation] == ["weights updated first"]
    (cause,) = found.causes(failing[0].case)
    assert "here by a step at the rate 0.5" in cause.words


def test_two_rates_tell_what_depends_on_them() -> None:
    faulty = target(lambda net: trained(net, updated_first=True), depth=(2, 2))
    printed = {one.printed for _, one in assessments(faulty, 10) if one.verdict.verdict is Verdict.WRONG}
    assert printed == {"a step at the rate 0.5 gives another gradient than one at 1.15292e+18\n"}


def test_a_step_of_nothing_is_a_gradient_of_zero() -> None:
    found = verdicts(target(lambda net: {"weights": net.weights, "biases": net.biases}), 10)
    assert found[Verdict.WRONG] >= 9


@pytest.mark.parametrize("rates", [(), (0.0,), (-1.0,), (1.0, 2.0, 3.0), (float("inf"),), ("fast",)])
def test_rates_that_are_none_are_refused(rates: Any) -> None:
    with pytest.raises(ArgumentError, match="rates"):
        target(rates=rates)


def test_radii_widen_what_is_allowed_and_no_further() -> None:
    case = one_weight(1.0, "float64")
    exact = float(enclosure(case).nearest("0.weight").item())
    for off, radius, verdict in ((1e-3, 0.0, "wrong"), (1e-3, 2e-3, "correct"), (1e-3, 0.9e-3, "wrong")):
        answer = Gradients({"0.weight": [[exact + off]]}, radii={"0.weight": [[radius]]})
        assert judge(case, answer).verdict == verdict


@pytest.mark.parametrize("radius", [[[-1.0]], [[np.nan]], [[np.inf]], [1.0]])
def test_radii_that_are_none_are_refused(radius: Any) -> None:
    case = one_weight(1.0, "float64")
    with pytest.raises(ArgumentError, match="radii"):
        judge(case, Gradients({"0.weight": [[2.0]]}, radii={"0.weight": radius}))
    import gradproof

    declared = gradproof.target(**{n: getattr(SUPPORTS, n) for n in SUPPORTS.__struct_fields__})
    found = verdicts(declared(lambda _: {"parameters": {"0.weight": [[2.0]]}, "radii": {"0.weight": radius}}), 3)
    assert set(found) == {Verdict.BROKE_PROTOCOL}


SUPPORTS = Supports(losses=("squared_error/sum",), output=("identity",), depth=(1, 1), width=(1, 1), bias="never")


def test_weights_that_are_not_finite_after_the_step_are_an_inaccurate_gradient() -> None:
    """Where softplus overflows as log(1 + exp(z)), at either rate; a rate that overflows alone leaves the other."""
    from gradproof import Activation, Loss, Network, dense_chain

    layers = dense_chain((1, 1, 1), (Activation("softplus"), Activation("identity")), bias=False)
    network = Network((1,), layers, Loss("half_squared_error", "sum"))
    parameters = {"0.weight": [[1.0]], "2.weight": [[0.5]]}
    case = Case(network, parameters, [[100.0]], targets=[[0.0]], dtype="float32")

    @adapters.training_step(
        losses="half_squared_error/sum",
        hidden="softplus",
        output="identity",
        dtypes="float32",
        **{**LAYOUT, "bias": "none"},
    )
    def naive(net: adapters.Given) -> dict[str, Any]:
        W, V = net.weights
        rate = np.asarray(net.rate, net.dtype)
        with np.errstate(all="ignore"):
            z = net.inputs @ W
            a = np.log(1 + np.exp(z))
            delta = a @ V - net.targets
            back = (delta @ V.T) / (1 + np.exp(-z))
            return {"weights": [W - rate * (net.inputs.T @ back), V - rate * (a.T @ delta)]}

    assert assess(SUBJECT, adopt(naive), case).verdict.verdict is Verdict.INACCURATE
    far = case.replace(inputs=[[10.0]], targets=[[1e20]])  # gradients of 1e21, too large for a rate of 2**60
    assert assess(SUBJECT, adopt(naive), far).verdict.verdict is Verdict.CORRECT

"""The clock's own judge: every peer's steps are what they claim to be, and steps that are slightly off are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.agreement import Agreement, DisagreementError
from benchmarks.peers import Peer, Trainer, peers
from benchmarks.peers.numpy_peer import PEER as NUMPY
from benchmarks.peers.numpy_peer import NumpyTrainer
from benchmarks.tasks import Task, task

SGD = "5-8-6-3.sigmoid_sgd.float64"
ADAM = "5-8-6-3.relu_adam.float64"


@cache
def agreement(name: str) -> Agreement:
    return Agreement(task(name))


PROMPT = {name: peer for name, peer in peers().items() if name != "torch.compile"}
"""All but the one that keeps a C++ compiler busy for a minute; the figures prove its steps before they time them."""


def able(*task_names: str) -> list[tuple[str, str]]:
    """Every peer with every one of these tasks that it can run."""
    tasks = {name: task(name) for name in task_names}
    return [(name, each) for name, peer in PROMPT.items() for each, what in tasks.items() if peer.cannot(what) is None]


def installed(name: str) -> Peer:
    peer = peers()[name]
    if not peer.installed:
        pytest.skip(f"{peer.package} is not installed")
    return peer


@pytest.mark.parametrize(("name", "task_name"), able(SGD, ADAM, "2-2-1.relu_adam.float32"))
def test_the_steps_of_every_peer_are_right(name: str, task_name: str) -> None:
    agreement(task_name).refuse_wrong_steps(installed(name))


class Planted(NumpyTrainer):
    """NumPy's trainer with one entry of one parameter's way from the start off by a relative ``by``."""

    def __init__(self, what: Task, by: float) -> None:
        super().__init__(what)
        self._before = {name: np.array(value) for name, value in what.case.parameters.items()}
        self._by = by

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        after = {name: np.array(value) for name, value in super().parameters().items()}
        after["2.weight"][3, 1] += self._by * (after["2.weight"][3, 1] - self._before["2.weight"][3, 1])
        return after


@pytest.mark.parametrize("name", [SGD, ADAM])
@pytest.mark.parametrize("by", [1e-6, np.nan, np.inf])
def test_a_step_off_by_a_millionth_in_one_entry_is_refused_and_named(name: str, by: float) -> None:
    agreement(name).refuse_wrong_steps(replace(NUMPY, trainer=lambda what: Planted(what, by=0.0)))
    with pytest.raises(DisagreementError, match=r"2\.weight\[3, 1\]"):
        agreement(name).refuse_wrong_steps(replace(NUMPY, trainer=lambda what: Planted(what, by=by)))


class ScaledLayer(NumpyTrainer):
    """The gradient of one layer's weight is too large by a part of it, which Adam with a small ε hardly shows."""

    def __init__(self, what: Task, by: float = 1e-3) -> None:
        super().__init__(what)
        self._by = by

    def _update_by_adam(self, number: int) -> None:
        self._d_weights[1] *= 1 + self._by
        super()._update_by_adam(number)


def with_rule(**changes: object) -> Peer:
    """NumPy's trainer, which takes the steps of another rule than it is asked for."""

    def trainer(what: Task) -> Trainer:
        return NumpyTrainer(replace(what, optimiser=msgspec.structs.replace(what.optimiser, **changes)))

    return replace(NUMPY, trainer=trainer)


class EpsilonHat(NumpyTrainer):
    """Adam in the order of computation that ends section 2 of Kingma and Ba: ε beside √s instead of √ŝ."""

    def _update_by_adam(self, number: int) -> None:
        rule = self._task.optimiser
        corrected = np.sqrt(1 - (rule.beta2 or 0.0) ** number)
        changed = msgspec.structs.replace(rule, epsilon=(rule.epsilon or 0.0) / corrected)
        self._task = replace(self._task, optimiser=changed)
        super()._update_by_adam(number)
        self._task = replace(self._task, optimiser=rule)


class Uncorrected(NumpyTrainer):
    """Adam without its correction for the first moments' start at 0."""

    def _update_by_adam(self, number: int) -> None:
        super()._update_by_adam(10**6)


class Forgetful(NumpyTrainer):
    """Its moments start anew at each step: what nothing but a second step can show."""

    def _update_by_adam(self, number: int) -> None:
        self._mean[...] = 0
        self._square[...] = 0
        super()._update_by_adam(1)


class Skipping(NumpyTrainer):
    """Its second step does nothing."""

    def _update_by_adam(self, number: int) -> None:
        if number != 2:
            super()._update_by_adam(number)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (replace(NUMPY, trainer=ScaledLayer), r"the step of 2\.weight.* with epsilon 64"),
        (replace(NUMPY, trainer=EpsilonHat), "with epsilon 64"),
        (replace(NUMPY, trainer=Uncorrected), "with epsilon 64"),
        (replace(NUMPY, trainer=Forgetful), "step 2: .*wrong, by adam"),
        (replace(NUMPY, trainer=Skipping), "step 2: .*wrong, by adam"),
        (with_rule(beta1=0.89), "step 2: .*wrong, by adam"),
        (with_rule(beta2=0.998), "step 2: .*wrong, by adam"),
        (with_rule(rate=1.001 * 2.0**-10), "wrong|gives"),
    ],
    ids=["scaled layer", "epsilon hat", "uncorrected", "forgetful", "skipping", "beta1", "beta2", "rate"],
)
def test_a_wrong_adam_is_refused(wrong: Peer, says: str) -> None:
    with pytest.raises(DisagreementError, match=says):
        agreement(ADAM).refuse_wrong_steps(wrong)


def test_another_variant_is_right_where_it_says_so() -> None:
    variant = replace(
        NUMPY, trainer=EpsilonHat, rule=lambda asked: msgspec.structs.replace(asked, variant="adam_epsilon_hat")
    )
    agreement(ADAM).refuse_wrong_steps(variant)
    with pytest.raises(DisagreementError, match="with epsilon 64"):
        agreement(ADAM).refuse_wrong_steps(replace(variant, trainer=NumpyTrainer))


@pytest.mark.parametrize(
    ("name", "by"), [("64-10-10.relu_adam.float32", 1e-3), ("784-16-16-10.relu_adam.float32", 1e-2)]
)
def test_float32_too_shows_a_layer_whose_gradient_is_slightly_off(name: str, by: float) -> None:
    with pytest.raises(DisagreementError, match=r"2\.weight"):
        agreement(name).refuse_wrong_steps(replace(NUMPY, trainer=lambda what: ScaledLayer(what, by)))


@pytest.mark.parametrize("task_name", ["64-10-10.sigmoid_sgd.float64", "64-10-10.relu_adam.float64"])
@pytest.mark.parametrize("name", [name for name in PROMPT if name != "scikit-learn"])
def test_an_epoch_visits_every_sample(name: str, task_name: str) -> None:
    """Three steps of two samples, each with a feature of its own: where it is 0, its weights have no gradient.

    scikit-learn wants every class among the samples.
    """
    whole = task(task_name)
    inputs = np.array(whole.case.inputs[:6])
    inputs[:, :6] = np.eye(6)
    case = whole.case.replace(inputs=inputs, targets=np.asarray(whole.case.targets)[:6])
    trainer = installed(name).trainer(replace(whole, case=case, batch=2))
    trainer.run(1)
    moved = np.asarray(trainer.parameters()["0.weight"])[:6] != case.parameters["0.weight"][:6]
    assert np.all(np.any(moved, axis=1)), f"not visited: {np.flatnonzero(~np.any(moved, axis=1))}"


@pytest.mark.parametrize("name", list(PROMPT))
def test_a_run_starts_anew_and_two_epochs_go_through_one(name: str) -> None:
    what = task(SGD if name != "scikit-learn" else ADAM)
    trainer = installed(name).trainer(what)

    def left_by(epochs: int) -> npt.NDArray[np.float64]:
        trainer.run(epochs)
        after = trainer.parameters()
        return np.concatenate([np.ravel(after[path]) for path in what.case.parameters])

    nothing, one, two = left_by(0), left_by(1), left_by(2)
    np.testing.assert_array_equal(nothing, np.concatenate([start.ravel() for start in what.case.parameters.values()]))
    assert np.max(np.abs(one - two)) > 0
    np.testing.assert_array_equal(left_by(1), one)

"""The clock's own judge: every peer's step is the gradient's, and a step that is slightly off is refused."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.agreement import DisagreementError, refuse_wrong_step
from benchmarks.peers import Trainer, peers
from benchmarks.peers.numpy_peer import NumpyTrainer
from benchmarks.tasks import NAMES, NETWORKS, PROVING_RATE, Task, task
from gradproof.case import Case

SMALL = "5-8-6-3.float64"


@pytest.mark.parametrize("name", list(peers()))
@pytest.mark.parametrize("task_name", ["5-8-6-3.float64", "64-10-10.float32"])
def test_the_step_of_every_peer_is_the_gradients(name: str, task_name: str) -> None:
    peer = peers()[name]
    if not peer.installed:
        pytest.skip(f"{peer.package} is not installed")
    single = task(task_name).one_step()
    refuse_wrong_step(peer.trainer(single), single)


class Planted(NumpyTrainer):
    """NumPy's trainer with one entry of one parameter's step off by a relative ``by``."""

    def __init__(self, what: Task, by: float) -> None:
        super().__init__(what)
        self._before = {name: np.array(value) for name, value in what.case.parameters.items()}
        self._by = by

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        after = {name: np.array(value) for name, value in super().parameters().items()}
        after["2.weight"][3, 1] += self._by * (after["2.weight"][3, 1] - self._before["2.weight"][3, 1])
        return after


def test_a_step_off_by_a_millionth_in_one_entry_is_refused_and_named() -> None:
    single = task(SMALL).one_step()
    refuse_wrong_step(Planted(single, by=0.0), single)
    with pytest.raises(DisagreementError, match=r"2\.weight\[3, 1\]"):
        refuse_wrong_step(Planted(single, by=1e-6), single)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_step_that_is_not_finite_is_refused(value: float) -> None:
    single = task(SMALL).one_step()
    with pytest.raises(DisagreementError, match=r"2\.weight\[3, 1\]"):
        refuse_wrong_step(Planted(single, by=value), single)


def test_only_single_steps_can_be_proved() -> None:
    whole = task(SMALL)
    with pytest.raises(DisagreementError, match="one step"):
        refuse_wrong_step(NumpyTrainer(whole), whole)


@pytest.mark.parametrize("name", NAMES)
def test_tasks_have_equal_steps_and_one_step_keeps_the_first_of_them(name: str) -> None:
    whole = task(name)
    widths, batch, steps = NETWORKS[name.rpartition(".")[0]]
    assert whole.case.stack.widths == widths
    assert whole.case.dtype == name.rpartition(".")[2]
    assert (whole.batch, whole.steps, whole.case.batch) == (batch, steps, batch * steps)
    single = whole.one_step()
    assert (single.steps, single.rate) == (1, PROVING_RATE)
    np.testing.assert_array_equal(single.case.inputs, whole.case.inputs[:batch])


def _one_hot_sample(where: int) -> Task:
    """Three steps of two samples, of which only sample ``where`` has a gradient until it is visited."""
    whole = task(SMALL)
    zeros = {name: np.zeros(shape) for name, shape in whole.case.network.parameter_shapes.items()}
    targets = np.full((6, 3), 0.5)  # what zero parameters give
    targets[where] = 1.0
    case = Case(whole.case.network, zeros, whole.case.inputs[:6], targets=targets)
    return Task("one sample with a gradient", case, batch=2)


@pytest.mark.parametrize("name", list(peers()))
def test_an_epoch_visits_every_sample(name: str) -> None:
    peer = peers()[name]
    if not peer.installed:
        pytest.skip(f"{peer.package} is not installed")
    for where in range(6):
        trainer: Trainer = peer.trainer(_one_hot_sample(where))
        trainer.run(1)
        assert np.all(np.asarray(trainer.parameters()["4.bias"]) != 0), f"sample {where} was not visited"

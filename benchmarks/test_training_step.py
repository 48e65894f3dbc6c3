"""Each peer's training under pytest-benchmark: ``pytest benchmarks``.

Of each kind of training a tiny network, a small one and a middle-sized one, in one precision. The groups stand side by
side in one table; figures that are quoted come from ``python -m benchmarks figures training_step``, which times all
tasks and gives the peers turns. A peer whose step is wrong fails before it is timed; no time is ever asserted.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.agreement import Agreement
from benchmarks.floor import Floor
from benchmarks.peers import peers
from benchmarks.tasks import KINDS, task

NAMES: Final = tuple(
    f"{network}.{kind}.{dtype}"
    for kind in KINDS
    for network, dtype in (("5-8-6-3", "float64"), ("784-16-16-10", "float32"), ("784-128-64-10", "float32"))
)


@cache
def agreement(name: str) -> Agreement:
    return Agreement(task(name))


@pytest.mark.parametrize("peer_name", list(peers()))
@pytest.mark.parametrize("task_name", NAMES)
def test_an_epoch(benchmark: BenchmarkFixture, task_name: str, peer_name: str) -> None:
    peer = peers()[peer_name]
    what = agreement(task_name).task
    if not peer.installed:
        pytest.skip(f"{peer.package} is not installed")
    why = peer.cannot(what)
    if why is not None:
        pytest.skip(why)
    agreement(task_name).refuse_wrong_steps(peer)
    trainer = peer.trainer(what)
    trainer.run(1)  # compiles
    benchmark.group = f"an epoch of {what.steps} steps, {task_name}"
    benchmark.extra_info["what"] = peer.what
    benchmark(trainer.run, 1)


@pytest.mark.parametrize("task_name", NAMES)
def test_the_matrix_products_of_an_epoch(benchmark: BenchmarkFixture, task_name: str) -> None:
    what = agreement(task_name).task
    floor = Floor(what)
    floor.run(1)  # compiles
    benchmark.group = f"an epoch of {what.steps} steps, {task_name}"
    benchmark(floor.run, what.steps)

"""Each peer's training under pytest-benchmark: ``pytest benchmarks``.

The groups stand side by side in one table; figures that are quoted come from ``python -m benchmarks figures``, which
gives the peers turns. A peer whose step is not the gradient's fails before it is timed; no time is ever asserted.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.agreement import refuse_wrong_step
from benchmarks.peers import peers
from benchmarks.tasks import NAMES, task

EPOCHS = 4


@pytest.mark.parametrize("peer_name", list(peers()))
@pytest.mark.parametrize("task_name", NAMES)
def test_epochs(benchmark: BenchmarkFixture, task_name: str, peer_name: str) -> None:
    peer = peers()[peer_name]
    if not peer.installed:
        pytest.skip(f"{peer.package} is not installed")
    what = task(task_name)
    refuse_wrong_step(peer.trainer(what.one_step()), what.one_step())
    trainer = peer.trainer(what)
    trainer.run(1)  # compiles
    benchmark.group = f"{EPOCHS} epochs of {what.steps} steps, {task_name}"
    benchmark.extra_info["what"] = peer.what
    benchmark(trainer.run, EPOCHS)

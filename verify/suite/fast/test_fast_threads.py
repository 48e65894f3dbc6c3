"""Threads of BLAS: set while a training runs, given back, reported; and no bit depends on anything but their number."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import fastimpl
from fastimpl import threads, walkers
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import DTYPES, Dtype
from verify.strategies import seeded_case

WIDTH, BATCH = 256, 64
"""A layer of these takes just as many multiplications as a second thread needs to pay."""


def large(dtype: Dtype) -> Case:
    layers = dense_chain((WIDTH, WIDTH, 3), (Activation("tanh"), Activation("identity")))
    network = Network((WIDTH,), layers, Loss("half_squared_error", "batch_mean"))
    return seeded_case(network, 2 * BATCH, seed=4, dtype=dtype)


SMALL = seeded_case(Network((3,), dense_chain((3, 2), (Activation("identity"),)), Loss("squared_error", "sum")), 4)


def train(case: Case, count: int | None, batch: int = BATCH) -> fastimpl.Training:
    return fastimpl.train(
        case.network,
        case.parameters,
        case.inputs,
        np.asarray(case.targets),
        optimiser=Optimiser("sgd", 0.01),
        epochs=2,
        batch_size=batch,
        dtype=case.dtype,
        threads=count,
    )


def set_now() -> list[int]:
    return [library.get_num_threads() for library in threads._libraries()]


def test_a_second_thread_pays_for_large_products_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_cores", lambda: 3)
    monkeypatch.setattr(threads, "_threads_set", lambda: 2)
    assert threads.threads_that_pay(threads.THREADED_FROM - 1) == 1
    assert threads.threads_that_pay(threads.THREADED_FROM) == 2, "no more than BLAS is set to"
    assert BATCH * WIDTH * WIDTH == threads.THREADED_FROM
    assert train(large("float64"), None).threads == 2
    assert train(large("float64"), None, BATCH - 1).threads == 1
    monkeypatch.setattr(threads, "_cores", lambda: 1)
    assert train(large("float64"), None).threads == 1, "no more than there are cores"


@pytest.mark.parametrize("count", [1, 2])
def test_they_are_set_while_it_runs_and_given_back(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    compiled = walkers.run_steps

    def watched(*arguments: int) -> object:
        seen.append(set_now())
        return compiled(*arguments)

    monkeypatch.setattr("fastimpl.running.run_steps", watched)
    with threads.blas_threads(3):
        before = set_now()
        assert train(large("float32"), count).threads == count
        assert set_now() == before
    if count == 2:
        assert seen
        assert all(values == [count] * len(before) for values in seen)
    else:
        assert all(values == before for values in seen), "our own products need nothing of BLAS"


def test_they_are_given_back_after_an_error() -> None:
    before = set_now()
    with pytest.raises(RuntimeError, match="on purpose"), threads.blas_threads(before[0] + 1):
        raise RuntimeError("on purpose")
    assert set_now() == before


def test_a_small_network_takes_one_whatever_is_asked_for() -> None:
    training = train(SMALL, 2)
    assert training.threads == 1
    for name, value in train(SMALL, 1).parameters.items():
        np.testing.assert_array_equal(training.parameters[name], value, strict=True)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, 10**6])
def test_a_number_of_threads_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(ArgumentError) as caught:
        train(SMALL, wrong)  # type: ignore[arg-type]
    assert caught.value.argument == "threads"


def test_the_same_number_gives_the_same_bits_in_every_process() -> None:
    script = "from verify.suite.fast.test_fast_threads import digests; print(digests())"
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) >= len(DTYPES)


def digests() -> str:
    """Of what is left of a training, for each number of threads and dtype."""
    import hashlib

    found = []
    for dtype in DTYPES:
        for count in (1, 2):
            training = train(large(dtype), count)
            assert training.threads == count
            content = b"".join(training.parameters[name].tobytes() for name in sorted(training.parameters))
            found.append(hashlib.sha256(content + training.step_losses.tobytes()).hexdigest())
    return " ".join(found)

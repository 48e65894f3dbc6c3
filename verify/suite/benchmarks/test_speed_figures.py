"""The figures of throughput, digits, memory and compiling: they measure what they say."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from benchmarks import compile_all, timing
from benchmarks.agreement import Agreement, DisagreementError
from benchmarks.commands import CommandError
from benchmarks.figures import FIGURES, compilation, digits, memory, throughput
from benchmarks.figures.digits import EPOCHS, Digits, Learning
from benchmarks.floor import products
from benchmarks.known_answer import known_step
from benchmarks.peers import peers
from benchmarks.tasks import task
from benchmarks.timing import FLOOR, TimingError
from fastimpl import jit
from fastimpl.kernels.activations import ACTIVATION_KERNELS
from fastimpl.kernels.losses import LOSS_KERNELS
from gradproof.errors import ArgumentError
from gradproof.vocabulary import DTYPES, Dtype

NAMES = ("throughput.width", "throughput.batch", "digits.epoch", "memory.training", "compilation.cold")


def test_they_are_listed() -> None:
    assert {*NAMES, "compilation.warm"} <= set(FIGURES)


# Steps with a known answer


class Off:
    """A trainer that leaves the parameters it is told to."""

    def __init__(self, after: Mapping[str, npt.ArrayLike]) -> None:
        self.after = after

    def run(self, epochs: int) -> None:
        pass

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        return self.after


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("widths", "batch"), [((4, 2), 1), ((32, 16, 8, 3), 5), ((784, 128, 64, 10), 1024)])
def test_right_steps_leave_the_known_answer_to_the_last_bit(widths: tuple[int, ...], batch: int, dtype: Dtype) -> None:
    known = known_step("known", widths, batch, dtype)
    moved = [np.any(known.expected[name] != value) for name, value in known.task.case.parameters.items()]
    assert all(moved), "every parameter has a gradient that tells"
    for name in ("fastimpl", "numpy"):
        known.refuse_another(peers()[name].trainer(known.task))


def test_a_step_that_is_off_in_one_number_is_refused() -> None:
    known = known_step("known", (8, 4, 2), 3, "float64")
    known.refuse_another(Off(known.expected))
    for name, right in known.expected.items():
        off = right.copy()
        off.flat[-1] = np.nextafter(off.flat[-1], np.inf)
        with pytest.raises(DisagreementError, match=rf"{name}\[.*\] is .*, exact is .*; 1 of {right.size} entries"):
            known.refuse_another(Off({**known.expected, name: off}))
        with pytest.raises(DisagreementError, match="nan"):
            known.refuse_another(Off({**known.expected, name: right * np.nan}))
        with pytest.raises(DisagreementError, match="has shape"):
            known.refuse_another(Off({**known.expected, name: right[..., np.newaxis]}))


def test_what_would_be_rounded_has_no_known_answer() -> None:
    with pytest.raises(ArgumentError, match="even ones before the last"):
        known_step("known", (4, 3, 2), 1, "float64")
    with pytest.raises(ArgumentError, match="sums of at most 24 bits"):
        known_step("known", (2,) * 13, 64, "float64")


# Throughput


@pytest.mark.parametrize("widths", [(2, 1), (5, 8, 6, 3), (784, 128, 64, 10)])
def test_operations_are_those_of_the_floor(widths: tuple[int, ...]) -> None:
    task = throughput.random_task(widths, 2, "float32")
    inner = [p.a.shape[0] if p.a_transposed else p.a.shape[1] for p in products(task)]
    assert throughput.operations(widths) * 2 == sum(
        2 * p.c.size * n for p, n in zip(products(task), inner, strict=True)
    )


def test_throughput_is_samples_over_seconds_and_what_it_is_of_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    def apart(widths: tuple[int, ...], batch: int, dtype: Dtype) -> dict[str, float]:
        return {"fastimpl": batch / 1e6, "jax": batch / 5e5, FLOOR: batch / (4e6 if dtype == "float64" else 2e6)}

    monkeypatch.setattr(throughput, "_apart", apart)
    said: list[str] = []
    found = throughput.against_batch(said.append)
    assert len(said) == 2 * len(throughput.BATCHES)
    assert found.value == pytest.approx(0.25)
    assert found.peers == {"jax": pytest.approx(0.125)}
    assert "float32: fastimpl 0.50, jax 0.25" in found.note
    assert [x for x, _ in found.curves["float32, samples per second"]["jax"]] == list(throughput.BATCHES)
    assert {round(y) for _, y in found.curves["float64, samples per second"]["fastimpl"]} == {1_000_000}
    flops = throughput.operations(throughput.BATCHES_WIDTHS) * 1e6 / 1e9
    curve = found.curves["float64, GFLOP/s of the matrix products"]["fastimpl"]
    assert [y for _, y in curve] == pytest.approx([flops] * len(curve))


def test_a_wrong_step_has_no_throughput(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "TIMED", ("numpy",))
    monkeypatch.setattr(timing, "ROUNDS", 2)
    monkeypatch.setattr(timing, "TURN", 1e-4)
    assert set(throughput.seconds_a_step((4, 4, 4, 2), 2, "float64")) == {"numpy", FLOOR}
    numpy = peers()["numpy"]

    def wrong(task: Any) -> Any:
        trainer: Any = numpy.trainer(task)
        right = trainer.parameters
        trainer.parameters = lambda: {name: -np.asarray(value) for name, value in right().items()}
        return trainer

    monkeypatch.setattr(throughput, "peers", lambda: {"numpy": replace(numpy, trainer=wrong)})
    with pytest.raises(DisagreementError):
        throughput.seconds_a_step((4, 4, 4, 2), 2, "float64")


# Digits


def test_the_digits_are_split_and_their_accuracy_is_that_of_the_largest_output() -> None:
    found = Digits("float32")
    assert found.task.case.inputs.shape == (4000, 784)
    assert found.task.case.dtype == "float32"
    assert (found.pictures.shape, found.labels.shape) == ((1000, 784), (1000,))
    kept = {row.tobytes() for row in np.asarray(found.task.case.inputs)}
    assert sum(int(row.tobytes() in kept) for row in found.pictures.astype(np.float32)) < 20, "no digit is in both"
    parameters = {name: np.zeros_like(value) for name, value in found.task.case.parameters.items()}
    last = [name for name in parameters if name.endswith(".bias")][-1]
    for label in (0, 7):
        parameters[last] = np.eye(10)[label]
        assert found.accuracy(parameters) == np.mean(found.labels == label)
    assert 0 < found.accuracy(found.task.case.parameters) < 0.5
    trainer = peers()["fastimpl"].trainer(found.task)
    trainer.run(3)
    assert found.accuracy(trainer.parameters()) > 0.5, "training shows"


def test_scikit_learns_step_is_that_of_the_network_with_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(digits, "WIDTHS", (784, 2, 2, 10))
    whole = Digits("float64", "identity").task
    assert whole.optimiser.rate < digits.RATE
    Agreement(whole).refuse_wrong_steps(digits.SKLEARN)
    with pytest.raises(DisagreementError):
        Agreement(Digits("float64").task).refuse_wrong_steps(digits.SKLEARN)


def test_accuracy_stands_over_seconds_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    accuracy = tuple(count / 20 for count in EPOCHS)
    learning = Learning({"fastimpl": 0.5, "jax": 2.0}, {"fastimpl": accuracy, "jax": accuracy}, {"torch": "it fails"})
    monkeypatch.setattr(digits, "run", lambda *given, **more: (1.0, msgspec.json.encode(learning).decode()))
    found = digits.epoch(lambda text: None)
    assert (found.value, found.peers) == (500.0, {"jax": 2000.0})
    assert found.curves["float32"]["jax"][-1] == (40.0, 100.0)
    assert "float64, torch: it fails" in found.note
    refused = Learning({"jax": 2.0}, {"jax": accuracy}, {"fastimpl": "its step is wrong"})
    monkeypatch.setattr(digits, "run", lambda *given, **more: (1.0, msgspec.json.encode(refused).decode()))
    with pytest.raises(TimingError, match="its step is wrong"):
        digits.epoch(lambda text: None)


# Memory

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux sets the peak back")


@LINUX
def test_the_peak_since_a_reset_is_seen_and_one_before_is_not() -> None:
    def peak_of(mebibytes: int) -> float:
        before = memory._reset()
        np.ones(mebibytes * 2**17).sum()
        return memory._mebibytes("VmHWM") - before

    assert peak_of(256) > 200
    assert peak_of(64) < 150


@LINUX
def test_training_grows_by_what_it_keeps() -> None:
    command = [sys.executable, "-m", "benchmarks.figures.memory", "numpy"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    growth = msgspec.json.decode(done.stdout, type=memory.Growth)
    parameters = sum(array.nbytes for array in task(memory.LARGE).case.parameters.values()) / 2**20
    assert growth.first > 3 * parameters, "parameters, and two moments of each"
    assert growth.before > 20


# Compiling


def test_everything_is_compiled_that_the_package_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def kernel(self: jit.Kernel, dtype: Dtype) -> object:
        asked.append((self, dtype))
        return SimpleNamespace(cached=True)

    def walker(self: jit.Walker) -> object:
        asked.append(self)
        return SimpleNamespace(stats=SimpleNamespace(cache_hits={"": 1}))

    monkeypatch.setattr(jit.Kernel, "compiled", kernel)
    monkeypatch.setattr(jit.Walker, "compiled", walker)
    gone = weakref.proxy(set())  # what asks it for anything but its type raises
    found = compile_all.compile_all()
    del gone
    assert found.hits == len(asked)
    used = [k for kernels in ACTIVATION_KERNELS.values() if kernels for k in kernels]
    used += [k for kernels in LOSS_KERNELS.values() for k in kernels.values()]
    assert {(kernel, dtype) for kernel in used for dtype in DTYPES} < set(asked)
    assert {"activations.sigmoid, float64", "fastimpl.walkers.run_once"} <= set(found.seconds)


def test_a_cold_start_is_cold_and_a_warm_one_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[compile_all.Compiled] = []
    monkeypatch.setattr(compilation, "_compile_all", lambda folder: (12.0, answers.pop(0)))
    everything = {"a, float64": 1.0, "b": 3.0}
    answers += [compile_all.Compiled(everything, 0), compile_all.Compiled(everything, 2)]
    found = compilation.cold(lambda text: None)
    assert (found.value, found.met) == (12.0, True)
    assert "2 functions, 4 s of the whole process; the slowest: b 3 s, a, float64 1 s" in found.note
    answers += [compile_all.Compiled(everything, 1)]
    with pytest.raises(CommandError, match="an empty cache"):
        compilation.cold(lambda text: None)
    answers += [compile_all.Compiled(everything, 0), compile_all.Compiled(everything, 1)]
    with pytest.raises(CommandError, match="2 functions out of the cache, got 1"):
        compilation.cold(lambda text: None)


def test_a_first_step_is_taken() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks.first_step"], capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) < np.inf

"""What training does at the end of an epoch: metrics, validation, early stopping, and going on from its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys

import fastimpl
from fastimpl import EarlyStopping, permutation
from fastimpl.results import ACCURACY, LOSS, VALIDATION_ACCURACY, VALIDATION_LOSS, Progress, State, Training
from fastimpl.walkers import power_after
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Branches, Dense
from gradproof.loss import Loss, Penalty
from gradproof.network import Network, dense_chain
from gradproof.optimiser import Clipping, Optimiser, Schedule, WeightDecay
from gradproof.vocabulary import DTYPES, Dtype
from verify.strategies import seeded_case
from verify.suite.updates.plain_steps import EXTRAS, RULES

TANH, SIGMOID, SOFTMAX, IDENTITY = (Activation(name) for name in ("tanh", "sigmoid", "softmax", "identity"))
SQUARES = Loss("half_squared_error", "batch_mean")
SGD = Optimiser("sgd", 0.3)


def network(widths: tuple[int, ...], last: Activation, loss: Loss, **more: Any) -> Network:
    return Network(widths[:1], dense_chain(widths, (*[TANH] * (len(widths) - 2), last)), loss, **more)


def run(case: Case, start: Any = None, **more: Any) -> Training:
    given: dict[str, Any] = {"optimiser": SGD, "epochs": 3, "batch_size": 4, "dtype": case.dtype}
    given["sample_weights"] = case.sample_weights
    begin = case.parameters if start is None else start
    return fastimpl.train(case.network, begin, case.inputs, np.asarray(case.targets), **(given | more))


def data(case: Case) -> tuple[Any, ...]:
    given = (case.inputs, np.asarray(case.targets))
    return given if case.sample_weights is None else (*given, case.sample_weights)


def assert_same(got: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert set(got) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name, strict=True)


def assert_same_state(got: State, expected: State) -> None:
    assert_same(got.parameters, expected.parameters)
    assert set(got.moments) == set(expected.moments)
    for word, arrays in expected.moments.items():
        assert_same(got.moments[word], arrays)
    fields = ("variant", "seed", "step", "epoch", "batch")
    assert [getattr(got, f) for f in fields] == [getattr(expected, f) for f in fields]
    assert (got.best is None) == (expected.best is None)
    if got.best is not None and expected.best is not None:
        assert (got.best.epoch, got.best.loss, got.best.waited) == (
            expected.best.epoch,
            expected.best.loss,
            expected.best.waited,
        )
        assert_same(got.best.parameters, expected.best.parameters)


# Validation.

REDUCTIONS = ("sum", "batch_mean", "element_mean")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", [None, Penalty("l2", 0.1, half=False, biases=True)])
def test_the_validation_loss_is_that_of_all_its_samples_at_once(
    dtype: Dtype, reduction: Any, weighted: bool, penalty: Penalty | None
) -> None:
    """In portions too: sums of the same numbers in another order, n − 1 more roundings of float64 each."""
    net = network((3, 5, 2), SIGMOID, Loss("binary_cross_entropy", reduction), penalty=penalty)
    case = seeded_case(net, 11, seed=1, dtype=dtype)
    for samples in (1, 256, 600):
        held_out = seeded_case(net, samples, seed=2, dtype=dtype, sample_weights=weighted)
        seen: list[Any] = []
        training = run(case, validation=data(held_out), on_epoch=lambda e, loss, now, seen=seen: seen.append(now))
        expected = [fastimpl.loss(held_out.replace(parameters=now)) for now in seen]
        unit = np.finfo(dtype).eps
        # fastimpl.loss rounds to the dtype once; coefficients 1/n are rounded to it, of the portion or of all.
        slack = 2 * float(unit) + samples * 2.0**-52
        np.testing.assert_allclose(training.metrics[VALIDATION_LOSS], expected, rtol=slack)


def test_validation_reads_parameters_where_training_has_laid_them() -> None:
    """Weights that layers update themselves, and those that do not decay, stand apart from the others."""
    net = network((80, 80, 3, 2), SIGMOID, SQUARES, frozen=("2.bias",))
    case, held_out = (seeded_case(net, n, seed=n) for n in (10, 12))
    decay = WeightDecay("l2", 0.1, excluded=("0.bias", "2.weight"))
    seen: list[Any] = []
    optimiser = Optimiser("momentum", 0.1, momentum=0.5, decay=decay)
    training = run(case, optimiser=optimiser, validation=data(held_out), on_epoch=lambda e, loss, now: seen.append(now))
    expected = [fastimpl.loss(held_out.replace(parameters=now)) for now in seen]
    np.testing.assert_allclose(training.metrics[VALIDATION_LOSS], expected, rtol=1e-14)
    assert_same(training.parameters, seen[-1])


def test_validation_changes_nothing() -> None:
    case = seeded_case(network((3, 5, 2), SIGMOID, SQUARES), 11, seed=1)
    held_out = seeded_case(case.network, 7, seed=2)
    bare = run(case)
    watched = run(case, validation=data(held_out), accuracy=True, on_progress=lambda progress: None)
    assert_same(watched.parameters, bare.parameters)
    np.testing.assert_array_equal(watched.step_losses, bare.step_losses)
    assert set(bare.metrics) == {LOSS}
    assert set(watched.metrics) == {LOSS, ACCURACY, VALIDATION_LOSS, VALIDATION_ACCURACY}


# Accuracy.


def share(outputs: Any, targets: Any, classes: bool, threshold: float) -> float:
    if classes:
        return float(np.mean(outputs.argmax(axis=-1) == targets.argmax(axis=-1)))
    return float(np.mean((outputs >= threshold) == (targets >= 0.5)))


ACCURACIES = [
    (network((3, 4, 3), SOFTMAX, Loss("categorical_cross_entropy", "batch_mean")), True, 0.5),
    (network((3, 4, 3), SIGMOID, Loss("categorical_cross_entropy", "batch_mean")), True, 0.5),
    (network((3, 4, 3), SOFTMAX, Loss("categorical_cross_entropy", "sum", guard="add", eps=1e-7)), True, 0.5),
    (network((3, 4, 3), IDENTITY, Loss("categorical_cross_entropy_with_logits", "sum")), True, 0.0),
    (network((3, 4, 1), SIGMOID, Loss("binary_cross_entropy", "batch_mean")), False, 0.5),
    (network((3, 4, 3), SIGMOID, Loss("binary_cross_entropy", "batch_mean")), False, 0.5),
    (network((3, 4, 3), SOFTMAX, Loss("binary_cross_entropy", "batch_mean")), False, 0.5),
    (network((3, 4, 3), SIGMOID, Loss("binary_cross_entropy", "sum", guard="clip", eps=1e-7)), False, 0.5),
    (network((3, 4, 3), IDENTITY, Loss("binary_cross_entropy_with_logits", "sum")), False, 0.0),
    (network((3, 4, 1), SIGMOID, SQUARES), False, 0.5),
    (network((3, 4, 3), SIGMOID, SQUARES), True, 0.5),
    (
        Network(
            (3,),
            (Branches(((Dense(1), SIGMOID), (Dense(2), SOFTMAX)), "concat"),),
            Loss("binary_cross_entropy", "batch_mean"),
        ),
        False,
        0.5,
    ),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("net", "classes", "threshold"), ACCURACIES, ids=[str(n) for n, _, _ in ACCURACIES])
def test_accuracy_is_what_the_outputs_say(net: Network, classes: bool, threshold: float, dtype: Dtype) -> None:
    case, held_out = (seeded_case(net, n, seed=n, dtype=dtype) for n in (30, 300))
    if net.loss is not None and net.loss.word.targets == "real":
        case, held_out = (c.replace(targets=np.round(np.abs(np.asarray(c.targets)))) for c in (case, held_out))
    seen: list[Any] = [case.parameters]
    # In full batches, the answers of an epoch are those of the parameters before it.
    training = run(
        case,
        optimiser=Optimiser("sgd", 0.05),
        batch_size=None,
        accuracy=True,
        validation=data(held_out),
        on_epoch=lambda epoch, loss, now: seen.append(now),
    )
    assert training.diverged is None
    for name, given, at in ((ACCURACY, case, seen[:-1]), (VALIDATION_ACCURACY, held_out, seen[1:])):
        expected = [
            share(fastimpl.predict(net, now, given.inputs, dtype=dtype), np.asarray(given.targets), classes, threshold)
            for now in at
        ]
        assert training.metrics[name].tolist() == expected
    assert 0 < training.metrics[VALIDATION_ACCURACY][-1] < 1


def test_accuracy_while_training_counts_each_sample_before_its_step() -> None:
    """One sample at a time: an answer is right or wrong by the parameters of that very step."""
    case = seeded_case(ACCURACIES[0][0], 10, seed=1)
    training = run(case, accuracy=True, epochs=2, batch_size=1, seed=4)
    start: Any = case.parameters
    for epoch in range(2):
        right = 0
        for sample in permutation(10, 4, epoch):
            one = case.replace(inputs=case.inputs[[sample]], targets=np.asarray(case.targets)[[sample]])
            now = start.parameters if isinstance(start, State) else start
            outputs = fastimpl.predict(case.network, now, one.inputs)
            right += int(outputs.argmax() == np.asarray(one.targets).argmax())
            start = run(one, start, epochs=1).state
        assert training.metrics[ACCURACY][epoch] == right / 10
    assert_same(training.parameters, start.parameters)


def test_what_is_measured_is_asked_for() -> None:
    for net, default in ((ACCURACIES[0][0], True), (ACCURACIES[10][0], False)):
        case = seeded_case(net, 5, seed=1)
        assert (VALIDATION_ACCURACY in run(case, validation=data(case)).metrics) is default
        for asked in (False, True):
            metrics = run(case, validation=data(case), accuracy=asked).metrics
            assert (VALIDATION_ACCURACY in metrics) is (ACCURACY in metrics) is asked


# Early stopping.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("improvement", [0.0, 0.05])
@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize("watched", [False, True])
def test_early_stopping_keeps_the_best_epoch(dtype: Dtype, improvement: float, patience: int, watched: bool) -> None:
    """Against the same in Python, from the parameters after each epoch."""
    net = network((3, 16, 1), IDENTITY, SQUARES)
    case, held_out = seeded_case(net, 6, seed=1, dtype=dtype), seeded_case(net, 30, seed=7, dtype=dtype)
    epochs = 60
    after: list[Any] = []
    given: dict[str, Any] = {"optimiser": Optimiser("sgd", 0.2), "epochs": epochs, "validation": data(held_out)}
    losses = run(case, on_epoch=lambda e, loss, now: after.append(now), **given).metrics[VALIDATION_LOSS]
    best, least, waited, end = -1, np.inf, 0, epochs
    for epoch, loss in enumerate(losses):
        if loss < least - improvement:
            best, least, waited = epoch, loss, 0
        else:
            waited += 1
        if waited == patience:
            end = epoch + 1
            break
    assert best == (0 if improvement else 1) < end < epochs, losses  # an epoch is better by 0.04, and then none
    stopping = EarlyStopping(patience, improvement)
    seen: list[int] = []
    watch = (lambda epoch, loss, now: seen.append(epoch)) if watched else None
    training = run(case, early_stopping=stopping, on_epoch=watch, **given)
    assert (training.best_epoch, training.stopped_early) == (best, True)
    assert_same(training.parameters, after[best])
    assert_same(training.state.parameters, after[end - 1])
    np.testing.assert_array_equal(training.metrics[VALIDATION_LOSS], losses[:end])
    assert len(training.step_losses) == end * training.steps_per_epoch
    assert seen == (list(range(end)) if watched else [])


def test_early_stopping_that_never_stops_keeps_the_best_too() -> None:
    case = seeded_case(network((2, 3, 2), IDENTITY, SQUARES), 8, seed=1)
    training = run(case, epochs=4, validation=data(case), early_stopping=EarlyStopping(100))
    assert not training.stopped_early
    assert training.best_epoch == int(np.argmin(training.metrics[VALIDATION_LOSS]))


def test_nothing_that_an_epoch_does_allocates() -> None:
    """Clipping, decay, a schedule, moments, validation, accuracy, patience: no memory is asked for in compiled code."""
    net = ACCURACIES[0][0]
    case = seeded_case(net, 50, seed=1)
    given: dict[str, Any] = {
        "optimiser": EVERY[-1],
        "accuracy": True,
        "validation": data(seeded_case(net, 300, seed=2)),
    }
    given["early_stopping"] = EarlyStopping(10**6)
    run(case, epochs=1, **given)
    _nrt_python.memsys_enable_stats()
    try:
        counts = []
        for epochs in (1, 300):
            before = rtsys.get_allocation_stats()
            run(case, epochs=epochs, **given)
            counts.append(rtsys.get_allocation_stats().alloc - before.alloc)
    finally:
        _nrt_python.memsys_disable_stats()
    assert counts == [0, 0]


# Going on.

EVERY = [
    *RULES,
    *(o for o in EXTRAS if o.decay is None or not o.decay.excluded),
    Optimiser(
        "adam",
        0.01,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        decay=WeightDecay("l2", 0.1, "decoupled", ("0.bias",)),
        clipping=Clipping("norm", 1.0, 1e-6),
        schedule=Schedule("cosine", end=0.1, period=20, warmup=5),
    ),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimiser", EVERY, ids=str)
def test_three_epochs_and_four_are_seven(optimiser: Optimiser, dtype: Dtype) -> None:
    """Bit for bit: moments, powers of β, the schedule, the order of samples, frozen parameters and all."""
    net = network((3, 4, 3, 2), SIGMOID, SQUARES, frozen=("2.weight", "0.bias"))
    case = seeded_case(net, 10, seed=1, dtype=dtype)
    whole = run(case, optimiser=optimiser, epochs=7, seed=9)
    first = run(case, optimiser=optimiser, epochs=3, seed=9)
    rest = run(case, first.state, optimiser=optimiser, epochs=4)
    assert_same(rest.parameters, whole.parameters)
    assert_same_state(rest.state, whole.state)
    np.testing.assert_array_equal(np.concatenate([first.step_losses, rest.step_losses]), whole.step_losses)
    np.testing.assert_array_equal(np.concatenate([first.epoch_losses, rest.epoch_losses]), whole.epoch_losses)


def stretches_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled stretches are of one step, then two, then four …, however long the machine takes for them."""
    monkeypatch.setattr("fastimpl.running._FIRST_STRETCH", 0)
    monkeypatch.setattr("fastimpl.running.time", SimpleNamespace(perf_counter=lambda: 0.0))


def test_going_on_amid_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped by whoever watches, wherever that was, patience and all."""
    stretches_double(monkeypatch)
    case = seeded_case(network((3, 6, 2), SIGMOID, SQUARES), 10, seed=1)
    held_out = seeded_case(case.network, 6, seed=3)
    given: dict[str, Any] = {"optimiser": RULES[8], "validation": data(held_out), "early_stopping": EarlyStopping(50)}
    whole = run(case, epochs=5, **given)
    for stop in range(1, 5):
        calls: list[Progress] = []

        def watch(progress: Progress, calls: list[Progress] = calls, stop: int = stop) -> bool:
            calls.append(progress)
            return len(calls) == stop

        first = run(case, epochs=5, on_progress=watch, **given)
        assert first.state.step == calls[-1].step == 2**stop - 1
        assert (first.state.epoch, first.state.batch) == divmod(2**stop - 1, 3)
        rest = run(case, first.state, epochs=5 - first.state.epoch, **given)
        assert_same_state(rest.state, whole.state)
        assert_same(rest.parameters, whole.parameters)
        np.testing.assert_array_equal(np.concatenate([first.step_losses, rest.step_losses]), whole.step_losses)
        assert len(rest.epoch_losses) == 5 - first.state.epoch
        np.testing.assert_array_equal(rest.epoch_losses[1:], whole.epoch_losses[first.state.epoch + 1 :])


def test_progress_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stretches_double(monkeypatch)
    case = seeded_case(network((3, 6, 2), SIGMOID, SQUARES), 10, seed=1)
    seen: list[Progress] = []
    training = run(case, epochs=5, validation=data(case), on_progress=seen.append)
    assert [p.step for p in seen] == [1, 3, 7, 15]
    assert [p.epoch for p in seen] == [0, 1, 2, 5]
    assert {(p.steps, p.epochs) for p in seen} == {(15, 5)}
    assert seen[0].metrics == {}
    for progress in seen[1:]:
        assert progress.metrics == {name: values[progress.epoch - 1] for name, values in training.metrics.items()}


def test_early_stopping_goes_on_from_its_state() -> None:
    net = network((3, 16, 1), IDENTITY, SQUARES)
    case, held_out = seeded_case(net, 6, seed=1), seeded_case(net, 30, seed=7)
    given: dict[str, Any] = {"optimiser": Optimiser("sgd", 0.2), "validation": data(held_out)}
    given["early_stopping"] = EarlyStopping(3)
    whole = run(case, epochs=60, **given)
    assert whole.best_epoch is not None
    first = run(case, epochs=whole.best_epoch + 2, **given)
    assert not first.stopped_early
    rest = run(case, first.state, epochs=60, **given)
    assert rest.stopped_early
    assert rest.best_epoch == whole.best_epoch
    assert_same(rest.parameters, whole.parameters)
    assert_same_state(rest.state, whole.state)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"variant": "adam"}, "optimiser.variant"),
        ({"seed": -1}, "state.seed"),
        ({"step": -1}, "state.step"),
        ({"epoch": 0.5}, "state.epoch"),
        ({"batch": 3}, "state.batch"),
        ({"moments": {}}, "state.moments"),
        ({"moments": {"velocity": {}}}, "state.moments"),
        ({"parameters": {}}, "parameters"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    case = seeded_case(network((3, 4, 2), SIGMOID, SQUARES), 10, seed=1)
    state = run(case, optimiser=RULES[1]).state
    with pytest.raises(ArgumentError) as caught:
        run(case, replace(state, **change), optimiser=RULES[1])
    assert caught.value.argument == named


def test_moments_that_do_not_fit_are_refused_by_name() -> None:
    case = seeded_case(network((3, 4, 2), SIGMOID, SQUARES), 10, seed=1)
    state = run(case, optimiser=RULES[1]).state
    for bad in (np.zeros(3), np.full((3, 4), np.nan)):
        moments = {"velocity": {**state.moments["velocity"], "0.weight": bad}}
        with pytest.raises(ArgumentError) as caught:
            run(case, replace(state, moments=moments), optimiser=RULES[1])
        assert caught.value.argument.startswith("state.moments['velocity']['0.weight']")


def test_a_best_epoch_that_does_not_fit_is_refused_by_name() -> None:
    case = seeded_case(network((3, 4, 2), SIGMOID, SQUARES), 10, seed=1)
    state = run(case, validation=data(case), early_stopping=EarlyStopping(5)).state
    assert state.best is not None
    for bad in (np.zeros(3), np.full((3, 4), np.nan)):
        best = replace(state.best, parameters={**state.best.parameters, "0.weight": bad})
        with pytest.raises(ArgumentError) as caught:
            run(case, replace(state, best=best))
        assert caught.value.argument.startswith("state.best.parameters['0.weight']")


@pytest.mark.parametrize("beta", [0.9, 0.999, 1 - 2.0**-52, 0.5, 0.0])
def test_powers_of_beta_go_on_as_they_began(beta: float) -> None:
    """β^t as a running product, 0 from where 1 less it is 1."""
    value = 1.0
    for steps in range(500):
        assert power_after(beta, steps) == value
        value = value * beta if value * beta >= 2.0**-60 else 0.0
    # Just below 1, what a product loses is less than 2^-52 by far less than numbers lie apart: 2^-52 after rounding.
    assert power_after(beta, 10**6) == (0.0 if beta < 0.9999 else 1 - 1e6 * 2.0**-52)


# Divergence.

BLOWN_UP = [
    Optimiser("momentum", 1e200, momentum=0.9),
    Optimiser("momentum_torch", 1e30, momentum=0.9),
    Optimiser("nesterov", 1e60, momentum=0.5),
    Optimiser("nesterov_torch", 1e10, momentum=0.9),
    Optimiser("sgd", 1e4, decay=WeightDecay("l2", 1e3, "decoupled_after")),
    Optimiser("sgd", 1e4, decay=WeightDecay("l2", 1e3)),
    Optimiser("sgd", 1e3, schedule=Schedule("exponential", gamma=1e4)),
    Optimiser("sgd", 1e300, clipping=Clipping("norm", 1e300)),
    Optimiser("rmsprop", 1e300, rho=0.9, epsilon=0.0),
    Optimiser("adam", 1e200, beta1=0.9, beta2=0.999, epsilon=1e-8),
    Optimiser("adam", 1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, schedule=Schedule("exponential", gamma=1e4)),
    Optimiser("adam_uncorrected", 1e200, beta1=0.9, beta2=0.999, epsilon=1e-8),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stretch", [0, 1e9])
@pytest.mark.parametrize("optimiser", BLOWN_UP, ids=str)
def test_divergence_leaves_the_last_good_parameters_and_state(
    optimiser: Optimiser, stretch: float, dtype: Dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the same steps lead to without the one that went wrong, whatever the compiled stretches were."""
    monkeypatch.setattr("fastimpl.running._FIRST_STRETCH", stretch)
    net = network((3, 4, 2), IDENTITY, Loss("squared_error", "sum"))
    case = seeded_case(net, 10, seed=1, dtype=dtype)
    training = run(case, optimiser=optimiser, epochs=40, validation=data(case), accuracy=True)
    assert training.diverged is not None
    at = training.diverged.epoch * 3 + training.diverged.step
    assert len(training.step_losses) == at + 1
    assert np.all(np.isfinite(training.step_losses[:-1]))
    assert training.step_losses[-1] == training.diverged.loss or np.isnan(training.diverged.loss)
    good = at if np.isfinite(training.diverged.loss) else max(at - 1, 0)
    assert training.state.step == good

    def stop(progress: Progress) -> bool:
        return progress.step >= good

    if good:
        monkeypatch.setattr("fastimpl.running._FIRST_STRETCH", good * 10 * 48)
        monkeypatch.setattr("fastimpl.running.Run.advance", lambda self, one: self._run(good))
        whole = run(case, optimiser=optimiser, epochs=40, validation=data(case), accuracy=True, on_progress=stop)
        assert_same_state(training.state, whole.state)
    else:
        assert_same(training.parameters, case.parameters)
    for arrays in (training.parameters, *training.state.moments.values()):
        assert all(np.all(np.isfinite(array)) for array in arrays.values())
    assert {len(values) for values in training.metrics.values()} == {training.diverged.epoch}


def test_divergence_amid_the_epoch_that_it_went_on_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """No epoch is complete then, neither of this call nor in part."""
    monkeypatch.setattr("fastimpl.running._FIRST_STRETCH", 0)
    case = seeded_case(network((3, 4, 2), IDENTITY, Loss("squared_error", "sum")), 10, seed=1)
    first = run(case, epochs=2, on_progress=lambda progress: True)
    assert (first.state.epoch, first.state.batch) == (0, 1)
    rest = run(case, first.state, optimiser=Optimiser("sgd", 1e200), epochs=2)
    assert rest.diverged is not None
    assert (rest.diverged.epoch, rest.diverged.step) == (0, 2)
    assert len(rest.step_losses) == 2
    assert len(rest.epoch_losses) == 0
    assert_same(rest.parameters, first.state.parameters)


def test_a_parameter_that_overflows_unseen_by_the_loss_is_a_divergence_at_its_step() -> None:
    """A sigmoid of −∞ is 0: the loss stays finite for ever."""
    net = Network((1,), (Dense(1), SIGMOID), Loss("half_squared_error", "sum"))
    start: Any = {"0.weight": [[0.0]], "0.bias": [-6e307]}
    growing = Optimiser("sgd", 1.0, decay=WeightDecay("l2", 2.5, "decoupled"))
    for epochs in (2, 1000):
        training = fastimpl.train(net, start, [[1.0]], [[0.0]], optimiser=growing, epochs=epochs, batch_size=None)
        # b − 2.5 b: −6e307, 9e307, and then the product overflows.
        assert training.diverged == fastimpl.Divergence(epoch=1, step=0, loss=0.5)
        assert training.parameters["0.bias"][0] == -6e307 + 2.5 * 6e307
        assert training.state.step == 1
        assert len(training.step_losses) == 2


def test_moments_that_overflow_are_a_divergence_too() -> None:
    """A square beyond float32 stays there, and nothing would move any more."""
    net = Network((1,), (Dense(1, False),), Loss("half_squared_error", "sum"))
    adam = Optimiser("adam", 1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8)
    start: Any = {"0.weight": [[0.0]]}
    training = fastimpl.train(
        net,
        start,
        [[1.0], [1e11]],
        [[1.0], [1e11]],
        optimiser=adam,
        epochs=2,
        batch_size=1,
        shuffle=False,
        dtype="float32",
    )
    assert training.diverged == fastimpl.Divergence(0, 1, training.step_losses[1])
    assert np.isfinite(training.diverged.loss)
    assert training.state.step == 1


# Classes by their numbers, and bad input.

CLASSES = ACCURACIES[0][0]


@pytest.mark.parametrize("kind", [int, np.uint8, np.int32])
def test_class_numbers_are_one_hot_targets(kind: Any) -> None:
    case = seeded_case(CLASSES, 9, seed=1)
    labels = np.asarray(case.targets).argmax(axis=1).astype(kind)
    by_numbers = fastimpl.train(
        CLASSES,
        case.parameters,
        case.inputs,
        labels,
        optimiser=SGD,
        epochs=2,
        batch_size=4,
        validation=(case.inputs, labels),
    )
    expected = run(case, epochs=2, validation=data(case))
    assert_same(by_numbers.parameters, expected.parameters)
    np.testing.assert_array_equal(by_numbers.metrics[VALIDATION_LOSS], expected.metrics[VALIDATION_LOSS])


GOOD = seeded_case(CLASSES, 4, seed=1)


@pytest.mark.parametrize(
    ("change", "named", "words"),
    [
        ({"targets": [0, 1, 3, 0]}, "targets[2]", "a class from 0 to 2"),
        ({"targets": [0, -1, 2, 0]}, "targets[1]", "a class from 0 to 2"),
        ({"targets": [0.0, 1.0, 2.0, 0.0]}, "targets", "whole class numbers"),
        ({"targets": [0, 1, 2]}, "targets", "shape"),
        ({"validation": (GOOD.inputs, [0, 1, 3, 0])}, "validation.targets[2]", "a class from 0 to 2"),
        ({"validation": (GOOD.inputs[:, :2], [0, 1, 2, 0])}, "validation.inputs", "shape"),
        ({"validation": (GOOD.inputs, GOOD.targets, [1.0])}, "validation.sample_weights", "shape"),
        ({"validation": (GOOD.inputs * np.nan, GOOD.targets)}, "validation.inputs[0, 0]", "finite"),
        ({"validation": (GOOD.inputs[:0], GOOD.targets)}, "validation.inputs", "at least one sample"),
        ({"validation": GOOD.inputs}, "validation", "inputs, targets"),
        ({"early_stopping": EarlyStopping(2)}, "validation", "early stopping"),
        ({"early_stopping": 3, "validation": (GOOD.inputs, GOOD.targets)}, "early_stopping", "EarlyStopping"),
        ({"accuracy": "yes"}, "accuracy", "True or False"),
        ({"shuffle": "no"}, "shuffle", "True or False"),
    ],
)
def test_bad_input_is_refused_by_name(change: dict[str, Any], named: str, words: str) -> None:
    given: dict[str, Any] = {"targets": GOOD.targets, "optimiser": SGD, "epochs": 1, "batch_size": None}
    with pytest.raises(ArgumentError, match=words) as caught:
        fastimpl.train(CLASSES, GOOD.parameters, GOOD.inputs, **(given | change))
    assert caught.value.argument == named


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((0,), "patience"), ((1.5,), "patience"), ((1, -1.0), "improvement"), ((1, float("nan")), "improvement")],
)
def test_impossible_patience_is_refused_by_name(arguments: tuple[Any, ...], named: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        EarlyStopping(*arguments)
    assert caught.value.argument == f"early_stopping.{named}"

"""The model: it computes what ``train``, ``predict`` and ``gradients`` compute, and names what cannot be meant."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastimpl
from fastimpl.progress import FitProgress
from gradproof import Activation, Case, Dense, EarlyStopping, Loss, Model, Network, Optimiser, Penalty, dense_chain
from gradproof.errors import TrainingDivergedError
from gradproof.initialisation import Initialisation
from gradproof.optimiser import Clipping, Schedule, WeightDecay
from gradproof.vocabulary import LOSSES, REALS, Dtype
from verify.judge import judge

TANH, IDENTITY, SIGMOID = Activation("tanh"), Activation("identity"), Activation("sigmoid")
REGRESSION = Network((3,), dense_chain((3, 5, 2), (TANH, IDENTITY)), Loss("squared_error", "batch_mean"))
CLASSES = Network(
    (3,), dense_chain((3, 5, 4), (TANH, IDENTITY)), Loss("categorical_cross_entropy_with_logits", "batch_mean")
)
SIDES = Network((3,), dense_chain((3, 4, 1), (TANH, SIGMOID)), Loss("binary_cross_entropy", "batch_mean"))
RNG = np.random.default_rng(5)
X, T = RNG.normal(size=(23, 3)), RNG.normal(size=(23, 2))
LABELS = RNG.integers(0, 4, size=23)
ADAM = Optimiser.usual("adam", 0.01, schedule=Schedule("cosine", end=0.1, period=9, warmup=2))
ADAM_FAST = Optimiser.usual("adam", 0.05)
SGD = Optimiser("sgd", 0.1)


def same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def fitted(epochs: int = 3, **changes: Any) -> Model:
    model = Model(REGRESSION, seed=4)
    return model.fit(X, T, **{"optimiser": ADAM, "epochs": epochs, "batch_size": 5, **changes})


class TestMaking:
    def test_parameters_are_those_of_the_initialisation(self) -> None:
        for dtype in ("float64", "float32"):
            for rule in ("he_normal", Initialisation("uniform", low=0, high=1)):
                model = Model(REGRESSION, initialisation=rule, seed=9, dtype=dtype)
                drawn = fastimpl.initialise(REGRESSION, rule, seed=9, dtype=dtype)
                assert same(model.parameters, drawn)
                assert {array.dtype for array in model.parameters.values()} == {np.dtype(dtype)}
        assert same(Model(REGRESSION).parameters, fastimpl.initialise(REGRESSION, "xavier_uniform", seed=0))

    def test_given_parameters_are_copied_and_what_is_shown_is_read_only(self) -> None:
        given_ones = {name: RNG.normal(size=shape) for name, shape in REGRESSION.parameter_shapes.items()}
        held = {name: array.copy() for name, array in given_ones.items()}
        model = Model(REGRESSION, parameters=given_ones)
        given_ones["0.weight"][...] = 7
        assert same(model.parameters, held)
        with pytest.raises(ValueError, match="read-only"):
            model.parameters["0.weight"][0, 0] = 1
        with pytest.raises(TypeError):
            model.parameters["0.weight"] = held["0.weight"]  # type: ignore[index]

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
    def test_a_copy_goes_its_own_way(self, again: Callable[[Model], Model]) -> None:
        model = fitted(2)
        other = again(model)
        assert same(other.parameters, model.parameters)
        with pytest.raises(ValueError, match="read-only"):
            other.parameters["0.weight"][0, 0] = 1
        for one in (other, model):
            one.fit(X, T, optimiser=ADAM, epochs=1, batch_size=5)
            assert same(one.parameters, fitted(3).parameters)
            assert one.history.to_dict() == fitted(3).history.to_dict()

    def test_it_prints_as_one_line(self) -> None:
        assert repr(Model(REGRESSION)) == (
            "<Model 3 -> dense 5 -> tanh -> dense 2 -> identity | squared_error/batch_mean | 32 parameters, float64, "
            "not trained>"
        )
        assert repr(fitted(1)).endswith("trained for 1 epoch>")
        assert repr(fitted(2)).endswith("trained for 2 epochs>")


class TestFitting:
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @pytest.mark.parametrize("size", [5, None])
    def test_it_is_train(self, size: int | None, dtype: Dtype) -> None:
        weights = RNG.uniform(0.5, 2, size=23)
        for changes in ({}, {"shuffle": False}, {"sample_weights": weights}, {"threads": 1}):
            model = Model(REGRESSION, seed=4, dtype=dtype)
            start = model.parameters
            held = {name: array.copy() for name, array in start.items()}
            assert model.fit(X, T, optimiser=ADAM, epochs=3, batch_size=size, **changes) is model
            settings: Any = {"optimiser": ADAM, "epochs": 3, "batch_size": size, "seed": 4, "dtype": dtype, **changes}
            training = fastimpl.train(REGRESSION, start, X, T, **settings)
            assert same(model.parameters, training.parameters)
            assert same(start, held), "what was shown before stays as it was"
            np.testing.assert_array_equal(model.history.step_losses, training.step_losses)
            np.testing.assert_array_equal(model.history.epoch_losses, training.epoch_losses)
            assert model.threads == training.threads

    @settings(deadline=None, max_examples=25)
    @given(
        st.sampled_from(["sgd", "momentum_torch", "nesterov", "rmsprop", "adam", "adam_epsilon_hat"]),
        st.lists(st.integers(0, 3), min_size=1, max_size=4),
        st.sampled_from([1, 5, 23, None]),
        st.booleans(),
    )
    def test_fits_one_behind_another_are_one(
        self, variant: str, parts: list[int], size: int | None, shuffle: bool
    ) -> None:
        optimiser = Optimiser.usual(variant, 0.02, schedule=Schedule("exponential", gamma=0.98))
        whole, bits = Model(REGRESSION, seed=8), Model(REGRESSION, seed=8)
        whole.fit(X, T, optimiser=optimiser, epochs=sum(parts), batch_size=size, shuffle=shuffle)
        for epochs in parts:
            bits.fit(X, T, optimiser=optimiser, epochs=epochs, batch_size=size, shuffle=shuffle)
        assert same(bits.parameters, whole.parameters)
        assert bits.history.to_dict() == whole.history.to_dict()

    def test_another_optimiser_starts_anew_and_epochs_count_on(self) -> None:
        model = fitted(2)
        start = model.parameters
        model.fit(X, T, optimiser=SGD, epochs=2, batch_size=5)
        orders = [fastimpl.permutation(23, 4, epoch) for epoch in (2, 3)]
        parameters = start
        for order in orders:
            training = fastimpl.train(
                REGRESSION, parameters, X[order], T[order], optimiser=SGD, epochs=1, batch_size=5, shuffle=False
            )
            parameters = training.parameters
        assert same(model.parameters, parameters)
        assert model.optimiser == SGD
        assert model.history.epochs == 4

    def test_labels_are_one_hot_rows(self) -> None:
        by_label, by_row = Model(CLASSES), Model(CLASSES)
        by_label.fit(X, LABELS, optimiser=ADAM, epochs=2, batch_size=4)
        by_row.fit(X, np.eye(4)[LABELS], optimiser=ADAM, epochs=2, batch_size=4)
        assert same(by_label.parameters, by_row.parameters)
        first, second = by_label.loss_and_gradients(X, LABELS), by_row.loss_and_gradients(X, np.eye(4)[LABELS])
        assert first.loss == second.loss
        assert same(dict(first.parameters), dict(second.parameters))
        assert by_label.evaluate(X, LABELS) == by_row.evaluate(X, np.eye(4)[LABELS])

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_data_of_other_kinds_is_converted(self, dtype: Dtype) -> None:
        pictures = RNG.integers(0, 256, size=(23, 3), dtype=np.uint8)
        strided = np.zeros((46, 6))
        strided[::2, ::2] = pictures
        kinds = [
            pictures,
            pictures.tolist(),
            pictures.astype(np.float32),
            pictures.astype(np.int64),
            np.asfortranarray(pictures.astype(float)),
            strided[::2, ::2],
            pictures.astype(float)[::-1][::-1],
            pictures.astype(">f8"),
        ]
        models = [Model(REGRESSION, dtype=dtype).fit(kind, T, optimiser=ADAM, epochs=1, batch_size=4) for kind in kinds]
        for model, kind in zip(models, kinds, strict=True):
            assert same(model.parameters, models[0].parameters)
            np.testing.assert_array_equal(model.predict(kind), models[0].predict(pictures))

    def test_nothing_given_is_changed(self) -> None:
        x, t = X.copy(), T.copy()
        fitted()
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(t, T)


class TestValidating:
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @pytest.mark.parametrize(
        "optimiser",
        [
            SGD,
            ADAM,
            Optimiser.usual("adam", 0.01, clipping=Clipping("norm", 0.5)),
            Optimiser.usual("momentum", 0.01, decay=WeightDecay("l2", 0.1, "decoupled", ("0.weight",))),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("penalty", [None, Penalty("l2", 0.01, half=True, biases=True)], ids=str)
    def test_validation_is_what_evaluate_gives_after_each_epoch(
        self, optimiser: Optimiser, dtype: Dtype, penalty: Penalty | None
    ) -> None:
        """With weights large enough for their layer to update them, and with ones that do not decay: both move where
        parameters lie.
        """
        layers = dense_chain((70, 64, 5, 4), (TANH, TANH, IDENTITY))
        loss = Loss("categorical_cross_entropy_with_logits", "batch_mean")
        network = Network((70,), layers, loss, penalty, frozen=("2.weight",))
        x, labels = RNG.normal(size=(30, 70)), RNG.integers(0, 4, size=30)
        weights = RNG.uniform(0.5, 2, size=300)
        held_out = (RNG.normal(size=(300, 70)), RNG.integers(0, 4, size=300), weights)
        seen = []
        model = Model(network, dtype=dtype)
        for _ in range(3):
            model.fit(x, labels, optimiser=optimiser, epochs=1, batch_size=10, validation=held_out)
            seen.append(model.evaluate(*held_out[:2], sample_weights=weights))
        once = Model(network, dtype=dtype).fit(
            x, labels, optimiser=optimiser, epochs=3, batch_size=10, validation=held_out
        )
        # A penalty is added up in another order where parameters lie in another: n terms of one sign, each time within
        # n u of their exact sum.
        terms = sum(array.size for array in model.parameters.values())
        expected = [pytest.approx(result.loss, rel=terms * np.finfo(float).eps) for result in seen]
        assert once.history.metrics["validation_loss"].tolist() == expected
        assert once.history.metrics["validation_accuracy"].tolist() == [result.accuracy for result in seen]
        assert len({result.loss for result in seen}) == 3

    def test_early_stopping_leaves_the_best_epoch_and_the_next_fit_starts_anew(self) -> None:
        x, t, held_out = X[:8], T[:8], (X[8:], T[8:])
        settings: Any = {"optimiser": ADAM_FAST, "batch_size": 4, "validation": held_out}
        model = Model(REGRESSION, seed=1).fit(x, t, epochs=200, early_stopping=EarlyStopping(4), **settings)
        losses = model.history.metrics["validation_loss"]
        best = model.history.best_epoch
        assert best == int(np.argmin(losses))
        assert len(losses) == best + 5 < 200
        assert model.evaluate(*held_out).loss == losses[best]
        assert same(model.parameters, Model(REGRESSION, seed=1).fit(x, t, epochs=best + 1, **settings).parameters)
        assert model.optimiser is None
        start = model.parameters
        model.fit(x, t, epochs=1, **settings)
        anew = Model(REGRESSION, parameters=start).fit(x, t, epochs=1, shuffle=False, **settings)
        order = fastimpl.permutation(8, 1, best + 5)
        again = Model(REGRESSION, parameters=start).fit(x[order], t[order], epochs=1, shuffle=False, **settings)
        assert same(model.parameters, again.parameters)
        assert not same(model.parameters, anew.parameters)

    def test_a_fit_that_ends_in_its_best_epoch_goes_on(self) -> None:
        settings: Any = {"optimiser": SGD, "batch_size": 4, "validation": (X, T)}
        parts = Model(REGRESSION, seed=1)
        for _ in range(2):
            parts.fit(X, T, epochs=2, early_stopping=EarlyStopping(3), **settings)
            assert parts.optimiser == SGD
        assert same(parts.parameters, Model(REGRESSION, seed=1).fit(X, T, epochs=4, **settings).parameters)

    def test_metrics_of_fits_that_measured_other_things_stand_side_by_side(self) -> None:
        model = Model(CLASSES).fit(X, LABELS, optimiser=SGD, epochs=2)
        model.fit(X, LABELS, optimiser=SGD, epochs=1, validation=(X, LABELS), accuracy=True)
        model.fit(X, LABELS, optimiser=SGD, epochs=1)
        metrics = model.history.metrics
        assert list(metrics) == ["loss", "accuracy", "validation_loss", "validation_accuracy"]
        for name, numbers in metrics.items():
            assert np.isnan(numbers).tolist() == ([False] * 4 if name == "loss" else [True, True, False, True])
        assert model.history.to_dict()["metrics"]["accuracy"][:2] == [None, None]  # type: ignore[index]
        json.dumps(model.history.to_dict(), allow_nan=False)


class TestWatching:
    def test_a_callback_sees_every_epoch_and_can_end_it(self) -> None:
        seen: list[FitProgress] = []

        def watch(now: FitProgress) -> bool:
            seen.append(now)
            return now.epoch == 3

        model = Model(CLASSES).fit(
            X, LABELS, optimiser=SGD, epochs=9, batch_size=10, validation=(X, LABELS), callback=watch
        )
        assert [(now.epoch, now.epochs, now.step, now.steps) for now in seen] == [(k, 9, 3 * k, 27) for k in (1, 2, 3)]
        assert model.history.epochs == 3
        for name, numbers in model.history.metrics.items():
            assert [now.metrics[name] for now in seen] == numbers.tolist()
        assert all(now.elapsed > 0 for now in seen)
        assert [now.remaining > 0 for now in seen] == [False, True, True], "the first has nothing to tell it by"
        model.fit(X, LABELS, optimiser=SGD, epochs=2, batch_size=10, callback=lambda now: None)
        assert model.history.epochs == 5

    def test_watching_changes_no_number(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        plain = fitted(4)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr("fastimpl.progress.QUIET_SECONDS", 0.0)
        assert same(fitted(4, progress=True).parameters, plain.parameters)
        assert capsys.readouterr().err.startswith("epoch 4 of 4, loss ")
        assert same(fitted(4, callback=lambda now: None, progress=False).parameters, plain.parameters)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
    def test_what_is_raised_on_the_way_leaves_the_model_as_it_was(self, error: type[BaseException]) -> None:
        model = fitted(2)
        parameters, history = model.parameters, model.history

        def fail(now: FitProgress) -> None:
            if now.epoch == 2:
                raise error

        with pytest.raises(error):
            model.fit(X, T, optimiser=ADAM, epochs=5, batch_size=5, callback=fail)
        assert model.parameters is parameters
        assert model.history is history
        model.fit(X, T, optimiser=ADAM, epochs=1, batch_size=5)
        assert same(model.parameters, fitted(3).parameters)


class TestAsking:
    def test_predict_is_predict(self) -> None:
        model = fitted()
        outputs = model.predict(X)
        np.testing.assert_array_equal(outputs, fastimpl.predict(REGRESSION, model.parameters, X))
        assert model.predict(np.empty((0, 3))).shape == (0, 2)

    def test_loss_and_gradients_are_certified(self) -> None:
        weights = RNG.uniform(0.5, 2, size=23)
        model = fitted()
        case = Case(REGRESSION, model.parameters, X, targets=T, sample_weights=weights)
        assert str(judge(case, model.loss_and_gradients(X, T, sample_weights=weights)).verdict) == "correct"
        without = Network((3,), REGRESSION.layers)
        answer = Model(without, parameters=model.parameters).loss_and_gradients(X, T)
        assert str(judge(Case(without, model.parameters, X, upstream=T), answer).verdict) == "correct"

    def test_classes_are_the_greatest_output_or_the_side(self) -> None:
        model = Model(CLASSES)
        np.testing.assert_array_equal(model.predict_classes(X), model.predict(X).argmax(axis=1))
        assert model.predict_classes(X).dtype == np.int64
        sides = Model(SIDES)
        np.testing.assert_array_equal(sides.predict_classes(X), sides.predict(X)[:, 0] >= 0.5)
        logits = Model(
            Network((3,), SIDES.layers[:-1], Loss("binary_cross_entropy_with_logits", "batch_mean")),
            parameters=sides.parameters,
        )
        np.testing.assert_array_equal(logits.predict_classes(X), sides.predict_classes(X))
        several = Model(Network((3,), (Dense(4), SIGMOID), Loss("binary_cross_entropy", "sum")))
        np.testing.assert_array_equal(several.predict_classes(X), several.predict(X) >= 0.5)
        squares = Model(REGRESSION)
        np.testing.assert_array_equal(squares.predict_classes(X), squares.predict(X).argmax(axis=1))

    @pytest.mark.parametrize("outputs", [1, 2, 4])
    @pytest.mark.parametrize("name", LOSSES)
    def test_evaluate_counts_what_predict_classes_gets_right(self, name: str, outputs: int) -> None:
        loss = Loss(name, "batch_mean")
        last = [] if loss.word.domain == REALS else [Activation("softmax") if loss.word.categorical else SIGMOID]
        if loss.word.categorical and outputs == 1:
            return  # one class is no choice, and its softmax is always 1
        model = Model(Network((3,), (Dense(5), TANH, Dense(outputs), *last), loss), seed=3)
        classes = RNG.integers(0, max(outputs, 2), size=23)
        by_class = loss.word.categorical or (loss.word.targets == "real" and outputs > 1)
        if by_class:
            targets: Any = np.eye(outputs)[classes]
            right = np.mean(model.predict_classes(X) == classes)
        else:
            targets = RNG.integers(0, 2, size=(23, outputs))
            right = np.mean(model.predict_classes(X).reshape(23, outputs) == targets)
        result = model.evaluate(X, targets, accuracy=True)
        assert result.accuracy == right
        assert 0 < right < 1
        assert (model.evaluate(X, targets).accuracy is None) == (loss.word.targets == "real")
        batch = float(np.asarray(model.loss_and_gradients(X, targets).loss))
        # Both add up 23 numbers of one sign, in some order.
        assert result.loss == pytest.approx(batch, rel=2 * 23 * np.finfo(float).eps)


class TestDivergence:
    def test_it_raises_says_where_and_keeps_the_last_good_parameters(self) -> None:
        x, t = np.ones((8, 3)), np.ones((8, 2))
        linear = Network((3,), (Dense(2),), Loss("squared_error", "sum"))
        model = Model(linear, seed=1)
        huge = Optimiser("sgd", 1e30)
        settings: Any = {"optimiser": huge, "epochs": 40, "batch_size": 3}
        training = fastimpl.train(linear, model.parameters, x, t, seed=1, **settings)
        assert training.diverged is not None
        with pytest.raises(TrainingDivergedError, match="smaller rate") as caught:
            model.fit(x, t, **settings)
        assert (caught.value.epoch, caught.value.step) == (training.diverged.epoch, training.diverged.step)
        assert f"epoch {training.diverged.epoch}, step {training.diverged.step}" in str(caught.value)
        assert same(model.parameters, training.parameters)
        assert model.history.diverged == training.diverged
        assert len(model.history.step_losses) == len(training.step_losses)
        assert model.history.epochs == training.diverged.epoch
        assert np.all(np.isfinite(model.predict(x)))
        assert model.optimiser is None, "any optimiser starts anew"
        model.fit(x, t, optimiser=Optimiser("sgd", 0.0), epochs=2, batch_size=3)
        assert model.history.to_dict()["diverged"] is None
        assert model.history.epochs == training.diverged.epoch + 2
        for start, stop in model.history.epoch_steps:
            assert stop - start == 3
        assert model.history.epoch_steps[-1, 1] == len(model.history.step_losses)


def test_import_of_the_door_loads_no_numba_nor_scipy() -> None:
    code = (
        "import sys, gradproof\n"
        "gradproof.Initialisation('he_normal'); gradproof.Optimiser.usual('adam', 0.1)\n"
        "assert 'Model' in dir(gradproof)\n"
        "sys.exit(bool({'numba', 'scipy', 'rich', 'fastimpl'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

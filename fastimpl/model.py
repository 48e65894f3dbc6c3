"""A network with its parameters, to be trained and asked: what most users need of this package."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from os import PathLike
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fastimpl.evaluation import Evaluation, checked_parameters, evaluate, gradients, predict
from fastimpl.history import History
from fastimpl.initialisation import initialise
from fastimpl.labels import one_hot
from fastimpl.progress import FitProgress, Watcher, watched
from fastimpl.results import Progress, State, Training
from fastimpl.saving import Saved, path_of, read_model, write_model
from fastimpl.settings import Data, EarlyStopping, checked_optimiser
from fastimpl.shuffling import whole
from fastimpl.splitmix import MOST_SEED
from fastimpl.training import train
from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.checks import truth
from gradproof.errors import ArgumentError, TrainingDivergedError
from gradproof.gradients import Gradients
from gradproof.initialisation import Initialisation
from gradproof.network import Network
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import REALS, Dtype

Callback = Callable[[FitProgress], bool | None]


class Model:
    """A network with its parameters. ``fit`` changes it: parameters, history and the optimiser's state.

    Arguments:
        network: what is computed and, where it has a loss, minimised.
        initialisation: from which the parameters are drawn, an ``Initialisation`` or the name of one that needs no
            numbers; Xavier's uniform distribution unless given.
        parameters: the parameters themselves in place of an initialisation, one array for each of
            ``network.parameter_shapes``; copied.
        seed: decides the initial parameters, and the order of the samples in each epoch: a whole number from 0 to
            2^64 − 1.
        dtype: of parameters and arithmetic; ``float32`` or ``float64``.

    Everything random follows from the seed: models made and trained alike have the same bits, on one machine with the
    same number of threads. Nothing is kept outside a model.

    Data may be anything that NumPy makes an array of real numbers of: lists, pictures of uint8 (their numbers are
    taken as they are, 0 to 255), float64 for a float32 model (rounded once), views of any strides. Text, complex
    numbers, rows of different lengths, numbers that are not finite, and numbers too large for the dtype raise
    ArgumentError, which names the argument, what was expected and what came; so does everything else that cannot be
    meant, before anything is computed.
    """

    def __init__(
        self,
        network: Network,
        *,
        initialisation: Initialisation | str | None = None,
        parameters: Mapping[str, npt.ArrayLike] | None = None,
        seed: int = 0,
        dtype: Dtype = "float64",
    ) -> None:
        if not isinstance(network, Network):
            raise ArgumentError("network", "a Network", network)
        self._network = network
        self._dtype: Dtype = dtype
        self._seed = whole("seed", seed, 0, MOST_SEED)
        if parameters is None:
            drawn = initialise(network, initialisation or "xavier_uniform", seed=self._seed, dtype=dtype)
            self._parameters = _read_only(drawn)
        elif initialisation is not None:
            raise ArgumentError("initialisation", "None where parameters are given", initialisation)
        else:
            self._parameters = _read_only(checked_parameters(network, parameters, dtype))
        self._history = History.empty()
        self._fits: list[History] = []
        self._epochs = 0
        self._optimiser: Optimiser | None = None
        self._threads: int | None = None
        self._step = 0
        self._moments: Mapping[str, Mapping[str, Floats]] = {}

    @property
    def network(self) -> Network:
        """What is computed."""
        return self._network

    @property
    def dtype(self) -> Dtype:
        """Of parameters and arithmetic."""
        return self._dtype

    @property
    def seed(self) -> int:
        """What all random numbers follow from."""
        return self._seed

    @property
    def parameters(self) -> Mapping[str, Floats]:
        """The parameters by name, read-only; ``fit`` puts new ones in their place and leaves these as they are."""
        return self._parameters

    @property
    def history(self) -> History:
        """Losses and metrics of all fits so far."""
        if self._fits:  # joined here, so that many short fits do not copy a long history each
            self._history = History.joined([self._history, *self._fits])
            self._fits = []
        return self._history

    @property
    def optimiser(self) -> Optimiser | None:
        """What a fit with the same optimiser goes on with; None where any starts anew."""
        return self._optimiser

    @property
    def threads(self) -> int | None:
        """How many threads BLAS took in the last fit; None before there was one."""
        return self._threads

    def predict(self, inputs: npt.ArrayLike) -> Floats:
        """The network's outputs (samples, *output_shape) for inputs (samples, *input_shape), of any number."""
        return predict(self._network, self._parameters, inputs, dtype=self._dtype)

    def predict_classes(self, inputs: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The class of each sample, as the outputs have it.

        (samples,) numbers of the greatest output, the first of equals, for a categorical loss and for a squared error
        of several outputs. Otherwise 1 where an output's probability (for a squared error: the output) is at least ½,
        else 0: (samples,) for one output, (samples, outputs) for several.

        Raises ArgumentError for a network without a loss, which nothing says the meaning of.
        """
        loss = self._network.loss
        if loss is None:
            raise ArgumentError("network.loss", "a loss, which says what outputs mean", "None")
        outputs = self.predict(inputs)
        real = loss.word.targets == "real"
        if loss.word.categorical or (real and outputs.shape[-1] > 1):
            return np.asarray(np.argmax(outputs, axis=-1), dtype=np.int64)
        threshold = 0.0 if not real and loss.word.domain == REALS else 0.5
        sides = (outputs >= threshold).astype(np.int64)
        return sides[..., 0] if sides.shape[-1] == 1 else sides

    def evaluate(
        self,
        inputs: npt.ArrayLike,
        targets: npt.ArrayLike,
        *,
        sample_weights: npt.ArrayLike | None = None,
        accuracy: bool | None = None,
    ) -> Evaluation:
        """The loss of these samples, with its reduction over all of them and the penalty, and the share that is right.

        inputs, targets, sample_weights, accuracy: as in ``fit``. The numbers are those that ``validation`` gives there,
        but for the order in which a penalty is added up.
        An answer is right where ``predict_classes`` gives the target's class; it is not counted (None) for squared
        errors unless ``accuracy`` is True.
        """
        return evaluate(
            self._network,
            self._parameters,
            inputs,
            targets,
            sample_weights=sample_weights,
            accuracy=accuracy,
            dtype=self._dtype,
        )

    def loss_and_gradients(
        self, inputs: npt.ArrayLike, targets: npt.ArrayLike, *, sample_weights: npt.ArrayLike | None = None
    ) -> Gradients:
        """Of these samples as one batch: loss, outputs, ∂L/∂θ of every trainable parameter, and ∂L/∂inputs.

        inputs: (batch, *input_shape), at least one sample. targets: (batch, *output_shape), or labels (batch,) for a
        categorical loss; ∂L/∂outputs where the network has no loss. sample_weights: (batch,); None for ones.
        """
        known, minimises = one_hot(self._network, targets), self._network.loss is not None
        case = Case(
            self._network,
            self._parameters,
            inputs,
            targets=known if minimises else None,
            upstream=None if minimises else known,
            sample_weights=sample_weights,
            dtype=self._dtype,
        )
        return gradients(case)

    def fit(
        self,
        inputs: npt.ArrayLike,
        targets: npt.ArrayLike,
        *,
        optimiser: Optimiser,
        epochs: int,
        batch_size: int | None = 32,
        shuffle: bool = True,
        sample_weights: npt.ArrayLike | None = None,
        validation: Data | None = None,
        early_stopping: EarlyStopping | None = None,
        accuracy: bool | None = None,
        threads: int | None = None,
        callback: Callback | None = None,
        progress: bool | None = None,
    ) -> Model:
        """Trains for so many epochs more, in compiled code, and returns this model.

        Arguments:
            inputs: (samples, *input_shape).
            targets: (samples, *output_shape); for a categorical loss class numbers (samples,) do as well.
            optimiser: the update rule; ``Optimiser.usual("adam", rate=0.001)``, say.
            epochs: passes over all samples.
            batch_size: samples of a step; the last step of an epoch takes what is left. None: all of them.
            shuffle: whether each epoch has an order of its own.
            sample_weights: (samples,), of the losses of the samples; None for ones.
            validation: (inputs, targets) or (inputs, targets, sample_weights) that are evaluated after each epoch.
            early_stopping: ends training where the validation loss gets no better, and keeps the best epoch's
                parameters.
            accuracy: whether right answers are counted, in training too; None: in validation alone, where the loss is
                a cross-entropy.
            threads: that BLAS may take for a large product; None for as many as pay. The model's ``threads`` says how
                many it took; the same bits need the same number.
            callback: called after each epoch with a ``FitProgress``; training ends where it returns True.
            progress: None draws a bar on standard error where that is a terminal and training takes longer than half a
                second; True writes lines where it is none; False shows nothing.

        A fit goes on where the one before it ended: epochs, and with them the orders of the samples, count on, and with
        the same optimiser its state and schedule do; so fits of 3 and 4 epochs leave the bits that one of 7 does. With
        another optimiser, after a divergence, and after early stopping gave back an earlier epoch's parameters, the
        optimiser starts anew. Patience is each fit's own.

        Raises TrainingDivergedError where a loss or parameter is not finite: the parameters are then the last good
        ones, and the history says how it came to that. Raises ArgumentError, before anything is computed, for
        arguments that cannot be meant. After any other exception, Ctrl-C too, the model is what it was.
        """
        checked_optimiser(self._network, optimiser)
        if callback is not None and not callable(callback):
            raise ArgumentError("callback", "a function of a FitProgress, or None", callback)
        if progress is not None:
            truth("progress", progress)
        with watched(progress) as watcher:
            watch = _Watch(watcher, callback)
            training = train(
                self._network,
                self._state(optimiser),
                inputs,
                targets,
                optimiser=optimiser,
                epochs=epochs,
                batch_size=batch_size,
                seed=self._seed,
                shuffle=shuffle,
                sample_weights=sample_weights,
                validation=validation,
                early_stopping=early_stopping,
                accuracy=accuracy,
                dtype=self._dtype,
                threads=threads,
                on_epoch=None if callback is None else watch.end_epoch,
                on_progress=None if watcher is None and callback is None else watch.look,
            )
        self._keep(training, optimiser)
        if training.diverged is not None:
            raise TrainingDivergedError(training.diverged.epoch, training.diverged.step, training.diverged.loss)
        return self

    def _state(self, optimiser: Optimiser) -> State:
        """What the next fit goes on from."""
        if optimiser == self._optimiser:
            moments, step = self._moments, self._step
        else:
            shapes = self._network.parameter_shapes
            zeros = {name: np.zeros(shapes[name], dtype=self._dtype) for name in self._network.trainable}
            moments, step = dict.fromkeys(optimiser.word.state, zeros), 0
        return State(
            parameters=self._parameters,
            moments=moments,
            variant=optimiser.variant,
            seed=self._seed,
            step=step,
            epoch=self._epochs,
            batch=0,
        )

    def _keep(self, training: Training, optimiser: Optimiser) -> None:
        """Makes what a training left the model's own."""
        last = training.state.epoch - 1
        goes_on = training.diverged is None and training.best_epoch in (None, last)
        self._parameters = training.parameters
        self._threads = training.threads
        self._fits.append(History.of(training))
        self._epochs += self._fits[-1].epochs
        self._optimiser = optimiser if goes_on else None
        self._moments = training.state.moments if goes_on else {}
        self._step = training.state.step if goes_on else 0

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the model into a file, whole or not at all: all that ``load`` needs to go on bit for bit.

        The file holds no code and is not a pickle: the network and the optimiser as JSON, arrays as NumPy keeps them.
        ``numpy.load`` opens it too (``"parameters/0.weight"``). Raises OSError where it cannot be written.
        """
        write_model(
            path_of(path),
            Saved(
                network=self._network,
                dtype=self._dtype,
                seed=self._seed,
                parameters=self._parameters,
                history=self.history,
                optimiser=self._optimiser,
                step=self._step,
                moments=self._moments,
            ),
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Model:
        """The model in a file that ``save`` wrote. Nothing in a file is executed, and nothing is unpickled.

        Raises RecordError, which says what is amiss, for a file that is damaged, of another version or no model at all,
        before it takes more memory than the file's size warrants; OSError where there is none.
        """
        saved = read_model(path_of(path))
        model = cls(saved.network, parameters=saved.parameters, seed=saved.seed, dtype=saved.dtype)
        model._history, model._epochs = saved.history, saved.history.epochs
        model._optimiser, model._step, model._moments = saved.optimiser, saved.step, saved.moments
        return model

    def __getstate__(self) -> dict[str, object]:  # for copies and other processes
        return {
            **self.__dict__,
            "_parameters": dict(self._parameters),
            "_moments": {word: dict(arrays) for word, arrays in self._moments.items()},
            "_fits": list(self._fits),
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._parameters = _read_only(self._parameters)

    def __repr__(self) -> str:
        count = sum(array.size for array in self._parameters.values())
        epochs = self._epochs
        trained = f"trained for {epochs} epoch{'s' if epochs != 1 else ''}" if epochs else "not trained"
        return f"<Model {self._network} | {count:,} parameters, {self._dtype}, {trained}>"


def _read_only(parameters: Mapping[str, Floats]) -> Mapping[str, Floats]:
    for array in parameters.values():
        array.setflags(write=False)
    return MappingProxyType(dict(parameters))


class _Watch:
    """Tells a watcher and a callback how far a training is."""

    def __init__(self, watcher: Watcher | None, callback: Callback | None) -> None:
        self._watcher = watcher
        self._callback = callback
        self._began = time.monotonic()
        self._first: tuple[float, int] | None = None
        """When the first report came, and how many steps were made by then."""
        self._now: FitProgress | None = None

    def look(self, progress: Progress) -> None:
        """Whenever the compiled loop pauses."""
        now, step = time.monotonic(), progress.step
        first, first_step = self._first = self._first or (now, step)
        remaining = (now - first) / (step - first_step) * (progress.steps - step) if step > first_step else math.nan
        self._now = FitProgress(
            epoch=progress.epoch,
            epochs=progress.epochs,
            step=progress.step,
            steps=progress.steps,
            metrics=progress.metrics,
            elapsed=now - self._began,
            remaining=remaining,
        )
        if self._watcher is not None:
            self._watcher(self._now)

    def end_epoch(self, *_: object) -> bool:
        """At the end of each epoch, behind ``look``."""
        assert self._callback is not None
        assert self._now is not None
        return self._callback(self._now) is True

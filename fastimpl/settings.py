"""What a training is asked for, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy.typing as npt

from fastimpl.labels import one_hot
from fastimpl.results import State
from fastimpl.shuffling import MOST_SAMPLES, MOST_SEED, whole
from gradproof.arrays import frozen_array
from gradproof.case import Case
from gradproof.checks import real, truth
from gradproof.errors import ArgumentError
from gradproof.network import Network
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import Dtype

MOST_THREADS: Final = 1024
MOST_STEPS: Final = 2**32
"""Of a training, whose every loss is kept: 32 GiB of them."""

Data = tuple[npt.ArrayLike, npt.ArrayLike] | tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]
"""(inputs, targets) or (inputs, targets, sample_weights)."""


@dataclass(frozen=True)
class EarlyStopping:
    """Ends training after ``patience`` epochs in a row without a better validation loss; the best epoch is kept.

    An epoch is better where its loss is below the best so far less ``improvement``. Raises ArgumentError unless
    patience is at least 1 and improvement a finite number of at least 0.
    """

    patience: int
    improvement: float = 0.0

    def __post_init__(self) -> None:
        whole("early_stopping.patience", self.patience, 1)
        if not 0.0 <= real("early_stopping.improvement", self.improvement) < float("inf"):
            raise ArgumentError("early_stopping.improvement", "a finite number of at least 0", self.improvement)


@dataclass(frozen=True)
class Settings:
    """A training's arguments, each of them good. size: samples of a step. counts: right answers while training.

    threads: None for as many as pay.
    """

    data: Case
    optimiser: Optimiser
    epochs: int
    size: int
    seed: int
    shuffle: bool
    validation: Case | None
    early_stopping: EarlyStopping | None
    counts: bool
    counts_validation: bool
    state: State | None
    threads: int | None


def checked_case(
    network: Network,
    parameters: Mapping[str, npt.ArrayLike],
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None,
    sample_weights: npt.ArrayLike | None,
    dtype: Dtype,
) -> Case:
    """Data as a case, class numbers as one-hot targets. Raises ArgumentError for what the network cannot be given."""
    if network.loss is None:
        raise ArgumentError("network.loss", "a loss to minimise", "None")
    targets = None if targets is None else one_hot(network, targets)
    data = Case(network, parameters, inputs, targets=targets, sample_weights=sample_weights, dtype=dtype)
    if data.batch > MOST_SAMPLES:
        raise ArgumentError("inputs", f"at most {MOST_SAMPLES} samples", data.batch)
    return data


def checked_validation(data: Case, given: object) -> Case | None:
    """The validation set as a case. Raises ArgumentError that names its part."""
    if given is None:
        return None
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        expected = "(inputs, targets) or (inputs, targets, sample_weights)"
        raise ArgumentError("validation", expected, type(given).__name__)
    inputs, targets, weights = (*given, None) if len(given) == 2 else given
    try:
        return checked_case(data.network, data.parameters, inputs, targets, weights, data.dtype)
    except ArgumentError as error:
        raise ArgumentError(f"validation.{error.argument}", error.expected, error.got) from None


def checked_optimiser(network: Network, optimiser: Optimiser) -> Optimiser:
    """Raises ArgumentError for what is no optimiser, or one that names parameters that the network does not have."""
    if not isinstance(optimiser, Optimiser):
        raise ArgumentError("optimiser", 'an Optimiser, gradproof.Optimiser("sgd", 0.1) say', optimiser)
    for name in () if optimiser.decay is None else optimiser.decay.excluded:
        if name not in network.parameter_shapes:
            names = ", ".join(network.parameter_shapes)
            raise ArgumentError("optimiser.decay.excluded", f"names among {names}", repr(name))
    return optimiser


def checked_state(data: Case, optimiser: Optimiser, state: State, steps_per_epoch: int) -> None:
    """Raises ArgumentError for a state that this training cannot go on from."""
    if state.variant != optimiser.variant:
        raise ArgumentError("optimiser.variant", f"{state.variant!r}, as in the state", optimiser.variant)
    for name, value, most in (
        ("seed", state.seed, MOST_SEED),
        ("step", state.step, 2**62),
        ("epoch", state.epoch, 2**62),
        ("batch", state.batch, steps_per_epoch - 1),
    ):
        whole(f"state.{name}", value, 0, most)
    words, trained = set(optimiser.word.state), set(data.network.trainable)
    if set(state.moments) != words or any(set(arrays) != trained for arrays in state.moments.values()):
        held = {word: sorted(arrays) for word, arrays in state.moments.items()}
        raise ArgumentError("state.moments", f"{sorted(words)}, each for {sorted(trained)}", f"{held}")
    for word, arrays in state.moments.items():
        for name, array in arrays.items():
            shape = data.network.parameter_shapes[name]
            frozen_array(f"state.moments[{word!r}][{name!r}]", array, data.dtype, shape)
    if state.best is not None:
        shapes = data.network.parameter_shapes
        if set(state.best.parameters) != set(shapes):
            raise ArgumentError("state.best.parameters", f"names {list(shapes)}", sorted(state.best.parameters))
        for name, array in state.best.parameters.items():
            frozen_array(f"state.best.parameters[{name!r}]", array, data.dtype, shapes[name])


def counted(data: Case, accuracy: bool | None) -> bool:
    """Whether right answers are counted where nobody trains: as asked for; None: where the loss is a cross-entropy.

    Raises ArgumentError for what is no truth.
    """
    if accuracy is not None:
        return truth("accuracy", accuracy)
    return data.network.loss is not None and data.network.loss.word.targets != "real"


def checked_settings(
    network: Network,
    parameters: Mapping[str, npt.ArrayLike] | State,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    optimiser: Optimiser,
    epochs: int,
    batch_size: int | None,
    seed: int | None = None,
    shuffle: bool = True,
    sample_weights: npt.ArrayLike | None = None,
    validation: Data | None = None,
    early_stopping: EarlyStopping | None = None,
    accuracy: bool | None = None,
    dtype: Dtype = "float64",
    threads: int | None = None,
) -> Settings:
    """The arguments of ``fastimpl.train``, checked. Raises ArgumentError for the first that is not good."""
    state = parameters if isinstance(parameters, State) else None
    start = parameters.parameters if isinstance(parameters, State) else parameters
    data = checked_case(network, start, inputs, targets, sample_weights, dtype)
    checked_optimiser(network, optimiser)
    size = data.batch if batch_size is None else min(whole("batch_size", batch_size, 1), data.batch)
    steps_per_epoch = -(-data.batch // size)
    whole("epochs", epochs, 0, MOST_STEPS // steps_per_epoch)
    if state is not None:
        checked_state(data, optimiser, state, steps_per_epoch)
    if seed is None:
        seed = 0 if state is None else state.seed
    whole("seed", seed, 0, MOST_SEED)
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        raise ArgumentError("early_stopping", "an EarlyStopping(patience) or None", early_stopping)
    if early_stopping is not None and validation is None:
        raise ArgumentError("validation", "a validation set, which early stopping goes by", "None")
    return Settings(
        data=data,
        optimiser=optimiser,
        epochs=int(epochs),
        size=size,
        seed=int(seed),
        shuffle=truth("shuffle", shuffle),
        validation=checked_validation(data, validation),
        early_stopping=early_stopping,
        counts=accuracy is not None and counted(data, accuracy),
        counts_validation=validation is not None and counted(data, accuracy),
        state=state,
        threads=None if threads is None else whole("threads", threads, 1, MOST_THREADS),
    )

"""Mini-batch training, whole epochs at a time in compiled code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy.typing as npt

from fastimpl.results import LOSS, Progress, State, Training
from fastimpl.running import Run
from fastimpl.settings import Data, EarlyStopping, checked_settings
from gradproof.arrays import Floats
from gradproof.network import Network
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import Dtype

OnEpoch = Callable[[int, float, Mapping[str, Floats]], bool | None]
OnProgress = Callable[[Progress], bool | None]


def train(
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
    on_epoch: OnEpoch | None = None,
    on_progress: OnProgress | None = None,
) -> Training:
    """Minimises a network's loss by mini-batch gradient descent, in whatever form the optimiser has it.

    L is the network's loss of the batch, with its reduction over that batch and its penalty, as ``gradients`` gives
    it for the batch as a case, by the masks that ``dropout_masks`` returns for the seed and the step where the network
    has dropout. Validation runs without dropout. Frozen parameters do not change.

    Arguments:
        network: with a loss.
        parameters: the initial ones, one array for each of ``network.parameter_shapes``; not changed. Or the ``state``
            of a ``Training`` to go on from: with the same settings that gives the bits that one call would have given.
        inputs: (samples, *input_shape).
        targets: (samples, *output_shape); for categorical losses also class numbers, whole, without the last axis.
        optimiser: the update rule with its hyperparameters, clipping, decay and schedule; see
            ``gradproof.optimiser``. Updates are computed in float64 in both dtypes, and rounded once; but RMSprop and
            Adam, and plain descent of a large weight, which is made within the product of its gradient, in the dtype.
        epochs: passes over all samples; going on amid an epoch, the rest of it is the first.
        batch_size: samples of a step; the last step of an epoch takes what is left. 1 is one-at-a-time, None all.
        seed: decides each epoch's order, which ``permutation(samples, seed, epoch)`` returns; None for the state's,
            or 0.
        shuffle: False keeps the samples in the order given.
        sample_weights: (samples,), of the losses of the samples; None for ones.
        validation: (inputs, targets) or (inputs, targets, sample_weights) of samples whose loss, with its reduction
            over all of them and the penalty, is taken at the end of each epoch.
        early_stopping: ends training where that loss gets no better, and returns the best epoch's parameters.
        accuracy: whether right answers are counted, in training (before each step's update) and in validation; None
            for validation alone, where the loss is a cross-entropy. An answer is a row of outputs, right where the
            greatest output stands where the greatest target does (the first of equals), for categorical losses and for
            squared errors of several outputs; for binary cross-entropies and for one output, each output by itself,
            right where its probability (for a squared error: the output) and its target lie on the same side of ½,
            which belongs to the upper. Sample weights play no part.
        dtype: of parameters and arithmetic.
        threads: that BLAS may take for a large product; None for as many as pay: one where products are small, else as
            many as this process has cores and BLAS is set to. Set while compiled code runs, and given back.
        on_epoch: called after each epoch with its number, its loss (see ``Training.metrics``) and read-only copies of
            the parameters; training ends where it returns True.
        on_progress: called about every tenth of a second; training ends where it returns True, amid an epoch too.

    The same arguments give the same bits on one machine with the same number of threads, whoever watches.

    Raises ArgumentError, before anything is computed, for a network without a loss, wrong names or shapes, numbers
    that are not finite in the dtype, targets that the loss does not admit, class numbers out of range, and settings
    out of range. A divergence raises nothing: see ``Training.diverged``.
    """
    settings = checked_settings(
        network,
        parameters,
        inputs,
        targets,
        optimiser=optimiser,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
        sample_weights=sample_weights,
        validation=validation,
        early_stopping=early_stopping,
        accuracy=accuracy,
        dtype=dtype,
        threads=threads,
    )
    run = Run(settings)
    while not run.finished:
        before = run.epoch
        run.advance(one=on_epoch is not None)
        if on_progress is not None and on_progress(run.progress()) is True:
            break
        over = run.diverged is None and run.epoch > before
        if on_epoch is not None and over and on_epoch(before, run.progress().metrics[LOSS], run.parameters()) is True:
            break
    return run.result()

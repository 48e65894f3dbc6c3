"""Mini-batch training, whole epochs at a time in compiled code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy.typing as npt

from fastimpl.results import Divergence as Divergence
from fastimpl.results import Training as Training
from fastimpl.results import epoch_means
from fastimpl.running import Run
from fastimpl.shuffling import MOST_SAMPLES, MOST_SEED, whole
from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.network import Network
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import Dtype

OnEpoch = Callable[[int, float, Mapping[str, Floats]], bool | None]


def train(
    network: Network,
    parameters: Mapping[str, npt.ArrayLike],
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    optimiser: Optimiser,
    epochs: int,
    batch_size: int | None,
    seed: int = 0,
    shuffle: bool = True,
    sample_weights: npt.ArrayLike | None = None,
    dtype: Dtype = "float64",
    on_epoch: OnEpoch | None = None,
) -> Training:
    """Minimises a network's loss by mini-batch gradient descent, in whatever form the optimiser has it.

    L is the network's loss of the batch, with its reduction over that batch and its penalty, as ``gradients`` gives
    it for the batch as a case. Frozen parameters do not change.

    Arguments:
        network: with a loss.
        parameters: the initial ones, one array for each of ``network.parameter_shapes``; not changed.
        inputs: (samples, *input_shape).
        targets: (samples, *output_shape).
        optimiser: the update rule with its hyperparameters, clipping, decay and schedule; see
            ``gradproof.optimiser``. Updates are computed in float64 in both dtypes, and rounded once.
        epochs: passes over all samples.
        batch_size: samples of a step; the last step of an epoch takes what is left. 1 is one-at-a-time, None all.
        seed: decides each epoch's order, which ``permutation(samples, seed, epoch)`` returns.
        shuffle: False keeps the samples in the order given.
        sample_weights: (samples,), of the losses of the samples; None for ones.
        dtype: of parameters and arithmetic.
        on_epoch: called after each epoch with its number, its loss (see ``Training.epoch_losses``) and read-only
            copies of the parameters; training ends where it returns True.

    The same arguments give the same bits on one machine with the same number of BLAS threads.

    Raises ArgumentError, before anything is computed, for a network without a loss, wrong names or shapes, numbers
    that are not finite in the dtype, targets that the loss does not admit, and settings out of range. A divergence
    raises nothing: see ``Training.diverged``.
    """
    if network.loss is None:
        raise ArgumentError("network.loss", "a loss to minimise", "None")
    data = Case(network, parameters, inputs, targets=targets, sample_weights=sample_weights, dtype=dtype)
    if data.batch > MOST_SAMPLES:
        raise ArgumentError("inputs", f"at most {MOST_SAMPLES} samples", data.batch)
    check_optimiser(network, optimiser)
    whole("epochs", epochs, 0)
    whole("seed", seed, 0, MOST_SEED)
    size = data.batch if batch_size is None else min(whole("batch_size", batch_size, 1), data.batch)
    run = Run(data, optimiser, size, int(seed), bool(shuffle), int(epochs))
    while not run.finished:
        before = run.epoch
        run.advance(one=on_epoch is not None)
        if on_epoch is not None and run.diverged is None and run.epoch > before:
            steps = len(run.batch_sizes)
            mean = float(epoch_means(run.losses[before * steps : run.epoch * steps], run.batch_sizes))
            if on_epoch(before, mean, run.parameters()) is True:
                break
    return Training(
        parameters=run.parameters(),
        step_losses=run.step_losses(),
        steps_per_epoch=len(run.batch_sizes),
        batch_sizes=run.batch_sizes,
        diverged=run.diverged,
    )


def check_optimiser(network: Network, optimiser: Optimiser) -> None:
    """Raises ArgumentError for what is no optimiser, or one that names parameters that the network does not have."""
    if not isinstance(optimiser, Optimiser):
        raise ArgumentError("optimiser", 'an Optimiser, gradproof.optimiser.Optimiser("sgd", 0.1) say', optimiser)
    excluded = () if optimiser.decay is None else optimiser.decay.excluded
    for name in excluded:
        if name not in network.parameter_shapes:
            raise ArgumentError(
                "optimiser.decay.excluded", f"names among {', '.join(network.parameter_shapes)}", repr(name)
            )

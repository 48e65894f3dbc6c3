"""Classes by their numbers: integer labels as the one-hot rows that categorical losses compare with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gradproof.errors import ArgumentError
from gradproof.network import Network


def one_hot(network: Network, targets: npt.ArrayLike, argument: str = "targets") -> npt.ArrayLike:
    """Targets as they are, or, where a categorical loss is given class numbers, the one-hot rows of these.

    Class numbers are whole and have the shape of the outputs without its last axis: (samples,) for outputs (classes,).
    Raises ArgumentError for numbers that are no class.
    """
    if network.loss is None or not network.loss.word.categorical:
        return targets
    try:
        given = np.asarray(targets)
    except ValueError:  # rows of different lengths: the case says so
        return targets
    *rows, classes = network.output_shape
    if given.ndim != 1 + len(rows) or given.dtype.kind not in "iuf":
        return targets
    if given.shape[1:] != tuple(rows):
        return targets
    if given.dtype.kind == "f":
        expected = f"whole class numbers, or rows of {classes} targets for {network.loss}"
        raise ArgumentError(argument, expected, f"{given.dtype} of shape {given.shape}")
    outside = (given < 0) | (given >= classes)
    if np.any(outside):
        index = [int(i) for i in np.argwhere(outside)[0]]
        raise ArgumentError(f"{argument}{index}", f"a class from 0 to {classes - 1}", int(given[tuple(index)]))
    return np.asarray(given[..., None] == np.arange(classes), dtype=np.float32)

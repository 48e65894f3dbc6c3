"""A network's whole computation, forward and backward, as one program of the tensor language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from gradproof.case import Case, mask_name
from gradproof.gradients import INPUTS, LOSS, OUTPUTS
from gradproof.network import Network
from refimpl.arithmetic import FloatArithmetic, run
from refimpl.definitions import chain, losses_of, penalty_of, reduced
from refimpl.language import Node, gradients, leaf, total

X, TARGETS, UPSTREAM, SAMPLE_WEIGHTS = "x", "t", "upstream", "sample_weights"
"""Names of the leaves that are no parameters; parameters' names hold a dot, and so do those of masks (``1.mask``)."""


@dataclass(frozen=True, eq=False)
class Program:
    """leaves: what is given, by name. results: loss, outputs, ∂L/∂θ of each trainable parameter, inputs (∂L/∂x)."""

    leaves: Mapping[str, Node]
    results: Mapping[str, Node]


@lru_cache(maxsize=256)
def program(network: Network, batch: int, weighted: bool, masked: bool = False) -> Program:
    """The program of a network for a batch size, with or without sample weights, with or without masks of dropout."""
    leaves = {name: leaf(name, shape) for name, shape in network.parameter_shapes.items()}
    x = leaves[X] = leaf(X, (batch, *network.input_shape))
    masks = mask_leaves(network, batch) if masked else {}
    leaves |= {mask_name(path): mask for path, mask in masks.items()}
    outputs = chain(x, network.layers, lambda position: leaves[network.parameter_at(position)], mask=masks.get)
    if network.loss is None:
        upstream = leaves[UPSTREAM] = leaf(UPSTREAM, outputs.shape)
        loss = total(upstream * outputs, tuple(range(len(outputs.shape))))
    else:
        targets = leaves[TARGETS] = leaf(TARGETS, outputs.shape)
        weights = leaf(SAMPLE_WEIGHTS, (batch,)) if weighted else None
        if weights is not None:
            leaves[SAMPLE_WEIGHTS] = weights
        loss = reduced(losses_of(network.loss, outputs, targets), network.loss, weights)
    if network.penalty is not None:
        penalty = penalty_of(network.penalty, [leaves[name] for name in network.penalised])
        loss = loss if penalty is None else loss + penalty
    wanted = {name: leaves[name] for name in network.trainable} | {INPUTS: x}
    results = {LOSS: loss, OUTPUTS: outputs, **gradients(loss, wanted)}
    return Program(MappingProxyType(leaves), MappingProxyType(results))


def program_of(case: Case) -> Program:
    """The program of a case."""
    return program(case.network, case.batch, case.sample_weights is not None, bool(case.masks))


def mask_leaves(network: Network, batch: int) -> dict[str, Node]:
    """Path of each dropout layer → the leaf of its mask."""
    return {path: leaf(mask_name(path), (batch, *shape)) for path, shape in network.dropouts.items()}


def leaf_values(case: Case) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a case under the names of its program's leaves."""
    batch = {X: case.inputs, TARGETS: case.targets, UPSTREAM: case.upstream, SAMPLE_WEIGHTS: case.sample_weights}
    masks = {mask_name(path): mask.astype(case.dtype) for path, mask in case.masks.items()}
    return {**case.parameters, **{name: array for name, array in batch.items() if array is not None}, **masks}


def evaluate_numpy(
    case: Case,
    parameters: Mapping[str, npt.ArrayLike] | None = None,
    inputs: npt.ArrayLike | None = None,
    dtype: npt.DTypeLike = np.float64,
) -> tuple[Any, npt.NDArray[Any]]:
    """The definition's forward pass in plain NumPy: (loss, outputs) at ``dtype``, which may be complex.

    parameters, inputs: in place of the case's own, for numerical differences. Nothing here is certified.
    """
    values = leaf_values(case) | dict(parameters or {}) | ({} if inputs is None else {X: inputs})
    arrays = {name: np.asarray(value).astype(dtype) for name, value in values.items()}
    results = program_of(case).results
    with np.errstate(all="ignore"):
        loss, outputs = run((results[LOSS], results[OUTPUTS]), FloatArithmetic(np.dtype(dtype)), arrays)
    return loss[()], outputs

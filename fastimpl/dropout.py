"""The masks that training drops entries by: a function of the seed, the step, the layer and the place in the batch.

Step t (from 0, over all epochs) of a run with a seed has the stream first_state(seed, DROPOUTS, t) of
``fastimpl.splitmix``, and dropout layer k (from 0, in the order of computation) starts at that stream's output k. The
mask of a layer takes from there one output for each entry of (batch, *shape of the layer), in C order, and keeps the
entry whose upper 53 bits, read as a whole number u, are at least p · 2^53. So

- sample n of a batch is dropped by its place n in the batch, not by which sample of the data it is;
- a short last batch has the first rows of the mask that a whole one would have;
- an entry is dropped with probability ⌈p · 2^53⌉ / 2^53: p itself where p is a multiple of 2^-53, as every float64
  from ½ on is, and less than 2^-53 above it elsewhere. The factor 1/(1 − p) is that of p.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastimpl.jit import walker
from fastimpl.kernels.dropout import BITS, is_kept, mask_state
from fastimpl.memory import integers_at
from fastimpl.shuffling import whole
from fastimpl.splitmix import MOST_SEED
from gradproof.arrays import Mask
from gradproof.errors import ArgumentError
from gradproof.layers import Dropout
from gradproof.network import Network

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_STEP = 2**63 - 1


def threshold(probability: float) -> int:
    """⌈p · 2^53⌉, exact: the product by a power of two is."""
    return math.ceil(math.ldexp(probability, BITS))


@walker("void(int64, int64, uint64, int64, int64, int64)")
def _write_mask(mask: int, entries: int, seed: Any, step: int, site: int, least: int) -> None:
    kept = integers_at(mask)
    state = mask_state(seed, step, site)
    for i in range(entries):
        kept[i] = is_kept(state, i, np.uint64(least))


def dropout_masks(network: Network, batch: int, seed: int, step: int) -> Mapping[str, Mask]:
    """The masks of a training step, as ``train`` draws them and ``Case.masks`` takes them.

    Arguments:
        network: whose dropout layers are asked about.
        batch: samples of the step.
        seed: of the run, from 0 to 2^64 − 1.
        step: number of the step, from 0 over all epochs.

    Returns path of the dropout layer → booleans (batch, *shape of the layer), True where an entry is kept.

    Raises ArgumentError for arguments out of range.
    """
    if not isinstance(network, Network):
        raise ArgumentError("network", "a Network", network)
    samples = whole("batch", batch, 1)
    whole("seed", seed, 0, MOST_SEED)
    whole("step", step, 0, MOST_STEP)
    masks: dict[str, Mask] = {}
    layers = [(site.path, site.layer, site.output_shape) for site in network.sites if isinstance(site.layer, Dropout)]
    for number, (path, layer, shape) in enumerate(layers):
        kept = np.empty((samples, *shape), dtype=np.int64)
        least = threshold(layer.probability)
        _write_mask(kept.ctypes.data, kept.size, np.uint64(int(seed)), int(step), number, least)
        masks[path] = kept.astype(np.bool_)
    return masks

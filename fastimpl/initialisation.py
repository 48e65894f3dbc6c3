"""The parameters that a training starts from, drawn in compiled code: the same numbers for the same seed.

Each parameter has a stream of random numbers of its own (``fastimpl.splitmix``), numbered by its place in the tree;
so what one draws does not depend on the others' shapes, on sharing or on freezing. A number is computed in float64
and rounded to the dtype once.

- uniform: low + (high − low) · u, with u a multiple of 2^-53 in [0, 1), every one as likely. Rounding can reach high.
- normal: z · std, with z by the ratio of uniforms (Kinderman and Monahan, "Computer generation of random variables
  using the ratio of uniform deviates", 1977): of u in (0, 1] and w in [−½, ½), z = √(8/e) · w / u is taken if
  z² ≤ −4 ln u, else both are drawn anew.

No product and sum is contracted, so with correctly rounded arithmetic every number is the same on every machine. The
one exception: the logarithm is the C library's and may differ in its last place. It only decides whether a z is taken,
which depends on that place about once in 10^15 draws.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastimpl.jit import walker
from fastimpl.memory import reals_at
from fastimpl.shuffling import whole
from fastimpl.splitmix import MOST_SEED, STEP, first_state, unit
from gradproof.arrays import Floats
from gradproof.errors import ArgumentError
from gradproof.initialisation import Initialisation
from gradproof.layers import Shape
from gradproof.network import Network, is_bias
from gradproof.vocabulary import DTYPES, Dtype

PURPOSE: Final = np.uint64(0x494E495449414C53)
"""Sets these streams apart from others of the same seed: the letters INITIALS."""

_RATIO = 1.7155277699214135
"""√(8/e)."""


@walker("void(int64, int64, uint64, int64, float64, float64)")
def _draw_uniform(numbers: int, count: int, seed: Any, stream: int, low: float, high: float) -> None:
    state = first_state(seed, PURPOSE, stream)
    out = reals_at(numbers)
    for i in range(count):
        state += STEP
        out[i] = low + (high - low) * unit(state)


@walker("void(int64, int64, uint64, int64, float64)")
def _draw_normal(numbers: int, count: int, seed: Any, stream: int, std: float) -> None:
    state = first_state(seed, PURPOSE, stream)
    out = reals_at(numbers)
    for i in range(count):
        while True:
            u = 1.0 - unit(state + STEP)
            w = unit(state + STEP + STEP) - 0.5
            state += STEP + STEP
            z = _RATIO * w / u
            if z * z <= -4.0 * math.log(u):
                break
        out[i] = z * std


def initialise(
    network: Network,
    initialisation: Initialisation | str = "xavier_uniform",
    *,
    seed: int = 0,
    dtype: Dtype = "float64",
) -> dict[str, Floats]:
    """New parameters for a network: name → array, frozen ones among them, shared ones once.

    initialisation: a value, or the name of one that needs no numbers. seed: a whole number from 0 to 2^64 − 1.

    Raises ArgumentError for arguments that are none of this, and where a number drawn is too large for the dtype.
    """
    if not isinstance(network, Network):
        raise ArgumentError("network", "a Network", network)
    if dtype not in DTYPES:
        raise ArgumentError("dtype", " or ".join(DTYPES), dtype)
    weights = Initialisation.of(initialisation)
    biases = weights.biases or Initialisation("zeros")
    seed = whole("seed", seed, 0, MOST_SEED)
    streams = {name: number for number, name in enumerate(network.positions)}
    drawn: dict[str, Floats] = {}
    for name, shape in network.parameter_shapes.items():
        numbers = _drawn(biases if is_bias(name) else weights, shape, seed, streams[name])
        with np.errstate(over="ignore"):
            drawn[name] = numbers.astype(dtype)
        if not np.all(np.isfinite(drawn[name])):
            raise ArgumentError("initialisation", f"numbers that {dtype} can hold", str(weights))
    return drawn


def _drawn(initialisation: Initialisation, shape: Shape, seed: int, stream: int) -> npt.NDArray[np.float64]:
    numbers = np.zeros(shape)
    where = (numbers.ctypes.data, numbers.size, np.uint64(seed), stream)
    match initialisation:
        case Initialisation(value=float(value)):
            numbers.fill(value)
        case Initialisation(low=float(low), high=float(high)):
            _draw_uniform(*where, low, high)
        case Initialisation(std=float(std)):
            _draw_normal(*where, std)
        case Initialisation(name=name, gain=float(gain)):
            fan_in, fan_out = shape
            std = gain * math.sqrt(2.0 / (fan_in + fan_out if name.startswith("xavier") else fan_in))
            if name.endswith("uniform"):  # whose variance over (-a, a) is a^2/3
                _draw_uniform(*where, -math.sqrt(3.0) * std, math.sqrt(3.0) * std)
            else:
                _draw_normal(*where, std)
    return numbers

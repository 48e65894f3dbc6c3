"""The generator of every random number in this package: SplitMix64, a function of a counter.

(Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.) Its state advances by a
constant modulo 2^64, and its output is a bijective mix of the state; so number k of a stream follows from the stream's
first state and k alone. All of it is integer arithmetic modulo 2^64, the same on every machine.

``first_state`` gives a stream for a seed, a purpose and a number: mix(mix(mix(seed) ^ purpose) + (number + 1) · STEP).
All streams run over one cycle of 2^64 states, and start at places that look random; that two of a thousand streams of
a million numbers overlap anywhere has a probability of about 1000² · 10⁶ / 2^64 = 5e-8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastimpl.jit import inlined

MOST_SEED = 2**64 - 1

STEP = np.uint64(0x9E3779B97F4A7C15)
"""By how much the state advances: 2^64 over the golden ratio, made odd."""
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)
_ONE = np.uint64(1)
_LEAST_UNIT = 2.0**-53


@inlined()
def mix(state: Any) -> Any:
    """The output for a state: each of its 2^64 values once (variant 13 of Stafford's mixers, as in SplitMix64)."""
    z = (state ^ (state >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@inlined()
def first_state(seed: Any, purpose: Any, number: int) -> Any:
    """The state from which a stream of its own starts; the first output is that of the state one STEP on."""
    return mix(mix(mix(seed) ^ purpose) + (np.uint64(number) + _ONE) * STEP)


@inlined()
def unit(state: Any) -> float:
    """A multiple of 2^-53 in [0, 1): the upper 53 bits of the output for a state."""
    return np.float64(np.int64(mix(state) >> _S11)) * _LEAST_UNIT

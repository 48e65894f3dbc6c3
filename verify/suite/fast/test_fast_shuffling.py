"""The order of the samples: the documented algorithm, in plain Python's integers, and its evenness."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import chi2

from fastimpl import permutation
from gradproof.errors import ArgumentError

STEP = 0x9E3779B97F4A7C15
WORD = 2**64


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def documented(samples: int, seed: int, epoch: int) -> list[int]:
    """Fisher–Yates over SplitMix64 with Lemire's draw, as the module describes it."""
    state = (mix(seed) + (epoch + 1) * STEP) % WORD
    state = mix(state)
    order = list(range(samples))
    for last in range(samples - 1, 0, -1):
        bound = last + 1
        while True:
            state = (state + STEP) % WORD
            product = (mix(state) >> 32) * bound
            if product % 2**32 >= 2**32 % bound:
                break
        place = product >> 32
        order[last], order[place] = order[place], order[last]
    return order


@given(st.integers(0, 300), st.integers(0, WORD - 1), st.integers(0, 2**63 - 1))
@example(0, 0, 0)
@example(1, WORD - 1, 2**63 - 1)
def test_it_is_the_documented_order(samples: int, seed: int, epoch: int) -> None:
    order = permutation(samples, seed, epoch)
    assert order.dtype == np.int64
    assert order.tolist() == documented(samples, seed, epoch)


def test_draws_that_would_be_uneven_are_rejected_alike() -> None:
    # A draw below n is rejected with probability (2^32 mod n) / 2^32: some three times in all for 200,000 samples.
    assert permutation(200_000, 5, 0).tolist() == documented(200_000, 5, 0)


def test_every_order_of_four_is_as_frequent_over_epochs_and_over_seeds() -> None:
    for orders in (
        Counter(tuple(permutation(4, 11, epoch).tolist()) for epoch in range(24_000)),
        Counter(tuple(permutation(4, seed, 0).tolist()) for seed in range(24_000)),
    ):
        assert len(orders) == 24
        statistic = sum((count - 1000) ** 2 / 1000 for count in orders.values())
        # An even shuffle exceeds this once in a million; the seeds are fixed, so this run always says the same.
        assert statistic < chi2.isf(1e-6, df=23)


def test_every_order_of_two_epochs_is_as_frequent() -> None:
    pairs = Counter((*permutation(3, seed, 0), *permutation(3, seed, 1)) for seed in range(36_000))
    assert len(pairs) == 36
    assert sum((count - 1000) ** 2 / 1000 for count in pairs.values()) < chi2.isf(1e-6, df=35)


@pytest.mark.parametrize(
    ("samples", "seed", "epoch", "named"),
    [
        (-1, 0, 0, "samples"),
        (2**32, 0, 0, "samples"),
        (2.0, 0, 0, "samples"),
        (True, 0, 0, "samples"),
        (3, -1, 0, "seed"),
        (3, WORD, 0, "seed"),
        (3, 0, -1, "epoch"),
        (3, 0, 2**63, "epoch"),
        (3, None, 0, "seed"),
    ],
)
def test_arguments_out_of_range_are_refused(samples: object, seed: object, epoch: object, named: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        permutation(samples, seed, epoch)  # type: ignore[arg-type]
    assert caught.value.argument == named

"""Handwritten digits as the two examples beside this file use them: pictures with labels, split in two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastimpl import predict
from gradproof import Case, Network


@dataclass(frozen=True)
class Digits:
    """Pictures (samples, pixels) in [0, 1], and labels (samples,) from 0 to 9."""

    pictures: np.ndarray
    labels: np.ndarray

    @property
    def one_hot(self) -> np.ndarray:
        """The labels as targets, (samples, 10)."""
        return np.eye(10)[self.labels]

    def first(self, count: int) -> Digits:
        """The first ones."""
        return Digits(self.pictures[:count], self.labels[:count])

    def case(self, network: Network, parameters: Mapping) -> Case:
        """These digits as one batch."""
        return Case(network, parameters, self.pictures, targets=self.one_hot)

    def accuracy(self, network: Network, parameters: Mapping) -> float:
        """The share whose largest output is that of their label."""
        return float(np.mean(predict(network, parameters, self.pictures).argmax(axis=1) == self.labels))


def split(pictures: np.ndarray, labels: np.ndarray, seed: int = 0) -> tuple[Digits, Digits]:
    """Four fifths to train on and one fifth, drawn at random, held out."""
    order = np.random.default_rng(seed).permutation(len(labels))
    held_out, kept = np.split(order, [len(labels) // 5])
    return Digits(pictures[kept], labels[kept]), Digits(pictures[held_out], labels[held_out])

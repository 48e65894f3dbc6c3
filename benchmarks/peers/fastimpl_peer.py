"""fastimpl: whole epochs in compiled code."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Peer
from benchmarks.tasks import Task
from gradproof.optimiser import Optimiser


class FastTrainer:
    """``fastimpl.train``, called again with the parameters that it left."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._parameters: Mapping[str, npt.ArrayLike] = task.case.parameters
        self._calls = 0

    def run(self, epochs: int) -> None:
        """Shuffled passes over the data, in an order that no call before had."""
        from fastimpl import train

        case = self._task.case
        training = train(
            case.network,
            self._parameters,
            case.inputs,
            np.asarray(case.targets),
            optimiser=Optimiser("sgd", self._task.rate),
            epochs=epochs,
            batch_size=self._task.batch,
            seed=self._calls,
            dtype=case.dtype,
        )
        self._parameters = training.parameters
        self._calls += 1

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array."""
        return self._parameters


PEER = Peer("fastimpl", "fastimpl", "fastimpl", FastTrainer)

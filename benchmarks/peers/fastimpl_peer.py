"""fastimpl: whole epochs in compiled code."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Peer
from benchmarks.tasks import Task


class FastTrainer:
    """``fastimpl.train``."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._parameters: Mapping[str, npt.ArrayLike] = task.case.parameters

    def run(self, epochs: int) -> None:
        """Shuffled passes over the data."""
        from fastimpl import train

        case = self._task.case
        training = train(
            case.network,
            case.parameters,
            case.inputs,
            np.asarray(case.targets),
            optimiser=self._task.optimiser,
            epochs=epochs,
            batch_size=self._task.batch,
            dtype=case.dtype,
        )
        self._parameters = training.parameters

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array."""
        return self._parameters


PEER = Peer("fastimpl", "fastimpl", "fastimpl", FastTrainer)

"""scikit-learn's multilayer perceptron, ``MLPClassifier``, where it has the network, the loss and the optimiser."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.peers import Peer
from benchmarks.tasks import Task
from gradproof.optimiser import Optimiser


class WarmStarted:
    """``fit`` of an estimator, started from the task's parameters by its ``warm_start``.

    What a call of ``fit`` costs besides its epochs, about a millisecond of checks, cannot be had by itself: no number
    of epochs below 1 is admitted.
    """

    def __init__(self, task: Task, estimator: Any, targets: npt.NDArray[Any], **settings: Any) -> None:
        self._stack = task.case.stack
        self._inputs, self._targets = task.case.inputs, targets
        self._network = estimator(
            hidden_layer_sizes=self._stack.widths[1:-1],
            alpha=0.0,
            batch_size=task.batch,
            max_iter=1,
            tol=0.0,
            n_iter_no_change=sys.maxsize,
            random_state=0,
            warm_start=True,
            **settings,
        )
        self._fit(1)  # makes what a warm start begins with
        self.run(0)

    def _fit(self, epochs: int) -> None:
        self._network.set_params(max_iter=epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged
            self._network.fit(self._inputs, self._targets)

    def run(self, epochs: int) -> None:
        """Shuffled passes over the data."""
        self._network.coefs_ = [w.copy() for w in self._stack.weights]
        self._network.intercepts_ = [b.copy() for b in self._stack.biases if b is not None]
        if epochs:
            self._fit(epochs)

    def parameters(self) -> Mapping[str, npt.ArrayLike]:
        """Path → array."""
        return self._stack.name([w.copy() for w in self._network.coefs_], [b.copy() for b in self._network.intercepts_])


class SklearnTrainer(WarmStarted):
    """scikit-learn's ``MLPClassifier`` with Adam."""

    def __init__(self, task: Task) -> None:
        from sklearn.neural_network import MLPClassifier

        rule, targets = task.optimiser, np.asarray(task.case.targets)
        super().__init__(
            task,
            MLPClassifier,
            targets.argmax(axis=1) if targets.shape[1] > 1 else targets[:, 0].astype(np.int64),
            activation="relu",
            solver="adam",
            learning_rate_init=rule.rate,
            beta_1=rule.beta1,
            beta_2=rule.beta2,
            epsilon=rule.epsilon,
        )


def _cannot(task: Task) -> str | None:
    if task.optimiser.variant != "adam":
        return "its squared error comes with the identity at the output, not with the sigmoid"
    return None


def _rule(optimiser: Optimiser) -> Optimiser:
    return msgspec.structs.replace(optimiser, variant="adam_epsilon_hat")


PEER = Peer(
    "scikit-learn",
    "sklearn",
    "scikit-learn's MLPClassifier, whose Adam adds ε to √s, not to √ŝ (adam_epsilon_hat)",
    SklearnTrainer,
    _cannot,
    _rule,
)

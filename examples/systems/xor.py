"""XOR, learned by sigmoid networks with two and with three hidden neurons, full batches, half squared error.

    python examples/systems/xor.py

Prints the truth table and the loss curve of each, and what is proved about the gradient before and after training.
Not every start succeeds with two hidden neurons: of the seeds 0 to 11, the local minima that catch some are counted.
"""

from dataclasses import dataclass

import numpy as np
from common import curve, sigmoid_network, starting_parameters, verdict

from fastimpl import predict, train
from gradproof import Case, Optimiser

INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([[0.0], [1.0], [1.0], [0.0]])
EPOCHS = 3000


@dataclass(frozen=True)
class Learned:
    """A trained network: the cases before and after, its outputs (4, 1), and the loss of every epoch."""

    before: Case
    after: Case
    outputs: np.ndarray
    losses: list[float]

    @property
    def mistakes(self) -> int:
        """Rows of the truth table that come out on the wrong side of ½."""
        return int(np.sum((self.outputs > 0.5) != TARGETS))


def learn(hidden: int, seed: int) -> Learned:
    """Trains 2-hidden-1 from weights drawn with this seed."""
    network = sigmoid_network((2, hidden, 1), "half_squared_error/batch_mean")
    before = Case(network, starting_parameters(network, seed, scaled=False), INPUTS, targets=TARGETS)
    training = train(
        network,
        before.parameters,
        INPUTS,
        TARGETS,
        optimiser=Optimiser("sgd", 5.0),
        epochs=EPOCHS,
        batch_size=4,
        seed=seed,
    )
    after = before.replace(parameters=training.parameters)
    return Learned(before, after, predict(network, after.parameters, INPUTS), training.epoch_losses.tolist())


def main() -> None:
    for hidden in (2, 3):
        learned = learn(hidden, seed=0)
        print(f"\n{learned.before.network}")
        print(f"gradient: {verdict(learned.before)} before training, {verdict(learned.after)} after it")
        print(f"loss   {curve(learned.losses)}")
        for row, target, output in zip(INPUTS, TARGETS[:, 0], learned.outputs[:, 0]):
            print(f"  {row[0]:.0f} xor {row[1]:.0f} = {target:.0f}   network {output:.4f}")
        successes = sum(learn(hidden, seed).mistakes == 0 for seed in range(12))
        print(f"{successes} of 12 starts end without a mistake")


if __name__ == "__main__":
    main()

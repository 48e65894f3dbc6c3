"""Handwritten digits, 8×8 pictures, one hidden layer of 10: accuracy on digits never trained on, epoch by epoch.

    pip install "gradproof[scikit-learn]"
    python examples/systems/digits_8x8.py

The 1,797 real digits that scikit-learn ships (sklearn.datasets.load_digits); a fifth of them, drawn at random, is held
out. Ten sigmoid outputs, one for each digit, half squared error averaged over mini-batches of 10.
"""

from functools import cache

from common import sigmoid_network, starting_parameters, verdict
from digits import Digits, split
from sklearn.datasets import load_digits

from fastimpl import train
from gradproof import Optimiser

NETWORK = sigmoid_network((64, 10, 10), "half_squared_error/batch_mean")
RATE, BATCH, EPOCHS = 3.0, 10, 30


@cache
def load() -> tuple[Digits, Digits]:
    """1,438 digits to train on and 359 held out."""
    pictures, labels = load_digits(return_X_y=True)
    return split(pictures / 16, labels)


def learn(kept: Digits, held_out: Digits) -> tuple[dict, list[float]]:
    """The trained parameters, and the accuracy on the held-out digits after each epoch."""
    accuracies: list[float] = []
    training = train(
        NETWORK,
        starting_parameters(NETWORK, seed=0),
        kept.pictures,
        kept.one_hot,
        optimiser=Optimiser("sgd", RATE),
        epochs=EPOCHS,
        batch_size=BATCH,
        seed=0,
        on_epoch=lambda epoch, loss, parameters: accuracies.append(held_out.accuracy(NETWORK, parameters)),
    )
    return training.parameters, accuracies


def reached(goal: float, accuracies: list[float]) -> int | None:
    """The first epoch, counted from 1, whose accuracy is at least ``goal``; None where there is none."""
    return next((epoch for epoch, accuracy in enumerate(accuracies, 1) if accuracy >= goal), None)


def main() -> None:
    kept, held_out = load()
    print(f"{NETWORK}\n{len(kept.labels)} digits to train on, {len(held_out.labels)} held out")
    parameters, accuracies = learn(kept, held_out)
    for epoch in (1, 2, 3, 5, 10, 20, EPOCHS):
        print(f"epoch {epoch:3}   {accuracies[epoch - 1]:.1%}")
    for goal in (0.92, 0.95):
        print(f"{goal:.0%} first reached in epoch {reached(goal, accuracies)}")
    case = kept.first(BATCH).case(NETWORK, parameters)
    print(f"gradient of a mini-batch at the trained weights: {verdict(case)}")


if __name__ == "__main__":
    main()

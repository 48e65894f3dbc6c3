"""XOR, learned from its truth table.

    python examples/training/xor.py

Full batches, 2-8-1 with tanh and sigmoid, binary cross-entropy.
"""

import numpy as np

from gradproof import Activation, Loss, Model, Network, Optimiser, dense_chain

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
TARGETS = np.array([[0], [1], [1], [0]])

NETWORK = Network(
    input_shape=(2,),
    layers=dense_chain((2, 8, 1), (Activation("tanh"), Activation("sigmoid"))),
    loss=Loss.parse("binary_cross_entropy/batch_mean"),
)


def learn(seed: int = 0) -> Model:
    model = Model(NETWORK, seed=seed)
    model.fit(INPUTS, TARGETS, optimiser=Optimiser.usual("adam", rate=0.05), epochs=500, batch_size=None)
    return model


def main() -> None:
    model = learn()
    print(model)
    for row, output, guess in zip(INPUTS, model.predict(INPUTS), model.predict_classes(INPUTS)):
        print(f"{row[0]} xor {row[1]} = {guess}   ({output[0]:.4f})")
    print(f"loss {model.history.epoch_losses[0]:.3f} before, {model.history.epoch_losses[-1]:.3f} after")


if __name__ == "__main__":
    main()

"""A training that is saved, loaded elsewhere and continued ends bit for bit where an uninterrupted one does.

    python examples/training/save_and_continue.py

Adam with a cosine schedule: its moments, its step and the order of the samples are part of what is saved.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from gradproof import Activation, Loss, Model, Network, Optimiser, Schedule, dense_chain

NETWORK = Network(
    input_shape=(1,),
    layers=dense_chain((1, 16, 1), (Activation("tanh"), Activation("identity"))),
    loss=Loss.parse("squared_error/batch_mean"),
)
ADAM = Optimiser.usual("adam", rate=0.01, schedule=Schedule("cosine", end=0.1, period=70))
INPUTS = np.linspace(-3, 3, 100)[:, None]
TARGETS = np.sin(INPUTS)


def trained(model: Model, epochs: int) -> Model:
    model.fit(INPUTS, TARGETS, optimiser=ADAM, epochs=epochs, batch_size=10)
    return model


def main() -> None:
    whole = trained(Model(NETWORK, seed=3), 7)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        trained(Model(NETWORK, seed=3), 3).save(path)
        continue_elsewhere = [sys.executable, __file__, path]  # loads it, trains 4 epochs more, saves it
        subprocess.run(continue_elsewhere, check=True)  # noqa: S603
        continued = Model.load(path)
    same = all(np.array_equal(continued.parameters[name], whole.parameters[name]) for name in whole.parameters)
    print(f"3 + 4 epochs over two processes are {'' if same else 'not '}the same as 7: {continued.history}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        trained(Model.load(sys.argv[1]), 4).save(sys.argv[1])
    else:
        main()

"""What a script that trains does first: imports fastimpl and takes one step. ``python -m benchmarks.first_step``."""

from __future__ import annotations

import numpy as np

from fastimpl import train
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.optimiser import Optimiser

BATCH = 10

if __name__ == "__main__":
    layers = dense_chain((784, 16, 16, 10), (Activation("sigmoid"),) * 3)
    network = Network((784,), layers, Loss("half_squared_error", "sum"))
    random = np.random.default_rng(0)
    parameters = {path: random.normal(size=shape) for path, shape in network.parameter_shapes.items()}
    inputs, targets = random.uniform(size=(BATCH, 784)), random.uniform(size=(BATCH, 10))
    optimiser = Optimiser("sgd", 0.5)
    training = train(network, parameters, inputs, targets, optimiser=optimiser, epochs=1, batch_size=BATCH)
    print(training.step_losses[0])

"""One hidden layer, H = f(W1 X + b1), Y = g(W2 H + b2), L = ½(Y − T)²: as formulas, as certified numbers, and trained.

    python examples/systems/one_hidden_layer.py

f is tanh and g the sigmoid. The formulas are derived by SymPy from the definition alone. Their numbers at a case come
out by two routes, the formulas themselves and ball arithmetic through the network, and must agree digit by digit.
"""

import numpy as np
from common import curve, starting_parameters, verdict

from fastimpl import train
from gradproof import Activation, Case, Loss, Network, Optimiser, dense_chain
from refimpl.enclosure import enclosure
from refimpl.symbolic import symbolic

RATE, BATCH, EPOCHS = 2.0, 16, 2000


def network(hidden: int) -> Network:
    """Two inputs, one hidden layer of tanh, one sigmoid output."""
    layers = dense_chain((2, hidden, 1), (Activation("tanh"), Activation("sigmoid")))
    return Network((2,), layers, Loss("half_squared_error", "batch_mean"))


def small_case() -> Case:
    """One sample through two hidden neurons, with numbers of few digits."""
    parameters = {
        "0.weight": [[0.5, -0.25], [0.75, 1.0]],
        "0.bias": [0.125, -0.5],
        "2.weight": [[1.5], [-0.75]],
        "2.bias": [0.25],
    }
    return Case(network(2), parameters, [[1.0, -0.5]], targets=[[0.75]])


def product_case(hidden: int = 8) -> Case:
    """A task to learn: T = X₁·X₂ on a grid of 16 × 16 points of the unit square."""
    side = np.linspace(0, 1, 16)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return Case(
        network(hidden), starting_parameters(network(hidden), seed=0), points, targets=points[:, :1] * points[:, 1:]
    )


def learn(case: Case) -> tuple[Case, list[float]]:
    """The case at the trained weights, and the loss of every epoch."""
    data = (case.inputs, case.targets)
    training = train(
        case.network, case.parameters, *data, optimiser=Optimiser("sgd", RATE), epochs=EPOCHS, batch_size=BATCH, seed=0
    )
    return case.replace(parameters=training.parameters), training.epoch_losses.tolist()


def main() -> None:
    case = small_case()
    view = symbolic(case.network)
    print(f"{case.network}\n\nneuron by neuron, forward and backward:\n{view}")
    textbook = symbolic(case.network, functions=True)
    print(f"\nclosed form, σ left as it is:\n{textbook.formula('0.weight', (1, 0))}")
    print(f"\nthe same in LaTeX:\n{textbook.latex('0.weight', (1, 0))}")
    print("\nits entries at one case: by the formulas, then by ball arithmetic")
    numbers, enclosed = view.numbers(case, 30), enclosure(case)
    for name in case.network.trainable:
        for index in np.ndindex(enclosed.shape(name)):
            symbol = str(view.symbol(name, index))
            print(f"{symbol:>9} {numbers.decimal(name, index):>40} {enclosed.decimal(name, index, 30):>40}")
    print(f"fastimpl's gradient: {verdict(case)}")
    start = product_case()
    trained, losses = learn(start)
    print(f"\n{start.network}, trained on T = X₁·X₂, {EPOCHS * start.batch // BATCH} steps")
    print(f"loss   {curve(losses)}")
    print(f"fastimpl's gradient over all {start.batch} samples, trained: {verdict(trained)}")


if __name__ == "__main__":
    main()

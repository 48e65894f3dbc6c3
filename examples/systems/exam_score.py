"""A 2-3-1 network that predicts an exam's score from the hours studied and the hours slept the night before.

    python examples/systems/exam_score.py

The widely copied data set of three students: (3, 5), (5, 1), (10, 2) hours scored 75, 82, 93. Inputs are divided by
their maximum, scores by 100.
"""

import numpy as np
from common import curve, sigmoid_network, starting_parameters, verdict

from fastimpl import predict, train
from gradproof import Case, Optimiser

HOURS = np.array([[3.0, 5.0], [5.0, 1.0], [10.0, 2.0]])
SCORES = np.array([[75.0], [82.0], [93.0]])
NETWORK = sigmoid_network((2, 3, 1), "half_squared_error/sum")
EPOCHS = 50_000


def before() -> Case:
    """The three students at the starting weights."""
    parameters = starting_parameters(NETWORK, seed=0, scaled=False)
    return Case(NETWORK, parameters, HOURS / HOURS.max(axis=0), targets=SCORES / 100)


def learn(case: Case) -> tuple[Case, list[float]]:
    """Full-batch gradient descent: the case at the trained weights, and the loss of every epoch."""
    training = train(
        NETWORK,
        case.parameters,
        case.inputs,
        case.targets,
        optimiser=Optimiser("sgd", 3.0),
        epochs=EPOCHS,
        batch_size=3,
        seed=0,
    )
    return case.replace(parameters=training.parameters), training.epoch_losses.tolist()


def scores(case: Case) -> np.ndarray:
    """The predicted scores, (3,)."""
    return 100 * predict(NETWORK, case.parameters, case.inputs)[:, 0]


def main() -> None:
    start = before()
    trained, losses = learn(start)
    print(NETWORK)
    print(f"gradient: {verdict(start)} before training, {verdict(trained)} after it")
    print(f"loss   {curve(losses)}")
    print("studied  slept  score  before  after")
    rows = zip(HOURS.tolist(), SCORES[:, 0], scores(start), scores(trained))
    for (studied, slept), score, first, last in rows:
        print(f"{studied:7.0f} {slept:6.0f} {score:6.0f} {first:7.1f} {last:6.2f}")


if __name__ == "__main__":
    main()

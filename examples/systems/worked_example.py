"""The 2-2-2 worked example that most readers of backpropagation have met, every published number of it recomputed.

    python examples/systems/worked_example.py

Inputs (0.05, 0.10), targets (0.01, 0.99), sigmoid neurons, ½ squared error summed, rate 0.5; w1…w8 as its author counts
them, and one bias for each layer, 0.35 and 0.60, which the example never updates: here they are frozen. (M. Mazur,
"A step by step backpropagation example", 2015.)

The first step is taken three times: by the certified oracle, with each gradient entry correctly rounded; by fastimpl's
gradient; and by fastimpl's training loop, which then goes on to 10,000 steps. One published number cannot be had from
the others: the error after the first step, printed as 0.291027924. The published weights give 0.291027774.
"""

from collections.abc import Mapping
from decimal import Decimal

import numpy as np
from common import sigmoid_network, verdict

from fastimpl import gradients, train
from gradproof import Case, Optimiser
from refimpl.enclosure import enclosure

RATE = 0.5
NETWORK = sigmoid_network((2, 2, 2), "half_squared_error/sum").replace(frozen=("0.bias", "2.bias"))
# A column holds the weights into one neuron: h1 has w1, w2; h2 has w3, w4; o1 has w5, w6; o2 has w7, w8.
START = {
    "0.weight": np.array([[0.15, 0.25], [0.20, 0.30]]),
    "0.bias": np.array([0.35, 0.35]),
    "2.weight": np.array([[0.40, 0.50], [0.45, 0.55]]),
    "2.bias": np.array([0.60, 0.60]),
}
INPUTS, TARGETS = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])

PUBLISHED = {
    "output 1": "0.75136507",
    "output 2": "0.772928465",
    "error": "0.298371109",
    "w1 after one step": "0.149780716",
    "w2 after one step": "0.19956143",
    "w3 after one step": "0.24975114",
    "w4 after one step": "0.29950229",
    "w5 after one step": "0.35891648",
    "w6 after one step": "0.408666186",
    "w7 after one step": "0.511301270",
    "w8 after one step": "0.561370121",
    "error after 10,000 steps": "0.0000351",
}
MISPRINTED = {"error after one step": "0.291027924"}


def case_at(parameters: Mapping) -> Case:
    """The example's one sample at some weights."""
    return Case(NETWORK, parameters, INPUTS, targets=TARGETS)


def step(parameters: Mapping, gradient: Mapping) -> dict:
    """One step of gradient descent, w ← w − rate · ∂L/∂w, for all that is not frozen."""
    return {n: w - RATE * gradient[n] if n in NETWORK.trainable else w for n, w in parameters.items()}


def oracle_step(parameters: Mapping) -> dict:
    """One step along the certified gradient."""
    enclosed = enclosure(case_at(parameters))
    return step(parameters, {name: enclosed.nearest(name) for name in NETWORK.trainable})


def fast_step(parameters: Mapping) -> dict:
    """One step along the gradient of fastimpl."""
    return step(parameters, gradients(case_at(parameters)).parameters)


def trained(steps: int) -> dict:
    """The parameters after that many steps of fastimpl's training loop."""
    return train(
        NETWORK, START, INPUTS, TARGETS, optimiser=Optimiser("sgd", RATE), epochs=steps, batch_size=1, seed=0
    ).parameters


def numbers(after: Mapping, later: Mapping) -> dict[str, float]:
    """The example's quantities under the names of PUBLISHED, given the weights after 1 and after 10,000 steps."""
    first, second, last = (enclosure(case_at(parameters)) for parameters in (START, after, later))
    outputs = first.nearest("outputs")[0]
    weights = [*after["0.weight"].T.ravel(), *after["2.weight"].T.ravel()]
    return {
        "output 1": outputs[0],
        "output 2": outputs[1],
        "error": float(first.nearest("loss")),
        **{f"w{number} after one step": weight for number, weight in enumerate(weights, 1)},
        "error after one step": float(second.nearest("loss")),
        "error after 10,000 steps": float(last.nearest("loss")),
    }


def agrees(number: float, published: str) -> bool:
    """Whether a number rounds to the published digits: it lies within half a unit of their last place."""
    printed = Decimal(published)
    unit = Decimal(1).scaleb(int(printed.as_tuple().exponent))
    return abs(Decimal(number) - printed) <= unit / 2


def main() -> None:
    case = case_at(START)
    print(NETWORK)
    print(f"fastimpl's gradient at the start: {verdict(case)}")
    print(f"digits of ∂L/∂w5, certified: {enclosure(case).decimal('2.weight', (0, 0), 30)}")
    later = trained(10_000)
    by_oracle = numbers(oracle_step(START), later)
    by_gradient = numbers(fast_step(START), later)
    by_loop = numbers(trained(1), later)
    print(f"{'':26}{'published':>14}{'oracle':>20}{'fastimpl':>20}{'its loop':>20}")
    for name, published in (PUBLISHED | MISPRINTED).items():
        columns = [by_oracle[name], by_gradient[name], by_loop[name]]
        note = "" if all(agrees(number, published) for number in columns) else "   not what the weights give"
        print(f"{name:26}{published:>14}" + "".join(f"{number:20.12g}" for number in columns) + note)


if __name__ == "__main__":
    main()

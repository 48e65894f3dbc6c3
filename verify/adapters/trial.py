"""One small network on which somebody's code is tried, with sizes that no two roles share, and its exact answers.

Two inputs, four hidden units, seven outputs, six samples: the shape of an array says what it may be. What was computed
is recognised by its numbers: these are compared roughly, since the check that follows is the judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from gradproof.adapters.arrays import Maker
from gradproof.adapters.given import Given
from gradproof.adapters.words import Conventions
from gradproof.arrays import Array
from gradproof.case import Case
from gradproof.errors import GradproofError
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.vocabulary import LOSSES, REDUCTIONS
from refimpl.enclosure import enclosure

WIDTHS = (2, 4, 7)
BATCH = 6
HIDDEN = ("sigmoid", "tanh", "relu", "softplus", "identity")
OUTPUT = (*HIDDEN, "softmax")


def layouts() -> Iterator[tuple[str, str]]:
    """Every pair of words for weights and biases that may go together, the plainest first."""
    for weights, inside in (("in_out", "row"), ("out_in", "column")):
        for bias in ("vector", "row", "column", f"first_{inside}", f"last_{inside}"):
            yield weights, bias


class Trial:
    """The network with these activations; its numbers are the same whatever they are."""

    def __init__(self, hidden: str, output: str, loss: Loss | None = None, dtype: Any = "float64") -> None:
        self.hidden, self.output = hidden, output
        rng = np.random.default_rng(7)
        network = Network(
            WIDTHS[:1],
            dense_chain(WIDTHS, (Activation(hidden), Activation(output))),
            loss or Loss("squared_error", "sum"),
        )
        parameters = {name: rng.normal(size=shape) / 2 for name, shape in network.parameter_shapes.items()}
        inputs = rng.normal(size=(BATCH, WIDTHS[0]))
        targets = np.eye(WIDTHS[-1])[rng.integers(0, WIDTHS[-1], BATCH)]
        self.case = Case(network, parameters, inputs, targets=targets, dtype=dtype)

    @cached_property
    def exact(self) -> dict[str, Array]:
        """Every quantity, to the nearest float."""
        truth = enclosure(self.case)
        return {name: np.asarray(truth.nearest(name)) for name in truth.names()}

    def given(self, weights: str, bias: str, samples: str = "rows", make: Maker = np.asarray) -> Given:
        """The trial in somebody's layouts; of the batch its first sample alone where they come one at a time."""
        case = self.case
        if samples.startswith("one") and case.targets is not None:
            case = case.replace(inputs=case.inputs[:1], targets=case.targets[:1])
        return Given(case, Conventions(weights, bias, samples), make)


@lru_cache(maxsize=64)
def trial(hidden: str, output: str, loss: str | None = None) -> Trial | None:
    """A trial with a loss; None where the outputs may leave its domain."""
    try:
        return Trial(hidden, output, None if loss is None else Loss.parse(loss))
    except GradproofError:
        return None


def losses() -> list[str]:
    """Every loss with every reduction, the plainest first."""
    return [f"{name}/{reduction}" for name in LOSSES for reduction in REDUCTIONS]


def alike(got: Any, exact: Any) -> bool:
    """Whether numbers are those that were expected, roughly: float32 will do."""
    got, exact = np.asarray(got), np.asarray(exact)
    if got.dtype.kind not in "fiu" or got.shape != exact.shape:
        return False
    return bool(np.allclose(got, exact, rtol=1e-4, atol=1e-6))

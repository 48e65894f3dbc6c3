"""The words that both implementations read: which activations, losses and penalties there are, and their facts.

Facts only: names, ranges, kinks, what their parameter is called. No formula stands here; the definition of each
word is in ``refimpl`` and its kernel in ``fastimpl``, and a test over the key sets names the one that is missing.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Final, Literal

import msgspec

Interval = tuple[float, float]
"""An open interval (low, high) of real numbers; an infinite end is unbounded."""

REALS: Final[Interval] = (-math.inf, math.inf)
UNIT: Final[Interval] = (0.0, 1.0)

Dtype = Literal["float64", "float32"]
DTYPES: Final[tuple[Dtype, ...]] = ("float64", "float32")

Reduction = Literal["sum", "batch_mean", "element_mean"]
REDUCTIONS: Final[tuple[Reduction, ...]] = ("sum", "batch_mean", "element_mean")

TargetKind = Literal["real", "hard", "soft", "free"]
"""What a loss's targets may be.

``real``: any real number (the squared errors). ``hard``: 0 or 1, and exactly one 1 a sample for the categorical
losses. ``soft``: in [0, 1], summing to 1 a sample for the categorical losses. ``free``: any real number where the
loss's formula is still defined (for cross-entropies).
"""


class ActivationWord(msgspec.Struct, frozen=True):
    """Facts about an activation. ``range`` is the open interval that its values cannot leave, for finite inputs."""

    elementwise: bool
    range: Interval
    kinks: tuple[float, ...] = ()
    """Inputs at which the derivative jumps; that of ELU does so unless its alpha is 1."""
    analytic: bool = True
    """Whether it continues to complex inputs near the real line, as the complex step needs."""
    parameter: str | None = None
    """What its one real parameter is called, where it has one."""


class LossWord(msgspec.Struct, frozen=True):
    """Facts about a loss. ``domain`` is the open interval that the network's outputs must be known to stay in."""

    domain: Interval
    targets: TargetKind
    """What targets are when nothing else is declared."""
    categorical: bool
    """Whether a sample's outputs are the probabilities (or logits) of one choice among classes."""


ACTIVATIONS: Final = MappingProxyType(
    {
        "identity": ActivationWord(elementwise=True, range=REALS),
        "sigmoid": ActivationWord(elementwise=True, range=UNIT),
        "tanh": ActivationWord(elementwise=True, range=(-1.0, 1.0)),
        "relu": ActivationWord(elementwise=True, range=REALS, kinks=(0.0,), analytic=False),
        "leaky_relu": ActivationWord(elementwise=True, range=REALS, kinks=(0.0,), analytic=False, parameter="slope"),
        "softplus": ActivationWord(elementwise=True, range=(0.0, math.inf)),
        # It reaches -1 and 1, so that an open interval that it cannot leave is wider.
        "hard_tanh": ActivationWord(elementwise=True, range=(-2.0, 2.0), kinks=(-1.0, 1.0), analytic=False),
        "elu": ActivationWord(elementwise=True, range=REALS, kinks=(0.0,), analytic=False, parameter="alpha"),
        "gelu": ActivationWord(elementwise=True, range=REALS),
        "gelu_tanh": ActivationWord(elementwise=True, range=REALS),
        "silu": ActivationWord(elementwise=True, range=REALS),
        "softmax": ActivationWord(elementwise=False, range=UNIT),
    }
)

LOSSES: Final = MappingProxyType(
    {
        "half_squared_error": LossWord(domain=REALS, targets="real", categorical=False),
        "squared_error": LossWord(domain=REALS, targets="real", categorical=False),
        "binary_cross_entropy": LossWord(domain=UNIT, targets="hard", categorical=False),
        "binary_cross_entropy_with_logits": LossWord(domain=REALS, targets="hard", categorical=False),
        "categorical_cross_entropy": LossWord(domain=UNIT, targets="hard", categorical=True),
        "categorical_cross_entropy_with_logits": LossWord(domain=REALS, targets="hard", categorical=True),
    }
)

PENALTIES: Final = ("l1", "l2")
MERGES: Final = ("concat", "sum")

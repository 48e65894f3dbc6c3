"""The moves of a backpropagation as a textbook writes it: what each is given, and what it makes of that.

A move is a question ("what is ∂L/∂z here?") with all that an implementation has at hand when it answers; ``right`` is
the right answer. A mistake is another answer to one kind of move (``verify.mistakes.catalogue``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradproof.layers import Activation, Branches, Dropout, Maxout, Residual
from gradproof.loss import Penalty
from gradproof.network import Network
from refimpl.language import Node

Part = Literal["weight", "bias"]


@dataclass(frozen=True, eq=False)
class Move:
    """One move: ``right`` is its right result."""

    network: Network
    place: str
    """The layer, as ``layer 0``; empty for moves that belong to none."""
    first: bool
    """Whether it belongs to the first dense layer or the activation behind it."""
    last: bool
    """Whether it belongs to the last dense layer or the activation behind it."""
    right: Node


@dataclass(frozen=True, eq=False)
class ThroughActivation(Move):
    """∂L/∂z from delta = ∂L/∂a, for a = f(z)."""

    layer: Activation
    z: Node
    a: Node
    delta: Node
    previous: Pair | None
    """The activation before this one in the order of computation."""
    following: Pair | None


@dataclass(frozen=True, eq=False)
class Pair:
    """An activation elsewhere in the network."""

    layer: Activation
    z: Node


@dataclass(frozen=True, eq=False)
class ThroughMaxout(Move):
    """∂L/∂z from delta = ∂L/∂y, for y the greatest of each so many entries of z."""

    layer: Maxout
    z: Node
    delta: Node


@dataclass(frozen=True, eq=False)
class ThroughDropout(Move):
    """∂L/∂a from delta = ∂L/∂y, for y = a ⊙ mask / (1 − p)."""

    layer: Dropout
    mask: Node
    delta: Node


@dataclass(frozen=True, eq=False)
class DropoutOutput(Move):
    """What a dropout layer gives forwards: a ⊙ mask / (1 − p)."""

    layer: Dropout
    x: Node
    mask: Node


@dataclass(frozen=True, eq=False)
class ParameterGradient(Move):
    """What one use of a dense layer's weight or bias adds to its gradient, from delta = ∂L/∂z."""

    part: Part
    x: Node
    before: Node | None
    """The pre-activations whose activations are x, where x are activations."""
    delta: Node
    undamped: Node | None
    """∂L/∂a of the activation behind the layer, where there is one."""


@dataclass(frozen=True, eq=False)
class ThroughDense(Move):
    """∂L/∂x from delta = ∂L/∂z, for z = x W + b."""

    weight: Node
    gradient: Node
    """What this use of the weight adds to its gradient."""
    delta: Node
    undamped: Node | None
    """∂L/∂a of the activation behind the layer, where there is one."""
    previous: Node | None
    """The weight of the dense layer before this one."""
    following: Node | None
    frozen: bool
    """Whether the weight is frozen."""


@dataclass(frozen=True, eq=False)
class ThroughResidual(Move):
    """∂L/∂x from what passes along the skip and what comes back through the body, for y = x + body(x)."""

    layer: Residual
    skip: Node
    body: Node


@dataclass(frozen=True, eq=False)
class IntoBranches(Move):
    """∂L/∂ of one branch's outputs from delta, that of the merged outputs."""

    layer: Branches
    pieces: tuple[Node, ...]
    """The right answer for every branch."""
    number: int


@dataclass(frozen=True, eq=False)
class ThroughBranches(Move):
    """∂L/∂x from what comes back through each branch."""

    layer: Branches
    passed: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Accumulation(Move):
    """A parameter's gradient from the contributions of its uses, of which there are several, the first use first."""

    uses: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class PenaltyGradient(Move):
    """What the penalty adds to the gradient of one parameter; 0 where it does not run over it."""

    penalty: Penalty
    theta: Node
    penalised: bool
    bias: bool
    data: Node
    """The rest of the parameter's gradient."""
    uses: int
    """How often the network uses the parameter."""
    batch: int


@dataclass(frozen=True, eq=False)
class WholeGradient(Move):
    """The gradient of one parameter, penalty included, or that of the inputs."""

    of_inputs: bool
    batch: int
    width: int
    """Outputs of one sample."""


@dataclass(frozen=True, eq=False)
class LossGradient(Move):
    """∂L/∂outputs of the data term, where the network has a loss."""

    outputs: Node
    logits: Node
    """The pre-activations of the outputs; the outputs themselves where the network ends otherwise."""
    targets: Node
    weights: Node | None
    seed: Node
    batch: int
    width: int
    """Outputs of one sample."""
    ends_in: str
    """The activation that the network ends in; ``identity`` where it ends otherwise."""


@dataclass(frozen=True, eq=False)
class UpstreamGradient(Move):
    """∂L/∂outputs as the case brings it, where the network has no loss."""

    batch: int
    width: int


@dataclass(frozen=True, eq=False)
class LossValue(Move):
    """The loss: data term + penalty."""

    outputs: Node | None
    targets: Node | None
    weights: Node | None
    data: Node
    penalty: Node | None
    theta: tuple[Node, ...]
    """Parameters that the penalty runs over."""
    others: tuple[Node, ...]
    """Parameters that it does not run over."""
    batch: int
    width: int
    ends_in: str

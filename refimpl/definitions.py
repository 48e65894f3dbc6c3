"""What each layer, loss and penalty computes: forward programs only. Every derivative follows from these."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType

from gradproof.layers import Activation, Branches, Dense, Dropout, Layer, Maxout, Residual
from gradproof.loss import Loss, Penalty
from refimpl.language import (
    Node,
    anchor,
    apply,
    detour,
    hinge,
    join,
    largest,
    matmul,
    maximum,
    minimum,
    ones,
    reshape,
    scale,
    spread,
    total,
)

Parameters = Callable[[str], Node]
"""Gives the node of a parameter by its position's path."""
Masks = Callable[[str], Node | None]
"""Gives the mask of a dropout layer by its path; None where a network is evaluated without."""
SHORT_BITS = 8
"""Significant bits that a number has in the narrowest format, bfloat16."""


def unmasked(path: str) -> None:
    """No layer has a mask."""


def elementwise(name: str) -> Callable[[Node, Activation], Node]:
    """An activation that is an elementwise function of ``refimpl.functions``."""
    return lambda z, _: apply(name, z)


def softmax(z: Node) -> Node:
    """exp(z_k) / Σ_j exp(z_j) along the last axis, of z less an anchor."""
    powers = apply("exp", z - anchor(z))
    return powers / along_last(total(powers, (-1,)), powers)


def log_sum_exp(z: Node) -> Node:
    """Log Σ_j exp(z_j) along the last axis, repeated along it, of z less an anchor that is added back."""
    base = anchor(z)
    powers = apply("exp", z - base)
    return base + along_last(apply("log", total(powers, (-1,))), z)


def along_last(x: Node, like: Node) -> Node:
    """X repeated along a last axis, to the shape of ``like``."""
    return spread(x, (-1,), like.shape)


def hard_tanh(z: Node) -> Node:
    """Z clamped to [−1, 1]. At each end the slope is 1, 0 or between."""
    one = ones(z.shape)
    return minimum(maximum(z, scale(one, Fraction(-1)), "hard_tanh"), one, "hard_tanh")


def elu(z: Node, alpha: Fraction) -> Node:
    """Alpha · (eᶻ − 1) below 0, z above (Clevert, Unterthiner and Hochreiter, 2016).

    That is the ELU of alpha = 1, whose slope has no jump, with another slope below 0: one kink, and none for alpha = 1.
    """
    return hinge(apply("elu", z), alpha, Fraction(1), "elu")


def gated(gate: str) -> Callable[[Node, Activation], Node]:
    """The input times gate(z), for an elementwise function from 0 to 1: GELU (Hendrycks and Gimpel, 2016), SiLU."""
    return lambda z, _: z * apply(gate, z)


ACTIVATIONS: Mapping[str, Callable[[Node, Activation], Node]] = MappingProxyType(
    {
        "identity": lambda z, _: z,
        "sigmoid": elementwise("sigmoid"),
        "tanh": elementwise("tanh"),
        "relu": lambda z, _: hinge(z, Fraction(0), Fraction(1), "relu"),
        "leaky_relu": lambda z, layer: hinge(z, Fraction(layer.parameter or 0.0), Fraction(1), "leaky_relu"),
        "softplus": elementwise("softplus"),
        "hard_tanh": lambda z, _: hard_tanh(z),
        "elu": lambda z, layer: elu(z, Fraction(layer.parameter or 0.0)),
        "gelu": gated("normal_cdf"),
        "gelu_tanh": gated("normal_cdf_by_tanh"),
        "silu": gated("sigmoid"),
        "softmax": lambda z, _: softmax(z),
    }
)


def dense(x: Node, layer: Dense, path: str, parameter: Parameters) -> Node:
    """Z = x @ W + b."""
    z = matmul(x, parameter(f"{path}.weight"))
    if layer.bias:
        z = z + spread(parameter(f"{path}.bias"), (0,), z.shape)
    return z


def maxout(x: Node, pieces: int) -> Node:
    """The greatest of each ``pieces`` features one behind another."""
    *axes, features = x.shape
    return largest(reshape(x, (*axes, features // pieces, pieces)), "maxout")


def dropout(x: Node, layer: Dropout, mask: Node | None) -> Node:
    """X ⊙ mask / (1 − p), 1 at a kept entry of the mask and 0 at a dropped one; x itself without a mask.

    Implementations scale the mask or what is kept, by 1/(1 − p) or dividing by 1 − p. The factor's own two roundings
    are those of 1 − p and its reciprocal. Where p is rounded too, it is off by u·p at most, and the factor by
    p/(1 − p)·u to first order: so many roundings more, and one for what the three make together. A p of no more bits
    than any format has is never rounded.
    """
    if mask is None:
        return x
    probability = Fraction(layer.probability)
    factor = scale(ones(x.shape), 1 / (1 - probability))
    if (probability * 2**SHORT_BITS).denominator != 1:
        factor = detour(factor, math.ceil(probability / (1 - probability)) + 1, factor)
    return x * (mask * factor)


def chain(x: Node, layers: tuple[Layer, ...], parameter: Parameters, prefix: str = "", mask: Masks = unmasked) -> Node:
    """Layers one after another."""
    for number, layer in enumerate(layers):
        path = f"{prefix}{number}"
        output = layer_output(x, layer, path, parameter, mask)
        # A named node is a new node. Where a layer passes its input on, a new one would cut x off from its gradient.
        x = output if output is x else output.named(f"layer {path}: {layer}")
    return x


def layer_output(x: Node, layer: Layer, path: str, parameter: Parameters, mask: Masks = unmasked) -> Node:
    """One layer's outputs for the inputs x (batch, …)."""
    match layer:
        case Dense():
            return dense(x, layer, path, parameter)
        case Activation():
            return ACTIVATIONS[layer.name](x, layer)
        case Maxout():
            return maxout(x, layer.pieces)
        case Dropout():
            return dropout(x, layer, mask(path))
        case Residual():
            return x + chain(x, layer.body, parameter, f"{path}.body.", mask)
        case Branches():
            outputs = [chain(x, body, parameter, f"{path}.{step}.", mask) for step, body in layer.chains()]
            if layer.merge == "concat":
                return join(outputs, -1)
            merged = outputs[0]
            for output in outputs[1:]:
                merged = merged + output
            return merged


def squared_error(y: Node, t: Node) -> Node:
    """(y − t)² for each output."""
    return apply("square", y - t)


def half_squared_error(y: Node, t: Node) -> Node:
    """½ (y − t)² for each output."""
    return scale(squared_error(y, t), Fraction(1, 2))


def complement(x: Node) -> Node:
    """1 − x."""
    return ones(x.shape) - x


def binary_cross_entropy(p: Node, t: Node) -> Node:
    """−t log p − (1 − t) log(1 − p) for each output."""
    losses = t * apply("log", p) + complement(t) * apply("log", complement(p))
    return scale(losses, Fraction(-1))


def binary_cross_entropy_with_logits(z: Node, t: Node) -> Node:
    """The binary cross-entropy of p = sigmoid(z): softplus(z) − t z, since log p = z − softplus(z).

    Frameworks go by ℓ(z) = log p = min(z, 0) − log1p(e⁻|ᶻ|), as (1 − t) z − ℓ(z) or −t ℓ(z) − (1 − t) ℓ(−z), which
    cancel where softplus(z) − t z does not. Write s for softplus(z). With a library within 8u, log1p(e⁻|ᶻ|) is off by
    8u/2 + 8u·log 2 < 10u, and ℓ(z) by u·|ℓ(z)| more, where |ℓ(z)| ≤ |z| + s and |ℓ(−z)| = s. What softplus may be off
    by here anyway, 10u·(1 + s), pays for 10u once. Then, to first order:

    - (1 − t) z − ℓ(z) is off by u·|ℓ(z)|, 2u·|1 − t|·|z| and the last rounding: 6 roundings of |z| + |t z| + s pay.
    - −t ℓ(z) − (1 − t) ℓ(−z) is off by 10u·(|t| + |1 − t|) and 3u·|t ℓ(z)| + 4u·|1 − t|·s. One of |ℓ(z)| and s is at
      most log 2, the other at most log 2 + |z|: the same 6 roundings pay, with 20 + 7·log 2 < 25 of |t| more.

    Backward the latter gives (1 − t)·softplus′(z) − t·softplus′(−z), each within its bound in ``refimpl.variants``,
    which is at most (18 + 11·(1 + log 2 + 2|z|))·u < (37 + 22·|z|)·u for either sign. What the program's softplus′(z)
    has there pays for 1 of |1 − t| ≤ 1 + |t|; so (74 + 44·|z|)·u of |t| more pay for all.
    """
    far = detour(detour(z, 0, ones(z.shape), returning=74), 0, z, returning=44)
    softplus, product = apply("softplus", z), t * far
    loss = softplus - product
    return detour(detour(loss, 6, softplus, z, product), 25, t)


def categorical_cross_entropy(p: Node, t: Node) -> Node:
    """−t_k log p_k for each class k."""
    return scale(t * apply("log", p), Fraction(-1))


def categorical_cross_entropy_with_logits(z: Node, t: Node) -> Node:
    """The categorical cross-entropy of p = softmax(z): t_k (log Σ_j exp z_j − z_k) for each class k."""
    return t * (log_sum_exp(z) - z)


LOSSES: Mapping[str, Callable[[Node, Node], Node]] = MappingProxyType(
    {
        "half_squared_error": half_squared_error,
        "squared_error": squared_error,
        "binary_cross_entropy": binary_cross_entropy,
        "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
        "categorical_cross_entropy": categorical_cross_entropy,
        "categorical_cross_entropy_with_logits": categorical_cross_entropy_with_logits,
    }
)


def guarded(y: Node, t: Node, loss: Loss) -> Node:
    """A cross-entropy of probabilities whose logarithms an eps keeps finite."""
    one = ones(y.shape)
    eps = scale(one, Fraction(loss.eps or 0.0))
    if loss.guard == "clip":
        return LOSSES[loss.name](minimum(maximum(y, eps, "clip"), one - eps, "clip"), t)
    losses = t * apply("log", y + eps)
    if loss.name == "binary_cross_entropy":
        losses = losses + complement(t) * apply("log", complement(y) + eps)
    return scale(losses, Fraction(-1))


def losses_of(loss: Loss, y: Node, t: Node) -> Node:
    """The loss of each output for outputs y and targets t."""
    return LOSSES[loss.name](y, t) if loss.guard is None else guarded(y, t, loss)


def reduced(losses: Node, loss: Loss, sample_weights: Node | None) -> Node:
    """Losses of each output (batch, …) weighted by sample, summed, and divided as the reduction says."""
    batch, outputs = losses.shape[0], math.prod(losses.shape[1:])
    each = total(losses, tuple(range(1, len(losses.shape))))
    if sample_weights is not None:
        each = each * sample_weights
    divisor = {"sum": 1, "batch_mean": batch, "element_mean": batch * outputs}[loss.reduction]
    return scale(total(each, (0,)), Fraction(1, divisor))


def penalty_of(penalty: Penalty, parameters: list[Node]) -> Node | None:
    """λ Σ|θ| or λ Σθ², or with λ/2, over the given parameters; None where there are none."""
    factor = Fraction(penalty.strength) / (2 if penalty.half else 1)
    sums: Node | None = None
    for theta in parameters:
        terms = hinge(theta, Fraction(-1), Fraction(1), "l1") if penalty.kind == "l1" else apply("square", theta)
        part = total(terms, tuple(range(len(terms.shape))))
        sums = part if sums is None else sums + part
    return None if sums is None else scale(sums, factor, "lambda")

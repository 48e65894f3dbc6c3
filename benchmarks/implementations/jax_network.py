"""Any network in JAX: ``jax.nn``'s functions forward, ``value_and_grad`` backward, compiled as a whole.

JAX is switched to 64 bits while it computes, so that a case of float64 is answered in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from gradproof.case import Case
from gradproof.gradients import Gradients
from gradproof.layers import Activation, Branches, Dense, Dropout, Layer, Maxout, Residual
from gradproof.loss import Loss
from gradproof.network import Network

KEPT: Final = 128
"""Networks whose compiled functions are kept."""

ACTIVATIONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "identity": lambda z, _: z,
    "sigmoid": lambda z, _: jax.nn.sigmoid(z),
    "tanh": lambda z, _: jnp.tanh(z),
    "relu": lambda z, _: jax.nn.relu(z),
    "leaky_relu": jax.nn.leaky_relu,
    "softplus": lambda z, _: jax.nn.softplus(z),
    "hard_tanh": lambda z, _: jax.nn.hard_tanh(z),
    "elu": jax.nn.elu,
    "gelu": lambda z, _: jax.nn.gelu(z, approximate=False),
    "gelu_tanh": lambda z, _: jax.nn.gelu(z, approximate=True),
    "silu": lambda z, _: jax.nn.silu(z),
    "softmax": lambda z, _: jax.nn.softmax(z),
}

LOSSES: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "half_squared_error": lambda y, t: 0.5 * (y - t) ** 2,
    "squared_error": lambda y, t: (y - t) ** 2,
    # Not jnp.log1p(-p): on a CPU that is off by up to 120 units in the last place where p is just below 0.4142.
    "binary_cross_entropy": lambda p, t: -(t * jnp.log(p) + (1 - t) * jnp.log(1 - p)),
    "binary_cross_entropy_with_logits": lambda z, t: -(t * jax.nn.log_sigmoid(z) + (1 - t) * jax.nn.log_sigmoid(-z)),
    "categorical_cross_entropy": lambda p, t: -t * jnp.log(p),
    "categorical_cross_entropy_with_logits": lambda z, t: -t * jax.nn.log_softmax(z),
}


def gradients(case: Case) -> Gradients:
    """Loss, outputs and every gradient of a case."""
    network = case.network
    with jax.enable_x64(True):
        goal = case.targets if network.loss is not None else case.upstream
        trained = {name: jnp.asarray(case.parameters[name]) for name in network.trainable}
        held = {name: jnp.asarray(case.parameters[name]) for name in network.frozen}
        weights = None if case.sample_weights is None else jnp.asarray(case.sample_weights)
        masks = {path: jnp.asarray(mask) for path, mask in case.masks.items()}
        (loss, outputs), (found, inputs) = _compiled(network)(
            trained, jnp.asarray(case.inputs), held, jnp.asarray(goal), weights, masks
        )
        named = {name: np.asarray(found[name]) for name in network.trainable}
        return Gradients(named, np.asarray(loss), np.asarray(outputs), np.asarray(inputs))


@lru_cache(maxsize=KEPT)
def _compiled(network: Network) -> Any:
    def loss_of(trained: Any, x: Any, held: Any, goal: Any, weights: Any, masks: Any) -> Any:
        return forward(network, {**trained, **held}, x, goal, weights, masks)

    return jax.jit(jax.value_and_grad(loss_of, argnums=(0, 1), has_aux=True))


def forward(
    network: Network,
    leaves: Mapping[str, Any],
    x: Any,
    goal: Any,
    weights: Any,
    masks: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[Any, Any]:
    """Loss and outputs; goal: the case's targets, or its upstream gradient; masks: of dropout, by path."""
    penalty = network.penalty
    outputs = _through(network.layers, x, "", lambda position: leaves[network.parameter_at(position)], masks)
    loss = _loss(network, outputs, goal, weights)
    if penalty is not None:
        strength = penalty.strength / 2 if penalty.half else penalty.strength
        for name in network.penalised:
            terms = jnp.abs(leaves[name]) if penalty.kind == "l1" else leaves[name] ** 2
            loss = loss + strength * terms.sum()
    return loss, outputs


def _through(
    layers: tuple[Layer, ...], x: Any, prefix: str, parameter: Callable[[str], Any], masks: Mapping[str, Any]
) -> Any:
    for number, layer in enumerate(layers):
        path = f"{prefix}{number}"
        match layer:
            case Dense(_, bias):
                x = x @ parameter(f"{path}.weight")
                x = x + parameter(f"{path}.bias") if bias else x
            case Activation(name, slope):
                x = ACTIVATIONS[name](x, slope)
            case Maxout(pieces):
                x = x.reshape(*x.shape[:-1], -1, pieces).max(axis=-1)
            case Dropout(probability):
                x = jnp.where(masks[path], x / (1 - probability), 0) if path in masks else x
            case Residual(body):
                x = x + _through(body, x, f"{path}.body.", parameter, masks)
            case Branches(_, merge):
                ends = [_through(body, x, f"{path}.{step}.", parameter, masks) for step, body in layer.chains()]
                x = jnp.concatenate(ends, axis=-1) if merge == "concat" else sum(ends[1:], ends[0])
    return x


def _guarded(loss: Loss, p: Any, t: Any) -> Any:
    eps = loss.eps or 0.0
    if loss.guard == "clip":
        return LOSSES[loss.name](jnp.clip(p, eps, 1 - eps), t)
    each = t * jnp.log(p + eps)
    return -(each + (1 - t) * jnp.log(1 - p + eps)) if loss.name == "binary_cross_entropy" else -each


def _loss(network: Network, outputs: Any, goal: Any, weights: Any) -> Any:
    if network.loss is None:
        return (goal * outputs).sum()
    loss = network.loss
    each = _guarded(loss, outputs, goal) if loss.guard else LOSSES[loss.name](outputs, goal)
    if weights is not None:
        each = each * weights.reshape(-1, *(1 for _ in network.output_shape))
    return each.sum() / {"sum": 1, "batch_mean": len(outputs), "element_mean": outputs.size}[network.loss.reduction]

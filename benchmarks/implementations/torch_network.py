"""Any network in PyTorch: its own functions forward, autograd backward.

Three of its defaults are no formula of the function that they are named after, and are left out: softplus is the
identity from 20 on (``threshold=40`` here: e⁻⁴⁰ is below half a unit of 40 in float64), and ``binary_cross_entropy``
replaces logarithms below −100 and derivatives' denominators below 1e-12, so the loss is written out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from gradproof.case import Case
from gradproof.gradients import Gradients
from gradproof.layers import Activation, Branches, Dense, Dropout, Layer, Maxout, Residual
from gradproof.loss import Loss

ACTIVATIONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "identity": lambda z, _: z,
    "sigmoid": lambda z, _: torch.sigmoid(z),
    "tanh": lambda z, _: torch.tanh(z),
    "relu": lambda z, _: torch.relu(z),
    "leaky_relu": functional.leaky_relu,
    "softplus": lambda z, _: functional.softplus(z, threshold=40),
    "hard_tanh": lambda z, _: functional.hardtanh(z),
    "elu": functional.elu,
    "gelu": lambda z, _: functional.gelu(z),
    "gelu_tanh": lambda z, _: functional.gelu(z, approximate="tanh"),
    "silu": lambda z, _: functional.silu(z),
    "softmax": lambda z, _: torch.softmax(z, dim=-1),
}

LOSSES: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "half_squared_error": lambda y, t: 0.5 * (y - t) ** 2,
    "squared_error": lambda y, t: functional.mse_loss(y, t, reduction="none"),
    "binary_cross_entropy": lambda p, t: -(t * torch.log(p) + (1 - t) * torch.log1p(-p)),
    "binary_cross_entropy_with_logits": lambda z, t: functional.binary_cross_entropy_with_logits(
        z, t, reduction="none"
    ),
    "categorical_cross_entropy": lambda p, t: -t * torch.log(p),
    "categorical_cross_entropy_with_logits": lambda z, t: -t * torch.log_softmax(z, dim=-1),
}


def gradients(case: Case) -> Gradients:
    """Loss, outputs and every gradient of a case."""
    network = case.network
    leaves = {name: tensor(array).requires_grad_() for name, array in case.parameters.items()}
    x = tensor(case.inputs).requires_grad_()
    loss, outputs = forward(case, leaves, x)
    wanted = [leaves[name] for name in network.trainable]
    found = torch.autograd.grad(loss, [*wanted, x], allow_unused=True, materialize_grads=True)
    named = {name: g.numpy() for name, g in zip(network.trainable, found, strict=False)}
    return Gradients(named, loss.detach().numpy(), outputs.detach().numpy(), found[-1].numpy())


def tensor(array: npt.ArrayLike | None) -> Any:
    """A tensor of its own memory: a case's arrays are read-only."""
    return torch.tensor(np.array(array))


def forward(case: Case, leaves: Mapping[str, Any], x: Any) -> tuple[Any, Any]:
    """Loss and outputs for parameters by name and inputs, as tensors."""
    network, penalty = case.network, case.network.penalty
    masks = {path: tensor(mask) for path, mask in case.masks.items()}
    outputs = _through(network.layers, x, "", lambda position: leaves[network.parameter_at(position)], masks)
    loss = _loss(case, outputs)
    if penalty is not None:
        strength = penalty.strength / 2 if penalty.half else penalty.strength
        for name in network.penalised:
            loss = loss + strength * (leaves[name].abs() if penalty.kind == "l1" else leaves[name] ** 2).sum()
    return loss, outputs


def _through(
    layers: tuple[Layer, ...], x: Any, prefix: str, parameter: Callable[[str], Any], masks: Mapping[str, Any]
) -> Any:
    for number, layer in enumerate(layers):
        path = f"{prefix}{number}"
        match layer:
            case Dense(_, bias):
                x = functional.linear(x, parameter(f"{path}.weight").T, parameter(f"{path}.bias") if bias else None)
            case Activation(name, slope):
                x = ACTIVATIONS[name](x, slope)
            case Maxout(pieces):
                x = x.reshape(*x.shape[:-1], -1, pieces).max(dim=-1).values
            case Dropout(probability):
                x = x * masks[path] / (1 - probability) if path in masks else x
            case Residual(body):
                x = x + _through(body, x, f"{path}.body.", parameter, masks)
            case Branches(_, merge):
                ends = [_through(body, x, f"{path}.{step}.", parameter, masks) for step, body in layer.chains()]
                x = torch.cat(ends, dim=-1) if merge == "concat" else sum(ends[1:], ends[0])
    return x


def _guarded(loss: Loss, p: Any, t: Any) -> Any:
    eps = loss.eps or 0.0
    if loss.guard == "clip":
        return LOSSES[loss.name](torch.clamp(p, eps, 1 - eps), t)
    each = t * torch.log(p + eps)
    return -(each + (1 - t) * torch.log(1 - p + eps)) if loss.name == "binary_cross_entropy" else -each


def _loss(case: Case, outputs: Any) -> Any:
    loss = case.network.loss
    goal = tensor(case.upstream if case.targets is None else case.targets)
    if loss is None:
        return (goal * outputs).sum()
    each = _guarded(loss, outputs, goal) if loss.guard else LOSSES[loss.name](outputs, goal)
    if case.sample_weights is not None:
        each = each * tensor(case.sample_weights).reshape(-1, *(1 for _ in case.network.output_shape))
    return each.sum() / {"sum": 1, "batch_mean": case.batch, "element_mean": outputs.numel()}[loss.reduction]

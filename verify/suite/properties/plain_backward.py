"""A plain backpropagation in NumPy, over trees of layers, and the mistakes that people make in theirs.

Without a fault it is one more correct implementation, as textbooks write it. FAULTS says what each fault does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from gradproof import Activation, Branches, Case, Dense, Gradients, Residual
from gradproof.layers import Dropout, Layer, Maxout
from gradproof.loss import Loss

FAULTS: Final[Mapping[str, str]] = {
    "zero": "all gradients are 0",
    "nan": "all gradients are NaN",
    "transposed weight": "a square weight's gradient is transposed",
    "forward weight": "the error passes back through W in place of Wᵀ, where W is square",
    "missing bias": "biases have no gradient",
    "averaged bias": "a bias's gradient is the mean over the batch, not the sum",
    "derivative at a": "an activation's derivative is taken at its value, as if that were its argument",
    "missing derivative": "an activation's derivative is left out",
    "doubled derivative": "an activation's derivative is applied twice",
    "softmax diagonal": "of softmax's Jacobian only the diagonal is used",
    "dead slope": "leaky ReLU passes nothing back for negative inputs",
    "sign": "the gradient points uphill",
    "dropped mean": "the loss is averaged, its gradient is not",
    "doubled loss": "the gradient is twice what it should be",
    "ignored sample weights": "the gradient leaves sample weights out",
    "overwritten shared": "a shared parameter keeps the gradient of its last use",
    "all that tie": "each piece of a maxout unit that ties for the greatest gets the whole gradient",
    "forgotten mask": "the error passes back through dropout without its mask",
    "forgotten skip": "a residual connection passes nothing back along its skip",
    "overwritten branches": "of several branches only the last one passes its gradient back",
    "swapped branches": "concatenated branches get each other's gradient",
    "missing penalty": "the gradient leaves the penalty out",
    "penalty upside down": "the penalty's gradient is subtracted",
    "penalised biases": "the penalty's gradient is added to biases that it does not run over",
    "first sample": "weights learn from the first sample alone",
    "updated too early": "the error passes back through weights that have already made their step",
}


def answer(case: Case, fault: str | None = None) -> Gradients:
    """The answer to a case, with one fault or none."""
    return _Backward(case, fault).answer()


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def _softplus(z: Any) -> Any:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def _softmax(z: Any) -> Any:
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _normal_cdf(z: Any) -> Any:
    half = z / np.sqrt(z.dtype.type(2))
    return (1 + np.array([math.erf(number) for number in half.reshape(-1)], z.dtype).reshape(z.shape)) / 2


def _cubic(z: Any) -> tuple[Any, Any]:
    """What GELU's tanh form takes the hyperbolic tangent of, and its derivative."""
    root, factor = np.sqrt(z.dtype.type(2 / np.pi)), z.dtype.type(0.044715)
    return root * (z + factor * z**3), root * (1 + 3 * factor * z**2)


FUNCTIONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "identity": lambda z, _: z,
    "sigmoid": lambda z, _: _sigmoid(z),
    "tanh": lambda z, _: np.tanh(z),
    "relu": lambda z, _: np.maximum(z, 0),
    "leaky_relu": lambda z, slope: np.where(z > 0, z, slope * z),
    "softplus": lambda z, _: _softplus(z),
    "hard_tanh": lambda z, _: np.clip(z, -1, 1),
    "elu": lambda z, alpha: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
    "gelu": lambda z, _: z * _normal_cdf(z),
    "gelu_tanh": lambda z, _: z * (1 + np.tanh(_cubic(z)[0])) / 2,
    "silu": lambda z, _: z * _sigmoid(z),
}
SLOPES: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "identity": lambda z, _: np.ones_like(z),
    "sigmoid": lambda z, _: _sigmoid(z) * (1 - _sigmoid(z)),
    "tanh": lambda z, _: 1 - np.tanh(z) ** 2,
    "relu": lambda z, _: (z > 0).astype(z.dtype),
    "leaky_relu": lambda z, slope: np.where(z > 0, z.dtype.type(1), slope),
    "softplus": lambda z, _: _sigmoid(z),
    "hard_tanh": lambda z, _: (np.abs(z) < 1).astype(z.dtype),
    "elu": lambda z, alpha: np.where(z > 0, z.dtype.type(1), alpha * np.exp(np.minimum(z, 0))),
    "gelu": lambda z, _: _normal_cdf(z) + z * np.exp(-z * z / 2) / np.sqrt(z.dtype.type(2 * np.pi)),
    "gelu_tanh": lambda z, _: (1 + np.tanh(_cubic(z)[0])) / 2 + z * (1 - np.tanh(_cubic(z)[0]) ** 2) * _cubic(z)[1] / 2,
    "silu": lambda z, _: _sigmoid(z) * (1 + z * (1 - _sigmoid(z))),
}
LOSSES: Final[Mapping[str, Callable[[Any, Any], tuple[Any, Any]]]] = {
    "half_squared_error": lambda y, t: ((y - t) ** 2 / 2, y - t),
    "squared_error": lambda y, t: ((y - t) ** 2, 2 * (y - t)),
    "binary_cross_entropy": lambda p, t: (-(t * np.log(p) + (1 - t) * np.log(1 - p)), (p - t) / (p * (1 - p))),
    "binary_cross_entropy_with_logits": lambda z, t: (_softplus(z) - t * z, _sigmoid(z) - t),
    "categorical_cross_entropy": lambda p, t: (-t * np.log(p), -t / p),
    "categorical_cross_entropy_with_logits": lambda z, t: (
        t * (np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True)) + z.max(-1, keepdims=True) - z),
        _softmax(z) * t.sum(-1, keepdims=True) - t,
    ),
}

Back = Callable[[Any], Any]


class _Backward:
    def __init__(self, case: Case, fault: str | None) -> None:
        self.case = case
        self.network = case.network
        self.fault = fault
        self.number = np.dtype(case.dtype).type
        self.gradients = {name: np.zeros_like(array) for name, array in case.parameters.items()}

    def answer(self) -> Gradients:
        outputs, back = self.chain(self.network.layers, np.asarray(self.case.inputs), "")
        loss, delta = self.loss(outputs)
        factor = {"sign": -1, "doubled loss": 2}.get(self.fault or "", 1)
        inputs = back(factor * delta)
        loss = loss + self.penalty()
        parameters = {name: self.gradients[name] for name in self.network.trainable}
        if self.fault in ("zero", "nan"):
            filler = 0 if self.fault == "zero" else np.nan
            parameters = {name: np.full_like(array, filler) for name, array in parameters.items()}
            inputs = np.full_like(inputs, filler)
        return Gradients(parameters, loss, outputs, inputs)

    def loss(self, outputs: Any) -> tuple[Any, Any]:
        if self.network.loss is None:
            return (self.case.upstream * outputs).sum(), self.case.upstream
        losses, delta = self.losses(self.network.loss, outputs, self.case.targets)
        reduction = self.network.loss.reduction
        divisor = {"sum": 1, "batch_mean": len(outputs), "element_mean": outputs.size}[reduction]
        given = self.case.sample_weights
        weights = np.ones(len(outputs), self.number) if given is None else given
        weights = weights.reshape(-1, *(1 for _ in self.network.output_shape))
        loss = (losses * weights).sum() / self.number(divisor)
        if self.fault != "ignored sample weights":
            delta = delta * weights
        return loss, delta if self.fault == "dropped mean" else delta / self.number(divisor)

    def losses(self, loss: Loss, p: Any, t: Any) -> tuple[Any, Any]:
        if loss.guard is None:
            return LOSSES[loss.name](p, t)
        eps = self.number(loss.eps or 0.0)
        if loss.guard == "clip":
            losses, delta = LOSSES[loss.name](np.clip(p, eps, 1 - eps), t)
            return losses, delta * ((eps < p) & (p < 1 - eps))
        losses, delta = -t * np.log(p + eps), -t / (p + eps)
        if loss.name == "binary_cross_entropy":
            losses, delta = losses - (1 - t) * np.log(1 - p + eps), delta + (1 - t) / (1 - p + eps)
        return losses, delta

    def penalty(self) -> Any:
        penalty = self.network.penalty
        if penalty is None:
            return self.number(0)
        strength = self.number(penalty.strength) / (2 if penalty.half else 1)
        total = self.number(0)
        for name in self.network.parameter_shapes:
            array = self.case.parameters[name]
            slope = strength * (np.sign(array) if penalty.kind == "l1" else 2 * array)
            if name in self.network.penalised:
                total = total + strength * (np.abs(array) if penalty.kind == "l1" else array**2).sum()
                factor = {"missing penalty": 0, "penalty upside down": -1}.get(self.fault or "", 1)
                self.gradients[name] = self.gradients[name] + factor * slope
            elif self.fault == "penalised biases":
                self.gradients[name] = self.gradients[name] + slope
        return total

    def chain(self, layers: tuple[Layer, ...], x: Any, prefix: str) -> tuple[Any, Back]:
        backs: list[Back] = []
        for number, layer in enumerate(layers):
            x, back = self.layer(layer, x, f"{prefix}{number}")
            backs.append(back)

        def backward(delta: Any) -> Any:
            for back in reversed(backs):
                delta = back(delta)
            return delta

        return x, backward

    def layer(self, layer: Layer, x: Any, path: str) -> tuple[Any, Back]:
        match layer:
            case Dense():
                return self.dense(layer, x, path)
            case Activation():
                return self.activation(layer, x)
            case Maxout():
                return self.maxout(layer, x)
            case Dropout():
                return self.dropout(layer, x, path)
            case Residual():
                y, back = self.chain(layer.body, x, f"{path}.body.")
                if self.fault == "forgotten skip":
                    return x + y, back
                return x + y, lambda delta: delta + back(delta)
            case Branches():
                return self.branches(layer, x, path)

    def dense(self, layer: Dense, x: Any, path: str) -> tuple[Any, Back]:
        weight = self.case.parameter(f"{path}.weight")
        z = x @ weight
        if layer.bias:
            z = z + self.case.parameter(f"{path}.bias")

        def back(delta: Any) -> Any:
            square = weight.shape[0] == weight.shape[1]
            gradient = x[:1].T @ delta[:1] if self.fault == "first sample" else x.T @ delta
            if self.fault == "transposed weight" and square:
                gradient = gradient.T
            self.add(f"{path}.weight", gradient)
            if layer.bias and self.fault != "missing bias":
                self.add(f"{path}.bias", delta.mean(axis=0) if self.fault == "averaged bias" else delta.sum(axis=0))
            if self.fault == "forward weight" and square:
                return delta @ weight
            if self.fault == "updated too early":
                return delta @ (weight - self.number(0.5) * gradient).T
            return delta @ weight.T

        return z, back

    def activation(self, layer: Activation, z: Any) -> tuple[Any, Back]:
        if layer.name == "softmax":
            a = _softmax(z)
            if self.fault == "softmax diagonal":
                return a, lambda delta: delta * a * (1 - a)
            return a, lambda delta: a * (delta - (delta * a).sum(axis=-1, keepdims=True))
        slope = None if layer.parameter is None else self.number(layer.parameter)
        a = FUNCTIONS[layer.name](z, slope)
        at = a if self.fault == "derivative at a" else z
        derivative = SLOPES[layer.name](at, self.number(0) if self.fault == "dead slope" else slope)
        times = {"missing derivative": 0, "doubled derivative": 2}.get(self.fault or "", 1)
        return a, lambda delta: delta * derivative**times

    def maxout(self, layer: Maxout, z: Any) -> tuple[Any, Back]:
        pieces = z.reshape(*z.shape[:-1], -1, layer.pieces)
        y = pieces.max(axis=-1)
        tied = pieces == y[..., None]
        if self.fault != "all that tie":
            tied = tied & (np.cumsum(tied, axis=-1) == 1)
        return y, lambda delta: (delta[..., None] * tied).reshape(z.shape)

    def dropout(self, layer: Dropout, x: Any, path: str) -> tuple[Any, Back]:
        mask = self.case.masks.get(path)
        if mask is None:
            return x, lambda delta: delta
        keep = self.number(1) - self.number(layer.probability)
        return x * mask / keep, lambda delta: delta / keep if self.fault == "forgotten mask" else delta * mask / keep

    def branches(self, layer: Branches, x: Any, path: str) -> tuple[Any, Back]:
        parts = [self.chain(body, x, f"{path}.{step}.") for step, body in layer.chains()]
        ends = np.cumsum([part.shape[-1] for part, _ in parts])[:-1]
        outputs = [part for part, _ in parts]

        def back(delta: Any) -> Any:
            pieces = [delta] * len(parts) if layer.merge == "sum" else np.split(delta, ends, axis=-1)
            alike = len({piece.shape for piece in pieces}) == 1
            if self.fault == "swapped branches" and layer.merge == "concat" and alike:
                pieces = pieces[::-1]
            passed = [inner(piece) for (_, inner), piece in zip(parts, pieces, strict=True)]
            return passed[-1] if self.fault == "overwritten branches" else sum(passed[1:], passed[0])

        merged = sum(outputs[1:], outputs[0]) if layer.merge == "sum" else np.concatenate(outputs, axis=-1)
        return merged, back

    def add(self, position: str, gradient: Any) -> None:
        name = self.network.parameter_at(position)
        if self.fault == "overwritten shared":
            self.gradients[name] = gradient
        else:
            self.gradients[name] = self.gradients[name] + gradient

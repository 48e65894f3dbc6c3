"""A backpropagation in NumPy over trees of layers, in whole batches, into which the mistakes of ``FAULTS`` are planted.

It shares nothing with the catalogue: each mistake is written here as people write it in NumPy. A fault is a name, a
place (every, output, hidden) and for activations the one that is befallen (None: each).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradproof import Activation, Branches, Case, Dense, Gradients, Residual
from gradproof.layers import Dropout, Maxout


@dataclass(frozen=True)
class Fault:
    name: str
    place: str = "every"
    kind: str | None = None


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def phi(z: Any) -> tuple[Any, Any]:
    """The normal distribution and its density."""
    errors = np.vectorize(math.erf, otypes=[float])(z / np.sqrt(2))
    return (1 + errors) / 2, np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def cubic(z: Any) -> tuple[Any, Any]:
    root = np.sqrt(2 / np.pi)
    return root * (z + 0.044715 * z**3), root * (1 + 3 * 0.044715 * z**2)


def f(name: str, z: Any, slope: Any = None) -> Any:
    formulas: dict[str, Any] = {
        "identity": lambda: z,
        "sigmoid": lambda: sigmoid(z),
        "tanh": lambda: np.tanh(z),
        "relu": lambda: np.maximum(z, 0),
        "leaky_relu": lambda: np.where(z > 0, z, slope * z),
        "softplus": lambda: np.logaddexp(0, z),
        "hard_tanh": lambda: np.clip(z, -1, 1),
        "elu": lambda: np.where(z > 0, z, slope * np.expm1(np.minimum(z, 0))),
        "gelu": lambda: z * phi(z)[0],
        "gelu_tanh": lambda: z / 2 * (1 + np.tanh(cubic(z)[0])),
        "silu": lambda: z * sigmoid(z),
        "softmax": lambda: softmax(z),
    }
    return formulas[name]()


def df(name: str, z: Any, slope: Any = None) -> Any:
    slopes: dict[str, Any] = {
        "identity": lambda: np.ones_like(z),
        "sigmoid": lambda: sigmoid(z) * (1 - sigmoid(z)),
        "tanh": lambda: 1 / np.cosh(z) ** 2,
        "relu": lambda: 1.0 * (z > 0),
        "leaky_relu": lambda: np.where(z > 0, 1.0, slope),
        "softplus": lambda: sigmoid(z),
        "hard_tanh": lambda: 1.0 * (np.abs(z) < 1),
        "elu": lambda: np.where(z > 0, 1.0, slope * np.exp(np.minimum(z, 0))),
        "gelu": lambda: phi(z)[0] + z * phi(z)[1],
        "gelu_tanh": lambda: (1 + np.tanh(cubic(z)[0])) / 2 + z / 2 / np.cosh(cubic(z)[0]) ** 2 * cubic(z)[1],
        "silu": lambda: sigmoid(z) + z * sigmoid(z) * (1 - sigmoid(z)),
    }
    return slopes[name]()


def back(name: str, z: Any, delta: Any, slope: Any = None) -> Any:
    if name == "softmax":
        a = softmax(z)
        return a * (delta - (a * delta).sum(-1, keepdims=True))
    return delta * df(name, z, slope)


def loss_of(name: str, y: Any, t: Any) -> tuple[Any, Any]:
    """Losses of each output and their derivative."""
    if name == "half_squared_error":
        return (y - t) ** 2 / 2, y - t
    if name == "squared_error":
        return (y - t) ** 2, 2 * (y - t)
    if name == "binary_cross_entropy":
        return -(t * np.log(y) + (1 - t) * np.log(1 - y)), (y - t) / (y * (1 - y))
    if name == "binary_cross_entropy_with_logits":
        return np.logaddexp(0, y) - t * y, sigmoid(y) - t
    if name == "categorical_cross_entropy":
        return -t * np.log(y), -t / y
    high = y.max(-1, keepdims=True)
    log_p = y - high - np.log(np.exp(y - high).sum(-1, keepdims=True))
    return -t * log_p, softmax(y) * t.sum(-1, keepdims=True) - t


class Vectorised:
    def __init__(self, *faults: Fault) -> None:
        self.faults = faults

    def __call__(self, case: Case) -> Gradients:
        self.case, self.network = case, case.network
        self.n = case.batch
        self.uses: dict[str, list[Any]] = {name: [] for name in case.network.parameter_shapes}
        dense = [site.path for site in case.network.sites if isinstance(site.layer, Dense)]
        self.dense_paths = dense
        self.acts: list[tuple[str, Activation, Any]] = []
        self.weights = {path: case.parameter(f"{path}.weight") for path in dense}
        self.last_dense = dense[-1] if dense else ""
        y, pull = self.chain(case.network.layers, case.inputs, "")
        self.before_output = self.acts[-1][2] if self.acts and isinstance(self.network.layers[-1], Activation) else y
        data, delta = self.loss(y)
        inputs = pull(delta)
        loss, parameters = self.finish(data)
        factor = self.factor()
        if self.has("parameters' sign"):
            parameters = {name: -g for name, g in parameters.items()}
        return Gradients({k: factor * v for k, v in parameters.items()}, loss, y, factor * inputs)

    def factor(self) -> float:
        for name, number in (("whole sign", -1), ("zero", 0), *self.scales()):
            if self.has(name if name in ("whole sign", "zero") else f"everything x {name}"):
                return number
        return 1

    def scales(self) -> list[tuple[str, float]]:
        n, k = self.n, int(np.prod(self.network.output_shape))
        plain = [("2", 2), ("1/2", 1 / 2), ("N", n), ("1/N", 1 / n), ("K", k), ("1/K", 1 / k)]
        return [*plain, ("NK", n * k), ("1/NK", 1 / n / k), ("2/N", 2 / n), ("2/K", 2 / k)]

    def has(self, name: str, path: str | None = None, kind: str | None = None) -> bool:
        for fault in self.faults:
            if fault.name != name or (fault.kind is not None and fault.kind != kind):
                continue
            if path is None or fault.place == "every" or (fault.place == "output") == self.is_last(path):
                return True
        return False

    def in_loss(self, name: str) -> bool:
        return self.has(f"loss: {name}") or self.has(f"loss and gradient: {name}")

    def in_gradient(self, name: str) -> bool:
        return self.has(name) or self.has(f"loss and gradient: {name}")

    def is_last(self, path: str) -> bool:
        head, _, number = path.rpartition(".")
        before = f"{head}.{int(number) - 1}" if head else str(int(number) - 1)
        return self.last_dense in ("", path, before)

    def loss(self, y: Any) -> tuple[Any, Any]:
        case, n, k = self.case, self.n, int(np.prod(self.network.output_shape))
        declared = self.network.loss
        on_value = on_delta = 1.0
        for name, number in self.scales():
            if self.has(f"gradient: data x {name}") or self.has(f"loss and gradient: data x {name}"):
                on_delta = number
            if self.has(f"loss: data x {name}") or self.has(f"loss and gradient: data x {name}"):
                on_value = number
        if self.has("data sign"):
            on_delta = -on_delta
        if declared is None:
            return (np.asarray(case.upstream) * y).sum() * on_value, np.asarray(case.upstream) * on_delta
        t: Any = case.targets
        ends = self.network.layers[-1].name if isinstance(self.network.layers[-1], Activation) else ""

        def under(forms: tuple[str, ...]) -> tuple[str, str]:
            for fault in self.faults:
                form, _, what = fault.name.partition(": ")
                name, _, reduction = what.partition("/")
                if form in forms and (name in REDUCTIONS or name in LOSSES):
                    if name in REDUCTIONS:
                        return declared.name, name
                    inside = "logits" not in name and "squared" not in name
                    was_inside = "logits" not in declared.name and "squared" not in declared.name
                    if not inside or was_inside or ends in ("sigmoid", "softmax"):
                        return name, reduction or declared.reduction
            return declared.name, declared.reduction

        def divisor(reduction: str) -> int:
            return {"sum": 1, "batch_mean": n, "element_mean": n * k}[reduction]

        w = np.ones(n) if case.sample_weights is None else case.sample_weights
        column = (-1, *(1 for _ in self.network.output_shape))
        name, reduction = under(("loss", "loss and gradient"))
        value = (loss_of(name, y, t)[0] * w.reshape(column)).sum() / divisor(reduction) * on_value
        name, reduction = under(("gradient", "loss and gradient"))
        delta = loss_of(name, y, t)[1]
        bounded = name in ("binary_cross_entropy", "categorical_cross_entropy")
        logits = name.endswith("logits")
        if self.has("p - t taken for dL/dp") and bounded:
            delta = y - t
        if self.has("logits taken for probabilities") and logits:
            delta = y - t
        if self.has("derivative beside fused loss") and logits:
            delta = back("sigmoid" if name.startswith("binary") else "softmax", y, delta)
        if self.has("sigmoid for softmax in loss") and name == "categorical_cross_entropy_with_logits":
            delta = sigmoid(y) - t
        if self.has("only -t/p") and name == "binary_cross_entropy":
            delta = -t / y
        if self.has("sign of the error") and "squared" in name:
            delta = np.sign(y - t)
        v = w
        if self.has("sample weights ignored"):
            v = np.ones(n)
        if self.has("sample weights squared"):
            v = w**2
        if self.has("sample weights normalised to 1"):
            v = w / w.sum() if case.sample_weights is not None else w
        if self.has("sample weights normalised to N"):
            v = w / w.mean()
        return value, delta * v.reshape(column) / divisor(reduction) * on_delta

    def finish(self, data: Any) -> tuple[Any, dict[str, Any]]:
        penalty, total, found = self.network.penalty, data, {}
        for name in self.network.parameter_shapes:
            uses = self.uses[name][::-1]
            g = sum(uses)
            if len(uses) > 1 and self.has("shared overwritten by first"):
                g = uses[0]
            if len(uses) > 1 and self.has("shared overwritten by last"):
                g = uses[-1]
            if len(uses) > 1 and self.has("shared averaged"):
                g = np.mean(uses, axis=0)
            if penalty is not None:
                theta, bias = self.case.parameters[name], name.endswith("bias")
                lam = penalty.strength / (2 if penalty.half else 1)
                on = name in self.network.penalised
                kind = penalty.kind
                counted = on or (self.in_loss("penalty on biases") and bias)
                counted = counted and not (self.in_loss("penalty not on biases") and bias)
                if counted and not self.has("loss: penalty missing"):
                    share = {"doubled": 2.0, "halved": 0.5, "/ N": 1 / self.n, "x N": float(self.n)}
                    times = next((number for n, number in share.items() if self.in_loss(f"penalty {n}")), 1.0)
                    total = total + times * lam * (np.abs(theta) if kind == "l1" else theta**2).sum()
                slope = np.sign(theta) if kind == "l1" else 2 * theta
                if self.has("penalty of the other kind"):
                    slope = 2 * theta if kind == "l1" else np.sign(theta)
                if self.has("penalty of the gradient"):
                    slope = g * (1 if kind == "l1" else 2)
                if self.has("penalty without strength") and lam:
                    slope = slope / lam
                factor = 1.0
                for fault, number in (
                    ("penalty sign", -1),
                    ("penalty doubled", 2),
                    ("penalty halved", 0.5),
                    ("penalty / N", 1 / self.n),
                    ("penalty x N", self.n),
                    ("penalty for each use", len(uses)),
                ):
                    if self.in_gradient(fault):
                        factor = number
                if self.has("penalty missing", name.rpartition(".")[0]):
                    factor = 0
                on = on or (self.in_gradient("penalty on biases") and bias)
                on = on and not (self.in_gradient("penalty not on biases") and bias)
                g = g + factor * lam * slope if on else g
            if self.has("whole weight gradient transposed") and g.ndim == 2 and g.shape[0] == g.shape[1]:
                g = g.T
            if name in self.network.trainable:
                found[name] = g
        return total, found

    def chain(self, layers: Any, x: Any, prefix: str) -> Any:
        backs = []
        before = None
        for number, layer in enumerate(layers):
            z = x
            x, pull = self.layer(layer, x, f"{prefix}{number}", before)
            backs.append((layer, pull))
            before = z if isinstance(layer, Activation) else None

        def backward(delta: Any) -> Any:
            undamped = None
            for layer, pull in reversed(backs):
                incoming = delta
                delta = pull(delta, undamped) if isinstance(layer, Dense) else pull(delta)
                undamped = incoming if isinstance(layer, Activation) else None
            return delta

        return x, backward

    def layer(self, layer: Any, x: Any, path: str, before: Any) -> Any:
        if isinstance(layer, Dense):
            return self.dense(layer, x, path, before)
        if isinstance(layer, Activation):
            return self.activation(layer, x, path)
        if isinstance(layer, Maxout):
            groups = x.reshape(*x.shape[:-1], -1, layer.pieces)
            takes = np.arange(layer.pieces) == groups.argmax(-1)[..., None]
            greatest = groups == groups.max(-1, keepdims=True)
            if self.has("ties: each the whole"):
                takes = greatest
            if self.has("ties: nothing"):
                takes = greatest & (greatest.sum(-1, keepdims=True) == 1)
            return groups.max(-1), lambda delta: (delta[..., None] * takes).reshape(x.shape)
        if isinstance(layer, Dropout):
            return self.dropout(layer, x, path)
        if isinstance(layer, Residual):
            y, pull = self.chain(layer.body, x, f"{path}.body.")

            def through(delta: Any) -> Any:
                body = pull(delta)
                if self.has("skip forgotten"):
                    return body
                return delta if self.has("body forgotten") else delta + body

            return x + y, through
        return self.branches(layer, x, path)

    def dropout(self, layer: Dropout, x: Any, path: str) -> Any:
        p, mask = layer.probability, self.case.masks.get(path)
        if mask is None or self.has("dropout left out"):
            return x, lambda delta: delta
        if self.has("dropout not inverted"):
            return x * mask, lambda delta: delta * mask
        if self.has("dropout of the kept"):
            mask = ~mask
        keep = 1 - p
        if self.has("dropout scaled by 1/p") and p > 0:
            keep = p

        def pull(delta: Any) -> Any:
            if self.has("dropout not passed back"):
                return delta
            if self.has("dropout scale missing"):
                return np.where(mask, delta, 0)
            return delta / keep if self.has("mask missing") else np.where(mask, delta, 0) / keep

        return np.where(mask, x, 0) / keep, pull

    def dense(self, layer: Dense, x: Any, path: str, before: Any) -> Any:
        w, n = self.weights[path], self.n

        def pull(delta: Any, undamped: Any) -> Any:
            mine = delta
            if undamped is not None and self.has("parameters undamped", path):
                mine = undamped
            left = before if before is not None and self.has("inputs before activation", path) else x
            gw, gb = left.T @ mine, mine.sum(0)
            for word, cut in (("first", slice(0, 1)), ("last", slice(-1, None))):
                if self.has(f"weight of {word} sample", path) or self.has(f"{word} sample", path):
                    gw = left[cut].T @ mine[cut]
                if self.has(f"bias of {word} sample", path) or self.has(f"{word} sample", path):
                    gb = mine[cut].sum(0)
            if self.has("weight gradient transposed", path) and w.shape[0] == w.shape[1]:
                gw = gw.T
            if self.has("weight averaged", path) or self.has("gradients averaged", path):
                gw = gw / n
            if self.has("bias averaged", path) or self.has("gradients averaged", path):
                gb = mine.mean(0)
            if self.has("weight zero", path) or self.has("gradients zero", path):
                gw = 0 * gw
            if self.has("bias zero", path) or self.has("gradients zero", path):
                gb = np.zeros_like(gb)
            if self.has("weight sign", path):
                gw = -gw
            if self.has("bias sign", path):
                gb = -gb
            if self.has("bias times batch", path):
                gb = gb * n
            if self.has("bias summed over units", path):
                gb = np.full_like(gb, mine.sum())
            self.uses[self.network.parameter_at(f"{path}.weight")].append(gw)
            if layer.bias:
                self.uses[self.network.parameter_at(f"{path}.bias")].append(gb)
            on = undamped if undamped is not None and self.has("passed on undamped", path) else delta
            if self.has("nothing passes back", path):
                return np.zeros_like(x)
            frozen = self.network.parameter_at(f"{path}.weight") in self.network.frozen
            if self.has("stopped at frozen", path) and frozen:
                return np.zeros_like(x)
            if self.has("forward weight", path) and w.shape[0] == w.shape[1]:
                return on @ w
            place = self.dense_paths.index(path)
            for word, number in (("next", place + 1), ("previous", place - 1)):
                if self.has(f"{word} weight", path) and 0 <= number < len(self.dense_paths):
                    other = self.weights[self.dense_paths[number]]
                    if other.shape == w.shape:
                        return on @ other.T
            if self.has("half learnt weight"):
                return on @ (w - 0.5 * gw).T
            return on @ w.T

        return x @ w + (self.case.parameter(f"{path}.bias") if layer.bias else 0), pull

    def activation(self, layer: Activation, z: Any, path: str) -> Any:
        name, slope = layer.name, layer.parameter
        a = f(name, z, slope)
        number = len(self.acts)
        self.acts.append((path, layer, z))

        def has(fault: str) -> bool:
            return self.has(fault, path, name)

        def neighbour(step: int) -> Any:
            return self.acts[number + step] if 0 <= number + step < len(self.acts) else None

        def pull(d: Any) -> Any:
            right = back(name, z, d, slope)
            if has("derivative at a"):
                return back(name, a, d, slope)
            if has("formula for a at z"):
                if name == "softmax":
                    return z * (d - (d * z).sum(-1, keepdims=True))
                formula = {"sigmoid": lambda: z * (1 - z), "tanh": lambda: 1 - z**2, "softplus": lambda: 1 - np.exp(-z)}
                return d * formula[name]() if name in formula else right
            if has("derivative missing"):
                return d
            if has("derivative twice"):
                return back(name, z, right, slope)
            if has("extra factor a"):
                return right * a if name != "identity" else right
            if has("factor a for derivative"):
                return d * a if name != "identity" else d
            if has("factor 1 - a for derivative"):
                return d * (1 - a) if name != "identity" else d
            for word, step in (("previous", -1), ("next", 1)):
                other = neighbour(step)
                if has(f"derivative at {word} z") and other is not None and name != "softmax":
                    return back(name, other[2], d, slope) if other[2].shape == z.shape else right
                if has(f"{word} layer's derivative") and other is not None:
                    return back(other[1].name, z, d, other[1].parameter)
            for other in ("sigmoid", "tanh", "relu"):
                if has(f"derivative of {other}"):
                    return d * df(other, z)
            if has("a(1 − a)") and name != "softmax":
                return d * a * (1 - a)
            if has("1 − a²"):
                return d * (1 - a**2)
            if has("softmax diagonal") and name == "softmax":
                return d * a * (1 - a)
            if has("softmax sum without a") and name == "softmax":
                return d * a - (d * a).sum(-1, keepdims=True)
            if has("slope ignored") and name == "leaky_relu":
                return d * (z > 0)
            if has("slopes swapped") and name in ("relu", "leaky_relu"):
                return d * np.where(z < 0, 1, slope or 0)
            if has("slope negated") and name == "leaky_relu":
                return d * np.where(z > 0, 1, -(slope or 0))
            for said, number in (
                ("0", 0),
                (f"1 + {'alpha' if name == 'elu' else 'slope'}", 1 + (slope or 0)),
                ("2", 2),
            ):
                if has(f"{name} at 0: {said}"):
                    return np.where(z == 0, number * d, right)
            if has("cube of derivative"):
                return right * df(name, z, slope) ** 2 if name != "softmax" else right
            return right

        return a, pull

    def branches(self, layer: Branches, x: Any, path: str) -> Any:
        parts = [self.chain(body, x, f"{path}.{step}.") for step, body in layer.chains()]
        ends = np.cumsum([y.shape[-1] for y, _ in parts])[:-1]

        def pull(delta: Any) -> Any:
            pieces = [delta] * len(parts) if layer.merge == "sum" else np.split(delta, ends, -1)
            if self.has("branches swapped") and layer.merge == "concat":
                pieces = [
                    other if other.shape == own.shape else own for own, other in zip(pieces, pieces[::-1], strict=True)
                ]
            got = [inner(piece) for (_, inner), piece in zip(parts, pieces, strict=True)]
            if self.has("branches overwritten by last"):
                return got[-1]
            if self.has("branches overwritten by first"):
                return got[0]
            return np.mean(got, axis=0) if self.has("branches averaged") else sum(got)

        ys = [y for y, _ in parts]
        return (sum(ys) if layer.merge == "sum" else np.concatenate(ys, -1)), pull


REDUCTIONS = ("sum", "batch_mean", "element_mean")
LOSSES = (
    "half_squared_error",
    "squared_error",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "categorical_cross_entropy",
    "categorical_cross_entropy_with_logits",
)

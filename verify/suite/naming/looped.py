"""A backpropagation as first lessons write it: one sample after the other, loops over units, lists of Python floats.

Plain stacks of dense layers with sigmoid, tanh or ReLU and half the squared error, L2 penalty λ/2 Σw². ``fault`` is a
mistake of ``FAULTS``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradproof import Case

FAULTS = (
    "derivative at a",
    "derivative missing",
    "derivative twice",
    "extra factor a",
    "a(1 − a)",
    "1 − a²",
    "passed on undamped",
    "bias zero",
    "bias averaged",
    "last sample",
    "first sample",
    "gradient: data x 1/N",
    "data sign",
    "gradient: data x K",
    "gradient: sum",
    "gradient: squared_error",
    "penalty missing",
    "penalty sign",
    "penalty doubled",
    "penalty on biases",
    "penalty x N",
    "penalty of the gradient",
    "forward weight",
    "whole weight gradient transposed",
    "inputs before activation",
    "everything x 1/N",
)


class Looped:
    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def __call__(self, case: Case) -> dict[str, Any]:
        fault, stack = self.fault, case.stack
        weights = [w.tolist() for w in stack.weights]
        biases = [b.tolist() for b in stack.biases if b is not None]
        names, n = stack.activations, case.batch
        summed_w = [[[0.0] * len(row) for row in w] for w in weights]
        summed_b = [[0.0] * len(b) for b in biases]
        loss, all_outputs = 0.0, []
        for number, (x, t) in enumerate(zip(case.inputs.tolist(), np.asarray(case.targets).tolist(), strict=True)):
            zs, ys = [], [x]
            for w, b, name in zip(weights, biases, names, strict=True):
                z = [b[j] + sum(ys[-1][i] * w[i][j] for i in range(len(w))) for j in range(len(b))]
                zs.append(z)
                ys.append([value(name, one) for one in z])
            all_outputs.append(ys[-1])
            loss += sum((y - goal) ** 2 for y, goal in zip(ys[-1], t, strict=True)) / 2 / n
            k = len(t)
            scale = {
                "gradient: data x K": k,
                "gradient: sum": n,
                "gradient: squared_error": 2,
                "data sign": -1,
                "gradient: data x 1/N": 1 / n,
            }
            errors = [(y - goal) / n * scale.get(fault, 1) for y, goal in zip(ys[-1], t, strict=True)]
            for layer in reversed(range(len(weights))):
                w, z, a, below = weights[layer], zs[layer], ys[layer + 1], ys[layer]
                if fault == "inputs before activation" and layer:
                    below = zs[layer - 1]
                deltas = [e * self.slope(names[layer], z[j], a[j]) for j, e in enumerate(errors)]
                skip = (fault == "first sample" and number > 0) or (fault == "last sample" and number < n - 1)
                for j, delta in enumerate(deltas):
                    if not skip:
                        summed_b[layer][j] += delta
                    for i, one in enumerate(below):
                        if not skip:
                            summed_w[layer][i][j] += one * delta
                on = errors if fault == "passed on undamped" else deltas
                square = fault == "forward weight" and len(w) == len(w[0])
                errors = [sum((w[j][i] if square else w[i][j]) * on[j] for j in range(len(on))) for i in range(len(w))]
        strength = 0.0 if case.network.penalty is None else case.network.penalty.strength
        for layer, w in enumerate(weights):
            for i, row in enumerate(w):
                for j, theta in enumerate(row):
                    loss += strength / 2 * theta**2
                    factor = {"penalty missing": 0, "penalty sign": -1, "penalty doubled": 2, "penalty x N": n}
                    base = summed_w[layer][i][j] if fault == "penalty of the gradient" else theta
                    summed_w[layer][i][j] += factor.get(fault, 1) * strength * base
            for j, theta in enumerate(biases[layer]):
                if fault == "penalty on biases":
                    summed_b[layer][j] += strength * theta
                if fault == "bias zero":
                    summed_b[layer][j] = 0.0
                if fault == "bias averaged":
                    summed_b[layer][j] /= n
            if fault == "everything x 1/N":
                summed_b[layer] = [one / n for one in summed_b[layer]]
            if fault == "everything x 1/N":
                summed_w[layer] = [[one / n for one in row] for row in summed_w[layer]]
            if fault == "whole weight gradient transposed" and len(w) == len(w[0]):
                summed_w[layer] = [list(row) for row in zip(*summed_w[layer], strict=True)]
        return {"loss": loss, "outputs": all_outputs, "parameters": stack.name(summed_w, summed_b)}

    def slope(self, name: str, z: float, a: float) -> float:
        right = derivative(name, z)
        match self.fault:
            case "derivative at a":
                return derivative(name, a)
            case "derivative missing":
                return 1.0
            case "derivative twice":
                return right * right
            case "extra factor a":
                return right * a
            case "a(1 − a)":
                return a * (1 - a)
            case "1 − a²":
                return 1 - a * a
        return right


def value(name: str, z: float) -> float:
    if name == "sigmoid":
        return 1 / (1 + math.exp(-z))
    return math.tanh(z) if name == "tanh" else max(z, 0.0)


def derivative(name: str, z: float) -> float:
    if name == "sigmoid":
        return math.exp(-z) / (1 + math.exp(-z)) ** 2
    return 1 - math.tanh(z) ** 2 if name == "tanh" else float(z > 0)

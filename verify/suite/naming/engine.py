"""A scalar automatic-differentiation engine, one object for each number, and a network built of it.

``fault`` is a mistake of ``FAULTS``, made in the backward of an operator or in how gradients are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradproof import Case

FAULTS = (
    "derivative at a",
    "derivative missing",
    "derivative twice",
    "derivative of relu",
    "factor a for derivative",
    "factor 1 - a for derivative",
    "slope ignored",
    "slopes swapped",
    "gradient: half_squared_error",
    "gradient: element_mean",
    "data sign",
    "bias zero",
    "bias of last sample",
    "zero",
    "everything x 2",
    "parameters' sign",
)
OUTSIDE = ("overwrites", "no order", "wrong product")
"""Mistakes that the catalogue does not hold: of engines, not of networks."""


class Value:
    def __init__(self, data: float, children: tuple[Value, ...] = ()) -> None:
        self.data, self.grad, self.children = data, 0.0, children
        self.back: Callable[[], None] = lambda: None


class Engine:
    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def add_to(self, node: Value, part: float) -> None:
        node.grad = part if self.fault == "overwrites" else node.grad + part

    def add(self, a: Value, b: Value) -> Value:
        out = Value(a.data + b.data, (a, b))

        def back() -> None:
            self.add_to(a, out.grad)
            self.add_to(b, out.grad)

        out.back = back
        return out

    def multiply(self, a: Value, b: Value) -> Value:
        out = Value(a.data * b.data, (a, b))

        def back() -> None:
            self.add_to(a, (a.data if self.fault == "wrong product" else b.data) * out.grad)
            self.add_to(b, a.data * out.grad)

        out.back = back
        return out

    def activate(self, name: str, slope: float, x: Value) -> Value:
        def value(z: float) -> float:
            if name == "tanh":
                return math.tanh(z)
            if name == "leaky_relu":
                return z if z > 0 else slope * z
            return z

        def derivative(z: float) -> float:
            if name == "tanh":
                return 1 - math.tanh(z) ** 2
            if name == "leaky_relu":
                return 1.0 if z > 0 else slope
            return 1.0

        out = Value(value(x.data), (x,))

        def back() -> None:
            z, a = x.data, out.data
            local = derivative(z)
            if name != "identity":
                local = {
                    "derivative at a": derivative(a),
                    "derivative missing": 1.0,
                    "derivative twice": local**2,
                    "factor a for derivative": a,
                    "factor 1 - a for derivative": 1 - a,
                }.get(self.fault, local)
            if self.fault == "derivative of relu":
                local = float(z > 0)
            if self.fault == "slope ignored" and name == "leaky_relu":
                local = float(z > 0)
            if self.fault == "slopes swapped" and name == "leaky_relu":
                local = slope if z > 0 else 1.0
            self.add_to(x, local * out.grad)

        out.back = back
        return out

    def backward(self, root: Value) -> None:
        order: list[Value] = []
        seen: set[int] = set()

        def visit(node: Value) -> None:
            if id(node) not in seen:
                seen.add(id(node))
                if self.fault == "no order":
                    order.append(node)
                for child in node.children:
                    visit(child)
                if self.fault != "no order":
                    order.append(node)

        visit(root)
        root.grad = {"zero": 0.0, "data sign": -1.0, "gradient: half_squared_error": 0.5, "everything x 2": 2.0}.get(
            self.fault, 1.0
        )
        for node in order if self.fault == "no order" else reversed(order):
            node.back()

    def __call__(self, case: Case) -> dict[str, Any]:
        stack, fault = case.stack, self.fault
        weights = [[[Value(w) for w in row] for row in rows.tolist()] for rows in stack.weights]
        biases = [[Value(b) for b in row.tolist()] for row in stack.biases if row is not None]
        rows = [[Value(x) for x in row] for row in case.inputs.tolist()]
        total, outputs = Value(0.0), []
        for number, (row, targets) in enumerate(zip(rows, np.asarray(case.targets).tolist(), strict=True)):
            xs = row
            for layer, name in enumerate(stack.activations):
                zs = []
                for j, bias in enumerate(biases[layer]):
                    apart = fault == "bias of last sample" and number < case.batch - 1
                    z = Value(bias.data) if apart else bias
                    for i, x in enumerate(xs):
                        z = self.add(z, self.multiply(x, weights[layer][i][j]))
                    zs.append(z)
                xs = [self.activate(name, stack.parameters[layer] or 0.0, z) for z in zs]
            outputs.append(xs)
            for y, t in zip(xs, targets, strict=True):
                error = self.add(y, Value(-t))
                total = self.add(total, self.multiply(error, error))
        divisor = case.batch * (len(outputs[0]) if fault == "gradient: element_mean" else 1)
        self.backward(self.multiply(total, Value(1 / divisor)))
        sign = -1 if fault == "parameters' sign" else 1
        b = 0 if fault == "bias zero" else sign
        return {
            "loss": total.data / case.batch,
            "outputs": [[y.data for y in ys] for ys in outputs],
            "inputs": [[x.grad for x in row] for row in rows],
            "parameters": stack.name(
                [[[sign * w.grad for w in row] for row in layer] for layer in weights],
                [[b * one.grad for one in layer] for layer in biases],
            ),
        }

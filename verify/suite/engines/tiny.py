"""A small autograd engine written for the tests, of numbers and of arrays, in which faults can be planted.

Each operator is a rule: what it gives, and what each operand gets back. A fault is another rule, another way to undo
broadcasting, another way to accumulate, or another order of the pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import gradproof

Rule = tuple[Callable[..., Any], Callable[..., tuple[Any, ...]]]
"""forward(*operands), and backward(grad, result, *operands): what each operand gets."""


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


RULES: dict[str, Rule] = {
    "+": (lambda x, y: x + y, lambda g, z, x, y: (g, g)),
    "-": (lambda x, y: x - y, lambda g, z, x, y: (g, -g)),
    "*": (lambda x, y: x * y, lambda g, z, x, y: (g * y, g * x)),
    "/": (lambda x, y: x / y, lambda g, z, x, y: (g / y, -g * x / y**2)),
    "** number": (lambda x, n: x**n, lambda g, z, x, n: (g * n * x ** (n - 1), None)),
    "x**y": (lambda x, y: x**y, lambda g, z, x, y: (g * y * x ** (y - 1), g * z * np.log(x))),
    "2**x": (lambda b, x: b**x, lambda g, z, b, x: (None, g * z * math.log(b))),
    "2-x": (lambda n, x: n - x, lambda g, z, n, x: (None, -g)),
    "2/x": (lambda n, x: n / x, lambda g, z, n, x: (None, -g * n / x**2)),
    "neg": (lambda x: -x, lambda g, z, x: (-g,)),
    "@": (lambda x, y: x @ y, lambda g, z, x, y: (g @ y.T, x.T @ g)),
    "exp": (np.exp, lambda g, z, x: (g * z,)),
    "log": (np.log, lambda g, z, x: (g / x,)),
    "sqrt": (np.sqrt, lambda g, z, x: (g / (2 * z),)),
    "tanh": (np.tanh, lambda g, z, x: (g * (1 - z**2),)),
    "sigmoid": (_sigmoid, lambda g, z, x: (g * z * (1 - z),)),
    "softplus": (lambda x: np.log1p(np.exp(x)), lambda g, z, x: (g * _sigmoid(x),)),
    "relu": (lambda x: np.maximum(x, 0), lambda g, z, x: (g * (x > 0),)),
    "abs": (np.abs, lambda g, z, x: (g * np.sign(x),)),
    "maximum": (np.maximum, lambda g, z, x, y: (g * (x >= y), g * (x < y))),
    "minimum": (np.minimum, lambda g, z, x, y: (g * (x <= y), g * (x > y))),
    "sum": (lambda x, **k: x.sum(**k), lambda g, z, x, **k: (np.broadcast_to(_kept(g, k), x.shape),)),
    "mean": (
        lambda x, **k: x.mean(**k),
        lambda g, z, x, **k: (np.broadcast_to(_kept(g, k), x.shape) * (np.size(z) / x.size),),
    ),
    "reshape": (lambda x, shape: x.reshape(shape), lambda g, z, x, shape: (g.reshape(x.shape), None)),
    "T": (lambda x: x.T, lambda g, z, x: (g.T,)),
    "index": (lambda x, index: x[index], lambda g, z, x, index: (_added_at(x, index, g), None)),
}


def _kept(g: Any, keywords: Mapping[str, Any]) -> Any:
    axis = keywords.get("axis")
    return g if axis is None or keywords.get("keepdims") else np.expand_dims(g, axis)


def _added_at(x: Any, index: Any, g: Any) -> Any:
    gradient = np.zeros_like(x)
    np.add.at(gradient, index, g)
    return gradient


def summed(g: Any, shape: tuple[int, ...]) -> Any:
    """A gradient without the axes that broadcasting added or repeated."""
    g = g.sum(axis=tuple(range(np.ndim(g) - len(shape)))) if np.ndim(g) > len(shape) else g
    return (
        g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1), keepdims=True) if shape else g
    )


@dataclass(frozen=True)
class Engine:
    """How an engine computes; ``with_rule`` plants a fault in one of its operators."""

    rules: Mapping[str, Rule]
    undone: Callable[[Any, tuple[int, ...]], Any] = summed
    adds: bool = True
    order: str = "topological"
    clears: bool = True

    def with_rule(self, name: str, forward: Any = None, backward: Any = None) -> Engine:
        """The same with another rule."""
        old = self.rules[name]
        return replace(self, rules={**self.rules, name: (forward or old[0], backward or old[1])})

    def leaf(self, data: Any) -> Tensor:
        """A tensor that is given."""
        return Tensor(self, np.array(data))

    def adapter(self, **supports: Any) -> Any:
        """The engine as a target of ``gradproof check``."""
        return gradproof.engine(self.leaf, **supports)


RIGHT = Engine(RULES)


class Tensor:
    """A number or an array of an engine."""

    def __init__(self, engine: Engine, data: Any, rule: str = "", operands: tuple[Any, ...] = (), keywords: Any = None):
        self.engine = engine
        self.data = np.asarray(data)
        self.grad: Any = np.zeros_like(self.data)
        self.rule = rule
        self.operands = operands
        self.keywords = keywords or {}

    def _apply(self, rule: str, *operands: Any, **keywords: Any) -> Tensor:
        numbers = [o.data if isinstance(o, Tensor) else o for o in operands]
        return Tensor(self.engine, self.engine.rules[rule][0](*numbers, **keywords), rule, operands, keywords)

    def __add__(self, other: Any) -> Tensor:
        return self._apply("+", self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Tensor:
        return self._apply("-", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return self._apply("2-x", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return self._apply("*", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Tensor:
        return self._apply("/", self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return self._apply("2/x", other, self)

    def __pow__(self, other: Any) -> Tensor:
        return self._apply("x**y" if isinstance(other, Tensor) else "** number", self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return self._apply("2**x", other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return self._apply("@", self, other)

    def __neg__(self) -> Tensor:
        return self._apply("neg", self)

    def __getitem__(self, index: Any) -> Tensor:
        return self._apply("index", self, index)

    @property
    def T(self) -> Tensor:
        return self._apply("T", self)

    def reshape(self, *shape: int) -> Tensor:
        return self._apply("reshape", self, shape)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.engine.rules:
            raise AttributeError(name)
        return lambda *others, **keywords: self._apply(name, self, *others, **keywords)

    def backward(self) -> None:
        order = self._order()
        if self.engine.clears:
            for tensor in order:
                if tensor.operands:
                    tensor.grad = np.zeros_like(tensor.data)
        self.grad = np.ones_like(self.data)
        for tensor in order:
            tensor._pass_on()

    def _order(self) -> list[Tensor]:
        order: list[Tensor] = []

        def visit(tensor: Tensor) -> None:
            if self.engine.order == "topological" and any(tensor is other for other in order):
                return
            if self.engine.order == "every path":
                order.append(tensor)
            for operand in tensor.operands:
                if isinstance(operand, Tensor):
                    visit(operand)
            if self.engine.order == "topological":
                order.append(tensor)

        visit(self)
        return order[::-1] if self.engine.order == "topological" else order

    def _pass_on(self) -> None:
        if not self.operands:
            return
        numbers = [o.data if isinstance(o, Tensor) else o for o in self.operands]
        parts = self.engine.rules[self.rule][1](self.grad, self.data, *numbers, **self.keywords)
        for operand, part in zip(self.operands, parts, strict=True):
            if isinstance(operand, Tensor) and part is not None:
                same = np.shape(part) == operand.data.shape
                undone = part if same else self.engine.undone(np.asarray(part), operand.data.shape)
                operand.grad = operand.grad + undone if self.engine.adds else undone

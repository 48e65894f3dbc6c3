"""A scalar engine, and all that it takes to check it: one line.

    gradproof check examples/engines/scalar_engine.py:adapter

``Value`` is what is checked: a number, its gradient, and the operators. The adapter says how a leaf is made, and which
operators there are. ``data``, ``grad`` and ``backward`` are the names that gradproof looks for; an engine with others
declares them: ``data="value", gradient="gradient", backward="backprop"``.
"""

import math

import gradproof


class Value:
    """A number of a computation: its value, and the gradient of the result with respect to it."""

    def __init__(self, data, operands=(), local=()):
        self.data = data
        self.grad = 0.0
        self.operands = operands
        self.local = local  # ∂self/∂operand, one for each

    def __add__(self, other):
        other = other if isinstance(other, Value) else type(self)(other)
        return type(self)(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else type(self)(other)
        return type(self)(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, number):
        return type(self)(self.data**number, (self,), (number * self.data ** (number - 1),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return other + (-self)

    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return other * self**-1

    __radd__ = __add__
    __rmul__ = __mul__

    def tanh(self):
        """The hyperbolic tangent."""
        t = math.tanh(self.data)
        return type(self)(t, (self,), (1 - t * t,))

    def backward(self):
        """Gives every value behind this one its gradient."""
        order, seen = [], set()

        def visit(value):
            if value not in seen:
                seen.add(value)
                for operand in value.operands:
                    visit(operand)
                order.append(value)

        visit(self)
        self.grad = 1.0
        for value in reversed(order):
            for operand, local in zip(value.operands, value.local):
                operand.grad += local * value.grad


adapter = gradproof.engine(Value, scalar=True, operators="+ - * / ** neg tanh", passes="once steps accumulate")

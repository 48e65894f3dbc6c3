"""An engine of NumPy arrays, with broadcasting, and its adapter.

    gradproof check examples/engines/tensor_engine.py:adapter

Leaves come as arrays of the dtype that is asked for, and gradients are expected in it.
"""

import numpy as np

import gradproof


class Tensor:
    """An array of a computation: its numbers, and the gradient of the result with respect to them."""

    def __init__(self, data, operands=(), pull=None):
        self.data = data
        self.grad = np.zeros_like(data)
        self.operands = operands
        self.pull = pull  # the gradient of self → that of each operand

    def __add__(self, other):
        other = other if isinstance(other, Tensor) else Tensor(np.asarray(other, self.data.dtype))
        return Tensor(self.data + other.data, (self, other), lambda g: (g, g))

    def __mul__(self, other):
        other = other if isinstance(other, Tensor) else Tensor(np.asarray(other, self.data.dtype))
        return Tensor(self.data * other.data, (self, other), lambda g: (g * other.data, g * self.data))

    def __sub__(self, other):
        return self + other * -1

    def __rsub__(self, other):
        return self * -1 + other

    def __matmul__(self, other):
        return Tensor(self.data @ other.data, (self, other), lambda g: (g @ other.data.T, self.data.T @ g))

    def __getitem__(self, index):
        def pull(g):
            gradient = np.zeros_like(self.data)
            np.add.at(gradient, index, g)  # an entry may be asked for twice
            return (gradient,)

        return Tensor(self.data[index], (self,), pull)

    __radd__ = __add__
    __rmul__ = __mul__

    def relu(self):
        """Negative entries become 0."""
        return Tensor(np.maximum(self.data, 0), (self,), lambda g: (g * (self.data > 0),))

    def sum(self, axis=None, keepdims=False):
        """The sum of all entries, or along an axis."""

        def pull(g):
            return (np.broadcast_to(g if axis is None or keepdims else np.expand_dims(g, axis), self.data.shape),)

        return Tensor(self.data.sum(axis=axis, keepdims=keepdims), (self,), pull)

    def mean(self, axis=None, keepdims=False):
        """The mean of all entries, or along an axis."""
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)

    def backward(self):
        """Gives every tensor behind this one its gradient."""
        order, seen = [], set()

        def visit(tensor):
            if tensor not in seen:
                seen.add(tensor)
                for operand in tensor.operands:
                    visit(operand)
                order.append(tensor)

        visit(self)
        self.grad = np.ones_like(self.data)
        for tensor in reversed(order):
            if tensor.operands:
                for operand, gradient in zip(tensor.operands, tensor.pull(tensor.grad)):
                    operand.grad = operand.grad + summed_to(gradient, operand.data.shape)


def summed_to(gradient, shape):
    """Undoes broadcasting: sums over the axes that it added, and over those that it repeated."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    return gradient.sum(axis=tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)


adapter = gradproof.engine(
    Tensor,
    operators="+ - * @ relu sum mean sum(axis) mean(axis) x[i] x[i:j] x[[i,j]]",
    passes="once steps accumulate",
    dtypes="float64 float32",
)

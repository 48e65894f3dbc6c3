"""A small autograd engine: tensors that remember how they were made, with ``.value``, ``.grad`` and ``.backprop()``."""

import numpy as np


def undone(grad, shape):
    """A gradient summed over the axes along which something of this shape was broadcast."""
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    return grad.sum(axis=tuple(k for k, n in enumerate(shape) if n == 1), keepdims=True)


class Tensor:
    """An array, its parents, and what it passes back to each."""

    def __init__(self, value, parents=()):
        self.value, self.parents = np.asarray(value), parents
        self.grad = np.zeros_like(self.value)

    def __matmul__(self, other):
        return Tensor(
            self.value @ other.value, [(self, lambda g: g @ other.value.T), (other, lambda g: self.value.T @ g)]
        )

    def __add__(self, other):
        parents = [(one, lambda g, one=one: undone(g, one.value.shape)) for one in (self, other)]
        return Tensor(self.value + other.value, parents)

    def tanh(self):
        """The hyperbolic tangent, entry by entry."""
        value = np.tanh(self.value)
        return Tensor(value, [(self, lambda g: g * (1 - value**2))])

    def square(self):
        """The square, entry by entry."""
        return Tensor(self.value**2, [(self, lambda g: 2 * g * self.value)])

    def sum(self):
        """The sum of all entries."""
        return Tensor(self.value.sum(), [(self, lambda g: g * np.ones_like(self.value))])

    def backprop(self):
        """Adds to the gradient of every tensor that this one was made of."""
        order, seen = [], set()

        def visit(tensor):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                for parent, _ in tensor.parents:
                    visit(parent)
                order.append(tensor)

        visit(self)
        self.grad = np.ones_like(self.value)
        for tensor in reversed(order):
            for parent, back in tensor.parents:
                parent.grad = parent.grad + back(tensor.grad)

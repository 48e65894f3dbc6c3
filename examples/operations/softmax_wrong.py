"""Softmax with a common mistake: of its Jacobian, only the diagonal y(1 − y) is used, as of an elementwise function.

gradproof check examples/operations/softmax_wrong.py:adapter

Where the upstream gradient is the same for all classes, as it is behind a ``.sum()``, the true gradient is 0.
"""

from softmax import softmax

import gradproof


@gradproof.operation("softmax")
def adapter(x, upstream):
    y = softmax(x)
    return y, y * (1 - y) * upstream

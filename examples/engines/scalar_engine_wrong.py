"""The scalar engine with a mistake that its own differences never show: ``2 - x`` gives ``x - 2``.

    gradproof check examples/engines/scalar_engine_wrong.py:adapter

Value and gradient agree with each other, so that a check of the gradient by differences of the engine's own values
passes. Here the value itself is compared.
"""

from scalar_engine import Value as Right

import gradproof


class Value(Right):
    """The scalar engine with one operator changed."""

    def __rsub__(self, other):
        return self - other


adapter = gradproof.engine(Value, scalar=True, operators="+ - * / ** neg tanh")

"""Mistakes in elementwise functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

from gradproof.expressions import Operation
from gradproof.operators import FUNCTIONS
from refimpl.graphs import operated
from refimpl.language import Node, apply, hinge, ones, pull_back, scale
from verify.engines.mistakes.forms import (
    by_value,
    of_one,
    reciprocal,
    square,
)
from verify.engines.mistakes.mistake import Move, OperatorMistake


def functions() -> Iterator[OperatorMistake]:
    """Mistakes in the derivative of a function, whichever it is, and those of single functions."""
    for name in FUNCTIONS:
        form = (f"x.{name}()",)
        yield OperatorMistake(
            f"derivative missing in {name}",
            f"{name} passes the gradient on as it comes, without its derivative",
            f"multiply out.grad by the derivative of {name}",
            form,
            of_one(lambda m, x: m.delta),
        )
        if name != "abs":
            yield OperatorMistake(
                f"value for derivative in {name}",
                f"{name} has its own value in place of its derivative",
                f"multiply out.grad by the derivative of {name}",
                form,
                of_one(lambda m, x: by_value(m)),
            )
        yield OperatorMistake(
            f"derivative at the value in {name}",
            f"the derivative of {name} is taken at its value, not at its argument",
            "take it at the argument",
            form,
            of_one(lambda m, x, name=name: _through(name, m.value, m.delta)),  # type: ignore[misc]
        )
        yield OperatorMistake(
            f"derivative twice in {name}",
            f"the derivative of {name} is applied twice",
            "apply it once",
            form,
            of_one(lambda m, x, name=name: _through(name, x, m.right[0])),  # type: ignore[misc]
        )

    def special(name: str, words: str, mend: str, change: Callable[[Move, Node], Node]) -> OperatorMistake:
        return OperatorMistake(
            f"{words.split(',')[0]} in {name}", f"{name}: {words}", mend, (f"x.{name}()",), of_one(change)
        )

    def one_minus(x: Node) -> Node:
        return ones(x.shape) - x

    tanh, sigmoid = "tanh: 1 − a², with a = tanh(x)", "sigmoid: a(1 − a), with a = sigmoid(x)"
    yield special(
        "tanh", "its derivative is 1 − a, the square is missing", tanh, lambda m, x: m.delta * one_minus(m.value)
    )
    yield special(
        "tanh", "its derivative is 1 − x², of the argument", tanh, lambda m, x: m.delta * one_minus(square(x))
    )
    yield special(
        "tanh", "its derivative is a(1 − a), that of sigmoid", tanh, lambda m, x: by_value(m) * one_minus(m.value)
    )
    yield special(
        "sigmoid",
        "its derivative is 1 − a, the factor a is missing",
        sigmoid,
        lambda m, x: m.delta * one_minus(m.value),
    )
    yield special(
        "sigmoid", "its derivative is x(1 − x), of the argument", sigmoid, lambda m, x: m.delta * x * one_minus(x)
    )
    yield special(
        "sigmoid", "its derivative is 1 − a², that of tanh", sigmoid, lambda m, x: m.delta * one_minus(square(m.value))
    )
    yield special(
        "exp", "its derivative is x, the argument", "exp: its derivative is its value", lambda m, x: m.delta * x
    )
    yield special(
        "exp",
        "its derivative is x · e^(x−1), the power rule",
        "exp: its derivative is its value",
        lambda m, x: m.delta * x * apply("exp", x - ones(x.shape)),
    )
    yield special("log", "its derivative is x, not 1/x", "log: 1/x", lambda m, x: m.delta * x)
    yield special(
        "sqrt", "its derivative lacks the factor ½", "sqrt: 1/(2√x)", lambda m, x: scale(m.right[0], Fraction(2))
    )
    yield special(
        "sqrt", "its derivative is ½√x, not ½/√x", "sqrt: 1/(2√x)", lambda m, x: scale(by_value(m), Fraction(1, 2))
    )
    yield special(
        "sqrt",
        "its derivative is 1/(2x)",
        "sqrt: 1/(2√x)",
        lambda m, x: scale(m.delta * reciprocal(x), Fraction(1, 2)),
    )
    yield special(
        "relu",
        "it lets pass where the gradient is positive, not where the argument is",
        "relu: out.grad where x > 0",
        lambda m, x: hinge(m.delta, Fraction(0), Fraction(1)),
    )


def _through(name: str, x: Node, delta: Node) -> Node:
    value = operated(Operation(name, ()), [x])
    return pull_back(value, delta, {"x": x})["x"]

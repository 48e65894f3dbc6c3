"""Mistakes in + − × ÷, negation and powers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Final

from gradproof.expressions import Operation
from refimpl.graphs import broadcast, operated, power
from refimpl.language import Node, apply, ones, pull_back, scale
from verify.engines.mistakes.forms import (
    BINARY,
    PLAIN,
    by_value,
    number_of,
    of_one,
    of_two,
    reciprocal,
    square,
    times,
    undone,
)
from verify.engines.mistakes.mistake import Contributions, Move, OperatorMistake, Value

MINUS: Final[tuple[tuple[str, ...], ...]] = (BINARY["-"], PLAIN["-"])
DIVISORS: Final[tuple[tuple[str, ...], ...]] = (("x / y", "2 / x"), ("x / y",), ("2 / x",))
"""Forms that may share code, together and apart."""


def swapped(operator: str) -> Value:
    """The operands the other way round."""

    def value(operation: Operation, operands: Sequence[Node | Fraction]) -> Node | None:
        x, y = operands
        if isinstance(x, Node) and isinstance(y, Node) and operator == "@":
            return None
        return operated(replace_operator(operation, operator), [y, x])

    return value


def the_other_way_round(operation: Operation) -> Operation:
    """The operation with its operands swapped."""
    return Operation(operation.operator, operation.operands[::-1])


def replace_operator(operation: Operation, operator: str) -> Operation:
    """The same operands under another operator."""
    return Operation(operator, operation.operands)


def gradient_of_swapped(m: Move) -> list[Node | None] | None:
    """The gradient of the operation with its operands the other way round."""
    value = operated(m.operation, m.operands[::-1])
    return [pull_back(value, m.delta, {"x": m.tensors[0]})["x"]]


def arithmetic() -> Iterator[OperatorMistake]:
    """Mistakes in + − × ÷ and negation."""
    for operator, method in (("-", "__rsub__"), ("/", "__rtruediv__")):
        right, wrong = f"2 {operator} x", f"x {operator} 2"
        mend = f"{method}(self, other) must give other {operator} self"
        yield OperatorMistake(
            f"reflected {operator} swapped",
            f"{right} gives {wrong}: the operands of the reflected {operator} are swapped",
            mend,
            (right,),
            instead=the_other_way_round,
        )
        yield OperatorMistake(
            f"gradient of reflected {operator} swapped",
            f"{right} gives the right value, and the gradient of {wrong}",
            f"take the gradient of {right} itself",
            (right,),
            gradient_of_swapped,
        )
        yield OperatorMistake(
            f"{operator} swapped",
            f"x {operator} y gives y {operator} x",
            "change the operands' places",
            (f"x {operator} y", f"x {operator} 2"),
            value=swapped(operator),
        )
    for forms in MINUS:
        yield OperatorMistake(
            "both signs of - swapped",
            "both operands of − get their gradients with the wrong sign: −1 for the first, +1 for the second",
            "x - y: x gets +out.grad, y gets −out.grad",
            forms,
            lambda m: [scale(part, Fraction(-1)) for part in m.right],
        )
    yield OperatorMistake(
        "own factor in *",
        "going back through *, each operand's gradient has its own value as factor, not the other's",
        "x * y: x gets y · out.grad, y gets x · out.grad",
        ("x * y",),
        of_two(lambda m, x, y: (m.delta * x, m.delta * y)),
    )
    for forms in DIVISORS:
        yield OperatorMistake(
            "square missing in /",
            "the gradient of / for its second operand is −x/y, not −x/y²",
            "x / y: y gets −x/y² · out.grad",
            forms,
            _quotient(lambda m, x, y: scale(m.delta * x * reciprocal(y), Fraction(-1))),
        )
    for forms in DIVISORS:
        yield OperatorMistake(
            "numerator missing in /",
            "the gradient of / for its second operand is −1/y², without the numerator x",
            "x / y: y gets −x/y² · out.grad",
            forms,
            _quotient(lambda m, x, y: scale(m.delta * reciprocal(square(y)), Fraction(-1))),
        )
    yield OperatorMistake(
        "sign missing in /",
        "the gradient of / for its second operand lacks the minus",
        "x / y: y gets −x/y² · out.grad",
        ("2 / x",),
        _quotient(lambda m, x, y: m.delta * x * reciprocal(square(y))),
    )
    yield OperatorMistake(
        "first gradient of /",
        "the gradient of / for its first operand is multiplied by y, not divided by it",
        "x / y: x gets out.grad / y",
        ("x / y",),
        of_two(lambda m, x, y: (m.delta * y, scale(m.delta * x * reciprocal(square(y)), Fraction(-1)))),
    )
    yield OperatorMistake(
        "/ as *",
        "the gradients of / are those of *",
        "x / y: x gets out.grad / y, y gets −x/y² · out.grad",
        ("x / y",),
        of_two(lambda m, x, y: (m.delta * y, m.delta * x)),
    )
    yield OperatorMistake(
        "sign of negation",
        "−x passes its gradient on without the minus",
        "-x: x gets −out.grad",
        ("-x",),
        times((-1,)),
    )


def _quotient(second: Callable[[Move, Node, Node], Node]) -> Contributions:
    """Another gradient for the divisor, whether a tensor or a number is divided."""

    def changed(m: Move) -> list[Node | None] | None:
        dividend, divisor = m.operands
        assert isinstance(divisor, Node)
        shape = m.value.shape
        whole = scale(ones(shape), dividend) if isinstance(dividend, Fraction) else broadcast(dividend, shape)
        part = undone(second(m, whole, broadcast(divisor, shape)), divisor)
        return [part] if isinstance(dividend, Fraction) else [m.right[0], part]

    return changed


def powers() -> Iterator[OperatorMistake]:
    """Mistakes in powers."""
    right = "x ** n: x gets n · x^(n−1) · out.grad"

    def constant(name: str, words: str, change: Callable[[Move, Node, Fraction], Node]) -> OperatorMistake:
        return OperatorMistake(name, words, right, ("x ** 2",), of_one(lambda m, x: change(m, x, number_of(m))))

    yield constant(
        "exponent not lowered in **",
        "the gradient of x ** n is n · xⁿ: the exponent is not lowered by 1",
        lambda m, x, n: scale(by_value(m), n),
    )
    yield constant(
        "exponent missing as factor in **",
        "the gradient of x ** n is x^(n−1), without the factor n",
        lambda m, x, n: m.delta * power(x, n - 1),
    )
    yield constant(
        "gradient of the square in **",
        "the gradient of x ** n is n · x, whatever n is",
        lambda m, x, n: scale(m.delta * x, n),
    )
    yield constant(
        "exponent too low by one in **",
        "the factor of the gradient of x ** n is n − 1, not n",
        lambda m, x, n: scale(m.delta * power(x, n - 1), n - 1),
    )
    exponent = "x ** y: y gets log(x) · x^y · out.grad"
    yield OperatorMistake(
        "logarithm missing in **",
        "the gradient of x ** y for its exponent lacks the factor log(x)",
        exponent,
        ("x ** y",),
        of_two(lambda m, x, y: (_base(m), by_value(m))),
    )
    yield OperatorMistake(
        "logarithm of the exponent in **",
        "the gradient of x ** y for its exponent has log(y) as factor, not log(x)",
        exponent,
        ("x ** y",),
        of_two(lambda m, x, y: (_base(m), by_value(m) * apply("log", y))),
    )
    yield OperatorMistake(
        "logarithm missing in 2 ** x",
        "the gradient of 2 ** x lacks the factor log(2)",
        "b ** x: x gets log(b) · b^x · out.grad",
        ("2 ** x",),
        of_one(lambda m, x: by_value(m)),
    )
    yield OperatorMistake(
        "power rule for 2 ** x",
        "2 ** x passes back x · 2^(x−1), as if x were the base",
        "b ** x: x gets log(b) · b^x · out.grad",
        ("2 ** x",),
        of_one(lambda m, x: scale(by_value(m) * x, 1 / number_of(m))),
    )
    yield OperatorMistake(
        "reflected ** swapped",
        "2 ** x gives x ** 2: the operands of the reflected ** are swapped",
        "__rpow__(self, other) must give other ** self",
        ("2 ** x",),
        instead=the_other_way_round,
    )


def _base(m: Move) -> Node:
    """The right gradient of x ** y for its base, before broadcasting is undone."""
    x, y = (broadcast(tensor, m.value.shape) for tensor in m.tensors)
    return pull_back(operated(Operation("**", m.operation.operands), [x, y]), m.delta, {"x": x})["x"]

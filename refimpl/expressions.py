"""SymPy expressions as gradproof writes them: symbols for entries of arrays, ramps and steps, and their balls."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import sympy
from flint import arb, fmpq
from sympy import Function, Piecewise, Symbol
from sympy.core.function import ArgumentIndexError

from refimpl.arithmetic import ObjectArithmetic, Values, entrywise
from refimpl.balls import integer_power, root
from refimpl.functions import Z, derivative

NAMED = {
    "sigmoid": r"\sigma",
    "tanh": r"\tanh",
    "softplus": r"\operatorname{softplus}",
    "normal_cdf": r"\Phi",
    "elu": r"\operatorname{ELU}",
}
"""Elementwise functions that have a name of their own in formulas, and that name in LaTeX."""


class Entry(Symbol):  # type: ignore[misc]
    """A real symbol for one entry of an array, with its LaTeX: ``w0[1,2]`` and w^{(0)}_{1,2}."""

    __slots__ = ("tex",)

    def __new__(cls, name: str, tex: str) -> Entry:
        symbol = Symbol.__new__(cls, name, real=True)
        symbol.tex = tex
        return symbol  # type: ignore[no-any-return]

    def __getnewargs_ex__(self) -> tuple[tuple[str, str], dict[str, Any]]:
        return (self.name, self.tex), {}

    def _latex(self, printer: Any) -> str:
        return str(self.tex)


class Ramp(Function):  # type: ignore[misc]
    """max(0, z). Left alone by SymPy's automatic comparisons of z with 0, which cost most of the time otherwise."""

    nargs = 1

    @classmethod
    def eval(cls, z: Any) -> Any:
        return sympy.Max(0, z) if z.is_Number else None

    def fdiff(self, argindex: int = 1) -> Any:
        if argindex != 1:
            raise ArgumentIndexError(self, argindex)
        return Step(self.args[0], Entry("kappa", r"\kappa"))

    def _eval_is_real(self) -> bool:
        return True

    def _sympystr(self, printer: Any) -> str:
        return f"max(0, {printer.doprint(self.args[0])})"

    def _latex(self, printer: Any) -> str:
        return rf"\max\left(0, {printer.doprint(self.args[0])}\right)"


class Step(Function):  # type: ignore[misc]
    """The slope of a ramp: 1 for z > 0, 0 for z < 0, and κ, any number from 0 to 1, for z = 0."""

    nargs = 2

    @classmethod
    def eval(cls, z: Any, kappa: Any) -> Any:
        if not z.is_Number:
            return None
        return kappa if z == 0 else sympy.Integer(1 if z > 0 else 0)

    def _eval_is_real(self) -> bool:
        return True

    def _sympystr(self, printer: Any) -> str:
        z, kappa = map(printer.doprint, self.args)
        return f"step({z}, {kappa})"

    def _latex(self, printer: Any) -> str:
        z, kappa = map(printer.doprint, self.args)
        return rf"\theta_{{{kappa}}}\left({z}\right)"


PLAIN_DENOMINATOR = 1000
"""Rationals up to this denominator are written as fractions; other float64 numbers by their shortest decimal."""


@cache
def named(function: str, order: int) -> Any:
    """A derivative of an elementwise function as an undefined function of SymPy: ``sigmoid'(z)``, σ'(z)."""
    primes = "'" * order

    def latex(self: Any, printer: Any) -> str:
        return rf"{NAMED[function]}{primes}\left({printer.doprint(self.args[0])}\right)"

    return type(function + primes, (Function,), {"nargs": 1, "_latex": latex})


def applied(function: str, order: int, *, keep_names: bool) -> Any:
    """A derivative of an elementwise function as an expression in ``refimpl.functions.Z``."""
    return named(function, order)(Z) if keep_names and function in NAMED else derivative(function, order)


class ExpressionArithmetic(ObjectArithmetic):
    """SymPy expressions. Sums and products are formed at once, not term by term.

    constants: the exact values of the symbols that stand for decimals. choices: the κ of every step, in order.
    """

    def __init__(self, *, keep_names: bool = False) -> None:
        self.keep_names = keep_names
        self.constants: dict[Any, Fraction] = {}
        self.choices: list[Any] = []

    def number(self, value: Fraction) -> Any:
        if value.denominator > PLAIN_DENOMINATOR and Fraction(float(value)) == value:
            text = repr(float(value))
            mantissa, _, exponent = text.partition("e")
            symbol = Entry(text, rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else text)
            self.constants[symbol] = value
            return symbol
        if value.denominator > PLAIN_DENOMINATOR and Fraction(float(1 - 1 / value)) == 1 - 1 / value:
            return 1 / (1 - self.number(1 - 1 / value))  # dropout's factor, by the probability that it is made of
        return sympy.Rational(value.numerator, value.denominator)

    def function_one(self, name: str, x: Any) -> Any:
        return getattr(sympy, name)(x)

    def apply(self, function: str, order: int, x: Values) -> Values:
        expression = applied(function, order, keep_names=self.keep_names)
        return entrywise(lambda entry: expression.xreplace({Z: entry}), x)

    def hinge_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        if below == -1 and above == 1:
            return sympy.Abs(x)
        low = self.number(below)
        return low * x + (self.number(above) - low) * Ramp(x)

    def step_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        low = self.number(below)
        if below == above:
            return low
        name = f"kappa{len(self.choices)}"
        self.choices.append(Entry(name, rf"\kappa_{{{len(self.choices)}}}"))
        return low + (self.number(above) - low) * Step(x, self.choices[-1])

    def anchor(self, x: Values) -> Values:
        return self.full(x.shape, 0)

    def matmul(self, a: Values, b: Values) -> Values:
        result = np.empty((a.shape[0], b.shape[1]), dtype=object)
        columns = b.T.tolist()
        for i, row in enumerate(a.tolist()):
            for j, column in enumerate(columns):
                result[i, j] = sympy.Add(*[u * v for u, v in zip(row, column, strict=True)])
        return result

    def total(self, x: Values, axes: tuple[int, ...]) -> Values:
        kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
        shape = tuple(x.shape[axis] for axis in kept)
        rows = x.transpose(*kept, *axes).reshape(math.prod(shape), -1)
        result = np.empty(shape, dtype=object)
        result.reshape(-1)[:] = [sympy.Add(*row) for row in rows.tolist()]
        return result


class Balls:
    """The balls of expressions, given those of their symbols, at the working precision of the surrounding block.

    A recursion over SymPy's own trees, apart from ``refimpl.arithmetic``, so that two routes lead to each number.
    ``kinks`` holds the κ of every step met at a ball that contains 0, ``untold`` counts those whose ball is not
    exactly 0.
    """

    def __init__(self, symbols: Mapping[Any, Any]) -> None:
        self.symbols = dict(symbols)
        self.kinks: set[Any] = set()
        self.untold = 0
        self._known: dict[Any, Any] = {}

    def ball(self, expression: Any) -> Any:
        """The ball of an expression. Raises TypeError on what no program of ours contains."""
        if expression.is_Symbol:
            return self.symbols[expression]
        if expression not in self._known:
            self._known[expression] = self._computed(expression)
        return self._known[expression]

    def _computed(self, expression: Any) -> Any:
        if expression.is_Rational:
            return arb(fmpq(int(expression.p), int(expression.q)))
        if expression is sympy.pi:
            return arb.pi()
        if isinstance(expression, Step):
            return self._step(*expression.args)
        if isinstance(expression, Piecewise):
            return self._in_pieces(*expression.args)
        operands = [self.ball(operand) for operand in expression.args]
        if expression.is_Add:
            return sum(operands[1:], operands[0])
        if expression.is_Mul:
            product = operands[0]
            for operand in operands[1:]:
                product = product * operand
            return product
        if expression.is_Pow and expression.exp.is_Integer:
            return integer_power(operands[0], int(expression.exp))
        if expression.is_Pow and (2 * expression.exp).is_Integer:
            return integer_power(root(operands[0]), int(2 * expression.exp))
        match expression:
            case sympy.exp():
                return operands[0].exp()
            case sympy.log():
                return operands[0].log()
            case sympy.tanh():
                return operands[0].tanh()
            case sympy.erfc():
                return operands[0].erfc()
            case sympy.Abs():
                return abs(operands[0])
            case sympy.sign():
                return 2 * self._step(expression.args[0], expression) - 1
            case Ramp():
                return operands[0].max(arb(0))
            case _:
                raise TypeError(f"no ball for {type(expression).__name__}")

    def _in_pieces(self, below: Any, above: Any) -> Any:
        """One of two pieces, (expression, z < 0) and (expression, True), which agree at 0."""
        z = self.ball(below.cond.lhs - below.cond.rhs)
        if z < 0:
            return self.ball(below.expr)
        return self.ball(above.expr) if z >= 0 else self.ball(below.expr).union(self.ball(above.expr))

    def _step(self, z: Any, kappa: Any) -> Any:
        argument = self.ball(z)
        if argument > 0:
            return arb(1)
        if argument < 0:
            return arb(0)
        self.kinks.add(kappa)
        self.untold += 0 if argument == 0 else 1  # a ball is != 0 only where it excludes 0
        return arb(0).union(arb(1))


def symbols_of(expression: Any) -> Iterator[Any]:
    """The symbols in an expression, each as often as it occurs; faster than ``free_symbols`` on small trees."""
    stack = [expression]
    while stack:
        node = stack.pop()
        if node.is_Symbol:
            yield node
        else:
            stack.extend(node.args)

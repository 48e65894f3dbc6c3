"""The elementwise functions: one definition each, in SymPy; every derivative is derived from it.

``definition`` gives a function, ``derivative`` any derivative of it, ``steps`` the same as a short straight-line
program of arithmetic, from which each number system makes its evaluator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import sympy
from sympy import Piecewise, Rational, Symbol, erfc, exp, log, pi, sqrt, tanh

Z = Symbol("z", real=True)
"""The argument of every elementwise function."""

CUBIC = Rational(44715, 10**6)
"""The factor of z³ in the usual approximation of the normal distribution by tanh (Hendrycks and Gimpel, *Gaussian
Error Linear Units*, 2016)."""

_DEFINITIONS: Mapping[str, Callable[[], Any]] = {
    "sigmoid": lambda: 1 / (1 + exp(-Z)),
    "tanh": lambda: tanh(Z),
    "softplus": lambda: log(1 + exp(Z)),
    "exp": lambda: exp(Z),
    "log": lambda: log(Z),
    "reciprocal": lambda: 1 / Z,
    "square": lambda: Z**2,
    "sqrt": lambda: sqrt(Z),
    "normal_cdf": lambda: erfc(-Z / sqrt(2)) / 2,
    "normal_cdf_by_tanh": lambda: (1 + tanh(sqrt(2 / pi) * (Z + CUBIC * Z**3))) / 2,
    "elu": lambda: Piecewise((exp(Z) - 1, Z < 0), (Z, True)),
}

FUNCTIONS = tuple(_DEFINITIONS)


@cache
def definition(function: str) -> Any:
    """The SymPy expression of a function, in the symbol ``Z``."""
    return _DEFINITIONS[function]()


@cache
def derivative(function: str, order: int) -> Any:
    """The ``order``-th derivative, by SymPy; the function itself for order 0."""
    return sympy.diff(definition(function), Z, order) if order else definition(function)


@dataclass(frozen=True)
class Instruction:
    """One operation on earlier results: ``+``, ``*``, ``power``, a function's name, ``number``, ``pi``, ``argument``.

    ``by_sign`` is the first of its operands where the argument is below 0, else the second.
    """

    operation: str
    operands: tuple[int, ...]
    number: Fraction = Fraction(0)
    """The number itself, or the exponent of a power."""


@cache
def steps(function: str, order: int = 0) -> tuple[Instruction, ...]:
    """A derivative as a straight-line program, each subexpression computed once; its last result is the value."""
    return straight_line(derivative(function, order))


def straight_line(expression: Any) -> tuple[Instruction, ...]:
    """A SymPy expression in ``Z`` as a straight-line program.

    It may hold sums, products, powers to multiples of ½, exp, exp − 1, log, tanh, erfc, π, and two pieces that meet at
    0. Raises TypeError on anything else.
    """
    program: list[Instruction] = []
    known: dict[Any, int] = {}

    def emit(instruction: Instruction) -> int:
        program.append(instruction)
        return len(program) - 1

    def visit(node: Any) -> int:
        if node not in known:
            known[node] = emit(translate(node))
        return known[node]

    def translate(node: Any) -> Instruction:
        if node == Z:
            return Instruction("argument", ())
        if node.is_Rational:
            return Instruction("number", (), Fraction(int(node.p), int(node.q)))
        if node is pi:
            return Instruction("pi", ())
        if isinstance(node, Piecewise) and [condition for _, condition in node.args] == [Z < 0, sympy.true]:
            return Instruction("by_sign", tuple(visit(piece) for piece, _ in node.args))
        if node.is_Add and len(node.args) == 2 and node.args[0] == -1 and isinstance(node.args[1], exp):
            return Instruction("expm1", (visit(node.args[1].args[0]),))
        if node.is_Add or node.is_Mul:
            first, *rest = (visit(argument) for argument in node.args)
            for operand in rest[:-1]:
                first = emit(Instruction("+" if node.is_Add else "*", (first, operand)))
            return Instruction("+" if node.is_Add else "*", (first, rest[-1]))
        if node.is_Pow and node.exp.is_Integer:
            return Instruction("power", (visit(node.base),), Fraction(int(node.exp)))
        if node.is_Pow and (2 * node.exp).is_Integer:
            if 2 * node.exp == 1:
                return Instruction("sqrt", (visit(node.base),))
            return Instruction("power", (visit(sqrt(node.base)),), Fraction(int(2 * node.exp)))
        if isinstance(node, exp | log | tanh | erfc):
            return Instruction(type(node).__name__, (visit(node.args[0]),))
        raise TypeError(f"no straight-line form for {node}")

    visit(expression)
    return tuple(program)

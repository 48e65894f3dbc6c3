"""The cross-check that uses no reverse pass: SymPy's ``diff`` of the whole loss, against the symbolic program.

On tiny networks the two are proved to be the same function (``prove_identity``); on others their difference is enclosed
at given numbers (``enclose_difference``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy
from flint import arb, fmpq
from sympy import Function

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS
from gradproof.network import Network
from refimpl.arithmetic import Values, entrywise, evaluate
from refimpl.balls import exact_balls, precision
from refimpl.enclosure import MOST_BITS
from refimpl.expressions import Balls, ExpressionArithmetic, Step
from refimpl.functions import Z, definition
from refimpl.language import Scale, ordered
from refimpl.program import X, leaf_values, program
from refimpl.symbolic import Assignment, Symbolic, leaf_symbols, strength_symbol, symbolic

TRANSCENDENTAL = ("exp", "log", "tanh", "erfc")

MOST_UNKNOWNS = 16
"""Parameters and inputs, over the batch, of a network whose identity is proved: cancelling grows steeply."""


@dataclass(frozen=True, eq=False)
class WholeLoss:
    """The loss as one expression in the leaves' symbols, and what it was made with."""

    loss: Any
    leaves: Mapping[str, Values]
    constants: Mapping[Any, Any]

    def gradient(self, name: str) -> Values:
        """∂L/∂ of a parameter, or of ``inputs``: SymPy's derivative of the whole loss for each entry's symbol."""
        symbols = self.leaves[X if name == INPUTS else name]
        return entrywise(lambda symbol: sympy.diff(self.loss, symbol), symbols)


@lru_cache(maxsize=32)
def whole_loss(
    network: Network, batch: int = 1, *, weighted: bool = False, opaque: bool = False, masked: bool = False
) -> WholeLoss:
    """The loss of a network for a batch size as one expression, by its forward program alone.

    opaque: exp, log, tanh and erfc are functions of which SymPy knows the derivative and nothing else: it merges no
    two of them (exp(a) exp(b) into exp(a + b), say).
    """
    computation = program(network, batch, weighted, masked)
    leaves = leaf_symbols(network, computation.leaves)
    arithmetic = _OpaqueArithmetic() if opaque else ExpressionArithmetic()
    strength = strength_symbol(network)
    values: dict[int, Values] = {}
    for node in ordered([computation.results[LOSS]]):
        operands = tuple(values[id(operand)] for operand in node.operands)
        if isinstance(node.primitive, Scale) and node.primitive.label and strength is not None:
            values[id(node)] = np.asarray(operands[0] * strength[1], dtype=object)
        else:
            values[id(node)] = evaluate(node, arithmetic, operands, leaves)
    constants = dict(arithmetic.constants) | ({} if strength is None else {strength[0]: strength[2]})
    loss = values[id(computation.results[LOSS])][()]
    return WholeLoss(loss, MappingProxyType(leaves), MappingProxyType(constants))


@dataclass(frozen=True, eq=False)
class Identity:
    """What was proved of the symbolic program of a network: per gradient, where brute force is the same function."""

    network: Network
    batch: int
    proved: Mapping[str, npt.NDArray[np.bool_]]

    @property
    def holds(self) -> bool:
        """Whether it is proved for every entry."""
        return all(bool(np.all(entries)) for entries in self.proved.values())


def prove_identity(network: Network, batch: int = 1, *, weighted: bool = False, masked: bool = False) -> Identity:
    """Proves, entry by entry, that the symbolic program's gradient is SymPy's derivative of the whole loss.

    In the difference of the two every exp(…), log(…) and tanh(…) is replaced by an unknown of its own, and so is the
    slope of every ramp; what is left is a quotient of polynomials with rational coefficients, and its numerator
    vanishes. That is a proof for all real parameters, inputs and targets at which the quotients are defined and no ramp
    is at its kink. Where the numerator does not vanish nothing is proved (the unknowns may be related).

    Raises ArgumentError for a network of more than MOST_UNKNOWNS parameters and inputs.
    """
    unknowns = sum(int(np.prod(shape)) for shape in network.parameter_shapes.values())
    unknowns += batch * int(np.prod(network.input_shape))
    if unknowns > MOST_UNKNOWNS:
        raise ArgumentError("network", f"at most {MOST_UNKNOWNS} parameters and inputs to prove an identity", unknowns)
    brute = whole_loss(network, batch, weighted=weighted, opaque=True, masked=masked)
    view = _opaque_view(symbolic(network, batch, weighted=weighted, masked=masked))
    unknown_of: dict[Any, Any] = {}
    proved = {
        name: np.array(
            [
                _vanishes(_with_unknowns(left, unknown_of) - _with_unknowns(view.expanded(right), unknown_of))
                for left, right in zip(brute.gradient(name).reshape(-1), view.gradient(name).reshape(-1), strict=True)
            ],
            dtype=bool,
        ).reshape(view.gradient(name).shape)
        for name in (*network.trainable, INPUTS)
    }
    return Identity(network, batch, MappingProxyType(proved))


@dataclass(frozen=True, eq=False)
class Difference:
    """Balls around the difference of brute force and the symbolic program at the numbers of a case."""

    case: Case
    bits: int
    balls: Mapping[str, Values]

    @property
    def agrees(self) -> bool:
        """Whether every ball contains 0; otherwise the two are proved to be different functions."""
        return all(ball.contains(0) for array in self.balls.values() for ball in array.reshape(-1))

    def below(self, digits: int) -> bool:
        """Whether every difference is proved to be below 10^−digits."""
        with precision(self.bits):
            bound = arb(fmpq(1, 10**digits))
            return all(ball.abs_upper() < bound for array in self.balls.values() for ball in array.reshape(-1))


def enclose_difference(case: Case, digits: int = 100) -> Difference:
    """Encloses brute force less the symbolic program at a case's numbers, for the loss and every gradient entry.

    Precision rises until every difference is below 10^−digits, or proved not to be 0, or MOST_BITS are reached.
    """
    given = {"weighted": case.sample_weights is not None, "masked": bool(case.masks)}
    brute = whole_loss(case.network, case.batch, **given)
    view = symbolic(case.network, case.batch, **given)
    expressions = {LOSS: np.array(brute.loss, dtype=object)}
    expressions |= {name: brute.gradient(name) for name in (*case.network.trainable, INPUTS)}
    bits = 4 * digits + 64
    while True:
        found = Difference(case, bits, _differences(brute, view, expressions, case, bits))
        if not found.agrees or found.below(digits) or bits >= MOST_BITS:
            return found
        bits *= 2


def _differences(
    brute: WholeLoss, view: Symbolic, expressions: Mapping[str, Values], case: Case, bits: int
) -> dict[str, Values]:
    values = leaf_values(case)
    with precision(bits):
        given = {symbol: arb(fmpq(v.numerator, v.denominator)) for symbol, v in brute.constants.items()}
        for name, symbols in brute.leaves.items():
            given.update(zip(symbols.reshape(-1), exact_balls(values[name]).reshape(-1), strict=True))
        straight, whole = Balls(given), Balls(given)
        for symbol, value in view.constants.items():
            straight.symbols[symbol] = arb(fmpq(value.numerator, value.denominator))
        for assignment in view.program:
            straight.symbols[assignment.symbol] = straight.ball(assignment.expression)
        return {
            name: np.asarray(entrywise(whole.ball, array) - entrywise(straight.ball, view.symbols(name)), dtype=object)
            for name, array in expressions.items()
        }


@cache
def _opaque(name: str) -> Any:
    """A function of which SymPy knows the derivative, as SymPy derives it for its own, and nothing else."""

    def fdiff(self: Any, argindex: int = 1) -> Any:
        return _made_opaque(sympy.diff(getattr(sympy, name)(Z), Z)).xreplace({Z: self.args[0]})

    return type(f"opaque_{name}", (Function,), {"nargs": 1, "fdiff": fdiff})


def _made_opaque(expression: Any) -> Any:
    """An expression with SymPy's exp, log, tanh and erfc replaced by opaque ones."""
    if not expression.args:
        return expression
    arguments = [_made_opaque(argument) for argument in expression.args]
    for name in TRANSCENDENTAL:
        if isinstance(expression, getattr(sympy, name)):
            return _opaque(name)(*arguments)
    return expression.func(*arguments)


class _OpaqueArithmetic(ExpressionArithmetic):
    def apply(self, function: str, order: int, x: Values) -> Values:
        if order:
            raise TypeError("brute force uses no derivative of a program")
        expression = _made_opaque(definition(function))
        return entrywise(lambda entry: expression.xreplace({Z: entry}), x)


def _opaque_view(view: Symbolic) -> Symbolic:
    program = tuple(Assignment(step.symbol, _made_opaque(step.expression)) for step in view.program)
    return replace(view, program=program, _closed={})


def _with_unknowns(expression: Any, unknown_of: dict[Any, Any]) -> Any:
    """An expression with an unknown in place of every outermost function; the slope of |w| is 2s − 1 of a slope s."""
    if isinstance(expression, sympy.sign):
        return 2 * _with_unknowns(Step(expression.args[0], sympy.Symbol("kappa")), unknown_of) - 1
    if isinstance(expression, Function):
        step = isinstance(expression, Step)
        key = (Step, expression.args[0]) if step else expression
        if key not in unknown_of:
            unknown_of[key] = sympy.Dummy()
        return unknown_of[key]
    if not expression.args:
        return expression
    return expression.func(*[_with_unknowns(argument, unknown_of) for argument in expression.args])


def _vanishes(quotient: Any) -> bool:
    """Whether a quotient of polynomials is 0: its numerator, expanded, has no term."""
    numerator, _ = sympy.fraction(sympy.together(quotient))
    return bool(sympy.expand(numerator) == 0)

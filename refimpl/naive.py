"""Right mathematics that loses digits: what formulas outside the careful table may be off by, on this very case.

``refimpl.variants`` lists what careful code computes; beyond its bound a number is not what careful arithmetic gives.
It may still be what some other formula of the same function gives, one that cancels where the careful ones do not.
Such an answer is inaccurate, not wrong: only beyond the bound derived here are the mathematics not those declared.

Formulas met in published code. Write c = LIBRARY, E = c + 2 + |z| for an exponential (``np.e ** z`` is off by |z|·u
more than ``exp``, since e is rounded), L = c + 1 + (c + 1)(|z| + log 2) for softplus(±z) in the argument of an
exponential. To first order in u, f the exact value, the bound is the largest of the careful one and:

- *sigmoid*: ½(1 + tanh(z/2)): (c/2 + 1)·u absolutely. 1 − sigmoid(−z): E·f(1 − f) + 2 ≤ (c + 2)/4 + ¼ + 2, so 5·u for
  both. 1/(1 + ``np.e ** -z``): (E + 2)·u·f. exp(z − softplus(z)), exp(log_sigmoid(z)): (c + L)·u·f.
- *sigmoid′*: a − a² and a(1 − a) from any such a, off by A: A + 3u·a. e⁻ᶻ/(1 + e⁻ᶻ)²: (3E + 4)·u·f′;
  exp(−z − 2·softplus(−z)): (c + 2L + |z|)·u·f′; ¼(1 − tanh²(z/2)): (c + 1)/2·u.
- *tanh*: in 1 − 2/(e²ᶻ + 1) and the careful table's quotients an exponential's error is multiplied by at most
  sech² z, and |z|·sech² z < ½: (4c + 9)·u. *tanh′*: twice that and three roundings, (8c + 21)·u.
- *softplus*: z + log(1 + e⁻ᶻ), which cancels for z below 0, −log(sigmoid(−z)): ((c + 4)(1 + f) + (c + 1)|z|)·u.
- *softplus′*: any formula of sigmoid; 1 − e^{−softplus(z)}: (2c + 6)·u, since e⁻ᶠ(1 + f) ≤ 1.
- *exp*: E·u·f. Of softmax as exp(z − log_sum_exp(z)), with n logits of at most m: (c + c·log n + 2 + 3m)·u·f.
- *log*: LOG1P·u·|f|. XLA's log1p on a CPU, float64, is off by 239·u near −0.41418 (jax 0.10.2), where log is within u.
- *reciprocal* and *square* as powers, within a unit in the last place: 2u·|f|, and twice more for the derivative −1/z².
- *leaky ReLU* as ½(1 + s)z + ½(1 − s)|z|, and its slope by the sign of z: 6 roundings of |z|, of 1, times the slope.
- *cross-entropy of logits* as the cross-entropy of sigmoid(z) or softmax(z): another program of the same mathematics,
  bounded as every program is. Where the probability's distance from 0 or 1 is below its own error nothing bounds the
  logarithm of it; such entries are told by running the formula itself (``refimpl.replay``).

**Products in any order.** A reverse pass is a product of many factors for each path; the running bound takes them in
the program's order, others take scalings (1/N, λ, sample weights) last or first, or a layer's Jacobian before what
comes from above. Roundings are the same, underflow is not: a partial product below the smallest normal number is
lost, and what multiplies it afterwards may be large. So each entry may lose, at each operation of the program, the
smallest normal number times the product of those factors of its paths that exceed 1, paths added up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, reduce
from types import MappingProxyType

import numpy as np

from gradproof.case import Case
from gradproof.gradients import LOSS, OUTPUTS
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.network import Network
from refimpl.allowance import ROUND_UP, OpenSum, RunningBound
from refimpl.arithmetic import FloatArithmetic, Values, evaluate
from refimpl.enclosure import Enclosure, enclosure
from refimpl.formats import Format, Precision
from refimpl.language import (
    Add,
    Anchor,
    Detour,
    Join,
    MatMul,
    Multiply,
    Node,
    Place,
    Reshape,
    Scale,
    Spread,
    Take,
    Total,
)
from refimpl.program import leaf_values
from refimpl.variants import LIBRARY, MOST_ROUNDINGS, VARIANTS, Bound, Suprema

Factor = Callable[[Suprema], Bound]

_C = LIBRARY
LOG1P = 256.0
"""Relative error of the least accurate log1p met in a library, in units of u, to the next power of two."""


def _exponential(s: Suprema) -> Bound:
    return np.asarray(_C + 2 + s.argument)


def _logarithm(s: Suprema) -> Bound:
    return np.asarray(_C + 1 + (_C + 1) * (s.argument + np.log(2)))


def _largest(*bounds: Bound | float) -> Bound:
    return np.asarray(reduce(np.maximum, bounds))


def _sigmoid(s: Suprema) -> Bound:
    return _largest(5.0, (_exponential(s) + 2) * s.function, (_C + _logarithm(s)) * s.function)


def _sigmoid_slope(s: Suprema) -> Bound:
    return _largest(
        np.maximum(_sigmoid(s), (2 * _C + 2) * s.function) + 3 * s.function,
        (3 * _exponential(s) + 4) * s.value,
        (_C + 2 * _logarithm(s) + s.argument) * s.value,
    )


def _softplus(s: Suprema) -> Bound:
    return (_C + 4) * (1 + s.function) + (_C + 1) * s.argument


FACTORS: Mapping[tuple[str, int], Factor] = MappingProxyType(
    {
        ("sigmoid", 0): _sigmoid,
        ("sigmoid", 1): _sigmoid_slope,
        ("tanh", 0): lambda s: np.full(np.shape(s.value), 4 * _C + 9),
        ("tanh", 1): lambda s: np.full(np.shape(s.value), 8 * _C + 21),
        ("softplus", 0): _softplus,
        ("softplus", 1): lambda s: _largest(
            2 * _C + 6, (_exponential(s) + 2) * s.value, (_C + _logarithm(s)) * s.value
        ),
        ("exp", 0): lambda s: _exponential(s) * s.value,
        ("exp", 1): lambda s: _exponential(s) * s.value,
        ("log", 0): lambda s: LOG1P * s.value,
        ("reciprocal", 0): lambda s: 2 * s.value,
        ("reciprocal", 1): lambda s: 5 * s.value,
        ("square", 0): lambda s: 2 * s.value,
    }
)
"""(function, order) → the factor of u in the bound of the formulas named above; careful ones alone for all others."""

BY_PROBABILITIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "binary_cross_entropy_with_logits": ("sigmoid", "binary_cross_entropy"),
        "categorical_cross_entropy_with_logits": ("softmax", "categorical_cross_entropy"),
    }
)
"""A loss of logits → the activation and the loss of probabilities that are the same mathematics."""


def by_probabilities(case: Case) -> Case | None:
    """The same case with its loss computed from probabilities; None where the loss is not one of logits."""
    loss = case.network.loss
    if loss is None or loss.name not in BY_PROBABILITIES:
        return None
    if loss.word.categorical and case.network.output_shape[-1] == 1:
        return None  # a softmax of one logit is 1, outside the domain of a loss of probabilities
    activation, name = BY_PROBABILITIES[loss.name]
    network: Network = case.network.replace(
        layers=(*case.network.layers, Activation(activation)), loss=Loss(name, loss.reduction, loss.targets)
    )
    return case.replace(network=network)


@dataclass(frozen=True, eq=False)
class NaiveAllowance:
    """Per quantity what any formula in use may be off by, entry by entry: never below what careful ones may.

    unbounded: where nothing is proved, in which a formula must be run to tell; ``bound`` is then that of the others.
    """

    bound: Mapping[str, Bound]
    unbounded: Mapping[str, Values]


def naive_allowance(case: Case, enclosed: Enclosure | None = None, dtype: Precision | None = None) -> NaiveAllowance:
    """What right mathematics may be off by on a case, computed in ``dtype`` (the case's own unless given)."""
    target = Format.of(dtype or case.dtype)
    own = _bounds(case, enclosed or enclosure(case), target)
    other = by_probabilities(case)
    if other is None:
        return NaiveAllowance(own, MappingProxyType({name: np.isinf(bound) for name, bound in own.items()}))
    others = {name: bound for name, bound in _bounds(other, enclosure(other), target).items() if name != OUTPUTS}
    known = {name: np.where(np.isinf(bound), 0.0, bound) for name, bound in others.items()}
    bounds = {name: np.maximum(bound, known.get(name, 0.0)) for name, bound in own.items()}
    unbounded = {name: np.isinf(bound) | np.isinf(others.get(name, 0.0)) for name, bound in own.items()}
    return NaiveAllowance(MappingProxyType(bounds), MappingProxyType(unbounded))


def _bounds(case: Case, enclosed: Enclosure, target: Format) -> Mapping[str, Bound]:
    magnitudes = {name: np.abs(array.astype(np.float64)) for name, array in leaf_values(case).items()}
    bound = NaiveBound(target, enclosed, magnitudes, {})
    results = enclosed.computation.results
    with np.errstate(over="ignore", invalid="ignore"):
        errors = {name: ROUND_UP * (bound.closed(node) + bound.reordered(node)) for name, node in results.items()}
        errors[LOSS] = errors[LOSS] + ROUND_UP * bound.slack(results[LOSS])
    return MappingProxyType({name: np.where(np.isnan(error), np.inf, error) for name, error in errors.items()})


class NaiveBound(RunningBound):
    """The running bound over every formula in use, and over products in any order."""

    def formulas(self, node: Node, function: str, order: int, suprema: Suprema) -> Bound:
        """The bound of all formulas in use."""
        factor = VARIANTS[function, order].factor(suprema)
        if (function, order) in FACTORS:
            factor = np.maximum(factor, FACTORS[function, order](suprema))
        if function == "exp":
            factor = np.maximum(factor, self._by_log_sum_exp(node.operands[0]) * suprema.value)
        u = self.format.unit
        return np.asarray(u / (1 - MOST_ROUNDINGS * u) * factor)

    def _by_log_sum_exp(self, z: Node) -> Bound:
        """The factor of u for exp(logits − log_sum_exp(logits)); 0 where z is no logits less an anchor."""
        match z:
            case Node(primitive=Add(), operands=(logits, Node(operands=(Node(primitive=Anchor()),)))):
                most = np.max(self.magnitude(logits) + self.closed(logits), initial=0.0)
                return np.full(z.shape, _C + _C * np.log(z.shape[-1]) + 2 + 3 * most)
            case _:
                return np.zeros(z.shape)

    def _hinged(self, node: Node, below: Fraction, above: Fraction) -> OpenSum:
        found = super()._hinged(node, below, above)
        if {abs(below), abs(above)} <= {0, 1}:
            return found
        (z,) = node.operands
        spent = self.format.roundings(6) * max(1.0, _upward(below), _upward(above))
        return OpenSum(found.terms, found.inherited + spent * (self.magnitude(z) + self.closed(z)), found.count)

    def _stepped(self, node: Node, below: Fraction, above: Fraction) -> Bound:
        found = super()._stepped(node, below, above)
        if {abs(below), abs(above)} <= {0, 1}:
            return found
        return found + self.format.roundings(6) * max(1.0, _upward(below), _upward(above))

    def reordered(self, result: Node) -> Bound:
        """What partial products may lose below the smallest normal number, whatever their order."""
        return np.asarray(len(self.enclosed.order) * self.format.tiny * self._amplified[id(result)])

    @cached_property
    def _amplified(self) -> dict[int, Values]:
        """For each node the sum over its paths of the product of those factors that exceed 1."""
        values: dict[int, Values] = {}
        for node in self.enclosed.order:
            operands = tuple(values[id(operand)] for operand in node.operands)
            match node.primitive:
                case Scale(factor):
                    found = max(1.0, _upward(factor)) * operands[0]
                case Add() | Multiply() | MatMul() | Total() | Spread() | Reshape() | Take() | Place() | Join():
                    found = evaluate(node, FloatArithmetic(np.dtype(np.float64)), operands, {})
                case Detour():
                    found = operands[0]
                case _:
                    found = np.maximum(1.0, self.magnitude(node))
            values[id(node)] = found
        return values


def _upward(number: Fraction) -> float:
    return float(abs(number)) * ROUND_UP

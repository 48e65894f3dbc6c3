"""The closed table of formula variants: what "careful arithmetic" may compute for an elementwise function.

Each entry lists formulas that implementations really use for one function, or for one derivative of it, and bounds
the error that any of them makes on an argument that is given exactly, at unit roundoff u. The model is the standard
one (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §2.2): each operation rounds once,
fl(x op y) = (x op y)(1 + δ), |δ| ≤ u; and a library's exp, log or tanh is within LIBRARY · u of the exact value
relatively (8u is 4 units in the last place, which the vectorised float libraries document as their limit).

Write c = LIBRARY. To first order in u (k of them together are at most k·u/(1 − k·u), Higham's Lemma 3.1), with f the
exact value:

- *sigmoid*: 1/(1 + e⁻ᶻ) has e⁻ᶻ off by c, the sum by 1 more, the quotient by 1 more: (c + 2)·u·f. eᶻ/(1 + eᶻ):
  (2c + 2)·u·f, which is the bound.
- *sigmoid′*: from a = sigmoid(z) as a·(1 − a), a off by (2c + 2)·u·a: a·(1 − a) moves by at most that much times
  |1 − 2a| ≤ 1, and three roundings add at most 3u·a: (2c + 5)·u·a. e⁻ᶻ/(1 + e⁻ᶻ)²: (3c + 4)·u·a·(1 − a), as long as
  the square is finite; else all of it. Bound: (3c + 5)·u·a, and σ′ itself where 4·e^{2|z|} overflows.
- *tanh*: (eᶻ − e⁻ᶻ)/(eᶻ + e⁻ᶻ), (1 − e⁻²ᶻ)/(1 + e⁻²ᶻ) and 2·sigmoid(2z) − 1 all cancel near 0, where their error is
  absolute: at most (2c + 4)·u, (2c + 4)·u and (4c + 5)·u. The library's own is c·u·f. Bound: (4c + 5)·u.
- *tanh′*: 1 − a² and (1 − a)(1 + a) from such an a: 2·(4c + 5)·u + 3u; 4/(eᶻ + e⁻ᶻ)² and 1/cosh² are relatively
  accurate: (2c + 5)·u. Bound: (8c + 14)·u.
- *softplus*: log(1 + eᶻ): the argument of log is off by (c + 1)·u relatively, which is absolute behind the log, and
  log's own c·u·f; max(z, 0) + log1p(e⁻|ᶻ|): less. Bound: (c + 2)·u·(1 + f).
- *softplus′*: any formula of sigmoid; or exp(z − softplus(z)), whose argument is off by the bound above and u·|z − f|.
  Bound: (2c + 2 + (c + 3)·(1 + f + |z|))·u·softplus′.
- *exp*, *exp′* and *log*: c·u·|f| (log1p(−p) in place of log(1 − p) does better still). *reciprocal*: u·|f|;
  *reciprocal′* −1/z²: 3u·|f|; *log′* 1/z: u·|f|. *square*: u·f; *square′* 2z: exact.
- *sqrt*: correctly rounded, or by a library's power within c·u·f; *sqrt′* 1/(2√z): (c + 1)·u·f′.
- *normal_cdf*, Φ: (1 + erf(z/√2))/2: z/√2, from a rounded constant, is off by 2u relatively, which moves erf by at most
  2u·max|t·erf′(t)| < u; the library's erf c·u·|erf|, the sum 2u: (c + 3)/2·u in all. erfc(−z/√2)/2: u/2 and c·u·Φ.
  Bound: ((c + 3)/2 + c·Φ)·u.
- *normal_cdf′*, e^{−z²/2}/√(2π): the square of z/√2 is off by 5u relatively, which the power amplifies by z²/2; the
  library's exp c, the constant and the products 4: (c + 4 + 3z²)·u·Φ′ with what is of second order.
- *normal_cdf_by_tanh*, (1 + tanh w)/2 with w = √(2/π)·(z + 0.044715z³): w is off by 8u relatively (2 in the cube, 2 by
  its factor, 1 in the sum, 3 by the outer factor), which moves tanh by at most 8u·max|w·sech²w| < 4u; the library's
  tanh c, the sum 2: ((c + 6)/2)·u, and u·f at most for what is left.
- *normal_cdf_by_tanh′*, sech²w·w′/2: sech² as 1 − a² is off by 2c·u from the library, max|2w·tanh w·sech²w|·8u < 6u
  from w and 2u in the square and difference; w′ ≤ 0.8 + 0.108z² is off by 6u relatively. Bound:
  ((c + 4)·(0.8 + 0.108z²) + 10f′)·u.
- *elu* (of alpha = 1), e^z − 1 below 0: c·u·e^z and u·|f|: (c + 1)·u. *elu′*, e^z below 0, or a + 1 from such an a, or
  from α·a, as a + α, which is rounded once more and scales the bound by α: (c + 3)·u.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from gradproof.case import Case
from gradproof.vocabulary import Dtype
from refimpl.arithmetic import FloatArithmetic, Values, evaluate
from refimpl.language import Anchor, Apply, Multiply, Node, ordered
from refimpl.program import Program, leaf_values, program_of

Bound = npt.NDArray[np.float64]

LIBRARY = 8.0
"""Relative error of a library's exp, log or tanh, in units of u."""
MOST_ROUNDINGS = 128
"""More than the first-order terms of u in any bound of the table."""


Formula = Callable[[Any], Any]


@dataclass(frozen=True)
class Suprema:
    """The largest magnitudes that an argument z may bring, entry by entry: |z|, |f(z)| and |f⁽ᵏ⁾(z)|."""

    argument: Bound
    function: Bound
    value: Bound
    """Of the derivative that is computed; the function itself for order 0."""


@dataclass(frozen=True)
class Variants:
    """The formulas of one function or derivative, and the bound on their error.

    formulas: in words → the formula on a NumPy array, at its dtype. factor: the bound's factor of u, per entry.
    usual: the same for the error that a formula chosen with care makes, a library within a unit in the last place.
    divisor: the natural logarithm of the largest number that a formula divides by, where the quotient matters: once it
    overflows, the quotient is 0. numerators: of formulas that are quotients, in words, where implementations multiply
    by the numerator first; the product may overflow where the quotient does not.
    """

    formulas: Mapping[str, Formula]
    factor: Callable[[Suprema], Bound]
    usual: Callable[[Suprema], Bound]
    divisor: Callable[[Suprema], Bound] = lambda s: np.zeros(np.shape(s.value))
    numerators: Mapping[str, Formula] = field(default_factory=dict)
    naive: Mapping[str, Formula] = field(default_factory=dict)
    """Formulas in use that lose more than the bound, or overflow elsewhere; ``refimpl.naive`` bounds them."""

    def bound(self, u: float, suprema: Suprema) -> Bound:
        """The absolute error that any of the formulas can make at unit roundoff u, underflow aside."""
        return u / (1 - MOST_ROUNDINGS * u) * self.factor(suprema)


def _relative(constant: float) -> Callable[[Suprema], Bound]:
    return lambda s: constant * s.value


def _absolute(constant: float) -> Callable[[Suprema], Bound]:
    return lambda s: np.full(np.shape(s.value), constant)


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def _softplus(z: Any) -> Any:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def _erf(z: Any) -> Any:
    return np.array([math.erf(number) for number in z.reshape(-1)], z.dtype).reshape(z.shape)


def _erfc(z: Any) -> Any:
    return np.array([math.erfc(number) for number in z.reshape(-1)], z.dtype).reshape(z.shape)


def _root(number: float, z: Any) -> Any:
    return np.sqrt(z.dtype.type(number))


def _cubic(z: Any) -> Any:
    return _root(2 / np.pi, z) * (z + z.dtype.type(0.044715) * z**3)


def _cubic_slope(z: Any) -> Any:
    return _root(2 / np.pi, z) * (1 + 3 * z.dtype.type(0.044715) * z**2)


_C = LIBRARY
_SIGMOID: Mapping[str, Formula] = MappingProxyType(
    {"1/(1 + exp(-z))": _sigmoid, "exp(z)/(1 + exp(z))": lambda z: np.exp(z) / (1 + np.exp(z))}
)

_SIGMOID_NAIVE: Mapping[str, Formula] = MappingProxyType(
    {
        "(1 + tanh(z/2))/2": lambda z: (1 + np.tanh(z / 2)) / 2,
        "1 - sigmoid(-z)": lambda z: 1 - _sigmoid(-z),
        "exp(z - log(1 + exp(z)))": lambda z: np.exp(z - np.log(1 + np.exp(z))),
    }
)

VARIANTS: Mapping[tuple[str, int], Variants] = MappingProxyType(
    {
        ("sigmoid", 0): Variants(_SIGMOID, _relative(2 * _C + 2), _relative(4), naive=_SIGMOID_NAIVE),
        ("sigmoid", 1): Variants(
            {
                "a(1 - a)": lambda z: _sigmoid(z) * (1 - _sigmoid(z)),
                "exp(-z)/(1 + exp(-z))^2": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
            },
            lambda s: (3 * _C + 5) * s.function,
            lambda s: 5 * s.function,
            lambda s: 2 * s.argument + np.log(4),  # (1 + e⁻ᶻ)² ≤ 4·e^{2|z|}
            naive=MappingProxyType(
                {
                    "exp(z)/(1 + exp(z))^2": lambda z: np.exp(z) / (1 + np.exp(z)) ** 2,
                    "a^2 exp(-z)": lambda z: _sigmoid(z) ** 2 * np.exp(-z),
                }
            ),
        ),
        ("tanh", 0): Variants(
            {
                "tanh(z)": np.tanh,
                "(exp(z) - exp(-z))/(exp(z) + exp(-z))": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
                "(1 - exp(-2z))/(1 + exp(-2z))": lambda z: (1 - np.exp(-2 * z)) / (1 + np.exp(-2 * z)),
                "2 sigmoid(2z) - 1": lambda z: 2 * _sigmoid(2 * z) - 1,
            },
            _absolute(4 * _C + 5),
            _relative(2),
            naive=MappingProxyType(
                {
                    "(exp(2z) - 1)/(exp(2z) + 1)": lambda z: (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1),
                    "1 - 2/(exp(2z) + 1)": lambda z: 1 - 2 / (np.exp(2 * z) + 1),
                    "sinh(z)/cosh(z)": lambda z: np.sinh(z) / np.cosh(z),
                }
            ),
        ),
        ("tanh", 1): Variants(
            {
                "1 - a^2": lambda z: 1 - np.tanh(z) ** 2,
                "(1 - a)(1 + a)": lambda z: (1 - np.tanh(z)) * (1 + np.tanh(z)),
                "4/(exp(z) + exp(-z))^2": lambda z: 4 / (np.exp(z) + np.exp(-z)) ** 2,
            },
            _absolute(8 * _C + 14),
            _absolute(6),
            naive=MappingProxyType(
                {"4 exp(2z)/(1 + exp(2z))^2": lambda z: 4 * np.exp(2 * z) / (1 + np.exp(2 * z)) ** 2}
            ),
        ),
        ("softplus", 0): Variants(
            {
                "log(1 + exp(z))": lambda z: np.log(1 + np.exp(z)),
                "log1p(exp(z))": lambda z: np.log1p(np.exp(z)),
                "max(z, 0) + log1p(exp(-|z|))": _softplus,
            },
            lambda s: (_C + 2) * (1 + s.function),
            _relative(4),
            naive=MappingProxyType(
                {
                    "z + log(1 + exp(-z))": lambda z: z + np.log(1 + np.exp(-z)),
                    "-log(sigmoid(-z))": lambda z: -np.log(_sigmoid(-z)),
                }
            ),
        ),
        ("softplus", 1): Variants(
            {**_SIGMOID, "exp(z - softplus(z))": lambda z: np.exp(z - _softplus(z))},
            lambda s: (2 * _C + 2 + (_C + 3) * (1 + s.function + s.argument)) * s.value,
            lambda s: (4 + s.argument) * s.value,
            numerators=MappingProxyType({"exp(z)/(1 + exp(z))": np.exp}),  # PyTorch: δ·eᶻ, then the quotient
            naive=MappingProxyType({"1 - sigmoid(-z)": lambda z: 1 - _sigmoid(-z)}),
        ),
        ("exp", 0): Variants({"exp(z)": np.exp}, _relative(_C), _relative(2)),
        ("exp", 1): Variants({"exp(z)": np.exp}, _relative(_C), _relative(2)),
        ("log", 0): Variants({"log(z)": np.log}, _relative(_C), _relative(2)),
        ("log", 1): Variants({"1/z": lambda z: 1 / z}, _relative(1), _relative(1)),
        ("reciprocal", 0): Variants({"1/z": lambda z: 1 / z}, _relative(1), _relative(1)),
        ("reciprocal", 1): Variants(
            {"-1/z^2": lambda z: -1 / z**2, "-(1/z)^2": lambda z: -((1 / z) ** 2)},
            _relative(3),
            _relative(3),
        ),
        ("square", 0): Variants({"z^2": np.square}, _relative(1), _relative(1)),
        ("square", 1): Variants({"2z": lambda z: 2 * z}, _relative(0), _relative(0)),
        ("sqrt", 0): Variants({"sqrt(z)": np.sqrt, "z^0.5": lambda z: z**0.5}, _relative(_C), _relative(1)),
        ("sqrt", 1): Variants(
            {"1/(2 sqrt(z))": lambda z: 1 / (2 * np.sqrt(z)), "z^-0.5/2": lambda z: z**-0.5 / 2},
            _relative(_C + 1),
            _relative(2),
        ),
        ("normal_cdf", 0): Variants(
            {
                "(1 + erf(z/sqrt(2)))/2": lambda z: (1 + _erf(z / _root(2, z))) / 2,
                "erfc(-z/sqrt(2))/2": lambda z: _erfc(-z / _root(2, z)) / 2,
            },
            lambda s: (_C + 3) / 2 + _C * s.value,
            _absolute(2),
        ),
        ("normal_cdf", 1): Variants(
            {
                "exp(-z^2/2)/sqrt(2 pi)": lambda z: np.exp(-(z**2) / 2) / _root(2 * np.pi, z),
                "exp(-(z/sqrt(2))^2)/sqrt(2 pi)": lambda z: np.exp(-((z / _root(2, z)) ** 2)) / _root(2 * np.pi, z),
            },
            lambda s: (_C + 4 + 3 * s.argument**2) * s.value,
            lambda s: (4 + s.argument**2) * s.value,
        ),
        ("normal_cdf_by_tanh", 0): Variants(
            {"(1 + tanh(w))/2": lambda z: (1 + np.tanh(_cubic(z))) / 2},
            lambda s: (_C + 6) / 2 + s.value,
            _absolute(3),
        ),
        ("normal_cdf_by_tanh", 1): Variants(
            {
                "(1 - tanh(w)^2) w'/2": lambda z: (1 - np.tanh(_cubic(z)) ** 2) * _cubic_slope(z) / 2,
                "(1 - tanh(w))(1 + tanh(w)) w'/2": lambda z: (
                    (1 - np.tanh(_cubic(z))) * (1 + np.tanh(_cubic(z))) * _cubic_slope(z) / 2
                ),
            },
            lambda s: (_C + 4) * (0.8 + 0.108 * s.argument**2) + 10 * s.value,
            lambda s: 4 * (0.8 + 0.108 * s.argument**2) + 4 * s.value,
        ),
        ("elu", 0): Variants(
            {
                "exp(z) - 1": lambda z: np.where(z < 0, np.exp(np.minimum(z, 0)) - 1, z),
                "expm1(z)": lambda z: np.where(z < 0, np.expm1(np.minimum(z, 0)), z),
            },
            _absolute(_C + 1),
            _absolute(2),
        ),
        ("elu", 1): Variants(
            {
                "exp(z)": lambda z: np.exp(np.minimum(z, 0)),
                "a + 1": lambda z: np.where(z < 0, (np.exp(np.minimum(z, 0)) - 1) + 1, np.ones_like(z)),
            },
            _absolute(_C + 3),
            _absolute(3),
        ),
    }
)
"""(function, order) → its variants: every function of ``refimpl.functions``, and its first derivative."""


def overflowing(case: Case, dtype: Dtype | None = None) -> tuple[str, ...]:
    """Naive formulas that leave the finite numbers of ``dtype`` on this very case, in words; none for most cases.

    The program of the case is run in NumPy at that dtype as somebody careless would write it: no maximum subtracted
    before exponentials, and each elementwise function by every formula of the table in turn. What is reported is each
    place where finite operands give a result that is not finite.
    """
    wanted = np.dtype(dtype or case.dtype)
    leaves = {name: array.astype(wanted) for name, array in leaf_values(case).items()}
    return overflows(program_of(case), wanted, leaves, elsewhere="loss")


def overflows(program: Program, dtype: np.dtype[Any], leaves: Mapping[str, Values], elsewhere: str) -> tuple[str, ...]:
    """The same for any program, given its leaves in ``dtype``; what belongs to no layer belongs to ``elsewhere``."""
    naive = FloatArithmetic(dtype)
    order = ordered(tuple(program.results.values()))
    places = _places(order)
    values: dict[int, Values] = {}
    found: dict[str, None] = {}
    with np.errstate(all="ignore"):
        for node in order:
            operands = tuple(values[id(operand)] for operand in node.operands)
            if isinstance(node.primitive, Anchor):
                values[id(node)] = np.zeros(node.shape, naive.dtype)
                continue
            values[id(node)] = evaluate(node, naive, operands, leaves)
            if not all(np.all(np.isfinite(operand)) for operand in operands):
                continue
            for formula, result in (*_results(node, operands, values[id(node)]), *_multiplied_first(node, values)):
                if not np.all(np.isfinite(result)):
                    found[f"{_place(node, places) or elsewhere}: {formula} is not finite in {naive.dtype}"] = None
    return tuple(found)


def _results(node: Node, operands: tuple[Values, ...], value: Values) -> Iterator[tuple[str, Values]]:
    match node.primitive:
        case Apply(function, order):
            variants = VARIANTS[function, order]
            for words, formula in {**variants.formulas, **variants.naive}.items():
                yield f"{function}{'′' * order} as {words}", np.asarray(formula(operands[0]))
        case primitive:
            yield type(primitive).__name__.lower(), value


def _multiplied_first(node: Node, values: Mapping[int, Values]) -> Iterator[tuple[str, Values]]:
    """The numerators of a derivative that is a quotient, times what the quotient is multiplied by."""
    if not isinstance(node.primitive, Multiply):
        return
    for derivative, other in (node.operands, node.operands[::-1]):
        match derivative.primitive:
            case Apply(function, order) if derivative is not other:
                for words, numerator in VARIANTS[function, order].numerators.items():
                    product = values[id(other)] * numerator(values[id(derivative.operands[0])])
                    yield f"{function}{'′' * order} as {words}, multiplied first,", product


def _place(node: Node, places: Mapping[int, str]) -> str | None:
    """The layer that a node belongs to; without a note of its own, a derivative belongs to its argument's place, and a
    product with a derivative to the derivative's.
    """
    own = places.get(id(node))
    if own is None and isinstance(node.primitive, Apply):
        return places.get(id(node.operands[0]))
    if own is None and isinstance(node.primitive, Multiply):
        of_derivatives = (_place(operand, places) for operand in node.operands if isinstance(operand.primitive, Apply))
        return next((place for place in of_derivatives if place), None)
    return own


def _places(order: Sequence[Node]) -> dict[int, str]:
    """The first layer whose output needs a node, by the node's identity; none for what only the loss needs."""
    places: dict[int, str] = {}
    for node in order:
        if node.note.startswith("layer "):
            for inner in ordered([node]):
                places.setdefault(id(inner), node.note)
        elif node.note.startswith("derivative of layer "):
            places[id(node)] = node.note
    return places

"""Kinks: which gradients backpropagation may give where an argument of a hinge is exactly 0, or where several tie.

At each such place an implementation picks a slope. At a hinge it is one between the one-sided ones, that is weights
(1 − c, c) of them with c in [0, 1]; where m entries tie for the greatest, it is shares of them that are at least 0 and
add up to 1. The picks at different places are independent. What all picks together give, entry by entry, is the
admissible set.

**Corners tell the set.** A reverse path passes each place at most once, and whatever it passes there it multiplies
by. So each gradient entry is affine in the weights of each single place, the others held: over the box of all picks
its extremes are taken where every place has chosen one of its options, and between them it takes every value.

**Places that never meet can be told apart.** Written out in the weights, an entry is a polynomial: with the first
option's weight replaced by 1 less the others, a sum of coefficients times products of weights of different places.
``expanded`` computes these coefficients, in balls, by following the linear and bilinear operations behind the steps
(a sum adds coefficients, a product multiplies each with each); most are 0, since kinks meet in a product only if one
lies behind the other on a path. Group the places of an entry so that every product stays in one group. Then the entry
is a constant plus one polynomial for each group, in weights of its own, and its least value is the constant plus the
least value of each group: the groups reach theirs independently. So n places in G groups cost no more than Σ 2^(size
of a group) sums of coefficients, where running the program at all corners would cost 2^n runs. Kinks of different
samples, and of different units of one layer, are always in different groups of a sum over them unless a kink below
joins them.

Up to 2**ENUMERATED corners a group are looked at, and up to MOST_TERMS products; beyond, interval arithmetic gives an
outer hull, which may be wider.

This is what the chain rule applied with some slope at each kink gives (a conservative gradient: Bolte and Pauwels,
*Conservative set valued fields, automatic differentiation, stochastic gradient methods and deep learning*, 2021). It
is not Clarke's subdifferential, which can be smaller: relu(x) − relu(−x) at 0 has slope 0 in every framework, while
Clarke admits 1 alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from flint import arb

from refimpl.arithmetic import Values, evaluate
from refimpl.balls import BallArithmetic, greatest
from refimpl.language import (
    Add,
    Detour,
    Join,
    MatMul,
    Multiply,
    Node,
    Place,
    Reshape,
    Scale,
    Share,
    Spread,
    Step,
    Take,
    Total,
)

ENUMERATED = 10
"""Up to 2**n corners a group of places that meet are looked at."""
MOST_TERMS = 512
"""Up to so many products of weights in any tensor are followed,"""
MOST_ENTRIES = 2**19
"""as long as these times its entries are no more than that, some tenths of a second,"""
MOST_PAIRS = 2**14
"""and those of two tensors that are multiplied have no more pairs."""

LINEAR = (Add, Scale, Total, Spread, Reshape, Take, Place, Join, Detour)


class Kind(NamedTuple):
    """Whose kink it is, by the name that its definition gives, and its slopes: (0, 1) for ReLU, (−1, 1) for |θ|.

    For a hinge, slopes below and above 0; for a tie (``tie`` in the name's place before a colon) those of one entry.
    """

    name: str
    below: Fraction
    above: Fraction

    @property
    def tie(self) -> bool:
        """Whether several entries tie for the greatest."""
        return self.name.startswith(TIE)


TIE = "tie:"


@dataclass(frozen=True, eq=False)
class Met:
    """A place where a kink is met: a node, flat indices of its entries, and what each option makes of these."""

    kind: Kind
    node: Node
    entries: tuple[int, ...]
    options: tuple[tuple[Fraction, ...], ...]

    def weights(self, choice: Fraction) -> tuple[Fraction, ...]:
        """The options' weights for a choice c from 0 to 1.

        At a hinge 1 − c and c, which gives the slope below + c · (above − below). At a tie 0 gives everything to the
        first, ½ the same to each and 1 everything to the last; a choice between two of these what lies between.
        """
        count = len(self.options)
        near, way = (0, 2 * choice) if 2 * choice <= 1 else (count - 1, 2 - 2 * choice)
        return tuple(way / count + (1 - way) * (option == near) for option in range(count))


def places(order: Sequence[Node], values: Mapping[int, Values]) -> tuple[Met, ...]:
    """The places where a program meets a kink, in order, from the balls of its nodes."""
    return tuple(place for node in order for place in _places(node, values))


def _places(node: Node, values: Mapping[int, Values]) -> Iterator[Met]:
    match node.primitive:
        case Step(below, above, name) if below != above:
            kind = Kind(name, below, above)
            for entry, ball in enumerate(values[id(node.operands[0])].reshape(-1)):
                if not (ball > 0 or ball < 0):
                    yield Met(kind, node, (entry,), ((below,), (above,)))
        case Share(name):
            kind = Kind(TIE + name, Fraction(0), Fraction(1))
            x = values[id(node.operands[0])]
            for number, row in enumerate(x.reshape(-1, x.shape[-1])):
                top = greatest(row)
                if len(top) > 1:
                    options = tuple(tuple(Fraction(i == j) for j in top) for i in top)
                    yield Met(kind, node, tuple(number * len(row) + i for i in top), options)
        case _:
            return


def _put(array: Values, place: Met, slopes: Sequence[Fraction]) -> None:
    numbers = BallArithmetic()
    for entry, slope in zip(place.entries, slopes, strict=True):
        array.reshape(-1)[entry] = numbers.number(slope)


class Weight(NamedTuple):
    """The weight of one option of a place, not the first: both by number."""

    place: int
    option: int


Product = frozenset[Weight]
"""A product of weights of different places; empty for 1."""
Polynomial = Mapping[Product, Values]
"""A tensor as a sum of products of weights, each times an array of balls. There is always the empty product."""

NOTHING: Product = frozenset()


class TooManyTermsError(Exception):
    """A tensor has more products of weights than are followed."""


def chosen(polynomial: Polynomial, met: Sequence[Met], choose: Callable[[Kind], Fraction]) -> Values:
    """A tensor with a choice made at each kink: the same at every kink of a kind."""
    numbers = BallArithmetic()
    value = polynomial[NOTHING]
    for weights, array in polynomial.items():
        if weights:
            factors = [met[place].weights(choose(met[place].kind))[option] for place, option in weights]
            factor = prod(factors, start=Fraction(1))
            value = value + (array if factor == 1 else numbers.scale(array, factor)) if factor else value
    return np.asarray(value, dtype=object)  # of no axes, NumPy gives the number alone


def expanded(
    order: Sequence[Node], values: Mapping[int, Values], met: Sequence[Met], leaves: Mapping[str, Values]
) -> dict[int, Polynomial]:
    """Every tensor that depends on a choice, by its node's identity, as a polynomial in the weights of the options.

    Raises TooManyTermsError where there are more products than are followed, and TypeError where the program is not
    affine in each choice.
    """
    numbers: dict[int, list[int]] = {}
    for number, place in enumerate(met):
        numbers.setdefault(id(place.node), []).append(number)
    found: dict[int, Polynomial] = {}
    for node in order:
        if id(node) in numbers:
            here = [(number, met[number]) for number in numbers[id(node)]]
            _refuse_too_many(1 + sum(len(place.options) - 1 for _, place in here), node)
            found[id(node)] = _chosen(values[id(node)], here)
        elif any(id(operand) in found for operand in node.operands):
            operands = [found.get(id(operand), {NOTHING: values[id(operand)]}) for operand in node.operands]
            found[id(node)] = _combined(node, operands, leaves)
            _refuse_too_many(len(found[id(node)]), node)
    return found


def _refuse_too_many(terms: int, node: Node) -> None:
    if terms > MOST_TERMS or terms * prod(node.shape) > MOST_ENTRIES:
        raise TooManyTermsError


def _chosen(array: Values, here: Sequence[tuple[int, Met]]) -> Polynomial:
    """Steps or shares: their slopes where no kink is met, and at kinks the first option and what others change."""
    arithmetic = BallArithmetic()
    first = array.copy()
    terms = {NOTHING: first}
    for number, place in here:
        _put(first, place, place.options[0])
        for option in range(1, len(place.options)):
            change = arithmetic.full(array.shape, 0)
            pairs = zip(place.options[option], place.options[0], strict=True)
            _put(change, place, [slope - base for slope, base in pairs])
            terms[frozenset({Weight(number, option)})] = change
    return terms


def _combined(node: Node, operands: Sequence[Polynomial], leaves: Mapping[str, Values]) -> Polynomial:
    """A node of operands that are polynomials: linear ones term by term, bilinear ones each with each."""
    arithmetic = BallArithmetic()
    terms: dict[Product, Values] = {}
    match node.primitive:
        case Multiply() | MatMul():
            left, right = (_with_places(operand) for operand in operands)
            if len(left) * len(right) > MOST_PAIRS:
                raise TooManyTermsError
            for (one, a, in_a), (other, b, in_b) in product(left, right):
                if {weight.place for weight in one} & {weight.place for weight in other}:
                    raise TypeError("a choice at a kink meets itself in a product")
                if not (one or other):
                    part = evaluate(node, arithmetic, (a, b), leaves)
                else:
                    sparse = _sparse_matmul if isinstance(node.primitive, MatMul) else _sparse_multiply
                    found = sparse(node, a, b, in_a, in_b)
                    if found is None:
                        continue
                    part = found
                both = one | other
                terms[both] = terms[both] + part if both in terms else part
        case primitive if isinstance(primitive, LINEAR):
            for weights in {weights: None for operand in operands for weights in operand}:
                arrays = [operand.get(weights) for operand in operands]
                given = [array for array in arrays if array is not None]
                if isinstance(primitive, Add) and len(given) == 1:
                    terms[weights] = given[0]
                elif not isinstance(primitive, Detour) or arrays[0] is not None:
                    whole = [
                        arithmetic.full(operand.shape, 0) if array is None else array
                        for operand, array in zip(node.operands, arrays, strict=True)
                    ]
                    terms[weights] = evaluate(node, arithmetic, tuple(whole), leaves)
        case primitive:
            raise TypeError(f"{type(primitive).__name__} of what depends on a choice at a kink")
    return terms


def _with_places(polynomial: Polynomial) -> list[tuple[Product, Values, npt.NDArray[np.bool_]]]:
    """Each product of weights with its array, and where that is not 0."""
    return [(weights, array, _nonzero(array)) for weights, array in polynomial.items()]


def _sparse_multiply(
    node: Node, a: Values, b: Values, in_a: npt.NDArray[np.bool_], in_b: npt.NDArray[np.bool_]
) -> Values | None:
    """A product entry by entry, most of which is 0; None where all of it is."""
    both = in_a & in_b
    if not both.any():
        return None
    result = BallArithmetic().full(a.shape, 0)
    result[both] = a[both] * b[both]
    return result


def _sparse_matmul(
    node: Node, a: Values, b: Values, in_a: npt.NDArray[np.bool_], in_b: npt.NDArray[np.bool_]
) -> Values | None:
    """A product of matrices of which whole rows and columns are 0; None where all of it is."""
    assert isinstance(node.primitive, MatMul)
    left, in_left = (a.T, in_a.T) if node.primitive.transpose_a else (a, in_a)
    right, in_right = (b.T, in_b.T) if node.primitive.transpose_b else (b, in_b)
    rows, columns = np.flatnonzero(in_left.any(axis=1)), np.flatnonzero(in_right.any(axis=0))
    inner = np.flatnonzero(in_left.any(axis=0) & in_right.any(axis=1))
    if not (rows.size and columns.size and inner.size):
        return None
    arithmetic = BallArithmetic()
    result = arithmetic.full((left.shape[0], right.shape[1]), 0)
    result[np.ix_(rows, columns)] = arithmetic.matmul(left[np.ix_(rows, inner)], right[np.ix_(inner, columns)])
    return result


def _nonzero(array: Values) -> npt.NDArray[np.bool_]:
    """Where a ball is anything but exactly 0."""
    return np.array([not bool(ball == 0) for ball in array.reshape(-1)], dtype=bool).reshape(array.shape)


def _vanishes(array: Values) -> bool:
    return all(ball == 0 for ball in array.reshape(-1))


def corner_ends(polynomial: Polynomial, met: Sequence[Met]) -> tuple[Values, Values] | None:
    """The least and the greatest value of each entry of a tensor over all picks; None beyond 2**ENUMERATED corners.

    Two balls an entry and not one around both: a radius has 30 bits, which would widen a set by 1e-9 of its size.
    """
    low = high = polynomial[NOTHING]
    terms = {weights: array for weights, array in polynomial.items() if weights and not _vanishes(array)}
    for group in _groups(terms):
        if prod(len(met[number].options) for number in group) > 2**ENUMERATED:
            return None
        part = {weights: array for weights, array in terms.items() if {w.place for w in weights} & group}
        touched = np.flatnonzero(np.logical_or.reduce([_nonzero(array).reshape(-1) for array in part.values()]))
        small = {weights: array.reshape(-1)[touched] for weights, array in part.items()}
        zero = np.full(touched.shape, arb(0), dtype=object)
        corners = list(_corners({NOTHING: zero, **small}, sorted(group), met))
        low, high = low.copy(), high.copy()
        low.reshape(-1)[touched] += _ends(corners, arb.min)
        high.reshape(-1)[touched] += _ends(corners, arb.max)
    return low, high


def _groups(terms: Polynomial) -> list[set[int]]:
    """Places by number, so that those in one product are in one group."""
    groups: list[set[int]] = []
    for weights in terms:
        joined = {weight.place for weight in weights}
        apart = [group for group in groups if not group & joined]
        groups = [*apart, joined.union(*(group for group in groups if group & joined))]
    return groups


def _corners(terms: Polynomial, group: Sequence[int], met: Sequence[Met]) -> Iterator[Values]:
    """The values of a polynomial for every option of every place of a group, one place after the other."""
    if not group:
        yield terms[NOTHING]
        return
    place, *others = group
    for option in range(len(met[place].options)):
        left: dict[Product, Values] = {}
        for weights, array in terms.items():
            here = {weight for weight in weights if weight.place == place}
            if all(weight.option == option for weight in here):
                rest = weights - here
                left[rest] = left[rest] + array if rest in left else array
        yield from _corners(left, others, met)


def _ends(corners: Sequence[Values], least: Callable[[Any, Any], Any]) -> Values:
    result = corners[0].copy()
    for corner in corners[1:]:
        result[:] = [least(a, b) for a, b in zip(result, corner, strict=True)]
    return result

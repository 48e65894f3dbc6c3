"""What careful arithmetic may be off by, on this very case: an a-priori running error bound.

"Careful" means: each elementwise function by a formula of ``refimpl.variants``; every sum in any order, by any tree,
with or without fused multiply-add or a wider accumulator; factors of the loss (1/N, ½, λ) and sample weights applied
anywhere; the rest as the program of the case says. The bound follows the program forwards and backwards, after
Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §3.1 and §3.3.

Each tensor carries an **open sum**: for each entry, that it is a sum of n products whose magnitudes add up to
``terms``, and that errors already in those products add up to ``inherited``. As long as a sum is only added to,
summed over axes or scaled, it stays open: whatever order an implementation chooses, its rounding costs
γ_n·terms at the end, with γ_n = n·u/(1 − n·u). A sum is closed where something else uses it:

    E = inherited + γ_n · terms + n · underflow

and then |computed − exact| ≤ E entry by entry. For closed operands x, y with errors E:

- a product:   terms = (|x| + Eₓ)(|y| + E_y), inherited = Eₓ|y| + |x|E_y + EₓE_y, n = 1; a matrix product sums K;
- a function:  E = sup|f′| · E_z + the bound of the table, with both suprema over [z − E_z, z + E_z] (in balls);
- a minimum:   the larger of both errors, or that of the one operand which is the lesser beyond them;
- a largest:   the largest error of those entries that may be it; their shares are off by 1 where these are more than
               those that tie exactly, and by nothing elsewhere;
- a detour:    γ_n times the magnitudes that it names, inherited;
- a hinge:     slopes only scale; its derivative is off by the jump where E_z cannot exclude that the computed z lies
               on the other side of 0 (a kink that the exact z itself meets is a set, and costs nothing).

The reverse pass starts from a seed, ∂L/∂L = 1, that is off by SLACK·u: everything backward is linear in it, so that
SLACK more roundings anywhere on the way (each at most u times magnitudes that the bound carries from the seed) are
paid for. They cover the scalings that an implementation applies at other places than the program, one each for 1/N,
½, λ and the sample weight, and a formula of the loss's derivative with up to four operations more (p − t over
p(1 − p), say). The loss itself is closed with SLACK roundings more for the same reason.

Underflow: an operation whose result is below the smallest normal number may lose it all (XLA flushes), and so may one
that reads such a number: a leaf or a constant of the program. An exponential of logits is judged so for whatever is
subtracted from them, 0, the largest of the row or that of the batch. Overflow: where
a value may exceed the largest finite number nothing is promised (inf). Where n·u ≥ 1 the bound is vacuous (inf).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb

from gradproof.case import Case
from gradproof.gradients import LOSS
from gradproof.layers import Shape
from refimpl.arithmetic import Values, entrywise
from refimpl.balls import BallArithmetic, greatest, precision
from refimpl.enclosure import Enclosure, ProgramEnclosure, downward, enclosure, upward
from refimpl.formats import Format, Precision
from refimpl.language import (
    Add,
    Anchor,
    Apply,
    Detour,
    Hinge,
    Join,
    Largest,
    Leaf,
    MatMul,
    Minimum,
    Multiply,
    Node,
    Ones,
    Place,
    Reshape,
    Scale,
    Seed,
    Share,
    Spread,
    Step,
    Take,
    Tied,
    Total,
)
from refimpl.program import leaf_values
from refimpl.typical import sampled
from refimpl.variants import VARIANTS, Suprema

Bound = npt.NDArray[np.float64]

SLACK = 8
"""Roundings that an implementation may spend elsewhere than the program does; see above."""
OPERATIONS = 8
"""The most operations of a formula of the table, each of which may underflow."""
UNDERFLOWS = 64
"""Results that careful arithmetic may lose to underflow on the way to one entry, as far as typical errors go."""
ROUND_UP = 1.0 + 2.0**-20
"""The bound itself is evaluated in float64, from non-negative numbers by +, × and ÷ alone: after m operations in a
row it is low by at most m·2⁻⁵² relatively, which this factor covers up to m = 2³²."""
RANGE_BITS = 64
"""Working precision of the balls in which suprema over an argument's range are taken."""


@dataclass(frozen=True)
class OpenSum:
    """Per entry: a sum of ``count`` products of magnitudes ``terms`` in all, with errors ``inherited`` in them."""

    terms: Bound
    inherited: Bound
    count: int

    def moved(self, change: Any) -> OpenSum:
        """The same change of structure (a choice or arrangement of entries) to both arrays."""
        return OpenSum(change(self.terms), change(self.inherited), self.count)


@dataclass(frozen=True, eq=False)
class Allowance:
    """Per quantity of ``Enclosure.names()``, the error that careful arithmetic at ``dtype`` may make, entry by entry.

    ``rigorous`` is proved for every implementation in the table; inf where it says nothing. ``typical`` is what careful
    implementations do lose, with the confidence that ``refimpl.typical`` states: never above the rigorous one.
    """

    dtype: Precision
    rigorous: Mapping[str, Bound]
    enclosed: Enclosure
    near_kinks: int
    """Hinges whose argument is not 0, but so near it that rounding may put it on the other side."""

    @cached_property
    def typical(self) -> Mapping[str, Bound]:
        """Sampled when it is first asked for; the rigorous one near kinks, where careful arithmetic does jump."""
        if self.near_kinks:
            return self.rigorous
        target = Format.of(self.dtype)
        found = sampled(self.enclosed, target, rounds_leaves=self.dtype != self.enclosed.case.dtype)
        floor = UNDERFLOWS * target.tiny
        return MappingProxyType(
            {name: np.fmin(found[name] + floor, rigorous) for name, rigorous in self.rigorous.items()}
        )


def allowance(
    case: Case,
    dtype: Precision | None = None,
    enclosed: Enclosure | None = None,
    *,
    accumulator: Precision | None = None,
) -> Allowance:
    """The allowance of a case for an implementation that computes in ``dtype`` (the case's own unless given).

    dtype: float64, float32, float16 or bfloat16; the case's numbers are rounded to it first where it is not their own.
    enclosed: saves the work of enclosing the case again. accumulator: a wider format that every sum is held in.
    Raises ArgumentError for an unknown dtype, or an accumulator that is not wider.
    """
    wanted: Precision = dtype or case.dtype
    target = Format.of(wanted, accumulator)
    enclosed = enclosed or enclosure(case)
    magnitudes = {name: np.abs(array.astype(np.float64)) for name, array in leaf_values(case).items()}
    rounds = wanted != case.dtype
    roundings = {name: _rounded(size, target) for name, size in magnitudes.items()} if rounds else {}
    bound = RunningBound(target, enclosed, magnitudes, roundings)
    errors = {name: ROUND_UP * bound.closed(node) for name, node in enclosed.computation.results.items()}
    errors[LOSS] = errors[LOSS] + ROUND_UP * bound.slack(enclosed.computation.results[LOSS])
    return Allowance(wanted, MappingProxyType(errors), enclosed, bound.near_kinks)


class RunningBound:
    """The bound along one program, node by node; ``values`` of the enclosure bring the exact magnitudes.

    magnitudes: of the leaves by name, upwards. leaf_errors: what an implementation's leaves are off by, where they are.
    """

    def __init__(
        self,
        target: Format,
        enclosed: ProgramEnclosure,
        magnitudes: Mapping[str, Bound],
        leaf_errors: Mapping[str, Bound],
    ) -> None:
        self.format = target
        self.enclosed = enclosed
        self.leaves = magnitudes
        self.leaf_errors = leaf_errors
        self.near_kinks = 0
        self._closed: dict[int, Bound] = {}
        self._magnitudes: dict[int, Bound] = {}
        self._sums: dict[int, OpenSum] = {}
        self.extend(enclosed.order)

    def extend(self, nodes: Iterable[Node]) -> None:
        """Bounds further nodes, operands first, whose balls the enclosure's ``values`` hold by now."""
        with np.errstate(over="ignore", invalid="ignore"), precision(RANGE_BITS):
            for node in nodes:
                found = self._sum(node)
                # Nothing is known of an infinite bound times zero but that it is no proof.
                self._sums[id(node)] = found.moved(lambda array: np.where(np.isnan(array), np.inf, array))

    def closed(self, node: Node) -> Bound:
        """E: a bound of |computed − exact| for each entry."""
        if id(node) not in self._closed:
            found = self._sums[id(node)]
            error = found.inherited
            if found.count:
                error = error + self.format.gamma(found.count) * found.terms + found.count * self.format.tiny
            self._closed[id(node)] = np.where(found.terms + error > self.format.largest, np.inf, error)
        return self._closed[id(node)]

    def slack(self, node: Node) -> Bound:
        """What SLACK more roundings add to a sum."""
        return self.format.roundings(SLACK) * self._sums[id(node)].terms

    def magnitude(self, node: Node) -> Bound:
        """An upper bound of |exact|, over all choices at kinks, for each entry."""
        if id(node) not in self._magnitudes:
            match node.primitive:
                case Leaf(name):
                    found = self.leaves[name]
                case Ones() | Seed():
                    found = np.ones(node.shape)
                case Spread(axes):
                    found = np.broadcast_to(np.expand_dims(self.magnitude(node.operands[0]), axes), node.shape)
                case Anchor():
                    (z,) = node.operands
                    found = np.full(node.shape, np.max(self.magnitude(z) + self.closed(z), initial=0.0))
                case _:
                    balls = self.enclosed.values[id(node)]
                    found = np.array([upward(abs(ball).upper()) for ball in balls.reshape(-1)]).reshape(node.shape)
            self._magnitudes[id(node)] = found
        return self._magnitudes[id(node)]

    def _known(self, node: Node, error: Bound) -> OpenSum:
        """A tensor whose error is bounded by other means than a sum's: nothing is left to round."""
        return OpenSum(self.magnitude(node), error, 0)

    def _sum(self, node: Node) -> OpenSum:
        sums = [self._sums[id(operand)] for operand in node.operands]
        match node.primitive:
            case Leaf(name):
                flushed = np.where(self.leaves[name] < self.format.tiny, self.leaves[name], 0.0)
                return self._known(node, self.leaf_errors.get(name, np.zeros(node.shape)) + flushed)
            case Ones():
                return self._known(node, np.zeros(node.shape))
            case Seed():
                return self._known(node, np.full(node.shape, self.format.roundings(SLACK)))
            case Add():
                return _added(sums[0], sums[1])
            case Scale(factor):
                return self._scaled(sums[0], factor)
            case Multiply():
                return self._products(node, np.multiply, 1)
            case MatMul():
                return self._matmul(node, node.primitive)
            case Total(axes):
                repeats = sums[0].terms.size // max(1, int(np.prod(node.shape)))
                many = sums[0].moved(lambda array: np.asarray(array.sum(axis=axes)))
                return OpenSum(many.terms, many.inherited, max(1, sums[0].count) * repeats)
            case Spread(axes):
                return sums[0].moved(lambda array: np.broadcast_to(np.expand_dims(array, axes), node.shape))
            case Reshape():
                return sums[0].moved(lambda array: array.reshape(node.shape))
            case Take(indices):
                return sums[0].moved(lambda array: array.reshape(-1)[indices].reshape(node.shape))
            case Place(indices):
                most = int(np.bincount(indices).max(initial=0))
                placed = sums[0].moved(lambda array: _placed(array, indices, node.shape))
                return OpenSum(
                    placed.terms, placed.inherited, placed.count if most <= 1 else max(1, placed.count) * most
                )
            case Join(axis):
                return OpenSum(
                    np.concatenate([part.terms for part in sums], axis=axis),
                    np.concatenate([part.inherited for part in sums], axis=axis),
                    max(part.count for part in sums),
                )
            case Apply(function, order):
                return self._known(node, self._applied(node, function, order))
            case Hinge(below, above, _):
                return self._hinged(node, below, above)
            case Step(below, above, _):
                return self._known(node, self._stepped(node, below, above))
            case Minimum():
                return self._known(node, self._least(node))
            case Largest():
                return self._known(node, self._largest(node))
            case Share() | Tied():
                return self._known(node, self._shared(node))
            case Detour(roundings, _):
                # The products of which x is a sum are as they were; what else was rounded is in them already.
                sizes = sum(self.magnitude(operand) + self.closed(operand) for operand in node.operands[1:])
                spent = self.format.roundings(roundings) * sizes + roundings * self.format.tiny
                return OpenSum(sums[0].terms, sums[0].inherited + spent, sums[0].count)
            case Anchor():
                # A number that the implementation has and subtracts from every logit, as good as given: 0, the
                # largest of the row, or that of the whole batch.
                return self._known(node, np.zeros(node.shape))
            case primitive:
                raise TypeError(f"no running bound for {type(primitive).__name__}")

    def _scaled(self, x: OpenSum, factor: Fraction) -> OpenSum:
        size = _upward(abs(factor))
        scaled = x.moved(lambda array: array * size)
        if abs(factor) in (0, 1):
            return scaled
        inherited = scaled.inherited
        if size > 1:  # what underflows before it is scaled
            inherited = inherited + x.count * size * self.format.tiny
        if self.format.rounding(factor) == 1:
            return OpenSum(scaled.terms, inherited + scaled.terms + scaled.inherited, x.count)
        # A power of two rounds nothing, another number of the format once, and any other number is itself rounded.
        roundings = 0 if _power_of_two(factor) else 1 if self.format.holds(factor) else 2
        if self.format.accumulator is None:
            return OpenSum(scaled.terms, inherited, x.count + roundings)
        whole = scaled.terms * (1 + self.format.gamma(x.count)) + inherited
        return OpenSum(scaled.terms, inherited + self.format.roundings(roundings) * whole, x.count)

    def _products(self, node: Node, combine: Any, count: int) -> OpenSum:
        x, y = node.operands
        return _product(combine, count, self.magnitude(x), self.closed(x), self.magnitude(y), self.closed(y))

    def _matmul(self, node: Node, primitive: MatMul) -> OpenSum:
        a = node.operands[0]

        def combine(left: Bound, right: Bound) -> Bound:
            return (left.T if primitive.transpose_a else left) @ (right.T if primitive.transpose_b else right)

        inner = a.shape[0] if primitive.transpose_a else a.shape[1]
        return self._products(node, combine, inner)

    def _range(self, z: Node) -> Values:
        """Balls that hold, entry by entry, every argument that the implementation may have in place of z."""
        errors = iter(self.closed(z).reshape(-1).tolist())
        return entrywise(lambda ball: ball + arb(0, next(errors)), self.enclosed.values[id(z)])

    def _applied(self, node: Node, function: str, order: int) -> Bound:
        (z,) = node.operands
        error = self.closed(z)
        arguments = self._range(z)
        arithmetic = BallArithmetic()
        derivatives = {k: _suprema(arithmetic.apply(function, k, arguments)) for k in {0, order, order + 1}}
        suprema = Suprema(_suprema(arguments), derivatives[0], derivatives[order])
        moved = np.where(error > 0, derivatives[order + 1] * error, 0.0)
        if (function, order) == ("sqrt", 0):
            moved = np.minimum(moved, np.sqrt(error))  # |√x − √y| ≤ √|x − y|, also where the slope has no bound
        variants = VARIANTS[function, order]
        gone = variants.divisor(suprema) > np.log(self.format.largest)
        if function == "exp":
            gone = gone | self._below_when_shifted(z)
        lost = np.where(gone, derivatives[order], 0.0)
        return moved + lost + self.formulas(node, function, order, suprema) + OPERATIONS * self.format.tiny

    def formulas(self, node: Node, function: str, order: int, suprema: Suprema) -> Bound:
        """What the formulas of a function may be off by at an argument that is given exactly, underflow aside."""
        return VARIANTS[function, order].bound(self.format.unit, suprema)

    def _below_when_shifted(self, z: Node) -> npt.NDArray[np.bool_]:
        """Where eᶻ is below the normal numbers for logits that another anchor is subtracted from than the program's."""
        match z:
            case Node(primitive=Add(), operands=(logits, Node(operands=(Node(primitive=Anchor()),)))):
                ranges = self._range(logits).reshape(-1)
                least = np.array([downward(ball.lower()) for ball in ranges]).reshape(z.shape)
                anchor = max(0.0, *(upward(ball.upper()) for ball in ranges))
                return np.asarray(least - anchor < np.log(self.format.tiny))
            case _:
                return np.zeros(z.shape, dtype=bool)

    def _hinged(self, node: Node, below: Fraction, above: Fraction) -> OpenSum:
        (z,) = node.operands
        slope = _upward(max(abs(below), abs(above)))
        passed = slope * self.closed(z)
        if {abs(below), abs(above)} <= {0, 1}:
            return self._known(node, passed)
        lost = max(_upward(abs(side)) if self.format.rounding(side) == 1 else 0.0 for side in (below, above))
        sizes = self.magnitude(node) + passed
        spent = self.format.roundings(2) * sizes + 2 * self.format.tiny
        return self._known(node, passed + spent + lost * (self.magnitude(z) + self.closed(z)))

    def _least(self, node: Node) -> Bound:
        x, y = node.operands
        ex, ey = self.closed(x), self.closed(y)
        lesser = BallArithmetic().minimum(self._range(x), self._range(y))
        moved = _suprema(np.asarray(lesser - self.enclosed.values[id(node)]))
        pairs = zip(self._range(x).reshape(-1), self._range(y).reshape(-1), strict=True)
        told = np.array([1 if a < b else -1 if b < a else 0 for a, b in pairs], dtype=int).reshape(node.shape)
        known = np.where(told > 0, ex, np.where(told < 0, ey, np.maximum(ex, ey)))
        return np.where(told == 0, np.fmin(known, moved), known)

    def _largest(self, node: Node) -> Bound:
        (x,) = node.operands
        rows = zip(self._candidates(x), self.closed(x).reshape(-1, x.shape[-1]), strict=True)
        return np.array([errors[may].max() for (_, may), errors in rows], dtype=np.float64).reshape(node.shape)

    def _shared(self, node: Node) -> Bound:
        (x,) = node.operands
        unsure = np.zeros(node.shape).reshape(-1, node.shape[-1])
        for (tied, may), row in zip(self._candidates(x), unsure, strict=True):
            # Of those that tie, the enclosure holds what they may be already.
            if len(may) > 1 and not set(may) <= set(tied):
                row[may] = 1.0
                self.near_kinks += 1
        return unsure.reshape(node.shape)

    def _candidates(self, x: Node) -> list[tuple[list[int], list[int]]]:
        """For each row along the last axis, the entries that tie for the greatest, and those that may be computed so.

        An entry's computed number lies in its range; so the greatest computed one is at none of those entries whose
        range is below another's. No one of them is off by more than the largest error of these.
        """
        balls = self.enclosed.values[id(x)].reshape(-1, x.shape[-1])
        ranges = self._range(x).reshape(-1, x.shape[-1])
        tied = [greatest(row) for row in balls]
        return [(top if len(top) > 1 else [], greatest(row)) for top, row in zip(tied, ranges, strict=True)]

    def _stepped(self, node: Node, below: Fraction, above: Fraction) -> Bound:
        (z,) = node.operands
        rounded = max(_upward(abs(slope)) * self.format.rounding(slope) for slope in (below, above))
        balls, errors = self.enclosed.values[id(z)].reshape(-1), self.closed(z).reshape(-1).tolist()
        # At an exact kink the enclosure holds both slopes already; elsewhere z must be farther from 0 than its error.
        unsure = [not (ball == 0 or abs(ball) > error) for ball, error in zip(balls, errors, strict=True)]
        jump = _upward(abs(above - below))
        self.near_kinks += sum(unsure) if jump else 0
        return np.where(np.array(unsure, dtype=bool).reshape(node.shape), jump, 0.0) + rounded


def _rounded(size: Bound, target: Format) -> Bound:
    """What numbers of a size are off by in a format; 0 and 1 are numbers of all of them, and so are masks."""
    return np.where((size == 0) | (size == 1), 0.0, size * target.unit + target.tiny)


def _added(x: OpenSum, y: OpenSum) -> OpenSum:
    return OpenSum(x.terms + y.terms, x.inherited + y.inherited, max(1, x.count) + max(1, y.count))


def _product(combine: Any, count: int, x: Bound, ex: Bound, y: Bound, ey: Bound) -> OpenSum:
    if not np.any(ex):
        return OpenSum(combine(x, y + ey), combine(x, ey), count)
    if not np.any(ey):
        return OpenSum(combine(x + ex, y), combine(ex, y), count)
    return OpenSum(combine(x + ex, y + ey), combine(ex, y + ey) + combine(x, ey), count)


def _placed(array: Bound, indices: npt.NDArray[np.intp], shape: Shape) -> Bound:
    placed = np.zeros(shape)
    np.add.at(placed.reshape(-1), indices, array.reshape(-1))
    return placed


def _suprema(balls: Values) -> Bound:
    found = [upward(abs(ball).upper()) for ball in balls.reshape(-1)]
    bounds = np.array(found, dtype=np.float64).reshape(balls.shape)
    return np.where(np.isnan(bounds), np.inf, bounds)


def _upward(number: Fraction) -> float:
    """A float64 at or above a rational."""
    near = float(number)
    return near if near >= number else float(np.nextafter(near, np.inf))


def _power_of_two(number: Fraction) -> bool:
    size = abs(number)
    return size.numerator & (size.numerator - 1) == 0 and size.denominator & (size.denominator - 1) == 0

"""What careful implementations do lose on a case, by sampling: far less than they may, with a stated confidence.

The rigorous bound adds up every rounding at its worst; real roundings have either sign and mostly cancel. The model:
each rounding is off by cᵢ·δᵢ with independent δᵢ of mean 0 in [−1, 1]. Every sum of n products of magnitudes T in all
has c = √n·u·T (the size that probabilistic analysis gives a sum in any order: Higham and Mary, *A new approach to
probabilistic rounding error analysis*, SIAM J. Sci. Comput. 41, 2019), every elementwise function the usual error of
its formulas (``refimpl.variants``), each result may also lose what is below the smallest normal number, and errors
pass on to first order, with exact coefficients from the enclosure, and are rounded with what they are in. By
Hoeffding's inequality an entry's error then exceeds λσ, σ² = Σ cᵢ², with probability at most 2·exp(−λ²/2).

To estimate σ, the errors of SAMPLES runs are simulated with standard normal numbers for the δᵢ, so that an entry's
errors are normal with variance σ². Their root mean square s is too small by a factor √q with probability at most
(q·e^{1−q})^{SAMPLES/2} (Chernoff's bound for χ²). So with λ and q chosen to make both at most RISK/(2·ENTRIES), any of
ENTRIES entries of a whole run exceeds (λ/√q)·s with probability at most RISK, as far as roundings behave like
independent numbers: the model's assumption, and the reason why an error beyond it is called inaccurate, never wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from refimpl.arithmetic import Values
from refimpl.balls import BallArithmetic, precision
from refimpl.enclosure import Enclosure, ProgramEnclosure
from refimpl.formats import Format
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
from refimpl.variants import VARIANTS, Suprema

Floats = npt.NDArray[np.float64]
Usual = Callable[[Suprema], Floats]

SAMPLES = 48
RISK = 1e-6
"""Probability that any entry of a run of ENTRIES entries exceeds its typical allowance by chance."""
ENTRIES = 10_000_000


@cache
def factor(samples: int = SAMPLES) -> float:
    """λ/√q: how many sampled root mean squares an error may measure, at RISK for ENTRIES entries."""
    share = RISK / (2 * ENTRIES)
    return math.sqrt(2 * math.log(2 / share)) / shortfall(share, samples)


@cache
def shortfall(share: float, samples: int = SAMPLES) -> float:
    """√q: a sampled root mean square is below this part of the true one with at most this probability."""
    low, high = 0.0, 1.0
    for _ in range(100):  # q·e^{1−q} rises from 0 to 1 on [0, 1]
        middle = (low + high) / 2
        low, high = (middle, high) if middle * math.exp(1 - middle) < share ** (2 / samples) else (low, middle)
    return math.sqrt(low)


def sampled(enclosed: Enclosure, target: Format, *, rounds_leaves: bool) -> dict[str, Floats]:
    """Per quantity and entry, factor() times the root mean square error of SAMPLES simulated runs in a format.

    inf or NaN where float64 cannot hold what the simulation needs. Signs of hinges are those of the exact arguments.
    """
    # The same case has the same typical allowance in every process.
    seed = int(enclosed.case.id, 16)
    return sampled_program(enclosed, target, leaf_values(enclosed.case), seed, rounds_leaves=rounds_leaves)


def sampled_program(
    enclosed: ProgramEnclosure,
    target: Format,
    leaves: Mapping[str, Values],
    seed: int,
    *,
    rounds_leaves: bool,
    usual: Mapping[int, Usual] = MappingProxyType({}),
) -> dict[str, Floats]:
    """The same for any program, given its leaves.

    usual: by the identity of an elementwise function's node, the size in units of u of what its formula loses, in place
    of what one does that is chosen with care.
    """
    simulation = Simulation(enclosed, target, leaves, seed, rounds_leaves=rounds_leaves, usual=usual)
    with np.errstate(all="ignore"), precision(enclosed.working_bits):
        errors = {id(node): error for node, error in simulation.run()}
        results = enclosed.computation.results
        return {name: factor() * root_mean_square(errors[id(node)]) for name, node in results.items()}


class Simulation:
    """The errors of some runs of a program, side by side along a first axis."""

    def __init__(
        self,
        enclosed: ProgramEnclosure,
        target: Format,
        leaves: Mapping[str, Values],
        seed: int,
        *,
        rounds_leaves: bool,
        usual: Mapping[int, Usual],
        samples: int = SAMPLES,
    ) -> None:
        self.usual = usual
        self.samples = samples
        self.enclosed = enclosed
        self.target = target
        self.rounds_leaves = rounds_leaves
        self.leaves = leaves
        self._exact: dict[int, Floats] = {}
        self.rng = np.random.default_rng(seed)

    def run(self) -> Iterator[tuple[Node, Floats]]:
        """Each node with its errors, (samples, *shape)."""
        errors: dict[int, Floats] = {}
        for node in self.enclosed.order:
            errors[id(node)] = self.error(node, [errors[id(operand)] for operand in node.operands])
            yield node, errors[id(node)]

    def exact(self, node: Node) -> Floats:
        """The exact values of a node, rounded to float64; at a kink the middle of the set."""
        if id(node) not in self._exact:
            match node.primitive:
                case Leaf(name):
                    found = self.leaves[name].astype(np.float64)
                case _:
                    found = _floats(self.enclosed.values[id(node)])
            self._exact[id(node)] = found
        return self._exact[id(node)]

    def rounding(self, magnitude: Floats, passed: Floats | None = None) -> Floats:
        """A normal number times (unit · magnitude, and what of it may underflow) for each entry and sample.

        passed: errors by sample that the number that is rounded has already, and that may exceed what it should be.
        """
        whole = magnitude if passed is None else magnitude + np.abs(passed)
        lost = self.target.unit * whole + np.minimum(whole, self.target.tiny)
        return np.asarray(self.rng.standard_normal((self.samples, *magnitude.shape)) * lost)

    def error(self, node: Node, errors: list[Floats]) -> Floats:
        """What passes on from the operands' errors, and what this node's own roundings add."""
        match node.primitive:
            case Leaf():
                size = np.abs(self.exact(node)) if self.rounds_leaves else np.zeros(node.shape)
                return self.rounding(np.where(size == 1, 0.0, size))  # 1 is a number of every format
            case Ones() | Seed() | Step() | Share() | Tied() | Anchor():
                return np.zeros((self.samples, *node.shape))
            case Add():
                passed = errors[0] + errors[1]
                return passed + self.rounding(np.abs(self.exact(node)), passed)
            case Scale(scale):
                passed = errors[0] * float(scale)
                return passed if abs(scale) in (0, 1) else passed + self.rounding(np.abs(self.exact(node)), passed)
            case Multiply():
                x, y = (self.exact(operand) for operand in node.operands)
                passed = errors[0] * y + x * errors[1]
                return passed + self.rounding(np.abs(x * y), passed)
            case MatMul(transpose_a, transpose_b):
                return self.matmul(node, errors, transpose_a, transpose_b)
            case Total(axes):
                count = math.prod(node.operands[0].shape[axis] for axis in axes)
                terms = np.asarray(np.abs(self.exact(node.operands[0])).sum(axis=axes))
                along = tuple(axis + 1 for axis in axes)
                # What cancels in this sum is rounded in it all the same.
                return np.asarray(
                    errors[0].sum(axis=along)
                    + self.rounding(math.sqrt(count) * terms, np.asarray(np.abs(errors[0]).sum(axis=along)))
                )
            case Spread(axes):
                spread = np.expand_dims(errors[0], tuple(axis + 1 for axis in axes))
                return np.broadcast_to(spread, (self.samples, *node.shape))
            case Reshape():
                return errors[0].reshape(self.samples, *node.shape)
            case Take(indices):
                return errors[0].reshape(self.samples, -1)[:, indices].reshape(self.samples, *node.shape)
            case Place(indices):
                placed = np.zeros((self.samples, math.prod(node.shape)))
                for row, flat in zip(placed, errors[0].reshape(self.samples, -1), strict=True):
                    np.add.at(row, indices, flat)
                return placed.reshape(self.samples, *node.shape)
            case Join(axis):
                return np.concatenate(errors, axis=axis + 1)
            case Apply(function, order):
                return self.applied(node, function, order, errors[0])
            case Hinge(below, above, _):
                slope = np.where(self.exact(node.operands[0]) > 0, float(above), float(below))
                rounds = {abs(below), abs(above)} - {0, 1}
                return errors[0] * slope + (self.rounding(np.abs(self.exact(node))) if rounds else 0.0)
            case Minimum():
                x, y = (self.exact(operand) for operand in node.operands)
                return np.where(x <= y, errors[0], errors[1])
            case Largest():
                greatest = np.expand_dims(np.argmax(self.exact(node.operands[0]), axis=-1), -1)[np.newaxis]
                return np.asarray(np.take_along_axis(errors[0], greatest, axis=-1)[..., 0])
            case Detour(roundings, _):
                sizes = sum((np.abs(self.exact(operand)) for operand in node.operands[1:]), np.zeros(node.shape))
                return errors[0] + self.rounding(math.sqrt(roundings) * sizes)
            case primitive:
                raise TypeError(f"no simulation of {type(primitive).__name__}")

    def matmul(self, node: Node, errors: list[Floats], transpose_a: bool, transpose_b: bool) -> Floats:
        """The same of a product of matrices."""
        a, b = (self.exact(operand) for operand in node.operands)
        error_a, error_b = errors
        if transpose_a:
            a, error_a = a.T, np.swapaxes(error_a, 1, 2)
        if transpose_b:
            b, error_b = b.T, np.swapaxes(error_b, 1, 2)
        passed = error_a @ b + a @ error_b
        return np.asarray(passed + self.rounding(math.sqrt(a.shape[1]) * (np.abs(a) @ np.abs(b)), passed))

    def applied(self, node: Node, function: str, order: int, error: Floats) -> Floats:
        """The same of an elementwise function."""
        (z,) = node.operands
        balls = self.enclosed.values[id(z)]
        arithmetic = BallArithmetic()
        values = {k: _floats(arithmetic.apply(function, k, balls)) for k in {0, order, order + 1}}
        suprema = Suprema(np.abs(self.exact(z)), np.abs(values[0]), np.abs(values[order]))
        passed = error * values[order + 1]
        usual = self.usual.get(id(node), VARIANTS[function, order].usual)
        return np.asarray(passed + self.rounding(usual(suprema), passed))


def root_mean_square(errors: Floats) -> Floats:
    """Over the samples, which are along the first axis."""
    # Scaled, since the squares of errors below 1e-154 would underflow.
    largest = np.max(np.abs(errors), axis=0)
    scale = np.where(largest > 0, largest, 1.0)
    return np.asarray(scale * np.sqrt(np.mean((errors / scale) ** 2, axis=0)))


def _floats(balls: Values) -> Floats:
    return np.array([float(ball) for ball in balls.reshape(-1)], dtype=np.float64).reshape(balls.shape)

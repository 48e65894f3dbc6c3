"""What candidates would answer to one case, enclosed in balls, and whether that is what came.

The forward pass of a case is enclosed and bounded once; each candidate adds the nodes of its own reverse pass.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from copy import copy
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from gradproof.arrays import Array
from gradproof.case import Case
from gradproof.gradients import LOSS, RADIUS
from refimpl.allowance import ROUND_UP, RunningBound
from refimpl.arithmetic import Values, evaluate, run
from refimpl.balls import BallArithmetic, exact_balls, greatest, precision
from refimpl.enclosure import Given, ProgramEnclosure
from refimpl.formats import Format
from refimpl.language import Node
from refimpl.program import Program, leaf_values
from verify.mistakes.backward import Backward, Forward
from verify.mistakes.mistake import Candidate
from verify.mistakes.moves import Move

BITS = 128
"""Working precision. Where it does not tell the sign of a hinge's argument, both slopes are held."""

Passed = tuple[list[tuple[Candidate, Move]], dict[str, Node]]
"""The moves that mistakes change on one case, and the answer that comes of it."""


class Prediction:
    """Predictions for one case.

    ``answer`` is what came, radii included: quantity → array; numbers that are not finite are not told. ``target`` is
    the format that it was computed in: that of the case unless given.
    """

    def __init__(
        self, case: Case, answer: dict[str, Array], *, right: bool | None, target: Format | None = None
    ) -> None:
        self.case = case
        self._take(answer)
        self.right = right
        """Whether the answer was found right: a candidate that changes nothing reproduces it then; None: unknown."""
        self.forward = Forward(case)
        self._alone: dict[Candidate | None, Passed] = {}
        self._values: dict[int, Values] = {}
        self._kept: list[Node] = []  # an identity is one node's alone only while that lives
        self._bounded: set[int] = set()
        self._arithmetic = BallArithmetic()
        leaves = leaf_values(case)
        with precision(BITS):
            self._leaves = {name: exact_balls(array) for name, array in leaves.items()}
        magnitudes = {name: np.abs(array.astype(np.float64)) for name, array in leaves.items()}
        self._bound = RunningBound(target or Format.of(case.dtype), self._enclosed({}), magnitudes, {})

    def part(self, answer: dict[str, Array], right: bool | None) -> Prediction:
        """The same for other quantities of the answer; what was computed so far is shared."""
        other = copy(self)
        other._take(answer)
        other.right = right
        return other

    def _take(self, answer: dict[str, Array]) -> None:
        numbers = {name: np.asarray(array, dtype=np.float64) for name, array in answer.items()}
        self.answer = {name: array for name, array in numbers.items() if not name.startswith(RADIUS)}
        self._fit: dict[tuple[str, int], bool] = {}
        self._radii = {name: numbers.get(f"{RADIUS}{name}", np.zeros(array.shape)) for name, array in numbers.items()}

    def reproduces(self, candidates: Sequence[Candidate]) -> bool:
        """Whether these candidates together could have given the answer: no number is further off than allowed.

        At a kink the intervals that are held here may be wider than what is admissible, so that they may hold a wrong
        answer. What gives the same as no mistake explains none.
        """
        touched, results = self._passed(candidates)
        if not touched and self.right is not None:
            return self.right
        if not all(self._fits(name, results[name]) for name in self.answer):
            return False
        return self.right is not False or not self._is_right(candidates)

    def agree(self, one: Sequence[Candidate], other: Sequence[Candidate]) -> bool:
        """Whether two predictions are the same as far as BITS bits tell."""
        ours, theirs = (self._passed(candidates)[1] for candidates in (one, other))
        for name in self.answer:
            self._enclose(ours[name])
            self._enclose(theirs[name])
            pairs = zip(self._flat(ours[name]), self._flat(theirs[name]), strict=True)
            if not all(a.overlaps(b) for a, b in pairs):
                return False
        return True

    def _is_right(self, candidates: Sequence[Candidate]) -> bool:
        """Whether these candidates give what no mistake gives; at kinks, by whichever option all of them take."""
        if not self.agree(candidates, ()):
            return False
        if not self._arithmetic.kinks:
            return True
        ours, right = (self._passed(which)[1] for which in (candidates, ()))
        nodes = [results[name] for results in (ours, right) for name in self.answer]
        for last in (False, True):
            with precision(BITS):
                values = run(nodes, _OneOption(last), self._leaves)
            pairs = zip(values[: len(self.answer)], values[len(self.answer) :], strict=True)
            if not all(a.overlaps(b) for x, y in pairs for a, b in zip(x.reshape(-1), y.reshape(-1), strict=True)):
                return False
        return True

    def touched(self, candidates: Sequence[Candidate]) -> list[tuple[Candidate, Move]]:
        """The moves of this case that candidates change."""
        return self._passed(candidates)[0]

    def _passed(self, candidates: Sequence[Candidate]) -> Passed:
        """The moves that candidates change, and what they give; of one by itself, and of none, made once."""
        alone = candidates[0] if candidates else None
        if len(candidates) <= 1 and alone in self._alone:
            return self._alone[alone]
        elsewhere = any(candidate.touches_forward for candidate in candidates)
        backward = Backward(Forward(self.case, candidates) if elsewhere else self.forward, candidates)
        passed = (backward.touched, backward.results())
        if len(candidates) <= 1:
            self._alone[alone] = passed
        return passed

    def _flat(self, node: Node) -> npt.NDArray[np.object_]:
        return self._values[id(node)].reshape(-1)

    def _fits(self, name: str, node: Node) -> bool:
        """Whether a node may be what came; the forward pass's are asked about again and again."""
        if (name, id(node)) not in self._fit:
            self._fit[name, id(node)] = self._near(name, node)
        return self._fit[name, id(node)]

    def _near(self, name: str, node: Node) -> bool:
        self._enclose(node)
        new = _new(node, self._bounded)
        self._bound.extend(new)
        self._bounded.update(map(id, new))
        allowed = self._bound.closed(node)
        if name == LOSS:
            allowed = allowed + self._bound.slack(node)
        off = self._enclosed({name: node}).distance(name, self.answer[name])
        return bool(np.all(off <= ROUND_UP * (allowed + self._radii[name])))

    def _enclose(self, node: Node) -> None:
        new = _new(node, self._values)
        with precision(BITS):
            for inner in new:
                operands = tuple(self._values[id(operand)] for operand in inner.operands)
                self._values[id(inner)] = evaluate(inner, self._arithmetic, operands, self._leaves)
        self._kept.extend(new)

    def _enclosed(self, results: dict[str, Node]) -> ProgramEnclosure:
        given = Given(Program(self.forward.leaves, results), lambda: self._leaves, affine=False)
        return ProgramEnclosure(given, BITS, (), BITS, (), self._values, {}, {})


class _OneOption(BallArithmetic):
    """Balls with the first option taken at every kink, or the last."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self._last = last

    def step_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        if x > 0 or x < 0:
            return super().step_one(x, below, above)
        return self.number(above if self._last else below)

    def share(self, x: Values) -> Values:
        result = self.full(x.shape, 0).reshape(-1, x.shape[-1])
        for row, shares in zip(x.reshape(-1, x.shape[-1]), result, strict=True):
            shares[greatest(row)[-1 if self._last else 0]] = self.number(Fraction(1))
        return result.reshape(x.shape)


def _new(node: Node, known: Container[int]) -> list[Node]:
    """The nodes behind a node, itself included, whose identity is not known yet, operands first."""
    found: list[Node] = []
    seen: set[int] = set()
    stack = [(node, False)]
    while stack:
        inner, entered = stack.pop()
        if entered:
            found.append(inner)
        elif id(inner) not in known and id(inner) not in seen:
            seen.add(id(inner))
            stack.append((inner, True))
            stack.extend((operand, False) for operand in inner.operands)
    return found

"""Where digits go: which formula that cancels loses as many as an answer did, at which layer, for which arguments.

A formula that is known to cancel is put in place of the careful one, at every place of its function, and what it loses
is simulated (``refimpl.typical``). It explains an answer where that covers the error of every number that is given,
which careful formulas do not, and is not far more than was lost: of a normal error with root mean square s, less than
s/1000 is left once in a thousand times. Several formulas may explain one answer; all are then named.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gradproof.arrays import Array
from gradproof.case import Case
from gradproof.gradients import OUTPUTS
from refimpl.enclosure import Enclosure, enclosure
from refimpl.formats import Format
from refimpl.language import Apply, Node
from refimpl.naive import by_probabilities
from refimpl.program import leaf_values
from refimpl.typical import Usual, factor, sampled_program

Float64 = npt.NDArray[np.float64]

FAR_LESS: Final = 1e-3
"""The share of a root mean square below which an error is hardly ever by chance."""
MOST_NAMED: Final = 3
"""More formulas than this that lose as much are not listed."""
IN_THE_LOSS: Final = "the loss"


@dataclass(frozen=True)
class Cancelling:
    """A formula of one function that loses digits, or of its derivative, and where it does.

    loses: order of the derivative → the size of what it loses, in units of u. side: where, seen from 0.
    """

    function: str
    words: str
    loses: Mapping[int, Usual]
    side: Literal["far below 0", "near 0", "far from 0"]

    def at(self, arguments: Float64) -> float:
        """The argument at which it loses most."""
        match self.side:
            case "far below 0":
                return float(np.min(arguments))
            case "near 0":
                lossy = arguments[arguments != 0]
                return float(lossy[np.argmin(np.abs(lossy))]) if lossy.size else 0.0
            case "far from 0":
                return float(arguments[np.argmax(np.abs(arguments))])


@dataclass(frozen=True)
class Explanation:
    """A formula that loses as many digits as an answer did. at: the argument at which it loses most on this case."""

    words: str
    side: str
    place: str
    """The layer in words, or ``the loss``; empty where it may be several."""
    at: float


def _signed(number: float) -> str:
    return f"{number:.4g}".replace("-", "−")


def _absolute(constant: float) -> Usual:
    return lambda s: np.full(np.shape(s.value), constant)


def _by_powers(s: Any) -> Float64:
    return np.asarray((2 + 2 * s.argument) * s.value)


CANCELLING: Final = (
    Cancelling(
        "softplus",
        "softplus as log(1 + exp(z)), z + log(1 + exp(-z)) or -log(sigmoid(-z))",
        MappingProxyType({0: lambda s: 1 + s.argument + 2 * s.function}),
        "far below 0",
    ),
    Cancelling(
        "softplus",
        "softplus′ as 1 - sigmoid(-z) or 1 - exp(-softplus(z))",
        MappingProxyType({1: _absolute(2)}),
        "far below 0",
    ),
    Cancelling(
        "sigmoid",
        "sigmoid as 1 - sigmoid(-z) or (1 + tanh(z/2))/2",
        MappingProxyType({0: _absolute(2), 1: _absolute(2)}),
        "far below 0",
    ),
    Cancelling("tanh", "tanh as a quotient of exponentials", MappingProxyType({0: _absolute(2)}), "near 0"),
    Cancelling("exp", "exp(z) as a power of e or 2", MappingProxyType({0: _by_powers, 1: _by_powers}), "far from 0"),
)
"""Formulas that cancel; those in one entry lose the same, and no answer tells them apart."""


def explanations(case: Case, enclosed: Enclosure, given: Mapping[str, Array]) -> tuple[Explanation, ...]:
    """The formulas that lose as many digits as this answer did; none where none does, or too many do.

    given: the answer, quantities that are wrong, or not finite anywhere, left out.
    """
    lost = _Lost(case, enclosed, enclosed, given)
    met = [formula for formula in CANCELLING if lost.nodes(formula)]
    found = [lost.explanation(formula) for formula in met if lost.explained(lost.usual(formula))]
    if not found and lost.by_probabilities():
        largest = float(np.max(np.maximum(np.abs(enclosed.upper(OUTPUTS)), np.abs(enclosed.lower(OUTPUTS)))))
        found = [Explanation("the loss from probabilities", "far from 0", IN_THE_LOSS, largest)]
    if not found:
        found = [
            Explanation(f"{one.words} together with {other.words}", one.side, one.place, one.at)
            for one, other in (
                map(lost.explanation, pair)
                for pair in itertools.combinations(met, 2)
                if not lost.usual(pair[0]).keys() & lost.usual(pair[1]).keys()
                and lost.explained({**lost.usual(pair[0]), **lost.usual(pair[1])})
            )
        ]
    return tuple(found) if len(found) <= MOST_NAMED else ()


def _order(node: Node, formula: Cancelling) -> int:
    match node.primitive:
        case Apply(function, order) if function == formula.function:
            return order
        case _:
            return -1


def _place(node: Node) -> str:
    """The layer of an elementwise function; empty for a part of one that has no note of its own (softmax's exp)."""
    note = node.note.removeprefix("derivative of ")
    if note.startswith("layer "):
        return note
    return IN_THE_LOSS if isinstance(node.primitive, Apply) and node.primitive.function == "softplus" else ""


def _numbers(enclosed: Enclosure, node: Node) -> Float64:
    return np.array([float(ball) for ball in enclosed.values[id(node)].reshape(-1)])


class _Lost:
    """What an answer lost of the exact numbers, against what formulas lose."""

    def __init__(self, case: Case, program: Enclosure, exact: Enclosure, given: Mapping[str, Array]) -> None:
        self.case = case
        self.program = program
        self.format = Format.of(case.dtype)
        self.given = given
        self.exact = exact
        self.off = {name: exact.distance(name, array) for name, array in given.items()}

    def nodes(self, formula: Cancelling) -> list[Node]:
        """Where the program could use a formula."""
        return [node for node in self.program.order if _order(node, formula) in formula.loses]

    def usual(self, formula: Cancelling, place: str | None = None) -> dict[int, Usual]:
        """What a formula loses at each of its nodes; at one place alone where that is given."""
        nodes = [node for node in self.nodes(formula) if place is None or _place(node) == place]
        return {id(node): formula.loses[_order(node, formula)] for node in nodes}

    def explanation(self, formula: Cancelling) -> Explanation:
        """A formula with the one place where it loses as much by itself, if it is one."""
        nodes = self.nodes(formula)
        places = tuple(dict.fromkeys(map(_place, nodes)))
        if len(places) > 1:
            places = tuple(place for place in places if self.explained(self.usual(formula, place)))
        place = places[0] if len(places) == 1 else ""
        arguments = [_numbers(self.program, n.operands[0]) for n in nodes if not place or _place(n) == place]
        return Explanation(formula.words, formula.side, place, formula.at(np.concatenate(arguments)))

    def by_probabilities(self) -> bool:
        """Whether the loss computed from probabilities loses as much."""
        other = by_probabilities(self.case)
        kept = {name: array for name, array in self.given.items() if name != OUTPUTS}
        if other is None or not kept:
            return False
        return _Lost(other, enclosure(other), self.exact, kept).explained({})

    def explained(self, usual: Mapping[int, Usual]) -> bool:
        """Whether these formulas lose as much, and not far more: of any quantity that they are seen in."""
        allowed = self._lost(usual)
        seen = False
        for name, off in self.off.items():
            size = np.abs(self.given[name].astype(np.float64))
            spacing = np.spacing(size.astype(self.case.dtype)).astype(np.float64)
            if not np.all(off <= np.maximum(allowed[name], spacing)):
                return False
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = np.nan_to_num(off / (allowed[name] / factor()), nan=0.0, posinf=0.0)
            visible = bool(np.any(allowed[name] > factor() * self.careful[name])) if usual else True
            enough = bool(np.max(shares, initial=0.0) >= FAR_LESS)
            if visible and not enough:
                return False
            seen = seen or enough
        return seen

    @cached_property
    def careful(self) -> Mapping[str, Float64]:
        """What careful formulas lose."""
        return self._lost({})

    def _lost(self, usual: Mapping[int, Usual]) -> Mapping[str, Float64]:
        values, seed = leaf_values(self.case), int(self.case.id, 16)
        return sampled_program(self.program, self.format, values, seed, rounds_leaves=False, usual=usual)


def told(explained: Sequence[Explanation]) -> str:
    """The formulas that explain an answer, as the end of a sentence; empty where there are none."""
    alike: dict[tuple[str, str, float], list[str]] = {}
    for explanation in explained:
        alike.setdefault((explanation.side, explanation.place, explanation.at), []).append(explanation.words)
    said = []
    for (side, place, at), words in alike.items():
        where = f"{place}: " if place else ""
        said.append(f"with {' or '.join(words)}, which loses them {side} ({where}z = {_signed(at)} here)")
    return f"; as many go {' or '.join(said)}" if said else ""


def summed_up(cases: Sequence[Sequence[Explanation]]) -> str | None:
    """What loses digits in all inaccurate cases of a run, and from which arguments on; None where they differ.

    cases: for each of them what explains it.
    """
    if not cases:
        return None
    common = set.intersection(*({(e.words, e.side) for e in explained} for explained in cases))
    if len(common) != 1:
        return None
    ((words, side),) = common
    arguments = [next(e.at for e in explained if e.words == words) for explained in cases]
    if side == "near 0":
        reach = f"|z| is {_signed(max(map(abs, arguments)))} or less"
    elif side == "far below 0":
        reach = f"z is {_signed(max(arguments))} or less"
    else:
        reach = f"|z| is {_signed(min(map(abs, arguments)))} or more"
    which = "the one inaccurate case" if len(cases) == 1 else f"all {len(cases)} inaccurate cases"
    return f"In {which} as many digits go as with {words}, which loses them {side}: {reach} there."

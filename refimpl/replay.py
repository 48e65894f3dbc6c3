"""Running formulas as they are written, at the dtype, on this very case: what comes of an overflow that ends finite.

exp(z) beyond the largest number is infinite, and what follows may be finite again: 1/∞ is 0, a sigmoid of ∞ is 1. No
running bound holds there. So the program of the case is run in NumPy with such formulas in place of careful ones; an
answer is reproduced where one choice of formulas, the same at every place of a function, gives each number asked about.

How near counts as the same is sampled: RUNS runs, in each of which every result, and every term of a sum, is moved by
a normal number of units in the last place. That is more than rounding to nearest moves it, and as much as a library may
be off by; ``refimpl.typical.factor`` says how many root mean squares of such runs an answer may measure.

That is more than is proved of careful arithmetic. So of a number that the careful formulas come as near to, the
overflow must explain more than it leaves: it is nearer to what the choice gives than that is to what careful formulas
give. Otherwise an overflow anywhere in a case would excuse a small mistake in any other place of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradproof.case import Case
from gradproof.gradients import OUTPUTS
from refimpl.arithmetic import FloatArithmetic, Values, evaluate
from refimpl.language import Anchor, Apply, MatMul, Node, Total, ordered
from refimpl.naive import FACTORS, by_probabilities
from refimpl.program import Program, leaf_values, program_of
from refimpl.typical import factor
from refimpl.variants import VARIANTS, Formula, Suprema

Booleans = npt.NDArray[np.bool_]
Written = tuple[str, int]
"""A function and the order of its derivative."""

RUNS: Final = 12
MOST: Final = 64
"""How many choices of formulas are tried, those with the fewest careless ones first."""
UNSHIFTED: Final = "exp(z) of logits from which no maximum is subtracted"


@dataclass(frozen=True)
class Choice:
    """Formulas in place of careful ones, in words for each function; whether logits are shifted before exp."""

    formulas: Mapping[Written, str]
    shifted: bool

    @property
    def careless(self) -> int:
        """How many formulas are not the careful ones."""
        return len(self.formulas) + (not self.shifted)


def reproduced(case: Case, given: Mapping[str, npt.ArrayLike], where: Mapping[str, Booleans]) -> str:
    """The formulas, in words, that give on this case each of the numbers asked about; empty where none do.

    A number that is not finite is given by any that is not. Tried are the formulas of ``refimpl.variants`` that fail on
    this case: that leave the finite numbers, or the bound on what right mathematics may be off by. Of several choices
    those count that are also finite wherever the whole answer is, and of these those with the fewest such formulas.
    """
    other = by_probabilities(case)
    ways = [(program_of(way), leaf_values(way)) for way in (case, other) if way is not None]
    return reproduced_by(ways, np.dtype(case.dtype), given, where)


def reproduced_by(
    ways: Sequence[tuple[Program, Mapping[str, Values]]],
    dtype: np.dtype[Any],
    given: Mapping[str, npt.ArrayLike],
    where: Mapping[str, Booleans],
) -> str:
    """The same for programs with their leaves: a case's own, and perhaps that of its loss from probabilities."""
    found: list[tuple[tuple[bool, int], Choice, _Run]] = []
    runs = [_Run(program, dtype, leaves, direct=not number) for number, (program, leaves) in enumerate(ways)]
    careful = _Careful.of(runs[0], given, where)
    for run in runs:
        direct = run.direct
        kept = {name: array for name, array in given.items() if direct or name != OUTPUTS}
        for choice in run.choices():
            rank = choice.careless + (not direct)
            if rank and (told := run.gives(choice, kept, where, careful)) is not None:
                found.append(((not told, rank), choice, run))
    if not found:
        return ""
    best = min(key for key, _, _ in found)
    run = next(run for key, _, run in found if key == best)
    return run.words([choice for key, choice, which in found if key == best and which is run])


def _written(node: Node) -> Written | None:
    return (node.primitive.function, node.primitive.order) if isinstance(node.primitive, Apply) else None


def _is(written: Written, node: Node) -> bool:
    return _written(node) == written


def _formulas(written: Written) -> Mapping[str, Formula]:
    return {**VARIANTS[written].formulas, **VARIANTS[written].naive}


class _Run:
    """One program at one dtype."""

    def __init__(self, program: Program, dtype: np.dtype[Any], leaves: Mapping[str, Values], *, direct: bool) -> None:
        self.direct = direct
        self.results = program.results
        self.order = ordered(tuple(program.results.values()))
        self.dtype = dtype
        self.leaves = leaves
        self.unit = float(np.finfo(dtype).eps) / 2

    def choices(self) -> Iterator[Choice]:
        """Choices of formulas that fail on this case, none at all first."""
        failing: dict[Written, list[str]] = {}
        unshifted = False
        with np.errstate(all="ignore"):
            for node, values in self._values(Choice({}, shifted=True), None):
                match node.primitive:
                    case Apply(function, order):
                        (z,) = (values[id(operand)] for operand in node.operands)
                        known = failing.setdefault((function, order), [])
                        known += [w for w in self._failing((function, order), z) if w not in known]
                    case Anchor():
                        (z,) = (values[id(operand)] for operand in node.operands)
                        unshifted = unshifted or not np.all(np.isfinite(np.exp(z).sum(-1)))
        options: list[list[str | None]] = [[None, *words] for words in failing.values()]
        found = [
            Choice({key: words for key, words in zip(failing, picked, strict=True) if words}, shifted)
            for picked in itertools.islice(itertools.product(*options), MOST**2)
            for shifted in ((True, False) if unshifted else (True,))
        ]
        yield from sorted(found, key=lambda choice: choice.careless)[:MOST]

    def _failing(self, written: Written, z: Values) -> Iterator[str]:
        formulas = _formulas(written)
        z = z[np.isfinite(z)]
        wide = z.astype(np.float64)
        exact, function = _careful(written)(wide), _careful((written[0], 0))(wide)
        sizes = Suprema(np.abs(wide), np.abs(function), np.abs(exact))
        factors = np.maximum(VARIANTS[written].factor(sizes), FACTORS.get(written, VARIANTS[written].factor)(sizes))
        for words, formula in formulas.items():
            off = np.abs(formula(z).astype(np.float64) - exact)
            if not np.all(off <= 2 * self.unit * factors + np.finfo(self.dtype).tiny):
                yield words

    def gives(
        self, choice: Choice, given: Mapping[str, npt.ArrayLike], where: Mapping[str, Booleans], careful: _Careful
    ) -> bool | None:
        """Whether these formulas are finite wherever the answer is; None where they do not give what is asked about."""
        numbers = {name: np.asarray(array).astype(np.float64) for name, array in given.items()}
        plain = self.results_of(choice, None)
        asked = {name: entries for name, entries in where.items() if name in given and np.any(entries)}
        for name, entries in asked.items():
            if not np.array_equal(np.isfinite(plain[name][entries]), np.isfinite(numbers[name][entries])):
                return None
        finite = {name: entries & np.isfinite(numbers[name]) for name, entries in asked.items()}
        finite = {name: entries for name, entries in finite.items() if np.any(entries)}
        if any(np.any(careful.explains_more(name, numbers[name], plain[name]) & at) for name, at in finite.items()):
            return None
        if finite and not all(np.all(near[finite[n]]) for n, near in self.near(choice, numbers, finite).items()):
            return None
        return all(np.array_equal(np.isfinite(plain[name]), np.isfinite(numbers[name])) for name in given)

    def words(self, choices: list[Choice]) -> str:
        """Choices that do alike in words: for each function its formulas, and the argument that is furthest from 0."""
        kinds = {(tuple(choice.formulas), choice.shifted) for choice in choices}
        written, shifted = min(kinds)
        parts = []
        for key in written:
            function, order = key
            options = dict.fromkeys(c.formulas[key] for c in choices if (tuple(c.formulas), c.shifted) == min(kinds))
            at = self._furthest(partial(_is, key))
            parts.append(f"{function}{'′' * order} as {' or '.join(options)} ({at})")
        if not shifted:
            parts.append(f"{UNSHIFTED} ({self._furthest(lambda node: isinstance(node.primitive, Anchor))})")
        if not self.direct:
            parts.append("the loss computed from probabilities")
        return " and ".join(parts)

    def _furthest(self, wanted: Callable[[Node], bool]) -> str:
        """The finite argument furthest from 0 of the nodes wanted, in a careful run."""
        arguments = []
        with np.errstate(all="ignore"):
            for node, values in self._values(Choice({}, shifted=True), None):
                if wanted(node):
                    arguments += [float(z) for z in values[id(node.operands[0])].reshape(-1) if np.isfinite(z)]
        return f"z = {max(arguments, key=abs, default=0.0):.4g} here".replace("-", "−")

    def near(self, choice: Choice, numbers: Mapping[str, Values], names: Iterable[str]) -> dict[str, Booleans]:
        """Which entries of quantities are what these formulas may give; none where a run is not finite."""
        rng = np.random.default_rng(0)  # the same answer to the same case in every process
        runs = [self.results_of(choice, rng) for _ in range(RUNS)]
        found = {}
        for name in names:
            got, moved = numbers[name], np.array([run[name] for run in runs])
            with np.errstate(invalid="ignore", over="ignore"):
                middle = moved.mean(axis=0)
                spread = np.sqrt(np.mean((moved - middle) ** 2, axis=0))
                room = factor(RUNS) * spread + np.spacing(np.abs(got).astype(self.dtype)).astype(np.float64)
                found[name] = np.asarray(np.abs(got - middle) <= room)
        return found

    def results_of(self, choice: Choice, rng: np.random.Generator | None) -> dict[str, Values]:
        with np.errstate(all="ignore"):
            *_, (_, values) = self._values(choice, rng)
            return {name: values[id(node)].astype(np.float64) for name, node in self.results.items()}

    def _values(self, choice: Choice, rng: np.random.Generator | None) -> Iterator[tuple[Node, dict[int, Values]]]:
        """Each node with all values so far, its own included."""
        arithmetic = FloatArithmetic(self.dtype)
        values: dict[int, Values] = {}
        for node in self.order:
            operands = tuple(values[id(operand)] for operand in node.operands)
            match node.primitive:
                case Apply(function, order):
                    words = choice.formulas.get((function, order))
                    formula = _formulas((function, order))[words] if words else _careful((function, order))
                    found = np.asarray(formula(operands[0]))
                case Anchor() if not choice.shifted:
                    found = np.zeros(node.shape, self.dtype)
                case MatMul() | Total():
                    moved = tuple(self._moved(operand, rng) for operand in operands)
                    found = evaluate(node, arithmetic, moved, self.leaves)
                case _:
                    found = evaluate(node, arithmetic, operands, self.leaves)
            # Leaves are what they are, and constants are exact.
            values[id(node)] = self._moved(found, rng) if operands else found
            yield node, values

    def _moved(self, x: Values, rng: np.random.Generator | None) -> Values:
        if rng is None:
            return x
        return np.asarray(x * (1 + 2 * self.unit * rng.standard_normal(x.shape)).astype(self.dtype))


@dataclass(frozen=True)
class _Careful:
    """What careful formulas give on a case, and where the answer is as near to that as roundings may move it."""

    plain: Mapping[str, Values]
    near: Mapping[str, Booleans]

    @classmethod
    def of(cls, run: _Run, given: Mapping[str, npt.ArrayLike], names: Iterable[str]) -> _Careful:
        numbers = {name: np.asarray(given[name]).astype(np.float64) for name in names}
        choice = Choice({}, shifted=True)
        return cls(run.results_of(choice, None), run.near(choice, numbers, numbers))

    def explains_more(self, name: str, got: Values, other: Values) -> Booleans:
        """Where an answer that careful formulas come near to is not brought nearer by others than these move it."""
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(self.near[name] & (np.abs(got - other) > np.abs(other - self.plain[name])))


def _careful(written: Written) -> Formula:
    """A formula that neither cancels nor overflows, where the table has one."""
    return CAREFUL.get(written) or next(iter(VARIANTS[written].formulas.values()))


def _stable_sigmoid(z: Any) -> Any:
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


CAREFUL: Final[Mapping[Written, Formula]] = MappingProxyType(
    {
        ("sigmoid", 0): _stable_sigmoid,
        ("sigmoid", 1): lambda z: _stable_sigmoid(z) * _stable_sigmoid(-z),
        ("tanh", 1): lambda z: 1 / np.cosh(np.clip(z, -700, 700)) ** 2,
        ("softplus", 0): lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
        ("softplus", 1): _stable_sigmoid,
    }
)

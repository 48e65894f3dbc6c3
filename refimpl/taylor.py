"""The second route: Taylor arithmetic. It uses no derivative rule at all, only the definitions.

Along a direction d, L(θ + ε·d) = L(θ) + ε·⟨∇L, d⟩ + O(ε²). Running the forward program on truncated power series in ε
(Arb's, of length 2, through python-flint) therefore gives ⟨∇L, d⟩ in a ball, by multiplying and composing series;
no adjoint, no derivative by SymPy and no reverse pass has a part in it. Whatever this encloses must overlap what
``refimpl.enclosure`` encloses; where it does not, one of the two is wrong, and so are we.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb, arb_series, fmpq

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS
from gradproof.layers import Shape
from refimpl.arithmetic import ObjectArithmetic, Values, run
from refimpl.balls import exact_balls, precision, root
from refimpl.enclosure import Enclosure, ProgramEnclosure
from refimpl.program import X, leaf_values, program_of

LENGTH = 2
"""Terms of a series: value and first derivative."""
COORDINATES = 200
"""Up to so many parameters every coordinate is compared; above, random directions are."""


class Series:
    """An ``arb_series`` a + b·ε + O(ε²) that NumPy takes for one number and not for a sequence of coefficients."""

    __slots__ = ("terms",)

    def __init__(self, terms: Any) -> None:
        self.terms = terms

    def __add__(self, other: Any) -> Series:
        return Series(self.terms + _terms(other))

    def __mul__(self, other: Any) -> Series:
        return Series(self.terms * _terms(other))

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, exponent: int) -> Series:
        return Series(self.terms**exponent if exponent >= 0 else 1 / self.terms**-exponent)

    def exp(self) -> Series:
        """The exponential."""
        return Series(self.terms.exp())

    def expm1(self) -> Series:
        """The exponential less 1, whose first term keeps its digits near 0."""
        value, slope = self.terms[0], self.terms[1]
        return Series(arb_series([value.expm1(), slope * value.exp()], LENGTH))

    def erfc(self) -> Series:
        """The complementary error function."""
        return Series(self.terms.erfc())

    def log(self) -> Series:
        """The natural logarithm."""
        return Series(self.terms.log())

    def sqrt(self) -> Series:
        """The square root."""
        return Series(self.terms.sqrt())

    def tanh(self) -> Series:
        """The hyperbolic tangent, which series lack: through the smaller of the two exponentials."""
        if self.terms[0] > 0:
            return Series(2 / (1 + (-2 * self.terms).exp()) - 1)
        return Series(1 - 2 / (1 + (2 * self.terms).exp()))


def _terms(x: Any) -> Any:
    return x.terms if isinstance(x, Series) else x


class TaylorArithmetic(ObjectArithmetic):
    """Series a + b·ε + O(ε²) with balls a and b; a number without ε is a plain ball."""

    def number(self, value: Fraction) -> Any:
        return arb(fmpq(value.numerator, value.denominator))

    def full(self, shape: Shape, value: int) -> Values:
        return np.full(shape, arb(value), dtype=object)

    def function_one(self, name: str, x: Any) -> Any:
        match name:
            case "exp" | "expm1" | "erfc":
                return getattr(x, name)()
            case "log":
                return x.log()
            case "tanh":
                return x.tanh()
            case "sqrt":
                return x.sqrt() if isinstance(x, Series) else root(x)
            case _:
                raise TypeError(f"no Taylor evaluation of {name}")

    def hinge_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        value = constant_term(x)
        if value > 0:
            return x * self.number(above)
        if value < 0:
            return x * self.number(below)
        return _either(x * self.number(below), x * self.number(above))

    def pi(self) -> Any:
        return arb.pi()

    def by_sign_one(self, x: Any, below: Any, above: Any) -> Any:
        value = constant_term(x)
        if value < 0:
            return below
        return above if value >= 0 else _either(below, above)

    def minimum(self, x: Values, y: Values) -> Values:
        # One of the two as it is: a huge number and its difference from the lesser would leave no digits of that.
        result = np.empty(x.shape, dtype=object)
        result.reshape(-1)[:] = [_lesser(a, b) for a, b in zip(x.reshape(-1), y.reshape(-1), strict=True)]
        return result

    def largest(self, x: Values) -> Values:
        negative = self.scale(x, Fraction(-1)).reshape(-1, x.shape[-1])
        result = np.empty(x.shape[:-1], dtype=object)
        result.reshape(-1)[:] = [reduce(_lesser, row.tolist()) for row in negative]
        return self.scale(result, Fraction(-1))

    def step_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        raise TypeError("a forward program holds no derivative of a hinge")

    def anchor(self, x: Values) -> Values:
        rows = x.reshape(-1, x.shape[-1])
        largest = np.empty((len(rows), 1), dtype=object)
        largest[:, 0] = [max((constant_term(entry).mid() for entry in row), key=float) for row in rows]
        return np.broadcast_to(largest.reshape(*x.shape[:-1], 1), x.shape)


def _lesser(x: Any, y: Any) -> Any:
    if constant_term(x) < constant_term(y):
        return x
    return y if constant_term(y) < constant_term(x) else _either(x, y)


def _either(one: Any, other: Any) -> Series:
    """A series that holds both of two."""
    values, slopes = ([term(side) for side in (one, other)] for term in (constant_term, linear_term))
    return Series(arb_series([values[0].union(values[1]), slopes[0].union(slopes[1])], LENGTH))


def constant_term(x: Any) -> Any:
    """Of a + b·ε, the ball a."""
    return x.terms[0] if isinstance(x, Series) else x


def linear_term(x: Any) -> Any:
    """Of a + b·ε, the ball b."""
    return x.terms[1] if isinstance(x, Series) else arb(0)


def slope_along(case: Case, direction: Mapping[str, npt.ArrayLike], bits: int = 128) -> Any:
    """⟨∇L, d⟩ in a ball (``flint.arb``), at ``bits`` bits of working precision.

    direction: arrays of the shapes of some parameters, and of the inputs under ``inputs``; what is not named is held.
    Raises ArgumentError for other names or shapes. At a kink the ball holds every admissible slope.
    """
    values = leaf_values(case)
    leaf_of = {name: name for name in case.network.parameter_shapes} | {INPUTS: X}
    moved: dict[str, npt.NDArray[np.float64]] = {}
    for name, step in direction.items():
        if name not in leaf_of:
            raise ArgumentError("direction", f"names among {', '.join(leaf_of)}", name)
        moved[leaf_of[name]] = np.asarray(step, dtype=np.float64)
        if moved[leaf_of[name]].shape != values[leaf_of[name]].shape:
            raise ArgumentError(
                f"direction[{name!r}]",
                f"shape {values[leaf_of[name]].shape}",
                f"shape {moved[leaf_of[name]].shape}",
            )
    with precision(bits):
        leaves = {name: _series(array, moved.get(name)) for name, array in values.items()}
        (loss,) = run((program_of(case).results[LOSS],), TaylorArithmetic(), leaves)
    return linear_term(loss[()])


def _series(array: npt.ArrayLike, direction: npt.NDArray[np.float64] | None) -> Values:
    balls = exact_balls(array)
    if direction is None:
        return balls
    steps = exact_balls(direction).reshape(-1)
    pairs = zip(balls.reshape(-1), steps, strict=True)
    result = np.empty(balls.shape, dtype=object)
    result.reshape(-1)[:] = [Series(arb_series([value, step], LENGTH)) if step != 0 else value for value, step in pairs]
    return result


def conflicts(enclosed: Enclosure, *, seed: int = 0, directions: int = 1) -> tuple[str, ...]:
    """Where this route and the enclosure disagree, in words: nothing, unless one of the two is wrong.

    Every coordinate of every trainable parameter is compared up to COORDINATES of them; above, so many random
    directions over all of them and the inputs, with entries ±1: a wrong entry is missed by one with probability at
    most ½, whatever the other entries are, since its sign alone decides between two different sums.
    """
    shapes = {name: enclosed.shape(name) for name in enclosed.case.network.trainable}
    if sum(int(np.prod(shape)) for shape in shapes.values()) > COORDINATES:
        return tuple(_along_random_directions(enclosed, seed, directions))
    return tuple(
        words
        for name, shape in shapes.items()
        for index in np.ndindex(*shape)
        for words in _at_entry(enclosed, name, index)
    )


def _at_entry(enclosed: Enclosure, name: str, index: tuple[int, ...]) -> Iterator[str]:
    unit = np.zeros(enclosed.shape(name))
    unit[index] = 1
    slope = slope_along(enclosed.case, {name: unit}, enclosed.working_bits)
    if not slope.overlaps(enclosed.balls(name)[index]):
        yield f"{name}{list(index)}: {slope} by Taylor arithmetic, {enclosed.balls(name)[index]} by the reverse pass"


def _along_random_directions(enclosed: Enclosure, seed: int, directions: int) -> Iterator[str]:
    rng = np.random.default_rng(seed)
    for _ in range(directions):
        signs = {
            name: rng.choice([-1.0, 1.0], size=enclosed.shape(name))
            for name in (*enclosed.case.network.trainable, INPUTS)
        }
        slope = slope_along(enclosed.case, signs, enclosed.working_bits)
        projected = projection(enclosed, signs)
        if not slope.overlaps(projected):
            yield f"along a random direction: {slope} by Taylor arithmetic, {projected} by the reverse pass"


def witness(enclosed: Enclosure, entries: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The second route's word on an enclosure that a verdict rests on: where it disagrees, in words.

    It is asked along one random direction over everything, drawn anew for each case, and about ``entries``: one entry
    of each quantity that a verdict is about to call wrong.
    """
    found = list(_along_random_directions(enclosed, int(enclosed.case.id, 16), 1))
    for name, index in entries.items():
        if name == LOSS:
            with precision(enclosed.working_bits):
                (value,) = run((enclosed.computation.results[LOSS],), TaylorArithmetic(), enclosed.given.leaves())
            if not constant_term(value[()]).overlaps(enclosed.balls(LOSS)[()]):
                found.append(f"the loss is {constant_term(value[()])} by Taylor arithmetic")
        elif name in enclosed.case.network.trainable or name == INPUTS:
            found += _at_entry(enclosed, name, index)
    return tuple(found)


def projection(enclosed: ProgramEnclosure, direction: Mapping[str, npt.ArrayLike]) -> Any:
    """⟨∇L, d⟩ in a ball, from the entries that the enclosure holds."""
    total = arb(0)
    with precision(enclosed.working_bits):
        for name, step in direction.items():
            products = enclosed.balls(name).reshape(-1) * exact_balls(step).reshape(-1)
            total = sum(products.tolist(), total)
    return total

"""Numerical differences as witnesses: estimates of derivatives with an error estimate of their own.

Let φ(t) = f(x + t·v) along a direction v. At steps h_k = h_0 / 2ᵏ the one-sided slopes S⁺ = (φ(h) − φ(0))/h and
S⁻ = (φ(0) − φ(−h))/h are taken, and everything is made of them:

- **forward** differences are S⁺ (error O(h)), **central** ones D = (S⁺ + S⁻)/2 (O(h²)); one extrapolation step on
  central differences, (4 D(h/2) − D(h))/3, is the **five-point** formula (O(h⁴)), and further columns of the table
  D_kj = (4ʲ D_k,j−1 − D_k−1,j−1)/(4ʲ − 1) are **Richardson**'s extrapolation (Richardson and Gaunt, Phil. Trans.
  R. Soc. A 226, 1927; as a table with error control: Ridders, Adv. Eng. Software 4, 1982).
- The **jump** J = S⁺ − S⁻ goes to 0 with h where φ is smooth, with odd powers of h alone, so that
  J_kj = (2²ʲ⁻¹ J_k,j−1 − J_k−1,j−1)/(2²ʲ⁻¹ − 1) removes them one by one. What remains is the jump of the derivative at
  a kink within the step.
- The **complex step** is Im φ(ih)/h for a tiny h (Squire and Trapp, SIAM Review 40, 1998): no difference is taken, so
  nothing cancels.

The error of an estimate is the sum of three parts, none of them picked by hand:

- *truncation*: |D_k − D_k−1|, which bounds the error of D_k wherever halving the step at least halves the error: from
  |e_k−1| ≥ 2|e_k| follows |D_k−1 − D_k| ≥ |e_k|. The difference before it, reduced by the column's order, must not be
  larger, lest one coincidence pass for convergence. In Ridders' table both neighbours of an entry are compared.
- *rounding*: each computed φ is off by at most the noise ε of f, plus what rounding of the points x ± h·v moves it;
  the formula's weights amplify that by Σ|weights|/h, followed exactly through the table. For the loss of a case ε is
  the running error bound of the forward pass over all points that the steps reach at once
  (``refimpl.neighbourhood``); steps for which it is infinite are made smaller. Of any other function the caller states
  it, as a number, or as a function of a point, of which the largest at x and at the two points furthest away is taken.
- *jump*: |J|/2 after extrapolation (|J| for forward differences). For kinks on one side of 0 within the smallest step,
  at sh, with jumps K, central differences are off by ΣK(1 − s)/2; truncation is ΣKs/4 and the jump part
  |ΣK(1 − 3s/2)|/2, together at least that. For a kink at 0 itself estimate ± error holds both one-sided derivatives.
  Jumps on both sides may cancel in J, and no difference tells: where kinks are near, the small steps of central
  differences meet few of them, the coarse ones that Richardson's table begins with many.

So at a kink the error is as large as the doubt, and the comparison comes out undecided instead of alarmed. Steps
follow from the noise: h = (ε/F)^(1/(p+1)) for a formula of order p balances rounding ε/h against truncation hᵖF, where
F is how much f varies over the unit step; from a few neighbouring steps the one of least total error is taken.

Everything is computed for many lines at once. The loss of a case is differenced in ``verify.loss_differences``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Maxout
from gradproof.vocabulary import ACTIVATIONS

Method = Literal["forward", "central", "five_point", "richardson", "complex_step"]
METHODS: Final[tuple[Method, ...]] = ("forward", "central", "five_point", "richardson", "complex_step")

Arrays = Mapping[str, npt.NDArray[Any]]
Function = Callable[[Arrays], Any]
"""A scalar function of named arrays."""
Noise = float | Callable[[Arrays], float]
"""A bound on |computed f − f|: one number, or one for each point."""

Float64 = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

ORDERS: Final[Mapping[str, int]] = {"forward": 1, "central": 2, "five_point": 4}
STEPS: Final = 4
"""Neighbouring steps tried, for formulas of fixed order."""
LEVELS: Final = 7
"""Steps of Richardson's table, from 1/8 of the unit step downwards."""
EVALUATIONS: Final = 2 * max(STEPS + 3, LEVELS)
"""Values of φ that a real method takes of each line, at most, besides φ(0)."""
COMPLEX_STEP: Final = 2.0**-100
"""Far below where truncation, O(h²), can be seen, and far above where products with it underflow."""
COMPLEX_FACTORS: Final = (1.0, 1.3, 2.0)
"""Of the step. Another mantissa makes other rounding errors, whose spread is the estimate of them; twice the step
shows what truncation there is."""


@dataclass(frozen=True)
class Difference:
    """An estimate of a derivative, and how far it may be off.

    value: the estimate. truncation, rounding, jump: parts of the error, see the module. step: the smallest one used.
    """

    value: float
    truncation: float
    rounding: float
    jump: float
    step: float

    @property
    def error(self) -> float:
        """The sum of the three parts; inf where a function value was not finite."""
        return float(_error(self.value, self.truncation, self.rounding, self.jump))

    @property
    def undecided(self) -> bool:
        """Whether the estimate says nothing: the function was not finite, or a kink outweighs all other errors."""
        return bool(_undecided(self.error, self.truncation, self.rounding, self.jump))

    def contradicts(self, low: float, high: float | None = None) -> bool:
        """Whether a derivative in [low, high] (low alone: that number) is out of reach of the estimate's error."""
        return bool(_contradicts(self.value, self.error, low, low if high is None else high))


@dataclass(frozen=True, eq=False)
class Differences:
    """Estimates of many derivatives: arrays of one shape, each entry as in ``Difference``, which indexing gives."""

    value: Float64
    truncation: Float64
    rounding: Float64
    jump: Float64
    step: Float64

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each of the arrays."""
        return self.value.shape

    @property
    def error(self) -> Float64:
        """The sum of the three parts; inf where a function value was not finite."""
        return np.asarray(_error(self.value, self.truncation, self.rounding, self.jump))

    @property
    def undecided(self) -> Booleans:
        """Where the estimate says nothing: the function was not finite, or a kink outweighs all other errors."""
        return np.asarray(_undecided(self.error, self.truncation, self.rounding, self.jump))

    def contradicts(self, low: npt.ArrayLike, high: npt.ArrayLike | None = None) -> Booleans:
        """Where a derivative in [low, high] (low alone: that number) is out of reach of the estimate's error."""
        return np.asarray(_contradicts(self.value, self.error, low, low if high is None else high))

    def some(self, place: slice, shape: tuple[int, ...]) -> Differences:
        """Those at some places of one axis, in a shape."""
        return Differences(*(part[place].reshape(shape) for part in self.parts()))

    def parts(self) -> tuple[Float64, ...]:
        """The arrays, in the order of the fields."""
        return self.value, self.truncation, self.rounding, self.jump, self.step

    def __getitem__(self, index: int | tuple[int, ...]) -> Difference:
        return Difference(*(float(part[index]) for part in self.parts()))


def _error(value: Any, truncation: Any, rounding: Any, jump: Any) -> Any:
    with np.errstate(all="ignore"):
        total = truncation + rounding + jump
    return np.where(np.isfinite(total) & np.isfinite(value), total, np.inf)


def _undecided(error: Any, truncation: Any, rounding: Any, jump: Any) -> Any:
    with np.errstate(all="ignore"):
        return ~np.isfinite(error) | (jump > truncation + rounding)


def _contradicts(value: Any, error: Any, low: Any, high: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.maximum(np.subtract(low, value), np.subtract(value, high)) > error


def difference(
    function: Function,
    at: Arrays,
    direction: Arrays,
    method: Method = "richardson",
    *,
    noise: Noise,
    dtype: npt.DTypeLike = np.float64,
) -> Difference:
    """The derivative of a scalar function of named arrays at ``at`` along ``direction``.

    Arguments:
        function: takes arrays of the names and shapes of ``at``, at ``dtype`` (for the complex step, complex ones).
        at: the point.
        direction: arrays of some of its names; what is missing stays.
        method: one of METHODS.
        noise: a bound on |computed f − f|. Where it is inf, so is the error.
        dtype: that points are rounded to before they are handed to ``function``.

    Raises ArgumentError for an unknown method, for a name or shape in ``direction`` that ``at`` has not, and for a
    direction of zeros.
    """
    check_method(method)
    return along(StatedLine(function, at, direction, dtype, noise), method)


def check_method(method: str) -> None:
    """Raises ArgumentError for an unknown method."""
    if method not in METHODS:
        raise ArgumentError("method", f"among {', '.join(METHODS)}", method)


def is_analytic(case: Case) -> bool:
    """Whether a case's loss continues to complex arguments, as the complex step needs: it has no kinks."""
    layers = [site.layer for site in case.network.sites]
    smooth = all(ACTIVATIONS[layer.name].analytic for layer in layers if isinstance(layer, Activation))
    smooth = smooth and not any(isinstance(layer, Maxout) for layer in layers)
    smooth = smooth and (case.network.loss is None or case.network.loss.guard != "clip")
    return smooth and (case.network.penalty is None or case.network.penalty.kind != "l1")


# ---- lines ----


class Lines(ABC):
    """Straight lines through one point, φ(t) = f(x + t·v) for each, all evaluated at once.

    resolution: the distance from 1 to the next number, in the dtype that points are rounded to.
    """

    resolution: float
    here: Float64
    """φ(0) of each."""
    unit: Float64
    """The unit step of each: as far as makes a difference to numbers of usual size, or to larger ones in proportion."""
    moved: Float64
    """The largest distance, as a part of t, between an entry asked for and the one that its dtype holds."""

    @property
    @abstractmethod
    def noise(self) -> float:
        """A bound on the error of φ(0)."""

    @abstractmethod
    def settled(self, furthest: Float64) -> tuple[Float64, Float64]:
        """For each line the furthest step to be taken, at most that given, and the noise everywhere within."""

    @abstractmethod
    def values(self, steps: Float64) -> Float64:
        """φ at each step of each line: (lines, steps)."""

    def slopes(self, steps: Float64) -> tuple[Float64, Float64]:
        """S⁺ and S⁻ at each step of each line: (lines, steps)."""
        found = self.values(np.concatenate((steps, -steps), axis=1))
        plus, minus = found[:, : steps.shape[1]], found[:, steps.shape[1] :]
        return (plus - self.here[:, None]) / steps, (self.here[:, None] - minus) / steps

    def epsilon(self, noise: Float64, *slopes: Float64) -> Float64:
        """A bound of the error of each value: the function's noise, and the way its point was moved along a slope."""
        steepest = np.max([np.abs(slope).max(axis=1) for slope in slopes], axis=0)
        return noise + np.where(self.moved > 0, self.moved * steepest, 0.0)


def rounded(x: Float64, shift: Float64, dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], Float64]:
    """The sum x + shift at a dtype, and how far that is from x + shift.

    The distance has no rounding error of its own: Knuth's two-sum, then one exact difference.
    """
    total = x + shift
    point = total.astype(dtype)
    virtual = total - x
    lost = (x - (total - virtual)) + (shift - virtual)
    return point, np.abs(lost + (total - point.astype(np.float64)))


class Line(Lines):
    """One line, along any direction, of any function of named arrays."""

    def __init__(self, function: Function, at: Arrays, direction: Arrays, dtype: npt.DTypeLike) -> None:
        for name, part in direction.items():
            if name not in at or np.shape(part) != np.shape(at[name]):
                raise ArgumentError(f"direction[{name!r}]", "a name and shape of the point", f"shape {np.shape(part)}")
        self.direction = {name: np.asarray(part, dtype=np.float64) for name, part in direction.items()}
        size = max((float(np.abs(part).max(initial=0)) for part in self.direction.values()), default=0.0)
        if size == 0:
            raise ArgumentError("direction", "an entry that is not 0", "none")
        self.function = function
        self.dtype = np.dtype(dtype)
        self.resolution = float(np.finfo(self.dtype).eps)
        self.at = {name: np.asarray(array) for name, array in at.items()}
        moving = [np.abs(np.asarray(at[name], dtype=np.float64)[part != 0]) for name, part in self.direction.items()]
        largest = max(float(array.max(initial=0)) for array in moving)
        # Many entries that move at once, each its own way, move what they are summed up to by the root of their number.
        together = np.ceil(np.log2(sum(array.size for array in moving)) / 2)
        self.unit = np.array([2.0 ** (np.floor(np.log2(max(largest, 1.0))) - np.ceil(np.log2(size)) - together)])
        self.moved = np.zeros(1)
        self.here = self.values(np.zeros((1, 1)))[0]

    def values(self, steps: Float64) -> Float64:
        """φ at each step."""
        return np.array([[float(self.function(self.point(t))) for t in steps[0].tolist()]])

    def point(self, t: float) -> Arrays:
        """X + t·v at the dtype."""
        arrays = dict(self.at)
        for name, part in self.direction.items():
            arrays[name], off = rounded(self.at[name].astype(np.float64), t * part, self.dtype)
            shares = np.divide(off, np.abs(part), out=np.zeros(part.shape), where=part != 0)
            self.moved = np.maximum(self.moved, shares.max(initial=0))
        return arrays


class StatedLine(Line):
    """A line of a function whose noise the caller states."""

    def __init__(self, function: Function, at: Arrays, direction: Arrays, dtype: npt.DTypeLike, noise: Noise) -> None:
        super().__init__(function, at, direction, dtype)
        self.stated = noise

    @property
    def noise(self) -> float:
        """As stated for x."""
        return self.stated(self.point(0.0)) if callable(self.stated) else self.stated

    def settled(self, furthest: Float64) -> tuple[Float64, Float64]:
        """The steps given, and the largest noise stated for x and the two points furthest away."""
        if not callable(self.stated):
            return furthest, np.array([self.stated])
        ends = (self.point(t) for t in (float(furthest[0]), -float(furthest[0])))
        return furthest, np.array([max(self.noise, *map(self.stated, ends))])


# ---- rules ----


def along(line: Line, method: Method) -> Difference:
    """The derivative along one line."""
    return _complex_step(line) if method == "complex_step" else estimates(line, method)[0]


def estimates(lines: Lines, method: Method) -> Differences:
    """The derivatives along many lines at once, by a real method."""
    with np.errstate(all="ignore"):
        return _richardson(lines) if method == "richardson" else _fixed(lines, method)


def _nothing(steps: Float64) -> Differences:
    inf = np.full(steps.shape, np.inf)
    return Differences(np.full(steps.shape, np.nan), inf, inf, inf, steps)


def _better(found: Differences, best: Differences, admitted: Booleans | None = None) -> Differences:
    """Line by line the estimate of less error: ``best`` where both are the same, or ``found`` is not admitted."""
    better = found.error < best.error
    if admitted is not None:
        better &= admitted
    return Differences(*(np.where(better, new, old) for new, old in zip(found.parts(), best.parts(), strict=True)))


def _fixed(lines: Lines, method: Method) -> Differences:
    """Forward, central or five-point, from the best of a few neighbouring steps."""
    order = ORDERS[method]
    eighth = lines.unit / 8
    furthest, noise = lines.settled(np.minimum(_balanced(lines, np.abs(lines.here), order), eighth))
    coarse = np.abs(lines.slopes(eighth[:, None]))
    variation = np.maximum(np.abs(lines.here), lines.unit * np.maximum(*coarse)[:, 0])
    first = np.minimum(_balanced(lines, variation, order), furthest)
    steps = first[:, None] / 2.0 ** np.arange(STEPS + 2)
    plus, minus = lines.slopes(steps)
    jumps = plus - minus
    rounding = lines.epsilon(noise, plus, minus)[:, None] / steps
    if method == "forward":
        values, weight, share, columns = plus, 2.0, 1.0, 1
    elif method == "central":
        values, weight, share, columns = (plus + minus) / 2, 1.0, 0.5, 1
    else:
        values, weight, share, columns = _extrapolated((plus + minus) / 2, 4.0), 1.5, 0.5, 2
    for j in range(1, columns + 1):
        jumps = _extrapolated(jumps, 2.0 ** (2 * j - 1))
    truncation = np.abs(np.diff(values, axis=1))
    best = _nothing(first)
    for k in range(2, steps.shape[1]):
        found = Differences(
            value=values[:, k],
            truncation=np.maximum(truncation[:, k - 1], truncation[:, k - 2] / 2**order),
            rounding=weight * rounding[:, k],
            jump=share * np.abs(jumps[:, k]),
            step=steps[:, k],
        )
        best = _better(found, best, np.isfinite(truncation[:, k - 2]))
    return best


def _balanced(lines: Lines, variation: Float64, order: int) -> Float64:
    """The largest step to be tried of a formula of this order, for a function that varies so much."""
    relative = np.where(variation > 0, np.clip(lines.noise / variation, lines.resolution, 1.0), 1.0)
    return lines.unit * 2.0 ** (np.ceil(np.log2(relative) / (order + 1)) + STEPS - 1)


def _extrapolated(column: Float64, factor: float) -> Float64:
    """The next column of a table, for each line; what has no neighbour before it is NaN."""
    after: Float64 = (factor * column[:, 1:] - column[:, :-1]) / (factor - 1)
    return np.concatenate((np.full((len(column), 1), np.nan), after), axis=1)


def _richardson(lines: Lines) -> Differences:
    """The entry of Ridders' table of least total error."""
    furthest, noise = lines.settled(lines.unit / 8)
    steps = furthest[:, None] / 2.0 ** np.arange(LEVELS)
    plus, minus = lines.slopes(steps)
    epsilon = lines.epsilon(noise, plus, minus)
    best = _nothing(steps[:, -1])
    table: list[tuple[Float64, Float64, Float64]] = []
    """The row above: estimates, their rounding, jumps."""
    for k in range(LEVELS):
        row = [((plus[:, k] + minus[:, k]) / 2, epsilon / steps[:, k], plus[:, k] - minus[:, k])]
        for j in range(1, k + 1):
            power, odd = 4.0**j, 2.0 ** (2 * j - 1)
            (beside, beside_error, beside_jump), (above, above_error, above_jump) = row[j - 1], table[j - 1]
            value = (power * beside - above) / (power - 1)
            error = (power * beside_error + above_error) / (power - 1)
            jump = (odd * beside_jump - above_jump) / (odd - 1)
            row.append((value, error, jump))
            truncation = np.maximum(np.abs(value - beside), np.abs(value - above))
            best = _better(Differences(value, truncation, error, np.abs(jump) / 2, steps[:, k]), best)
        table = row
    return best


def _complex_step(line: Line) -> Difference:
    """Im φ(ih)/h, at a few steps and in two precisions: the largest distance between them estimates the rounding."""
    unit = float(line.unit[0])

    def derivative(h: float, dtype: npt.DTypeLike) -> Any:
        arrays = {name: array.astype(dtype) for name, array in line.at.items()}
        for name, part in line.direction.items():
            arrays[name] = arrays[name] + 1j * h * unit * part
        with np.errstate(all="ignore"):
            return np.imag(line.function(arrays)) / (h * unit)

    finest, twice = (derivative(factor * COMPLEX_STEP, np.clongdouble) for factor in (1.0, 2.0))
    others = [derivative(factor * COMPLEX_STEP, np.complex128) for factor in COMPLEX_FACTORS]
    rounding = max(float(abs(finest - other)) for other in others) + float(np.finfo(np.float64).eps * abs(finest))
    return Difference(float(finest), float(abs(twice - finest)), rounding, 0.0, COMPLEX_STEP * unit)

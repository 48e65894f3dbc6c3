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
- *rounding*: each computed φ is off by at most the noise ε that the caller states for f, plus what rounding of the
  points x ± h·v moves it; the formula's weights amplify that by Σ|weights|/h, followed exactly through the table.
  Noise that varies with the point is the largest of it at x and at the two points furthest away.
- *jump*: |J|/2 after extrapolation (|J| for forward differences). For kinks on one side of 0 within the smallest step,
  at sh, with jumps K, central differences are off by ΣK(1 − s)/2; truncation is ΣKs/4 and the jump part
  |ΣK(1 − 3s/2)|/2, together at least that. For a kink at 0 itself estimate ± error holds both one-sided derivatives.
  Jumps on both sides may cancel in J, and no difference tells: where kinks are near, the small steps of central
  differences meet few of them, the coarse ones that Richardson's table begins with many.

So at a kink the error is as large as the doubt, and the comparison comes out undecided instead of alarmed. Steps
follow from the noise: h = (ε/F)^(1/(p+1)) for a formula of order p balances rounding ε/h against truncation hᵖF, where
F is how much f varies over the unit step; from a few neighbouring steps the one of least total error is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS
from gradproof.layers import Activation, Maxout
from gradproof.vocabulary import ACTIVATIONS

Method = Literal["forward", "central", "five_point", "richardson", "complex_step"]
METHODS: Final[tuple[Method, ...]] = ("forward", "central", "five_point", "richardson", "complex_step")

Arrays = Mapping[str, npt.NDArray[Any]]
Function = Callable[[Arrays], Any]
"""A scalar function of named arrays."""
Noise = float | Callable[[Arrays], float]
"""A bound on |computed f − f|: one number, or one for each point."""

ORDERS: Final[Mapping[str, int]] = {"forward": 1, "central": 2, "five_point": 4}
STEPS: Final = 4
"""Neighbouring steps tried, for formulas of fixed order."""
LEVELS: Final = 7
"""Steps of Richardson's table, from 1/8 of the unit step downwards."""
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
        total = self.truncation + self.rounding + self.jump
        return total if np.isfinite(total) and np.isfinite(self.value) else np.inf

    @property
    def undecided(self) -> bool:
        """Whether the estimate says nothing: the function was not finite, or a kink outweighs all other errors."""
        return not np.isfinite(self.error) or self.jump > self.truncation + self.rounding

    def contradicts(self, low: float, high: float | None = None) -> bool:
        """Whether a derivative in [low, high] (low alone: that number) is out of reach of the estimate's error."""
        top = low if high is None else high
        distance = max(low - self.value, self.value - top, 0.0)
        return bool(distance > self.error)


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
    if method not in METHODS:
        raise ArgumentError("method", f"among {', '.join(METHODS)}", method)
    for name, part in direction.items():
        if name not in at or np.shape(part) != np.shape(at[name]):
            raise ArgumentError(f"direction[{name!r}]", "a name and shape of the point", f"shape {np.shape(part)}")
    size = max((float(np.abs(part).max(initial=0)) for part in direction.values()), default=0.0)
    if size == 0:
        raise ArgumentError("direction", "an entry that is not 0", "none")
    line = _Line(function, at, direction, np.dtype(dtype), noise)
    if method == "complex_step":
        return _complex_step(line)
    with np.errstate(all="ignore"):
        return _richardson(line) if method == "richardson" else _fixed(line, method)


def difference_gradient(
    case: Case,
    method: Method = "richardson",
    *,
    loss: Callable[[Case], Any] | None = None,
    names: tuple[str, ...] | None = None,
    noise: Noise | None = None,
) -> dict[str, npt.NDArray[np.object_]]:
    """∂L/∂θ and ∂L/∂x of a case: under each name an object array of ``Difference``, one for each entry.

    Arguments:
        case: whose loss is differenced.
        method: one of METHODS.
        loss: what is differenced, a function of a case (an implementation's own loss, say), called with changed
            parameters and inputs at the case's dtype. None: the definition's forward pass, in float64.
        names: of parameters, or ``inputs``; None for all trainable parameters and the inputs.
        noise: a bound on the error of ``loss``; None for what careful arithmetic may be off by (its rigorous
            allowance), which is all that can be asked of it.

    Raises ArgumentError for the complex step where the network has a kink or ``loss`` is given.
    """
    function, at, dtype, bound = witness(case, method, loss=loss, noise=noise)
    found: dict[str, npt.NDArray[np.object_]] = {}
    for name in (*case.network.trainable, INPUTS) if names is None else names:
        entries = np.empty(at[name].shape, dtype=object)
        for index in np.ndindex(at[name].shape):
            unit = np.zeros(at[name].shape)
            unit[index] = 1
            entries[index] = difference(function, at, {name: unit}, method, noise=bound, dtype=dtype)
        found[name] = entries
    return found


def directional_difference(
    case: Case,
    direction: Arrays,
    method: Method = "richardson",
    *,
    loss: Callable[[Case], Any] | None = None,
    noise: Noise | None = None,
) -> Difference:
    """The derivative of a case's loss along a direction of its parameters and inputs; arguments as above."""
    function, at, dtype, bound = witness(case, method, loss=loss, noise=noise)
    return difference(function, at, direction, method, noise=bound, dtype=dtype)


def random_direction(case: Case, seed: int = 0, names: tuple[str, ...] | None = None) -> dict[str, npt.NDArray[Any]]:
    """A direction of −1 and 1 for all trainable parameters and the inputs: no sum over entries hides behind it."""
    generator = np.random.default_rng(seed)
    shapes = {**case.network.parameter_shapes, INPUTS: case.inputs.shape}
    wanted = (*case.network.trainable, INPUTS) if names is None else names
    return {name: generator.choice((-1.0, 1.0), shapes[name]) for name in wanted}


def witness(
    case: Case, method: Method, *, loss: Callable[[Case], Any] | None = None, noise: Noise | None = None
) -> tuple[Function, dict[str, npt.NDArray[Any]], npt.DTypeLike, Noise]:
    """A case's loss as ``difference`` wants it: the function of arrays, the point, its dtype, and its noise."""
    from refimpl.allowance import allowance
    from refimpl.program import evaluate_numpy

    at: dict[str, npt.NDArray[Any]] = {**case.parameters, INPUTS: case.inputs}
    dtype: npt.DTypeLike = np.float64 if loss is None else case.dtype
    if method == "complex_step" and loss is not None:
        raise ArgumentError("method", "a real difference for a loss that is given", method)
    if method == "complex_step" and not is_analytic(case):
        raise ArgumentError("method", "a real difference, since the network or its penalty has kinks", method)

    def careful(arrays: Arrays) -> float:
        parameters = {name: array for name, array in arrays.items() if name != INPUTS}
        moved = case.replace(parameters=parameters, inputs=arrays[INPUTS])
        return float(allowance(moved, "float64" if loss is None else case.dtype).rigorous[LOSS])

    def definition(arrays: Arrays) -> Any:
        used = np.result_type(np.float64, *(array.dtype for array in arrays.values()))
        parameters = {name: array for name, array in arrays.items() if name != INPUTS}
        return evaluate_numpy(case, parameters, arrays[INPUTS], used)[0]

    def given(arrays: Arrays) -> Any:
        assert loss is not None
        parameters = {name: array for name, array in arrays.items() if name != INPUTS}
        return loss(case.replace(parameters=parameters, inputs=arrays[INPUTS]))

    return (definition if loss is None else given), at, dtype, careful if noise is None else noise


def is_analytic(case: Case) -> bool:
    """Whether a case's loss continues to complex arguments, as the complex step needs: it has no kinks."""
    layers = [site.layer for site in case.network.sites]
    smooth = all(ACTIVATIONS[layer.name].analytic for layer in layers if isinstance(layer, Activation))
    smooth = smooth and not any(isinstance(layer, Maxout) for layer in layers)
    smooth = smooth and (case.network.loss is None or case.network.loss.guard != "clip")
    return smooth and (case.network.penalty is None or case.network.penalty.kind != "l1")


class _Line:
    """φ(t) = f(x + t·v), and what rounding does to its values."""

    def __init__(self, function: Function, at: Arrays, direction: Arrays, dtype: np.dtype[Any], noise: Noise) -> None:
        self.function = function
        self.dtype = dtype
        self.at = {name: np.asarray(array) for name, array in at.items()}
        self.direction = {name: np.asarray(part, dtype=np.float64) for name, part in direction.items()}
        entries = [np.abs(np.asarray(at[name], dtype=np.float64)[part != 0]) for name, part in self.direction.items()]
        # The unit step: as far as makes a difference to numbers of usual size, or to larger ones in proportion.
        largest = max(float(array.max(initial=0)) for array in entries)
        self.unit = 2.0 ** np.floor(np.log2(max(largest, 1.0)))
        self.moved = 0.0
        """The largest distance between a point asked for and the one that its dtype holds."""
        self.here = self.value(0.0)
        self.furthest = self.unit / 8
        """The largest step, for a start."""
        self._noise = noise

    @cached_property
    def noise(self) -> float:
        """The largest noise stated for x and the two points furthest away."""
        if not callable(self._noise):
            return self._noise
        return max(self._noise(self.point(t)) for t in (0.0, self.furthest, -self.furthest))

    def value(self, t: float) -> float:
        """φ(t), as the function computes it."""
        return float(self.function(self.point(t)))

    def point(self, t: float) -> Arrays:
        """X + t·v at the dtype."""
        arrays = dict(self.at)
        for name, part in self.direction.items():
            x, shift = self.at[name].astype(np.float64), t * part
            point = (x + shift).astype(self.dtype)
            # (x + shift) − point without rounding error of its own: Knuth's two-sum, then one exact difference.
            rounded = x + shift
            virtual = rounded - x
            lost = (x - (rounded - virtual)) + (shift - virtual)
            off = np.abs(lost + (rounded - point.astype(np.float64)))
            self.moved = max(self.moved, float(off.max(initial=0)))
            arrays[name] = point
        return arrays

    def slopes(self, h: float) -> tuple[float, float]:
        """S⁺ and S⁻ at a step."""
        return (self.value(h) - self.here) / h, (self.here - self.value(-h)) / h

    def epsilon(self, slopes: tuple[float, ...]) -> float:
        """A bound of the error of each value: the function's noise, and the way its point was moved along a slope."""
        return self.noise + self.moved * max(map(abs, slopes))


def _fixed(line: _Line, method: Method) -> Difference:
    """Forward, central or five-point, from the best of a few neighbouring steps."""
    order = ORDERS[method]
    variation = max(abs(line.here), *(line.unit * abs(slope) for slope in line.slopes(line.furthest)))
    floor = float(np.finfo(line.dtype).eps)
    relative = min(max(line.noise / variation, floor), 1.0) if variation > 0 else 1.0
    if not np.isfinite(line.noise) or not np.isfinite(variation):
        return Difference(float("nan"), np.inf, np.inf, np.inf, line.furthest)
    balanced = line.unit * 2.0 ** np.ceil(np.log2(relative) / (order + 1))
    first = min(balanced * 2 ** (STEPS - 1), line.furthest)
    steps = np.array([first / 2**k for k in range(STEPS + 2)])
    slopes = [line.slopes(float(h)) for h in steps]
    plus, minus = np.array([s[0] for s in slopes]), np.array([s[1] for s in slopes])
    jumps = plus - minus
    rounding = line.epsilon((*plus, *minus)) / steps
    if method == "forward":
        estimates, weight, share, columns = plus, 2.0, 1.0, 1
    elif method == "central":
        estimates, weight, share, columns = (plus + minus) / 2, 1.0, 0.5, 1
    else:
        estimates, weight, share, columns = _extrapolated((plus + minus) / 2, 4.0), 1.5, 0.5, 2
    for j in range(1, columns + 1):
        jumps = _extrapolated(jumps, 2.0 ** (2 * j - 1))
    truncation = np.abs(np.diff(estimates))
    found = [
        Difference(
            value=float(estimates[k]),
            truncation=float(max(truncation[k - 1], truncation[k - 2] / 2**order)),
            rounding=float(weight * rounding[k]),
            jump=float(share * abs(jumps[k])),
            step=float(steps[k]),
        )
        for k in range(len(steps))
        if k >= 2 and np.isfinite(truncation[k - 2])
    ]
    return min(found, key=lambda one: one.error, default=Difference(float("nan"), np.inf, np.inf, np.inf, float(first)))


def _extrapolated(column: npt.NDArray[np.float64], factor: float) -> npt.NDArray[np.float64]:
    """The next column of a table; what has no neighbour before it is NaN."""
    after: npt.NDArray[np.float64] = (factor * column[1:] - column[:-1]) / (factor - 1)
    return np.concatenate(([np.nan], after))


def _richardson(line: _Line) -> Difference:
    """The entry of Ridders' table of least total error."""
    steps = [line.furthest / 2**k for k in range(LEVELS)]
    slopes = [line.slopes(h) for h in steps]
    epsilon = line.epsilon(tuple(abs(s) for pair in slopes for s in pair))
    table = [[(plus + minus) / 2] for plus, minus in slopes]
    errors = [[epsilon / h] for h in steps]
    jumps = [[plus - minus] for plus, minus in slopes]
    best = Difference(float("nan"), np.inf, np.inf, np.inf, steps[-1])
    for k in range(1, LEVELS):
        for j in range(1, k + 1):
            power, odd = 4.0**j, 2.0 ** (2 * j - 1)
            table[k].append((power * table[k][j - 1] - table[k - 1][j - 1]) / (power - 1))
            errors[k].append((power * errors[k][j - 1] + errors[k - 1][j - 1]) / (power - 1))
            jumps[k].append((odd * jumps[k][j - 1] - jumps[k - 1][j - 1]) / (odd - 1))
            neighbours = abs(table[k][j] - table[k][j - 1]), abs(table[k][j] - table[k - 1][j - 1])
            found = Difference(
                float(table[k][j]), float(max(neighbours)), float(errors[k][j]), abs(jumps[k][j]) / 2, steps[k]
            )
            if found.error < best.error:
                best = found
    return best


def _complex_step(line: _Line) -> Difference:
    """Im φ(ih)/h, at a few steps and in two precisions: the largest distance between them estimates the rounding."""

    def derivative(h: float, dtype: npt.DTypeLike) -> Any:
        arrays = {name: array.astype(dtype) for name, array in line.at.items()}
        for name, part in line.direction.items():
            arrays[name] = arrays[name] + 1j * h * line.unit * part
        with np.errstate(all="ignore"):
            return np.imag(line.function(arrays)) / (h * line.unit)

    finest, twice = (derivative(factor * COMPLEX_STEP, np.clongdouble) for factor in (1.0, 2.0))
    others = [derivative(factor * COMPLEX_STEP, np.complex128) for factor in COMPLEX_FACTORS]
    rounding = max(float(abs(finest - other)) for other in others) + float(np.finfo(np.float64).eps * abs(finest))
    return Difference(float(finest), float(abs(twice - finest)), rounding, 0.0, COMPLEX_STEP * line.unit)

"""Numerical differences of the loss of a case: of its whole gradient, or along a direction.

For real differences the loss is the fast implementation's forward pass in float64, which computes again only what a
perturbed entry changes (``fastimpl.perturbation``); no derivative written by hand takes part in it. For the complex
step it is the definition's forward pass, which takes complex numbers. Or it is any function of a case that is given.
How far it may be off is what careful arithmetic may be off by, at all points that the steps reach
(``refimpl.neighbourhood``): the rules and their error estimates are those of ``verify.differences``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS
from refimpl.neighbourhood import loss_allowance
from refimpl.program import evaluate_numpy
from verify.differences import (
    EVALUATIONS,
    Arrays,
    Difference,
    Differences,
    Float64,
    Function,
    Line,
    Lines,
    Method,
    Noise,
    StatedLine,
    along,
    check_method,
    estimates,
    is_analytic,
    rounded,
)

LossOf = Callable[[Case], Any]
Progress = Callable[[int, int], None]
"""Is told how many evaluations of the loss, or entries, or directions, of how many are done."""

APART: Final = 100_000
"""Entries to be differenced times numbers of the case, up to which each entry has a box of its own around its points,
in which the noise is bounded: that takes less than a second. Beyond, one box around all points of all entries, which is
wider, serves all of them.
"""
SHRINKINGS: Final = 8
"""How often steps are divided by 8 for which the noise is infinite."""


def difference_gradient(
    case: Case,
    method: Method = "richardson",
    *,
    loss: LossOf | None = None,
    names: tuple[str, ...] | None = None,
    noise: Noise | None = None,
    progress: Progress | None = None,
) -> dict[str, Differences]:
    """∂L/∂θ and ∂L/∂x of a case: under each name the estimates for each entry, in its shape.

    Arguments:
        case: whose loss is differenced.
        method: one of METHODS.
        loss: what is differenced, a function of a case (an implementation's own loss, say), called with changed
            parameters and inputs at the case's dtype. None: see the module.
        names: of parameters, or ``inputs``; None for all trainable parameters and the inputs.
        noise: a bound on the error of ``loss``; None for what careful arithmetic may be off by (its rigorous
            allowance), which is all that can be asked of it.
        progress: called every now and then.

    Raises ArgumentError for an unknown method, for names that the case has not, and for the complex step where the
    network has a kink or ``loss`` is given.
    """
    check_method(method)
    at = point_of(case)
    wanted = (*case.network.trainable, INPUTS) if names is None else names
    for name in wanted:
        if name not in at:
            raise ArgumentError("names", f"names among {', '.join(at)}", name)
    if loss is None and noise is None and method != "complex_step":
        return _Entries(_in_float64(case), wanted, progress).gradient(method)
    line = lines_of(case, method, loss, noise)
    total = sum(at[name].size for name in wanted)
    found: dict[str, Differences] = {}
    for name in wanted:
        shape = at[name].shape
        ones: list[Difference] = []
        for index in np.ndindex(shape):
            unit = np.zeros(shape)
            unit[index] = 1
            ones.append(along(line({name: unit}), method))
            if progress is not None:
                progress(sum(entries.value.size for entries in found.values()) + len(ones), total)
        parts = np.array([(one.value, one.truncation, one.rounding, one.jump, one.step) for one in ones])
        found[name] = Differences(*parts.T).some(slice(None), shape)
    return found


def directional_difference(
    case: Case,
    direction: Arrays,
    method: Method = "richardson",
    *,
    loss: LossOf | None = None,
    noise: Noise | None = None,
) -> Difference:
    """The derivative of a case's loss along a direction of its parameters and inputs; arguments as above."""
    check_method(method)
    return along(lines_of(case, method, loss, noise)(direction), method)


def random_direction(case: Case, seed: int = 0, names: tuple[str, ...] | None = None) -> dict[str, npt.NDArray[Any]]:
    """A direction of −1 and 1 for all trainable parameters and the inputs: no sum over entries hides behind it."""
    generator = np.random.default_rng(seed)
    shapes = {**case.network.parameter_shapes, INPUTS: case.inputs.shape}
    wanted = (*case.network.trainable, INPUTS) if names is None else names
    return {name: generator.choice((-1.0, 1.0), shapes[name]) for name in wanted}


# ---- lines of a case ----


def point_of(case: Case) -> dict[str, npt.NDArray[Any]]:
    """All that a loss is a function of: the parameters, frozen ones included, and the inputs."""
    return {**case.parameters, INPUTS: case.inputs}


def _in_float64(case: Case) -> Case:
    return case if case.dtype == "float64" else case.replace(dtype="float64")


def lines_of(case: Case, method: Method, loss: LossOf | None, noise: Noise | None) -> Callable[[Arrays], Line]:
    """Direction → the line of a case's loss along it."""
    if method == "complex_step" and loss is not None:
        raise ArgumentError("method", "a real difference for a loss that is given", method)
    if method == "complex_step" and not is_analytic(case):
        raise ArgumentError("method", "a real difference, since the network or its penalty has kinks", method)
    moved = case if loss is not None else _in_float64(case)
    function = _definition(moved) if method == "complex_step" else _fast(moved) if loss is None else _given(moved, loss)
    if noise is not None:
        return lambda direction: StatedLine(function, point_of(moved), direction, moved.dtype, noise)
    careful = _Careful(moved)
    return lambda direction: _CarefulLine(function, careful, direction)


def _parameters(arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
    return {name: array for name, array in arrays.items() if name != INPUTS}


def _fast(case: Case) -> Function:
    from fastimpl.perturbation import Losses

    losses = Losses(case)
    return lambda arrays: losses.at(_parameters(arrays), arrays[INPUTS])


def _given(case: Case, loss: LossOf) -> Function:
    return lambda arrays: loss(case.replace(parameters=_parameters(arrays), inputs=arrays[INPUTS]))


def _definition(case: Case) -> Function:
    def loss(arrays: Arrays) -> Any:
        used = np.result_type(np.float64, *(array.dtype for array in arrays.values()))
        return evaluate_numpy(case, _parameters(arrays), arrays[INPUTS], used)[0]

    return loss


class _Careful:
    """What careful arithmetic may be off by in the loss of a case, and how far away that is known."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.resolution = float(np.finfo(case.dtype).eps)
        self._known: tuple[dict[str, Float64], bool, float] | None = None

    @cached_property
    def here(self) -> float:
        """The noise at the case itself."""
        return loss_allowance(self.case)

    def settled(
        self, furthest: Float64, radii: Callable[[Float64], dict[str, Float64]], *, missed: bool = False
    ) -> tuple[Float64, float]:
        """The furthest steps for which the noise is finite within the radii that they span, and the noise there."""
        noise = math.inf
        for _ in range(SHRINKINGS if math.isfinite(self.here) else 0):
            noise = self.within(radii(furthest), missed)
            if math.isfinite(noise):
                break
            furthest = furthest / 8
        return furthest, noise

    def within(self, radii: dict[str, Float64], missed: bool) -> float:
        """The noise of all points within radii, which points rounded to the dtype may miss by its resolution.

        missed: whether what the loss changes by that is part of the noise.
        """
        at = point_of(self.case)
        off = {name: self.resolution * (np.abs(at[name]) + radius) * (radius > 0) for name, radius in radii.items()}
        around = {name: radius + off[name] for name, radius in radii.items()}
        if self._known is None or self._known[1] != missed or not _same(self._known[0], around):
            self._known = around, missed, loss_allowance(self.case, around, off if missed else None)
        return self._known[2]


def _same(one: Mapping[str, Float64], other: Mapping[str, Float64]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def _scaled(sizes: Mapping[str, Float64], t: Float64) -> dict[str, Float64]:
    return {name: t * size for name, size in sizes.items()}


class _CarefulLine(Line):
    """A line of a loss that is computed with care."""

    def __init__(self, function: Function, careful: _Careful, direction: Arrays) -> None:
        super().__init__(function, point_of(careful.case), direction, careful.case.dtype)
        self.careful = careful
        self.alone = sum(np.count_nonzero(part) for part in self.direction.values()) == 1

    @property
    def noise(self) -> float:
        """The allowance at the point."""
        return self.careful.here

    def settled(self, furthest: Float64) -> tuple[Float64, Float64]:
        """Within the box that the line passes through.

        Where several entries move, each is rounded its own way, which is no move along the line: so what that does to
        the loss is part of the noise.
        """
        sizes = {name: np.abs(part) for name, part in self.direction.items()}
        steps, noise = self.careful.settled(furthest, partial(_scaled, sizes), missed=not self.alone)
        return steps, np.array([noise])

    def epsilon(self, noise: Float64, *slopes: Float64) -> Float64:
        """A bound of the error of each value: the noise, which tells of moved points where several entries move."""
        return super().epsilon(noise, *slopes) if self.alone else noise


class _Entries(Lines):
    """One line for each entry of some arrays of a case, by the fast forward pass."""

    def __init__(self, case: Case, names: tuple[str, ...], progress: Progress | None) -> None:
        from fastimpl.perturbation import Losses

        self.losses = Losses(case)
        self.careful = _Careful(case)
        self.resolution = self.careful.resolution
        self.dtype = np.dtype(case.dtype)
        self.progress = progress
        at = point_of(case)
        self.shapes = {name: at[name].shape for name in names}
        ends = np.cumsum([0, *(at[name].size for name in names)]).tolist()
        self.places = {name: slice(*place) for name, place in zip(names, pairwise(ends), strict=True)}
        self.x = np.concatenate([at[name].ravel() for name in names]) if names else np.zeros(0)
        self.unit = 2.0 ** np.floor(np.log2(np.maximum(np.abs(self.x), 1.0)))
        self.here = np.full(self.x.shape, self.losses.loss)
        self.moved = np.zeros(self.x.shape)
        self.done = 0

    def gradient(self, method: Method) -> dict[str, Differences]:
        """The estimates, under each name in its shape."""
        found = estimates(self, method)
        return {name: found.some(place, self.shapes[name]) for name, place in self.places.items()}

    @property
    def noise(self) -> float:
        """The allowance at the point."""
        return self.careful.here

    def settled(self, furthest: Float64) -> tuple[Float64, Float64]:
        """Within a box around all points of all lines, or of few lines within a box for each."""
        count = len(self.x)
        if count * sum(array.size for array in point_of(self.careful.case).values()) > APART:
            steps, noise = self.careful.settled(furthest, self.by_name)
            return steps, np.full(count, noise)
        steps, noises = furthest.copy(), np.zeros(count)
        for name, place in self.places.items():
            for entry in range(place.start, place.stop):
                only = np.zeros(place.stop - place.start)
                only[entry - place.start] = 1
                along_it = only.reshape(self.shapes[name])
                found, noises[entry] = self.careful.settled(
                    furthest[entry : entry + 1],
                    lambda t, name=name, it=along_it: {name: t * it},  # type: ignore[misc]
                )
                steps[entry] = found[0]
        return steps, noises

    def by_name(self, values: Float64) -> dict[str, Float64]:
        """One number for each line, in arrays as the case has them."""
        return {name: values[place].reshape(self.shapes[name]) for name, place in self.places.items()}

    def values(self, steps: Float64) -> Float64:
        """φ at each step of each entry."""
        points, off = rounded(self.x[:, None], steps, self.dtype)
        self.moved = np.maximum(self.moved, off.max(axis=1, initial=0))
        found = np.empty(steps.shape)
        for name, place in self.places.items():
            entries = np.arange(place.stop - place.start)
            found[place] = self.losses.replacing(name, entries, points[place], self.advance(steps))
            self.done += steps[place].size
        return found

    def advance(self, steps: Float64) -> Callable[[int], None] | None:
        """Tells the progress of entries as that of evaluations."""
        if self.progress is None:
            return None
        told, before, each, total = self.progress, self.done, steps.shape[1], EVALUATIONS * len(self.x)
        return lambda entries: told(before + each * entries, total)

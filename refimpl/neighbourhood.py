"""What careful arithmetic may be off by in a loss, at a point and everywhere around it at once.

Numerical differences ask for the loss at many points near each other. One running error bound (``refimpl.allowance``)
serves them all, when every ball of the forward pass holds the exact values at all of these points: its leaves are then
balls around the case's numbers, whose radius is how far the points lie away. Each step of the bound takes suprema over
the balls that it is given, so that it holds at each point of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from flint import arb

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS
from refimpl.allowance import ROUND_UP, RunningBound
from refimpl.arithmetic import Values
from refimpl.balls import exact_balls
from refimpl.enclosure import MOST_BITS, Given, enclosed_program
from refimpl.formats import Format
from refimpl.program import Program, X, leaf_values, program_of

BITS: Final = 64
"""Working precision of the balls to begin with."""
MOST_AROUND: Final = 512
"""Where it stops rising for a ball that stays unbounded, where the points around may be what makes it so."""


def loss_allowance(
    case: Case,
    radii: Mapping[str, npt.ArrayLike] | None = None,
    missed: Mapping[str, npt.ArrayLike] | None = None,
) -> float:
    """A bound on |computed − exact| of the loss in the case's dtype, for careful arithmetic, all around the case.

    Arguments:
        case: the point, its numbers exact as they are.
        radii: of parameters, or ``inputs``: how far, at most, each entry of a point lies from the case's. The points
            are numbers of the dtype. What is missing stays.
        missed: by the same names, how far each entry of a point may lie from the one whose exact loss is meant.

    inf where nothing is promised. Raises ArgumentError for names that the case has not, for shapes that don't fit, and
    for radii that are not finite or below 0.
    """
    around = {name: _radius(case, name, radius) for name, radius in (radii or {}).items()}
    off = {X if name == INPUTS else name: _radius(case, name, error) for name, error in (missed or {}).items()}
    given = {X if name == INPUTS else name: radius for name, radius in around.items() if np.any(radius)}
    program = program_of(case)
    target = Format.of(case.dtype)
    exact = leaf_values(case)

    def leaves() -> dict[str, Values]:
        return {name: _balls(array, given.get(name)) for name, array in exact.items()}

    most = MOST_AROUND if given else MOST_BITS
    loss = program.results[LOSS]
    enclosed = enclosed_program(
        Given(Program(program.leaves, {LOSS: loss}), leaves, affine=True, most_bits=most), BITS, BITS
    )
    magnitudes: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for name, array in exact.items():
        size, radius = np.abs(array.astype(np.float64)), given.get(name, np.float64(0.0))
        magnitudes[name] = size if name not in given else np.nextafter(size + radius, np.inf)
        # Around a number that is not below the normal ones, others may be, and be lost.
        flushed = np.where((radius > 0) & (size - radius < target.tiny), target.tiny, 0.0)
        errors[name] = flushed + off.get(name, 0.0)
    bound = RunningBound(target, enclosed, magnitudes, errors)
    return float(ROUND_UP * bound.closed(loss) + ROUND_UP * bound.slack(loss))


def _radius(case: Case, name: str, radius: npt.ArrayLike) -> npt.NDArray[np.float64]:
    shapes = {**case.network.parameter_shapes, INPUTS: case.inputs.shape}
    if name not in shapes:
        raise ArgumentError("radii", f"names among {', '.join(shapes)}", name)
    given = np.asarray(radius, dtype=np.float64)
    if given.shape not in ((), shapes[name]):
        raise ArgumentError(f"radii[{name!r}]", f"shape {shapes[name]}, or one number", f"shape {given.shape}")
    if not np.all(np.isfinite(given)) or np.any(given < 0):
        raise ArgumentError(f"radii[{name!r}]", "finite numbers of at least 0", f"{given.min()} to {given.max()}")
    return np.broadcast_to(given, shapes[name])


def _balls(array: npt.NDArray[Any], radius: npt.NDArray[np.float64] | None) -> Values:
    if radius is None:
        return exact_balls(array)
    balls = np.empty(array.shape, dtype=object)
    pairs = zip(array.astype(np.float64).ravel().tolist(), radius.ravel().tolist(), strict=True)
    balls.reshape(-1)[:] = [arb(middle, around) for middle, around in pairs]
    return balls

"""How small a mistake in one gradient entry is found, by proof and by the checkers that frameworks bring.

For each entry of a parameter's gradient that is not 0, the smallest relative error that is *proved* wrong is over the
exact entry what formulas in use may be off by, those that lose digits included: any larger one is beyond all. For the
framework's own checkers an error is planted in one entry of a backward pass that is right otherwise, and the smallest
that they report is found by bisection, a factor of 2 apart. Both are asked about the same cases, with their default
tolerances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.implementations import installed
from benchmarks.random_cases import Sizes, drawn
from gradproof.case import Case
from gradproof.record import Figure
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.enclosure import enclosure
from refimpl.naive import naive_allowance

CASES: Final = 400
PEER_CASES: Final = {"gradcheck": 60, "check_grads": 16}
"""The first so many cases go to the frameworks' checkers, which take far longer (JAX compiles for each)."""
SIZES: Final = Sizes(depth=4, manners=("ordinary",))
GOALS: Final[Mapping[Dtype, float]] = {"float64": 2e-13, "float32": 1e-4}
LEAST, MOST = -60, 20
"""Planted errors are 2^k for k in this range."""


def _cases(dtype: Dtype) -> Iterator[Case]:
    """Cases of one dtype with a gradient to look at, of one to four layers in turn."""
    number = 0
    while True:
        case = drawn(0, number, SIZES)
        number += 1
        if case.dtype == dtype and case.network.trainable:
            yield case


def _relative(case: Case) -> tuple[npt.NDArray[np.float64], tuple[str, int] | None]:
    """What may be off over size of every entry of the gradients that is not 0; and the place of the largest entry."""
    enclosed = enclosure(case)
    allowed = naive_allowance(case, enclosed).bound
    found, place, largest = [np.zeros(0)], None, 0.0
    for name in case.network.trainable:
        exact = np.fmin(np.abs(enclosed.lower(name)), np.abs(enclosed.upper(name))).reshape(-1)
        if np.max(exact, initial=0.0) > largest:
            largest, place = float(np.max(exact)), (name, int(np.argmax(exact)))
        known = exact > 0
        found.append(allowed[name].reshape(-1)[known] / exact[known])
    return np.concatenate(found), place


def sensitivity(dtype: Dtype, progress: Progress) -> Figure:
    """The smallest relative error in one gradient entry that is proved wrong: the median over entries and cases."""
    proved: list[npt.NDArray[np.float64]] = []
    medians: list[float] = []
    asked: list[tuple[Case, str, int]] = []
    cases = _cases(dtype)
    while len(proved) < CASES:
        case = next(cases)
        ratios, place = _relative(case)
        if place is not None:
            proved.append(ratios)
            medians.append(float(np.median(ratios)))
            asked.append((case, *place))
    checkers = {
        "gradcheck": ("torch", _gradcheck),
        "check_grads": ("jax", _check_grads),
    }
    peers: dict[str, float] = {}
    notes = [
        f"{sum(map(len, proved)):,} entries of {CASES} cases; median of the cases' medians {np.median(medians):.1e}"
    ]
    for name, (package, checker) in checkers.items():
        if package not in installed():
            continue
        progress(f"{name}, {PEER_CASES[name]} cases of {dtype}")
        found = [_smallest(checker(case, parameter, index)) for case, parameter, index in asked[: PEER_CASES[name]]]
        refused = sum(threshold is None for threshold in found)
        thresholds = [threshold for threshold in found if threshold is not None]
        notes.append(
            f"{name}: {PEER_CASES[name]} cases, errors in each one's largest entry, {refused} refused as they are"
        )
        if thresholds:
            peers[name] = float(np.median(thresholds))
    return figure(
        f"sensitivity.{dtype}",
        float(np.median(np.concatenate(proved))),
        "(relative)",
        at_most=GOALS[dtype],
        peers=peers,
        note="; ".join(notes),
    )


def _smallest(passes: Callable[[float], bool]) -> float | None:
    """The smallest 2^k that does not pass, inf where all do; None where 0 does not pass either."""
    if not passes(0.0):
        return None
    low, high = LEAST, MOST
    if passes(2.0**high):
        return float("inf")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(2.0**middle) else (low, middle)
    return 2.0**high


def _gradcheck(case: Case, parameter: str, index: int) -> Callable[[float], bool]:
    import torch

    from benchmarks.implementations.torch_network import forward, tensor

    names = list(case.network.trainable)
    held = {name: tensor(case.parameters[name]) for name in case.network.frozen}
    x = tensor(case.inputs)

    class Planted(torch.autograd.Function):  # type: ignore[misc]
        """A parameter passed on; its gradient comes back with one entry off."""

        @staticmethod
        def forward(ctx: Any, value: Any, error: float) -> Any:
            """The value."""
            ctx.error = error
            return value.clone()

        @staticmethod
        def backward(ctx: Any, delta: Any) -> Any:
            """The gradient, one entry times 1 + error."""
            wrong = delta.clone()
            wrong.view(-1)[index] *= 1 + ctx.error
            return wrong, None

    def passes(error: float) -> bool:
        def loss(*values: Any) -> Any:
            given = dict(zip(names, values, strict=True))
            given[parameter] = Planted.apply(given[parameter], error)
            return forward(case, {**given, **held}, x)[0]

        leaves = [tensor(case.parameters[name]).requires_grad_() for name in names]
        return bool(torch.autograd.gradcheck(loss, leaves, raise_exception=False))

    return passes


def _check_grads(case: Case, parameter: str, index: int) -> Callable[[float], bool]:
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads

    from benchmarks.implementations.jax_network import forward

    def passes(error: float) -> bool:
        with jax.enable_x64(True):
            names = list(case.network.trainable)
            held = {name: jnp.asarray(case.parameters[name]) for name in case.network.frozen}
            goal = jnp.asarray(case.upstream if case.targets is None else case.targets)
            weights = None if case.sample_weights is None else jnp.asarray(case.sample_weights)

            @jax.custom_vjp  # type: ignore[untyped-decorator]
            def planted(value: Any) -> Any:
                return value

            def backward(_: Any, delta: Any) -> Any:
                flat = delta.reshape(-1)
                return (flat.at[index].multiply(1 + error).reshape(delta.shape),)

            planted.defvjp(lambda value: (value, None), backward)

            def loss(*values: Any) -> Any:
                given = dict(zip(names, values, strict=True))
                given[parameter] = planted(given[parameter])
                return forward(case.network, {**given, **held}, jnp.asarray(case.inputs), goal, weights)[0]

            try:
                check_grads(jax.jit(loss), [jnp.asarray(case.parameters[n]) for n in names], order=1, modes=("rev",))
            except AssertionError:
                return False
            return True

    return passes


def _of(dtype: Dtype) -> Measure:
    measure = partial(sensitivity, dtype)
    measure.__doc__ = f"The smallest relative error planted in one {dtype} gradient entry that is proved wrong, median."
    return measure


FIGURES: Final[Mapping[str, Measure]] = {f"sensitivity.{dtype}": _of(dtype) for dtype in DTYPES}

"""``gradproof explain``: one gradient entry by formula, by certified number, and as floats and differences give it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.explanation import Computed, Explanation, Formula
from gradproof.gradients import INPUTS
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.allowance import allowance
from refimpl.balls import precision
from refimpl.enclosure import Enclosure, PrecisionError, enclosure
from refimpl.expressions import symbols_of
from refimpl.program import evaluate_numpy
from refimpl.symbolic import Assignment, Symbolic, symbolic
from verify.differences import is_analytic

DIGITS = 30
"""Decimal digits of the certified number."""
STEP_DIGITS = 12
"""Decimal digits beside each step, enough to follow it with a pocket calculator."""
READABLE = 2_000
"""Characters of a closed form that a person may still want to see."""
EXPONENTS = range(2, 54)
"""Steps 2**-k that differences are tried with; the best by hindsight is shown."""
COMPLEX_STEP = 2.0**-100

ENTRY = re.compile(r"(?P<name>[\w.]+?)(?:\[(?P<index>\s*\d+\s*(?:,\s*\d+\s*)*)\])?")


def entry_of(case: Case, text: str | None) -> tuple[str, tuple[int, ...]]:
    """The entry that ``0.weight[1, 0]`` names; the first one of the first trainable parameter for None.

    Raises ArgumentError where the case has no such entry.
    """
    names = (*case.network.trainable, INPUTS)
    if text is None:
        return names[0], (0,) * len(_shape(case, names[0]))
    match = ENTRY.fullmatch(text.strip())
    if match is None or match["name"] not in names:
        raise ArgumentError("entry", f"one of {', '.join(names)} with an index, {names[0]}[0, 0] say", text)
    name, shape = match["name"], _shape(case, match["name"])
    index = tuple(int(part) for part in match["index"].split(",")) if match["index"] else (0,) * len(shape)
    if len(index) != len(shape) or any(i >= size for i, size in zip(index, shape, strict=True)):
        raise ArgumentError("entry", f"an index within the shape {shape} of {name}", text)
    return name, index


def explain(case: Case, entry: str | None = None) -> Explanation:
    """Explains one gradient entry of a case: ``0.weight[0, 1]``, or an entry of ``inputs``.

    The formulas are symbolic and exist for small networks; raises ArgumentError for one that is too large for them,
    and for an entry that the case does not have.
    """
    name, index = entry_of(case, entry)
    view = symbolic(case.network, case.batch, weighted=case.sample_weights is not None, masked=bool(case.masks))
    enclosed = enclosure(case)
    try:
        nearest = repr(float(enclosed.nearest(name)[index]))
    except PrecisionError:
        nearest = None
    return Explanation(
        case_id=case.id,
        network=str(case.network),
        quantity=name,
        index=index,
        steps=tuple(_steps(view, case, name, index)),
        closed_form=_closed_form(view, enclosed, name, index),
        exact=enclosed.decimal(name, index, DIGITS),
        enclosure=_ball_text(enclosed, name, index),
        nearest=nearest,
        computed=tuple(_computed(case, enclosed, name, index)) if nearest is not None else (),
    )


def _ball_text(enclosed: Enclosure, name: str, index: tuple[int, ...]) -> str:
    with precision(enclosed.working_bits):
        return str(enclosed.balls(name)[index].str(DIGITS))


def _shape(case: Case, name: str) -> tuple[int, ...]:
    return case.inputs.shape if name == INPUTS else case.parameters[name].shape


def _steps(view: Symbolic, case: Case, name: str, index: tuple[int, ...]) -> Iterator[Formula]:
    """The assignments that an entry needs, in order, with their exact values."""
    needed = {view.symbol(name, index)}
    program: list[Assignment] = []
    for assignment in reversed(view.program):
        if assignment.symbol in needed:
            program.append(assignment)
            needed.update(symbols_of(assignment.expression))
    values = view.numbers(case, STEP_DIGITS)
    for assignment in reversed(program):
        yield Formula(str(assignment), assignment.latex(), values.value(assignment.symbol))


def _closed_form(view: Symbolic, enclosed: Enclosure, name: str, index: tuple[int, ...]) -> Formula | None:
    text = view.formula(name, index)
    if len(text) > READABLE:
        return None
    return Formula(text, view.latex(name, index), enclosed.decimal(name, index, STEP_DIGITS))


def _computed(case: Case, enclosed: Enclosure, name: str, index: tuple[int, ...]) -> Iterator[Computed]:
    from fastimpl import gradients

    exact = float(enclosed.nearest(name)[index])

    def row(by: str, value: float, allowed: float | None) -> Computed:
        at = np.zeros(enclosed.shape(name))
        at[index] = value
        error = float(enclosed.distance_upper(name, at)[index])
        scale = abs(exact) or 1.0
        return Computed(
            by, repr(value), f"{error / scale:.2g}", exact != 0, None if allowed is None else f"{allowed / scale:.2g}"
        )

    for dtype in DTYPES:
        got = gradients(_rounded(case, dtype)).quantities()[name]
        yield row(dtype, float(np.asarray(got)[index]), float(allowance(case, dtype, enclosed).rigorous[name][index]))
    for by, differences in _differences(case, name, index):
        step, value = min(differences.items(), key=lambda item: abs(item[1] - exact))
        yield row(f"{by}, step {step:.2g}", value, None)


def _rounded(case: Case, dtype: Dtype) -> Case:
    """The case at a dtype: its numbers rounded to it."""
    return case if case.dtype == dtype else case.replace(dtype=dtype)


def _differences(case: Case, name: str, index: tuple[int, ...]) -> Iterator[tuple[str, dict[float, float]]]:
    """By method, step → estimate."""

    def loss(step: complex, dtype: npt.DTypeLike = np.float64) -> Any:
        moved = (case.inputs if name == INPUTS else case.parameters[name]).astype(dtype)
        moved[index] += step
        if name == INPUTS:
            return evaluate_numpy(case, inputs=moved, dtype=dtype)[0]
        return evaluate_numpy(case, {name: moved}, dtype=dtype)[0]

    steps = [2.0**-exponent for exponent in EXPONENTS]
    plus, minus = ({h: float(loss(sign * h)) for h in steps} for sign in (1, -1))
    here = float(loss(0.0))
    yield "forward difference", {h: (plus[h] - here) / h for h in steps}
    central = {h: (plus[h] - minus[h]) / (2 * h) for h in steps}
    yield "central difference", central
    yield "extrapolated (five points)", {h: (4 * central[h] - central[2 * h]) / 3 for h in steps[1:]}
    if is_analytic(case):
        yield "complex step", {COMPLEX_STEP: float(loss(1j * COMPLEX_STEP, np.complex128).imag / COMPLEX_STEP)}

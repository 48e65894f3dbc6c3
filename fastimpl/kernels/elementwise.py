"""The loops of activations and losses, each of which is given as its formula for one number.

``activation`` and ``elementwise_loss`` make a kernel of a formula, which becomes part of the loop; so the loop stands
once, and a formula reads as in a book. Loops run over whole vectors: every value in the workspace has room up to a
multiple of ``fastimpl.buffers.ALIGNMENT``, so that no number needs to be computed by itself at the end. What stands in
that room is never read as a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy import float64

from fastimpl.elementary.exponential import NOTHING
from fastimpl.jit import CONTRACT, REASSOCIATE, Kernel, inlined, intrinsic, kernel, types
from fastimpl.memory import shifted
from fastimpl.table import (
    ADD_D_INPUT,
    COEFFICIENT,
    COLUMN,
    D_INPUT,
    D_OUTPUT,
    FACTOR,
    INPUT,
    OUTPUT,
    ROWS,
    SLOPE,
    TARGET,
    UNITS,
    WIDTH,
)

_LINE_BITS = 512
"""Of a cache line, and of the longest vectors."""


@intrinsic
def in_whole_lines(typing: Any, pointer: Any, count: Any) -> Any:
    """The count rounded up to a multiple of the numbers of a cache line, of the type that the pointer points to."""
    numbers = _LINE_BITS // pointer.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = arguments[1].type
        return builder.and_(builder.add(arguments[1], integer(numbers - 1)), integer(-numbers))

    return types.int64(pointer, types.int64), generate


def activation(formula: Callable[[Any, Any], tuple[Any, Any]], *, native: bool = True) -> Kernel:
    """A kernel that writes a formula's values and, where its inputs stood, its derivatives.

    formula: (z, the layer's parameter) → (value, derivative). native: see ``fastimpl.jit.Kernel``.
    """
    value_and_slope = inlined()(formula)

    def run(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
        count = in_whole_lines(work, batch * op[ROWS] * op[WIDTH])
        a = shifted(work, op[OUTPUT])
        s = shifted(work, op[SLOPE])
        if op[INPUT] != op[SLOPE]:
            z = shifted(work, op[INPUT])
            for i in range(count):
                s[i] = z[i]
        parameter = float64(hyper[FACTOR])
        for i in range(count):
            value, slope = value_and_slope(float64(s[i]), parameter)
            a[i] = value
            s[i] = slope
        return 0.0

    return _named(run, formula, CONTRACT, native)


def activation_in_float64(formula: Callable[[Any, Any], tuple[Any, Any]]) -> Kernel:
    """The same, computed in float64 for float32 numbers too, and rounded once."""
    return activation(formula, native=False)


def function(name: str, formula: Callable[[Any], Any], *, native: bool = False) -> Kernel:
    """A kernel of this name that writes a formula's values: formula is inlined, x → value. native: as above."""

    def run(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
        x = shifted(work, op[INPUT])
        y = shifted(work, op[OUTPUT])
        for i in range(in_whole_lines(work, batch * op[ROWS] * op[WIDTH])):
            y[i] = formula(float64(x[i]))
        return 0.0

    run.__name__ = run.__qualname__ = name
    return Kernel(run, CONTRACT, native=native)


@kernel()
def elementwise_backward(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    """∂L/∂z = ∂L/∂a · a′(z), element by element."""
    count = in_whole_lines(work, batch * op[ROWS] * op[WIDTH])
    s = shifted(work, op[SLOPE])
    da = shifted(work, op[D_OUTPUT])
    dz = shifted(work, op[D_INPUT])
    if op[D_INPUT] == op[D_OUTPUT]:
        for i in range(count):
            da[i] *= s[i]
    elif op[ADD_D_INPUT] != 0:
        for i in range(count):
            dz[i] += da[i] * s[i]
    else:
        for i in range(count):
            dz[i] = da[i] * s[i]
    return 0.0


def elementwise_loss(formula: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Kernel:
    """A kernel that adds up a formula's values, each times its sample's coefficient, and leaves ∂L/∂z.

    formula: (z or y, target, the loss's parameter) → (value, derivative).
    """
    value_and_slope = inlined()(formula)

    def run(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
        rows, width, units, stride = op[ROWS], op[WIDTH], op[UNITS], op[WIDTH]
        parameter = hyper[FACTOR]
        adding = op[ADD_D_INPUT] != 0
        c = shifted(work, op[COEFFICIENT])
        # As few stretches of numbers that lie one behind another and share a coefficient as there are.
        stretches, length, each = batch * rows, width, rows
        if width == units:
            stretches, length, each, units = batch, rows * width, 1, rows * width
            stride = length
            if _all_alike(c, batch):
                stretches, length = 1, batch * length
        last = in_whole_lines(work, length) if stretches == 1 else length
        loss = 0.0
        for n in range(stretches):
            z = shifted(work, op[INPUT] + n * stride)
            t = shifted(work, op[TARGET] + n * units + op[COLUMN])
            dz = shifted(work, op[D_INPUT] + n * stride)
            factor = float64(c[n // each])
            total = 0.0
            for i in range(last):
                value, slope = value_and_slope(float64(z[i]), float64(t[i]), parameter)
                total += value if i < length else 0.0
                stood = float64(dz[i])  # read in any case: a branch would keep the loop from vectors
                dz[i] = factor * slope + (stood if adding else NOTHING)
            loss += factor * total
        return loss

    return _named(run, formula, REASSOCIATE, native=False)


@inlined()
def put(dz: Any, i: int, value: float, adding: bool) -> None:
    """Writes the value, or adds it to what stands there."""
    if adding:
        dz[i] += value
    else:
        dz[i] = value


@inlined()
def _all_alike(c: Any, count: int) -> bool:
    others = 0
    for n in range(count):
        others += c[n] != c[0]
    return others == 0


def _named(run: Callable[..., float], formula: Callable[..., Any], fastmath: frozenset[str], native: bool) -> Kernel:
    """The kernel under the formula's name: it is what differs from the next one of the same loop."""
    run.__doc__ = formula.__doc__
    run.__name__ = formula.__name__
    run.__qualname__ = formula.__qualname__
    run.__module__ = formula.__module__
    return Kernel(run, fastmath, native=native)

"""Formulas in float32: what takes the place of their constants, of their helpers and of what those call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy import float64

from fastimpl.jit import CONTRACT, Kernel, inlined
from fastimpl.single import in_single

TENTH = 0.1
COEFFICIENTS = (0.1, 0.2)
COUNT = 3


@inlined()
def tripled(x: Any) -> Any:
    return 3.3 * x


@inlined()
def stand_in(x: Any) -> Any:
    return x + TENTH


@inlined(single=stand_in)
def replaced(x: Any) -> Any:
    return x - TENTH


def made(offset: float) -> Any:
    def formula(x: Any) -> Any:
        return offset + 0.3 * float64(x) + COEFFICIENTS[1] * COUNT

    return formula


def test_constants_are_rounded_and_whole_numbers_stay() -> None:
    single = in_single(made(0.7))
    got = single(np.float32(1.1))
    f = np.float32
    assert type(got) is f
    assert got == f(0.7) + f(0.3) * f(1.1) + f(0.2) * 3
    assert made(0.7)(1.0) == 0.7 + 0.3 + 0.2 * 3, "the function itself is as it was"
    assert single.__globals__["COUNT"] == 3
    assert single.__module__ == __name__


def helped(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
    value: float = tripled(replaced(float64(batch)))
    return value


def test_helpers_are_replaced_by_themselves_or_by_what_stands_in_for_them() -> None:
    f = np.float32
    single, double = (
        Kernel(helped, CONTRACT, native=native).call("float32", *[None] * 5, batch=1) for native in (True, False)
    )
    assert single == f(3.3) * (f(1.0) + f(0.1))
    assert double == 3.3 * (1.0 - 0.1)


@pytest.mark.parametrize(("native", "expected"), [(True, np.float32(0.1)), (False, 0.1)])
def test_a_kernel_of_float32_computes_in_what_it_is_declared_to(native: bool, expected: float) -> None:
    def run(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
        return TENTH

    called = Kernel(run, CONTRACT, native=native).call("float32", *[None] * 5, batch=1)
    assert called == float(expected)

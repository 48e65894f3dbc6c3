"""Formulas in use that lose digits are inaccurate, never wrong; mistakes of that size in others are wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradproof.expressions import Node, Operation
from gradproof.graph import Graph
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from verify.engines.judging import examine

Function = Callable[[Any], Any]


def by_tanh(x: Any) -> Any:
    return (1 + np.tanh(x / 2)) / 2


def by_complement(x: Any) -> Any:
    return 1 - 1 / (1 + np.exp(x))


def power_of_e(x: Any) -> Any:
    return type(x)(np.e) ** x


def verdict(name: str, at: float, dtype: Dtype, value: Function, slope: Function) -> Verdict:
    """What is said of an engine that computes one function of one number so."""
    graph = Graph([[np.array(at)]], [Operation(name, (Node(0),))], dtype=dtype)
    x = np.dtype(dtype).type(at)
    result, leaf = graph.quantities
    return examine(graph, {result: np.asarray(value(x)), leaf: np.asarray(slope(x))}).verdict.verdict


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "at", "value", "slope"),
    [
        ("sigmoid", -8.7, by_tanh, lambda x: by_tanh(x) * (1 - by_tanh(x))),
        ("sigmoid", -6.0, by_complement, lambda x: by_complement(x) * (1 - by_complement(x))),
        ("softplus", -19.3, lambda x: np.log(1 + np.exp(x)), by_complement),
        ("exp", -19.3, power_of_e, power_of_e),
    ],
)
def test_a_formula_that_loses_digits_is_inaccurate(
    name: str, at: float, value: Function, slope: Function, dtype: Dtype
) -> None:
    assert verdict(name, at, dtype, value, slope) is Verdict.INACCURATE


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mistake_beyond_every_formula_stays_wrong(dtype: Dtype) -> None:
    off = 64 * np.finfo(dtype).eps
    assert verdict("sigmoid", -6.0, dtype, lambda x: by_tanh(x) + type(x)(off), lambda x: 0 * x) is Verdict.WRONG
    assert verdict("exp", 1.0, dtype, lambda x: np.exp(x) * type(x)(1 + off), np.exp) is Verdict.WRONG

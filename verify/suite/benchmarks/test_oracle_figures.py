"""The oracle's figures, on a few cases each: they measure what they say."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from benchmarks.figures import certified, common, dots, kinks, sensitivity
from gradproof.verdict import Verdict
from verify.judge import judge


def test_goals_from_below() -> None:
    met = [common.figure("some", value, "times", at_least=100).met for value in (99.0, 100.0)]
    assert met == [False, True]
    assert common.figure("some", 1.0, "times", at_least=100).goal == ">= 100 times"


def test_an_enclosure_is_timed_and_its_width_told() -> None:
    times = certified._measure("alone", certified.sigmoid_case((6, 4, 2), 3))
    assert times.parameters == 6 * 4 + 4 + 4 * 2 + 2
    assert 0 < times.widest < certified.NARROW
    assert set(times.seconds) == {"enclosure", "allowance", "both allowances"}


def test_gradcheck_is_timed_where_torch_is_there() -> None:
    pytest.importorskip("torch")
    times = certified._measure("gradcheck", certified.sigmoid_case((3, 2), 2))
    assert times.seconds["gradcheck"] > 0


def test_dots_are_counted_and_one_beyond_its_allowance_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dots, "LENGTHS", (5,))
    monkeypatch.setattr(dots, "REPEATS", 1)
    fine = dots.dots(lambda text: None)
    assert (fine.value, fine.met) == (0, True)
    monkeypatch.setattr(dots, "ORDERS", {"off": lambda w, x: 2 * np.dot(w, x) + 1})
    assert dots.dots(lambda text: None).value == 2 * len(dots.MANNERS)


@pytest.mark.parametrize("name", [*kinks.CONVENTIONS, *kinks.FAULTS])
def test_a_slope_between_the_one_sided_ones_passes_and_another_does_not(name: str) -> None:
    convention = {**kinks.CONVENTIONS, **kinks.FAULTS}[name]
    found = Counter(judge(case, kinks.plain(convention, case)).verdict for case in kinks.kinked_cases(12))
    assert set(found) <= {Verdict.CORRECT, Verdict.WRONG}
    assert bool(found[Verdict.WRONG]) == (name in kinks.FAULTS)


def test_the_smallest_error_that_does_not_pass_is_found_by_bisection() -> None:
    assert sensitivity._smallest(lambda error: error < 1e-4) == 2.0**-13
    assert sensitivity._smallest(lambda error: True) == math.inf
    assert sensitivity._smallest(lambda error: False) is None


@pytest.mark.parametrize("package", ["torch", "jax"])
def test_a_planted_error_is_what_a_checker_is_asked_about(package: str) -> None:
    pytest.importorskip(package)
    checker = {"torch": sensitivity._gradcheck, "jax": sensitivity._check_grads}[package]
    passes = checker(next(sensitivity._cases("float64")), "0.weight", 0)
    assert passes(0.0)
    assert not passes(8.0)

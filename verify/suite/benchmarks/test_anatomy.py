"""The parts of a step: every kernel that a step runs, once, with the products that it makes."""

from __future__ import annotations

import pytest

from benchmarks import anatomy
from benchmarks.tasks import task
from gradproof.errors import ArgumentError


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anatomy, "TURNS", 1)
    monkeypatch.setattr(anatomy, "TURN", 1e-6)
    monkeypatch.setattr(anatomy, "LARGE", 8)


def test_a_step_is_told_kernel_by_kernel() -> None:
    found = list(anatomy.parts(task("5-8-6-3.sigmoid_sgd.float64")))
    assert [part.name for part in found] == [
        "gather",  # of the targets: the inputs are read where they lie
        "coefficients",
        *("dense 5 -> 8", "sigmoid", "dense 8 -> 6", "sigmoid", "dense 6 -> 3", "sigmoid", "half_squared_error"),
        *("elementwise_backward", "dense_backward 6 -> 3", "elementwise_backward", "dense_backward 8 -> 6"),
        *("elementwise_backward", "dense_backward 5 -> 8", "sgd"),
    ]
    assert all(part.nanoseconds > 0 for part in found)
    products = {part.name: part.products for part in found if part.products}
    assert products == {
        "dense 5 -> 8": 8 * 40,
        "dense 8 -> 6": 8 * 48,
        "dense 6 -> 3": 8 * 18,
        "dense_backward 6 -> 3": 2 * 8 * 18,
        "dense_backward 8 -> 6": 2 * 8 * 48,
        "dense_backward 5 -> 8": 8 * 40,  # nothing below asks for a gradient
    }


def test_the_table_ends_with_the_sum_and_the_whole_step() -> None:
    lines = anatomy.table(task("2-2-1.relu_adam.float32")).splitlines()
    assert lines[0].startswith("2-2-1.relu_adam.float32: nanoseconds; large products by BLAS run at ")
    assert any(line.endswith("of that rate") for line in lines)
    assert [line.strip().rpartition("  ")[0].strip() for line in lines[-2:]] == ["all of them", "the whole step"]


@pytest.mark.parametrize("names", [[], ["2-2-1"]])
def test_what_is_no_task_is_refused_by_name(names: list[str]) -> None:
    with pytest.raises(ArgumentError, match="TASK"):
        anatomy.main(names)

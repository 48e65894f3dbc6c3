"""Families of cases: whatever is drawn belongs to one of them, and each can be drawn from its part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import gradproof
from gradproof.declaration import Declaration
from gradproof.engines import EngineSupports
from gradproof.errors import ArgumentError
from gradproof.run import StepSupports
from gradproof.target import Supports
from verify import drawing
from verify.campaign import check_family, families
from verify.loading import adopt
from verify.subjects import subject_of

MSE, BCE = "squared_error/sum", "binary_cross_entropy/batch_mean"

DECLARATIONS: dict[str, Declaration] = {
    "networks": Supports(
        losses=(MSE, BCE, "upstream"),
        hidden=("sigmoid", "tanh", "relu"),
        output=("sigmoid", "identity"),
        depth=(1, 4),
        residual=True,
        branches=True,
        shared=True,
        dtypes=("float64", "float32"),
    ),
    "uniform networks": Supports(
        losses=(MSE, BCE), hidden=("sigmoid", "tanh"), output=("sigmoid", "tanh"), uniform=True, depth=(2, 4)
    ),
    "one layer": Supports(losses=(MSE,), depth=(1, 1)),
    "engines": EngineSupports(
        operators=(
            "+",
            "-",
            "*",
            "/",
            "**",
            "x**y",
            "2**x",
            "neg",
            "relu",
            "exp",
            "sum",
            "sum(axis)",
            "mean",
            "@",
            "T",
            "reshape",
            "x[i]",
            "x[i:j]",
            "x[[i,j]]",
        )
    ),
    "scalar engines": EngineSupports(operators=("+", "*", "**"), scalar=True),
    "optimisers": StepSupports(optimisers=("sgd", "adam"), dtypes=("float64", "float32")),
}


def belongs_to(subject: Any, family: str) -> Callable[[Any], bool]:
    return lambda case: subject.family(case) == family


@pytest.mark.parametrize("name", DECLARATIONS)
def test_every_case_belongs_to_a_family_and_every_family_has_cases(name: str) -> None:
    supports = DECLARATIONS[name]
    subject = subject_of(supports)
    parts = subject.families(supports)
    met: set[str] = set()
    drawing.survey(subject.strategy(supports), 0, 80, lambda case: met.add(subject.family(case)))
    assert met <= set(parts)
    for family, part in parts.items():
        assert not set(family) & set(" \t\n"), family
        drawn: list[Any] = []
        drawing.survey(subject.strategy(part).filter(belongs_to(subject, family)), 0, 1, drawn.append)
        assert drawn, family


def test_names_of_families_of_networks() -> None:
    uniform = list(subject_of(DECLARATIONS["uniform networks"]).families(DECLARATIONS["uniform networks"]))
    assert uniform == [f"{MSE}-sigmoid-float64", f"{MSE}-tanh-float64", f"{BCE}-sigmoid-float64"]  # no tanh for BCE
    one = subject_of(DECLARATIONS["one layer"]).families(DECLARATIONS["one layer"])
    assert list(one) == [f"{MSE}-one_layer-float64"]
    assert f"{MSE}-mixed-float32" in subject_of(DECLARATIONS["networks"]).families(DECLARATIONS["networks"])


def test_what_cannot_be_drawn_has_no_families() -> None:
    impossible = Supports(losses=(BCE,), output=("identity",))
    with pytest.raises(ArgumentError, match="losses"):
        subject_of(impossible).families(impossible)


def test_a_family_is_checked_for_itself() -> None:
    @gradproof.target(losses=(MSE, "half_squared_error/sum"), depth=(1, 2))
    def only_halves(case: Any) -> Any:
        if case.network.loss.name == "squared_error":
            raise NotImplementedError
        raise OSError

    implementation = adopt(only_halves)
    for family in families(implementation):
        record = check_family(implementation, family, profile="smoke", shrink_seconds=0.1)
        (failure,) = record.failures
        assert list(record.families) == [family]
        assert record.families[family].counts == {"crashed": record.cases}
        assert failure.families == (family,)
        assert ("NotImplementedError" in failure.summary) == family.startswith("squared_error")
        assert record.cases == max(12, 60 // 4)

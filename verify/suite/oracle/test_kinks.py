"""Sets at kinks are exactly what choices at each kink can give."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.layers import Activation, Branches, Dense
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from refimpl.enclosure import Enclosure, enclosure
from refimpl.kinks import ENUMERATED, Kind

RELU = (Fraction(0), Fraction(1))


def constant(choice: Fraction | int) -> Callable[[Kind], Fraction]:
    return lambda kind: Fraction(choice)


def ends(enclosed: Enclosure, name: str) -> tuple[Any, Any]:
    return enclosed.lower(name), enclosed.upper(name)


def opposed() -> Case:
    """relu(x) − relu(−x) at 0: every framework gives 0, Clarke's subdifferential is {1}."""
    relu = Activation("relu")
    network = Network((1,), (Branches(((Dense(1, False), relu), (Dense(1, False), relu)), "concat"), Dense(1, False)))
    parameters = {"0.0.0.weight": [[1.0]], "0.1.0.weight": [[-1.0]], "1.weight": [[1.0], [-1.0]]}
    return Case(network, parameters, [[0.0]], upstream=[[1.0]])


def test_opposed_relus_admit_what_backpropagation_gives() -> None:
    enclosed = enclosure(opposed())
    assert enclosed.met_kinks == 2
    low, high = ends(enclosed, "inputs")
    assert (low, high) == (0, 2)  # 1·c₁ + (−1)(−1)·c₂
    for choice, slope in ((0, 0.0), (1, 2.0), (Fraction(1, 2), 1.0)):
        under = enclosed.under(constant(choice))
        assert ends(under, "inputs") == (slope, slope)


def test_corners_are_tighter_than_intervals() -> None:
    """The same kink reaches an entry by two paths that cancel: intervals forget that it is one choice."""
    network = Network((1,), (Dense(1, False), Activation("relu"), Dense(2, False), Dense(1, False)))
    parameters = {"0.weight": [[1.0]], "2.weight": [[1.0, 1.0]], "3.weight": [[1.0], [-1.0]]}
    case = Case(network, parameters, [[0.0]], upstream=[[1.0]])
    assert ends(enclosure(case), "inputs") == (0, 0)


def test_beyond_the_limit_the_hull_is_an_outer_one_and_says_so() -> None:
    width = ENUMERATED + 1
    network = Network((1,), (Dense(width, False), Activation("relu"), Dense(1, False)))
    parameters = {"0.weight": np.ones((1, width)), "2.weight": np.ones((width, 1))}
    many = enclosure(Case(network, parameters, [[0.0]], upstream=[[1.0]]))
    assert many.outer_hull
    low, high = ends(many, "inputs")
    assert low <= 0
    assert width <= high <= width * (1 + 2.0**-20)  # intervals keep 30 bits of a radius
    few = Network((1,), (Dense(ENUMERATED, False), Activation("relu"), Dense(1, False)))
    parameters = {"0.weight": np.ones((1, ENUMERATED)), "2.weight": np.ones((ENUMERATED, 1))}
    enclosed = enclosure(Case(few, parameters, [[0.0]], upstream=[[1.0]]))
    assert not enclosed.outer_hull
    assert ends(enclosed, "inputs") == (0, ENUMERATED)


def test_kinds_of_kinks_may_follow_different_conventions() -> None:
    """torch: relu′(0) = 0 and sign(0) = 0, which is the lower end of one set and the middle of the other."""
    network = Network((1,), (Dense(1, False), Activation("relu")), None, Penalty("l1", 0.5, half=False, biases=False))
    case = Case(network, {"0.weight": [[0.0]]}, [[1.0]], upstream=[[3.0]])
    enclosed = enclosure(case)
    assert ends(enclosed, "0.weight") == (-0.5, 3.5)
    usual = enclosed.under(lambda kind: Fraction(0) if kind == RELU else Fraction(1, 2))
    assert ends(usual, "0.weight") == (0, 0)


@given(st.data())
def test_every_choice_lies_in_the_set_and_its_ends_are_reached(data: st.DataObject) -> None:
    integers = st.integers(-2, 2).map(float)

    def array(*shape: int) -> Any:
        size = int(np.prod(shape))
        return np.array(data.draw(st.lists(integers, min_size=size, max_size=size))).reshape(shape)

    relu = Activation("relu")
    network = Network((2,), (Dense(2), relu, Dense(2), relu), Loss("half_squared_error", "sum"))
    parameters = {name: array(*shape) for name, shape in network.parameter_shapes.items()}
    case = Case(network, parameters, array(1, 2), targets=array(1, 2))
    enclosed = enclosure(case)
    choice = Fraction(data.draw(st.integers(0, 4)), 4)
    chosen = enclosed.under(constant(choice))
    corner_ends = [enclosed.under(constant(c)) for c in (0, 1)]
    for name in enclosed.names():
        low, high = ends(enclosed, name)
        for one in (chosen, *corner_ends):
            assert np.all(low <= one.lower(name))
            assert np.all(one.upper(name) <= high)
        if enclosed.met_kinks == 1:
            both = [one.lower(name) for one in corner_ends]
            assert np.array_equal(np.minimum(*both), low)
            assert np.array_equal(np.maximum(*both), high)

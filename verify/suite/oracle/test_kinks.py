"""Sets at kinks are exactly what choices at each kink can give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.layers import Activation, Branches, Dense, Layer, Maxout, Residual
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from refimpl import kinks
from refimpl.allowance import allowance
from refimpl.arithmetic import Values, evaluate
from refimpl.balls import BallArithmetic, exact_balls, precision
from refimpl.enclosure import Enclosure, Given, enclosed_program, enclosure
from refimpl.kinks import ENUMERATED, Kind
from refimpl.language import Node, apply, gradients, largest, leaf, total
from refimpl.program import Program

RELU = Kind("relu", Fraction(0), Fraction(1))


def constant(choice: Fraction | int) -> Callable[[Kind], Fraction]:
    return lambda kind: Fraction(choice)


def ends(enclosed: Any, name: str) -> tuple[Any, Any]:
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


def towers(width: int) -> Case:
    """Two layers of ReLU at 0, so that each kink of the one meets each of the other in a product."""
    relu = Activation("relu")
    network = Network((1,), (Dense(width, False), relu, Dense(width, False), relu, Dense(1, False)))
    sizes = {"0.weight": (1, width), "2.weight": (width, width), "4.weight": (width, 1)}
    return Case(network, {name: np.ones(shape) for name, shape in sizes.items()}, [[0.0]], upstream=[[1.0]])


def test_beyond_the_limit_the_hull_is_an_outer_one_and_says_so() -> None:
    width = ENUMERATED // 2 + 1
    many = enclosure(towers(width))
    assert many.outer_hull
    assert bool(many.kinks("inputs").all())
    low, high = ends(many, "inputs")
    assert low <= 0
    assert width**2 <= high <= width**2 * (1 + 2.0**-20)  # intervals keep 30 bits of a radius
    few = enclosure(towers(ENUMERATED // 2))
    assert not few.outer_hull
    assert ends(few, "inputs") == (0, (ENUMERATED // 2) ** 2)


@pytest.mark.parametrize(("limit", "value"), [("MOST_TERMS", 9), ("MOST_ENTRIES", 20), ("MOST_PAIRS", 12)])
def test_too_many_products_give_an_outer_hull_too(limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not enclosure(towers(3)).outer_hull
    monkeypatch.setattr(kinks, limit, value)
    enclosed = enclosure(towers(3))
    assert enclosed.outer_hull
    assert bool(enclosed.kinks("inputs").all())


def test_kinks_that_never_meet_in_a_product_have_no_limit() -> None:
    width, batch = 3 * ENUMERATED, 4
    network = Network((1,), (Dense(width, False), Activation("relu"), Dense(1, False)))
    slopes = np.arange(1.0, width + 1).reshape(-1, 1) * (-1.0) ** np.arange(width).reshape(-1, 1)
    parameters = {"0.weight": np.ones((1, width)), "2.weight": slopes}
    enclosed = enclosure(Case(network, parameters, np.zeros((batch, 1)), upstream=np.ones((batch, 1))))
    assert enclosed.met_kinks == batch * width
    assert not enclosed.outer_hull
    low, high = ends(enclosed, "inputs")
    assert np.all(low == slopes[slopes < 0].sum())
    assert np.all(high == slopes[slopes > 0].sum())


def test_kinds_of_kinks_may_follow_different_conventions() -> None:
    """torch: relu′(0) = 0 and sign(0) = 0, which is the lower end of one set and the middle of the other."""
    network = Network((1,), (Dense(1, False), Activation("relu")), None, Penalty("l1", 0.5, half=False, biases=False))
    case = Case(network, {"0.weight": [[0.0]]}, [[1.0]], upstream=[[3.0]])
    enclosed = enclosure(case)
    assert ends(enclosed, "0.weight") == (-0.5, 3.5)
    usual = enclosed.under(lambda kind: Fraction(0) if kind == RELU else Fraction(1, 2))
    assert ends(usual, "0.weight") == (0, 0)


def corners(enclosed: Any) -> Iterator[dict[int, Values]]:
    """The program run anew for every option at every kink: what sets are defined by."""
    with precision(enclosed.working_bits):
        leaves = enclosed.given.leaves()
        for options in product(*(place.options for place in enclosed.places)):
            values = dict(enclosed.values)
            for place, option in zip(enclosed.places, options, strict=True):
                if values[id(place.node)] is enclosed.values[id(place.node)]:
                    values[id(place.node)] = enclosed.values[id(place.node)].copy()
                for entry, slope in zip(place.entries, option, strict=True):
                    values[id(place.node)].reshape(-1)[entry] = BallArithmetic().number(slope)
            fixed = {id(place.node) for place in enclosed.places}
            for node in enclosed.order:
                if id(node) not in fixed:
                    operands = tuple(values[id(operand)] for operand in node.operands)
                    values[id(node)] = evaluate(node, BallArithmetic(), operands, leaves)
            yield values


def demand_the_corners(enclosed: Any) -> None:
    """The set of each entry is spanned by the program's values at all corners, to all the bits computed."""
    found = list(corners(enclosed))
    assert not enclosed.outer_hull
    with precision(enclosed.working_bits):
        for name, node in enclosed.computation.results.items():
            low, high = (end.reshape(-1) for end in enclosed.interval(name))
            for entry in range(low.size):
                values = [values[id(node)].reshape(-1)[entry] for values in found]
                least, greatest = values[0], values[0]
                for value in values[1:]:
                    least, greatest = least.min(value), greatest.max(value)
                for end, expected in ((low[entry], least), (high[entry], greatest)):
                    assert end.overlaps(expected), (name, entry, end, expected)
                    assert (end - expected).abs_upper() < 2.0**-90 * (1 + expected.abs_upper())


def numbers(data: st.DataObject, *shape: int) -> Any:
    size = int(np.prod(shape))
    drawn = data.draw(st.lists(st.integers(-2, 2).map(float), min_size=size, max_size=size))
    return np.array(drawn).reshape(shape)


TREES: dict[str, tuple[Layer, ...]] = {
    "two layers": (Dense(2), Activation("relu"), Dense(2), Activation("relu")),
    "three layers": (
        *(Dense(1), Activation("leaky_relu", 0.25), Dense(2), Activation("relu")),
        *(Dense(1), Activation("leaky_relu", -0.5)),
    ),
    "residual": (Dense(2), Activation("relu"), Residual((Dense(2), Activation("relu")))),
    "branches": (
        Branches(((Dense(2), Activation("relu")), (Activation("relu"), Activation("tanh"))), "concat"),
        Dense(1),
        Activation("relu"),
    ),
}


@pytest.mark.parametrize("tree", TREES)
@given(st.data())
def test_sets_are_what_running_the_program_at_every_corner_gives(tree: str, data: st.DataObject) -> None:
    penalty = Penalty("l1", 0.5, half=False, biases=False) if data.draw(st.booleans()) else None
    network = Network((2,), TREES[tree], Loss("half_squared_error", "sum"), penalty)
    parameters = {name: numbers(data, *shape) for name, shape in network.parameter_shapes.items()}
    case = Case(network, parameters, numbers(data, 2, 2), targets=numbers(data, 2, network.output_shape[0]) + 0.25)
    enclosed = enclosure(case)
    if enclosed.met_kinks <= 8:
        demand_the_corners(enclosed)


def greatest_of(rows: Any, upstream: Any) -> Any:
    """The enclosure of Σ upstream · exp(max of each row), and of its gradient for the rows."""
    x, v = leaf("x", rows.shape), leaf("v", upstream.shape)
    result = total(v * apply("exp", largest(x, "some")), (0,))
    results: dict[str, Node] = {"loss": result, **gradients(result, {"x": x})}
    given = Given(
        Program({"x": x, "v": v}, results), lambda: {"x": exact_balls(rows), "v": exact_balls(upstream)}, affine=True
    )
    return enclosed_program(given, 128, 128)


def test_what_ties_for_the_greatest_shares_the_gradient() -> None:
    rows = np.array([[1.0, 1.0, 0.5, 1.0], [2.0, -1.0, 2.0 - 2.0**-50, 0.0]])
    enclosed = greatest_of(rows, np.array([3.0, 1.0]))
    assert enclosed.met_kinks == 1
    low, high = ends(enclosed, "x")
    e = 3 * np.e
    assert np.allclose(low, [[0, 0, 0, 0], [np.exp(2), 0, 0, 0]], rtol=1e-15)
    assert np.allclose(high, [[e, e, 0, e], [np.exp(2), 0, 0, 0]], rtol=1e-15)
    for choice, shares in (
        (Fraction(0), [1, 0, 0, 0]),
        (Fraction(1, 2), [1 / 3, 1 / 3, 0, 1 / 3]),
        (Fraction(1), [0, 0, 0, 1]),
        (Fraction(1, 4), [2 / 3, 1 / 6, 0, 1 / 6]),
    ):
        under = enclosed.under(constant(choice))
        assert np.allclose(under.lower("x")[0], np.multiply(shares, e), rtol=1e-14)
        assert np.allclose(under.upper("x")[0], np.multiply(shares, e), rtol=1e-14)


@given(st.data())
def test_sets_at_ties_are_what_every_choice_of_one_entry_gives(data: st.DataObject) -> None:
    rows = numbers(data, 2, 3)
    enclosed = greatest_of(rows, numbers(data, 2))
    demand_the_corners(enclosed)
    tied = [(row == row.max()).sum() for row in rows]
    assert enclosed.met_kinks == sum(int(count > 1) for count in tied)


@given(st.data())
def test_every_choice_lies_in_the_set_and_its_ends_are_reached(data: st.DataObject) -> None:
    relu = Activation("relu")
    network = Network((2,), (Dense(2), relu, Dense(2), relu), Loss("half_squared_error", "sum"))
    parameters = {name: numbers(data, *shape) for name, shape in network.parameter_shapes.items()}
    case = Case(network, parameters, numbers(data, 1, 2), targets=numbers(data, 1, 2))
    enclosed: Enclosure = enclosure(case)
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


def test_a_tie_that_rounding_cannot_tell_may_go_either_way() -> None:
    """1 + 2⁻⁵³ is a tie with 1 for who computes in float64; 1 + 2⁻⁴⁰ is none, and an exact tie is a set already."""
    network = Network((2,), (Dense(2, bias=False), Maxout(2)))
    upstream = 3.0
    for gap, kinks_met, either in ((2.0**-53, 0, True), (2.0**-40, 0, False), (0.0, 1, False)):
        case = Case(network, {"0.weight": [[1.0, 1.0], [0.0, 1.0]]}, [[1.0, gap]], upstream=[[upstream]])
        assert enclosure(case).met_kinks == kinks_met
        allowed = allowance(case)
        assert bool(allowed.near_kinks) == either
        assert np.all((allowed.rigorous["0.weight"][0] >= upstream) == either)

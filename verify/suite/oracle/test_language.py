"""The primitives of the tensor language and their adjoints, in exact rationals."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network
from refimpl import language
from refimpl.arithmetic import FloatArithmetic, ObjectArithmetic, Values, evaluate, run
from refimpl.balls import BallArithmetic, exact_balls, precision
from refimpl.functions import FUNCTIONS, Z, definition, derivative, straight_line
from refimpl.language import (
    Add,
    Anchor,
    Apply,
    Detour,
    Hinge,
    Join,
    Largest,
    Leaf,
    MatMul,
    Minimum,
    Multiply,
    Node,
    Ones,
    Place,
    Primitive,
    Reshape,
    Scale,
    Seed,
    Share,
    Spread,
    Step,
    Take,
    Tied,
    Total,
    adjoints,
    leaf,
    ordered,
)
from refimpl.program import leaf_values, program_of
from verify.strategies import seeded_case

Shape = tuple[int, ...]


class RationalArithmetic(ObjectArithmetic):
    """Exact rationals; there is no exp among them."""

    def number(self, value: Fraction) -> Fraction:
        return value

    def function_one(self, name: str, x: Any) -> Any:
        raise AssertionError(f"{name} of a rational")

    def hinge_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        return x * (above if x > 0 else below)

    def step_one(self, x: Any, below: Fraction, above: Fraction) -> Any:
        return above if x > 0 else below

    def anchor(self, x: Values) -> Values:
        return self.full(x.shape, 0)


RATIONALS = RationalArithmetic()


def rationals(shape: Shape, random: np.random.Generator) -> Values:
    result = np.empty(shape, dtype=object)
    numbers = random.integers(-9, 10, size=(2, max(1, math.prod(shape))))
    result.reshape(-1)[:] = [Fraction(int(n), abs(int(d)) + 1) for n, d in zip(*numbers, strict=True)][: result.size]
    return result


def as_objects(entries: list[Any], shape: Shape) -> Values:
    result = np.empty(shape, dtype=object)
    result.reshape(-1)[:] = entries
    return result


def inner(u: Values, v: Values) -> Fraction:
    return sum((a * b for a, b in zip(u.reshape(-1), v.reshape(-1), strict=True)), Fraction(0))


def shapes(least: int = 0, most: int = 3) -> st.SearchStrategy[Shape]:
    return st.lists(st.integers(1, 3), min_size=least, max_size=most).map(tuple)


@st.composite
def axes_of(draw: Any, shape: Shape) -> tuple[int, ...]:
    return tuple(sorted(draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))


@st.composite
def adds(draw: Any) -> Node:
    shape = draw(shapes())
    return leaf("a", shape) + leaf("b", shape)


@st.composite
def multiplies(draw: Any) -> Node:
    shape = draw(shapes())
    return leaf("a", shape) * leaf("b", shape)


@st.composite
def scales(draw: Any) -> Node:
    return language.scale(leaf("a", draw(shapes())), draw(st.fractions(-9, 9, max_denominator=9)), "factor")


@st.composite
def matmuls(draw: Any) -> Node:
    rows, common, columns = draw(st.tuples(*[st.integers(1, 4)] * 3))
    ta, tb = draw(st.booleans()), draw(st.booleans())
    a = leaf("a", (common, rows) if ta else (rows, common))
    b = leaf("b", (columns, common) if tb else (common, columns))
    return language.matmul(a, b, transpose_a=ta, transpose_b=tb)


@st.composite
def totals(draw: Any) -> Node:
    shape = draw(shapes(1))
    return language.total(leaf("a", shape), draw(axes_of(shape)))


@st.composite
def spreads(draw: Any) -> Node:
    shape = draw(shapes(1))
    axes = draw(axes_of(shape))
    inside = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    return language.spread(leaf("a", inside), axes, shape)


@st.composite
def reshapes(draw: Any) -> Node:
    shape = draw(shapes(1))
    return language.reshape(leaf("a", shape), (*shape[1:], 1, shape[0]))


@st.composite
def takes(draw: Any) -> Node:
    source, shape = draw(shapes()), draw(shapes())
    count = math.prod(shape)
    indices = draw(st.lists(st.integers(0, math.prod(source) - 1), min_size=count, max_size=count))
    return language.take(leaf("a", source), np.array(indices, dtype=np.intp), shape)


@st.composite
def places(draw: Any) -> Node:
    taken = draw(takes())
    (source,) = taken.operands
    return Node(Place(taken.primitive.indices), (leaf("a", taken.shape),), source.shape)


@st.composite
def joins(draw: Any) -> Node:
    shape = draw(shapes(1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))
    parts = []
    for number, size in enumerate(sizes):
        part = list(shape)
        part[axis] = size
        parts.append(leaf("abc"[number], tuple(part)))
    return language.join(parts, axis)


def numpy_scale(node: Any, a: Values) -> Values:
    return np.asarray(a * node.primitive.factor)


def numpy_matmul(node: Any, a: Values, b: Values) -> Values:
    primitive = node.primitive
    left, right = "ki" if primitive.transpose_a else "ik", "jk" if primitive.transpose_b else "kj"
    return np.asarray(np.einsum(f"{left},{right}->ij", a, b))


def numpy_total(node: Any, a: Values) -> Values:
    kept = [axis for axis in range(a.ndim) if axis not in node.primitive.axes]
    result = np.full(node.shape, Fraction(0), dtype=object)
    for index in np.ndindex(a.shape):
        result[tuple(index[axis] for axis in kept)] += a[index]
    return result


def numpy_spread(node: Any, a: Values) -> Values:
    result = np.empty(node.shape, dtype=object)
    kept = [axis for axis in range(len(node.shape)) if axis not in node.primitive.axes]
    for index in np.ndindex(node.shape):
        result[index] = a[tuple(index[axis] for axis in kept)]
    return result


def numpy_take(node: Any, a: Values) -> Values:
    flat = list(a.flat)
    return as_objects([flat[i] for i in node.primitive.indices], node.shape)


def numpy_place(node: Any, a: Values) -> Values:
    flat = [Fraction(0)] * math.prod(node.shape)
    for i, entry in zip(node.primitive.indices, a.flat, strict=True):
        flat[i] += entry
    return as_objects(flat, node.shape)


# What each linear or bilinear primitive is called with, and what it is, entry by entry.
LINEAR: dict[type[Primitive], tuple[st.SearchStrategy[Node], Callable[..., Values]]] = {
    Add: (adds(), lambda _, a, b: a + b),
    Scale: (scales(), numpy_scale),
    Total: (totals(), numpy_total),
    Spread: (spreads(), numpy_spread),
    Reshape: (reshapes(), lambda node, a: as_objects(list(a.flat), node.shape)),
    Take: (takes(), numpy_take),
    Place: (places(), numpy_place),
    Join: (joins(), lambda node, *parts: np.concatenate(parts, axis=node.primitive.axis)),
}
BILINEAR: dict[type[Primitive], tuple[st.SearchStrategy[Node], Callable[..., Values]]] = {
    Multiply: (multiplies(), lambda _, a, b: a * b),
    MatMul: (matmuls(), numpy_matmul),
}
WITHOUT_ADJOINT = {Leaf, Ones, Seed}
NONLINEAR = {Apply, Hinge, Step, Minimum, Largest, Share, Tied, Anchor, Detour}
"""Tested below one by one."""


def test_every_primitive_is_tested() -> None:
    known = set(LINEAR) | set(BILINEAR) | WITHOUT_ADJOINT | NONLINEAR
    assert set(Primitive.__subclasses__()) == known


def values_of(node: Any, random: np.random.Generator) -> dict[str, Values]:
    return {operand.primitive.name: rationals(operand.shape, random) for operand in node.operands}


def transposed(node: Node, leaves: dict[str, Values], v: Values) -> list[Values]:
    """Aᵀv for each operand."""
    delta = leaf("v", node.shape)
    parts = adjoints(node, delta)
    assert all(part is not None and part.shape == x.shape for part, x in zip(parts, node.operands, strict=True))
    return list(run([part for part in parts if part is not None], RATIONALS, leaves | {"v": v}))


@pytest.mark.parametrize("primitive", [*LINEAR, *BILINEAR])
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_a_primitive_computes_what_it_says(primitive: type[Primitive], data: Any, seed: int) -> None:
    strategy, expected = (LINEAR | BILINEAR)[primitive]
    node = data.draw(strategy)
    assert type(node.primitive) is primitive
    leaves = values_of(node, np.random.default_rng(seed))
    (got,) = run([node], RATIONALS, leaves)
    want = np.asarray(expected(node, *(leaves[x.primitive.name] for x in node.operands)), dtype=object)
    assert got.shape == node.shape == want.shape
    assert got.tolist() == want.tolist()


@pytest.mark.parametrize("primitive", LINEAR)
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_linear_adjoints_are_transposes(primitive: type[Primitive], data: Any, seed: int) -> None:
    node = data.draw(LINEAR[primitive][0])
    random = np.random.default_rng(seed)
    leaves, v = values_of(node, random), rationals(node.shape, random)
    (result,) = run([node], RATIONALS, leaves)
    parts = transposed(node, leaves, v)
    given_parts = [leaves[x.primitive.name] for x in node.operands]
    assert inner(result, v) == sum(inner(u, part) for u, part in zip(given_parts, parts, strict=True))


@pytest.mark.parametrize("primitive", BILINEAR)
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_bilinear_adjoints_are_transposes_in_each_operand(primitive: type[Primitive], data: Any, seed: int) -> None:
    node = data.draw(BILINEAR[primitive][0])
    random = np.random.default_rng(seed)
    leaves, v = values_of(node, random), rationals(node.shape, random)
    parts = transposed(node, leaves, v)
    for operand, part in zip(node.operands, parts, strict=True):
        # Linear in this operand: another direction u in its place.
        u = rationals(operand.shape, random)
        (moved,) = run([node], RATIONALS, leaves | {operand.primitive.name: u})
        assert inner(moved, v) == inner(u, part)


@given(z=st.fractions(-3, 3), below=st.fractions(-3, 3), above=st.fractions(-3, 3), v=st.fractions(-3, 3))
def test_a_hinge_s_adjoint_is_its_difference_quotient_off_the_kink(
    z: Fraction, below: Fraction, above: Fraction, v: Fraction
) -> None:
    z = z or Fraction(1)
    node = language.hinge(leaf("z", ()), below, above)
    (part,) = adjoints(node, leaf("v", ()))
    assert part is not None

    def value(result: Node, at: Fraction) -> Any:
        return run([result], RATIONALS, {"z": as_objects([at], ()), "v": as_objects([v], ())})[0][()]

    step = abs(z) / 2
    assert value(part, z) == v * (value(node, z + step) - value(node, z - step)) / (2 * step)
    assert value(node, z) == z * (above if z > 0 else below)


@given(x=st.fractions(-3, 3), y=st.fractions(-3, 3), v=st.fractions(-3, 3))
def test_a_minimum_is_the_lesser_and_passes_its_gradient_there(x: Fraction, y: Fraction, v: Fraction) -> None:
    node = language.minimum(leaf("x", ()), leaf("y", ()))
    leaves = {name: as_objects([value], ()) for name, value in {"x": x, "y": y, "v": v}.items()}
    (value,) = run([node], RATIONALS, leaves)
    assert value[()] == min(x, y)
    (greater,) = run([language.maximum(leaf("x", ()), leaf("y", ()))], RATIONALS, leaves)
    assert greater[()] == max(x, y)
    for_x, for_y = (part for part in adjoints(node, leaf("v", ())) if part is not None)
    slopes = [part[()] for part in run([for_x, for_y], RATIONALS, leaves)]
    assert sum(slopes) == v
    if x != y:
        assert slopes == ([v, 0] if x < y else [0, v])


@pytest.mark.parametrize("numbers", ["two at a time", "balls", "floats"])
@given(data=st.data())
def test_the_largest_takes_the_gradient_of_its_row(numbers: str, data: Any) -> None:
    size = data.draw(st.integers(1, 4))
    rows = data.draw(st.lists(st.lists(st.integers(-3, 3), min_size=size, max_size=size), min_size=2, max_size=2))
    x, v = np.array(rows), np.array([2, -3])
    node = language.largest(leaf("x", x.shape))
    (part,) = adjoints(node, leaf("v", (2,)))
    assert part is not None
    arithmetic, arrays = {
        "two at a time": (
            RATIONALS,
            {k: as_objects(list(map(Fraction, a.flat)), a.shape) for k, a in (("x", x), ("v", v))},
        ),
        "balls": (BallArithmetic(), {"x": exact_balls(x), "v": exact_balls(v)}),
        "floats": (FloatArithmetic(np.dtype(float)), {"x": x.astype(float), "v": v.astype(float)}),
    }[numbers]
    value, slopes = run([node, part], arithmetic, arrays)
    assert [float(entry) for entry in value] == x.max(axis=-1).tolist()
    top = x == x.max(axis=-1, keepdims=True)
    for row in range(2):
        alone = np.count_nonzero(top[row]) == 1
        if alone:
            assert [float(entry) for entry in slopes[row]] == (v[row] * top[row]).tolist()
        elif numbers == "balls":
            ends = [(float(ball.lower()), float(ball.upper())) for ball in slopes[row]]
            expected = [(min(v[row], 0), max(v[row], 0)) if tied else (0, 0) for tied in top[row]]
            assert np.allclose(ends, expected, rtol=0, atol=2.0**-25)  # a radius has 30 bits
        else:  # one of those that tie
            assert sorted(map(float, slopes[row])) == sorted([float(v[row])] + [0.0] * (size - 1))
            assert top[row][int(np.argmax(slopes[row] != 0))]


@pytest.mark.parametrize("arithmetic", [RATIONALS, BallArithmetic(), FloatArithmetic(np.dtype(float))], ids=type)
@given(rows=st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=1, max_size=3))
def test_entries_that_tie_are_those_that_are_greatest_together(arithmetic: Any, rows: list[list[int]]) -> None:
    x = np.array(rows)
    numbers = exact_balls(x) if isinstance(arithmetic, BallArithmetic) else arithmetic.full(x.shape, 1) * x
    node = language.tied(leaf("x", x.shape))
    (found,) = run([node], arithmetic, {"x": numbers})
    expected = [[row.count(max(row)) > 1 and number == max(row) for number in row] for row in rows]
    assert [[float(entry) for entry in row] for row in found] == expected
    assert adjoints(node, leaf("v", x.shape)) == (None,)


def test_balls_that_may_tie_are_not_said_to() -> None:
    wide = arb(1, 0.5)
    (found,) = run([language.tied(leaf("x", (3,)))], BallArithmetic(), {"x": as_objects([wide, wide, arb(0)], (3,))})
    assert all(entry.contains(0) and entry.contains(1) for entry in found[:2])
    assert found[2] == 0


def test_a_detour_is_its_first_operand() -> None:
    node = language.detour(leaf("x", (1,)), 3, leaf("y", (1,)))
    delta = leaf("v", (1,))
    assert adjoints(node, delta) == (delta, None)
    leaves = {"x": as_objects([Fraction(2)], (1,)), "y": as_objects([Fraction(7)], (1,))}
    assert run([node], RATIONALS, leaves)[0].tolist() == [2]


def test_a_detour_on_the_way_back_passes_the_gradient_on_with_its_size_times_the_magnitudes() -> None:
    size, delta = leaf("y", (1,)), leaf("v", (1,))
    back, none = adjoints(language.detour(leaf("x", (1,)), 0, size, returning=5), delta)
    assert none is None
    assert back is not None
    assert isinstance(back.primitive, Detour)
    assert (back.primitive.roundings, back.primitive.returning) == (5, 0)
    leaves = {"v": as_objects([Fraction(3)], (1,)), "y": as_objects([Fraction(-7)], (1,))}
    assert [value.tolist() for value in run(back.operands, RATIONALS, leaves)] == [[3], [-21]]
    assert run([back], RATIONALS, leaves)[0].tolist() == [3]


@pytest.mark.parametrize("order", range(3))
@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_elementwise_function_s_slope_is_sympy_s_derivative(function: str, order: int) -> None:
    node = Node(Apply(function, order), (leaf("z", (1,)),), (1,))
    (part,) = adjoints(node, leaf("v", (1,)))
    assert part is not None
    assert [n.primitive.order for n in ordered([part]) if isinstance(n.primitive, Apply)] == [order + 1]
    assert derivative(function, order + 1) == sympy.diff(definition(function), Z, order + 1)
    with precision(300):
        leaves = {"z": exact_balls([0.7]), "v": exact_balls([1.0])}
        (ball,) = run([part], BallArithmetic(), leaves)[0]
        # SymPy's evaluation of its own formula, through mpmath.
        exact = sympy.diff(definition(function), Z, order + 1).subs(Z, sympy.Rational(*(0.7).as_integer_ratio()))
        assert abs(ball - ball.__class__(str(exact.evalf(80)))) < 1e-75


def test_a_straight_line_form_of_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match="no straight-line form"):
        straight_line(sympy.sin(Z))


class Shifted(BallArithmetic):
    """Balls whose anchor is any number at all."""

    def anchor(self, x: Values) -> Values:
        return np.broadcast_to(exact_balls(np.full((*x.shape[:-1], 1), 3.7)), x.shape)


def test_no_result_depends_on_the_anchor() -> None:
    loss = Loss("categorical_cross_entropy_with_logits", "sum", "soft")
    for network in (Network((2,), (Dense(3), Activation("softmax"), Dense(2))), Network((2,), (Dense(3),), loss)):
        case = seeded_case(network, 2, seed=1)
        results = tuple(program_of(case).results.values())
        assert any(isinstance(node.primitive, Anchor) for node in ordered(results))
        with precision(200):
            leaves = {name: exact_balls(array) for name, array in leaf_values(case).items()}
            for one, other in zip(run(results, BallArithmetic(), leaves), run(results, Shifted(), leaves), strict=True):
                assert all(
                    a.overlaps(b) and (a - b).abs_upper() < 1e-50 for a, b in zip(one.flat, other.flat, strict=True)
                )


def test_an_anchor_is_not_differentiated() -> None:
    assert adjoints(language.anchor(leaf("z", (2,))), leaf("v", (2,))) == (None,)


def test_leaves_and_ones_have_no_operands() -> None:
    for node in (leaf("a", (2,)), language.ones((2,)), Node(Seed(), (), ())):
        assert adjoints(node, leaf("v", node.shape)) == ()
    assert evaluate(language.ones((2,)), RATIONALS, (), {}).tolist() == [1, 1]
    assert evaluate(Node(Seed(), (), ()), RATIONALS, (), {})[()] == 1


def test_every_use_of_a_tensor_adds_its_contribution() -> None:
    a = leaf("a", ())
    square = a * a
    result = square * square + a
    gradient = language.gradients(result, {"a": a, "unused": leaf("unused", ())})
    leaves = {"a": as_objects([Fraction(2, 3)], ()), "unused": as_objects([Fraction(5)], ())}
    got = run([gradient["a"], gradient["unused"]], RATIONALS, leaves)
    assert [entry[()] for entry in got] == [4 * Fraction(2, 3) ** 3 + 1, 0]


@pytest.mark.parametrize(
    "build",
    [
        lambda: leaf("a", (2,)) + leaf("b", (3,)),
        lambda: leaf("a", (2,)) * leaf("b", (2, 1)),
        lambda: leaf("a", (2, 3)) @ leaf("b", (2, 3)),
        lambda: leaf("a", (2,)) @ leaf("b", (2, 3)),
        lambda: language.spread(leaf("a", (2,)), (0,), (4, 3)),
        lambda: language.reshape(leaf("a", (2,)), (3,)),
        lambda: language.take(leaf("a", (2,)), np.array([0, 1]), (3,)),
        lambda: language.join([leaf("a", (2, 2)), leaf("b", (3, 3))], 0),
        lambda: language.gradients(leaf("a", (2,)), {}),
    ],
)
def test_shapes_that_do_not_fit_are_refused(build: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"shape|reshape|indices|scalar"):
        build()

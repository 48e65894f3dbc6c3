"""Graphs as values: JSON, text that runs, and what is refused; declarations of engines."""

# What is refused has a type that the checker refuses too.
# mypy: disable-error-code="arg-type, dict-item"

from __future__ import annotations

import pickle
import re
from typing import Any

import msgspec
import numpy as np
import pytest

import gradproof
from gradproof.cases import AnyCaseData
from gradproof.engines import EngineSupports
from gradproof.errors import ArgumentError
from gradproof.expressions import Choice, Node, Number, Operation, Slice
from gradproof.graph import Graph
from gradproof.operators import Dialect
from refimpl.graphs import graph_enclosure
from verify.engines.shrinking import defined, simplify, size
from verify.suite.engines.drawn import ARRAYS, drawn
from verify.suite.engines.tiny import RIGHT

X, Y, Z = Node(0), Node(1), Node(2)
SQUARE = Graph([[3.0]], [Operation("*", (X, X))], scalar=True)


@pytest.mark.parametrize("scalar", [True, False])
def test_graphs_survive_json_and_pickle(scalar: bool) -> None:
    for graph in drawn(scalar=scalar):
        data = msgspec.json.decode(msgspec.json.encode(graph.to_data()), type=AnyCaseData)
        for back in (Graph.from_data(data), pickle.loads(pickle.dumps(graph))):
            assert back == graph
            assert back.id == graph.id
            assert back.text() == graph.text()
            assert all(a.tobytes() == b.tobytes() for a, b in zip(back.leaves, graph.leaves, strict=True))


def test_spelling_and_tags_leave_the_id_alone_and_numbers_do_not() -> None:
    spelled = SQUARE.replace(dialect=Dialect("Scalar", "value", "gradient", "backprop"), tags=["hand-made"])
    assert spelled.id == SQUARE.id
    assert spelled != SQUARE
    assert SQUARE.replace(steps=[[2.0]]).id != SQUARE.id
    assert spelled.text() == "a = Scalar(3.0)\nb = a * a\nb.backprop()"
    assert list(spelled.quantities) == ["b.value", "a.gradient"]


@pytest.mark.parametrize("scalar", [True, False])
def test_the_text_runs_and_gives_what_the_answer_holds(scalar: bool) -> None:
    """What is printed is what was asked."""
    for spelled in drawn(scalar=scalar):
        graph = spelled.replace(dialect=Dialect("leaf"))
        answer = graph.run(RIGHT.leaf)
        names: dict[str, Any] = {"leaf": RIGHT.leaf, "np": np}
        exec(graph.text(), names)
        last = len(graph.steps) - 1
        for place in range(len(graph.leaves)):
            came = names[graph.names[place]].grad
            np.testing.assert_array_equal(came, answer[graph.quantity(graph.gradient_name(place), last)])
        for place in graph.results:
            came = names[graph.names[place]].data
            np.testing.assert_array_equal(came, answer[graph.quantity(graph.value_name(place), last)])


def test_the_text_of_arrays_of_float32_and_of_functions() -> None:
    operations = [
        Operation("index", (X,), index=(Slice(0, 2), Choice((0, 0)))),
        Operation("sum", (Node(1),), axis=-1, keepdims=True),
        Operation("reshape", (Node(2),), shape=(2,)),
        Operation("**", (Number(2), Node(3))),
        Operation("exp", (Node(4),)),
        Operation("mean", (Node(5),)),
    ]
    graph = Graph(
        [[[[0.5, 1.0], [0.25, 2.0]]]], operations, dtype="float32", dialect=Dialect(functions={"exp": "nn.exp"})
    )
    assert graph.text().splitlines() == [
        "a = Value(np.array([[0.5, 1.0], [0.25, 2.0]], dtype=np.float32))",
        "b = a[0:2, [0, 0]]",
        "c = b.sum(axis=-1, keepdims=True)",
        "d = c.reshape(2)",
        "e = 2 ** d",
        "f = nn.exp(e)",
        "g = f.mean()",
        "g.backward()",
    ]
    assert graph.facts() == "float32, 6 operations"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"steps": []}, "steps: expected at least one step"),
    ({"operations": []}, "operations: expected at least one"),
    ({"operations": [Operation("mod", (X, X))]}, "operations[0].operator: expected among +, -, *"),
    ({"operations": [Operation("+", (X,))]}, "operations[0].operands: expected 2 for +, got 1"),
    ({"operations": [Operation("+", (X, Y))]}, "operations[0].operands: expected places of earlier tensors, 0 to 0"),
    ({"operations": [Operation("+", (Number(1), Number(2)))]}, "at most one number"),
    ({"operations": [Operation("maximum", (X, Number(2)))]}, "no number for maximum"),
    ({"operations": [Operation("neg", (X,), axis=0)]}, "operations[0].axis: expected none"),
    ({"operations": [Operation("reshape", (X,))]}, "operations[0].shape: expected one"),
    ({"operations": [Operation("+", (X, Number(float("inf"))))]}, "finite numbers"),
    ({"backward": []}, "backward: expected at least one result"),
    ({"backward": [0]}, "backward: expected the place of an operation, 1 to 1, got 0"),
    ({"steps": [[1.0, 2.0]]}, "tensors that a result needs, got b besides"),
    ({"steps": [[float("nan")]]}, "expected a finite float64"),
    ({"steps": [[1.0], [1.0, 2.0]]}, "steps[1]: expected 1 leaves, got 2"),
    ({"steps": [[[1.0, 2.0]]]}, "numbers alone for a scalar engine"),
    ({"again": "perhaps"}, "again: expected adds or replaces"),
    ({"dtype": "float16"}, "dtype: expected float64 or float32"),
]


@pytest.mark.parametrize(("change", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_a_graph_that_is_none_is_refused(change: dict[str, Any], says: str) -> None:
    arguments: dict[str, Any] = {"steps": [[3.0]], "operations": [Operation("*", (X, X))], "scalar": True} | change
    with pytest.raises(ArgumentError, match=re.escape(says)):
        Graph(arguments.pop("steps"), arguments.pop("operations"), **arguments)


SHAPES: list[tuple[list[Any], Operation, str]] = [
    ([np.ones((2, 3)), np.ones((2, 3))], Operation("@", (X, Y)), "two matrices"),
    ([np.ones((2, 3)), np.ones(2)], Operation("+", (X, Y)), "shapes that broadcast"),
    ([np.ones(3)], Operation("T", (X,)), "a matrix to transpose"),
    ([np.ones(3)], Operation("sum", (X,), axis=1), "an axis of a tensor of shape (3,)"),
    ([np.ones(3)], Operation("reshape", (X,), shape=(2,)), "a shape of 3 entries"),
    ([np.ones(3)], Operation("index", (X,), index=(3,)), "entries of an axis of 3"),
    ([np.ones(3)], Operation("index", (X,), index=(Choice(()),)), "entries of an axis of 3"),
    ([np.ones(3)], Operation("index", (X,), index=(0, 0)), "1 to 1 parts"),
    ([np.ones((3, 3))], Operation("index", (X,), index=(Choice((0,)), Choice((1,)))), "at most one list"),
    ([np.ones(3)], Operation("neg", (X,)), "scalar results"),
]


@pytest.mark.parametrize(("leaves", "operation", "says"), SHAPES, ids=[says for *_, says in SHAPES])
def test_operations_on_shapes_that_do_not_fit_are_refused(leaves: list[Any], operation: Operation, says: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(says)):
        Graph([leaves], [operation])


def test_a_graph_does_not_change() -> None:
    with pytest.raises(AttributeError, match=r"graph\.replace"):
        SQUARE.scalar = False
    with pytest.raises(ValueError, match="read-only"):
        SQUARE.leaves[0][...] = 1.0


@pytest.mark.parametrize(
    "operation",
    [Operation("log", (X,)), Operation("/", (Number(1), X)), Operation("**", (X, Number(-1))), Operation("sqrt", (X,))],
)
def test_what_has_no_finite_value_or_gradient_is_refused_by_the_oracle(operation: Operation) -> None:
    with pytest.raises(ArgumentError, match="finite values and gradients"):
        graph_enclosure(Graph([[0.0]], [operation], scalar=True))


DECLARED: list[tuple[dict[str, Any], str]] = [
    ({"operators": "+ modulo"}, "engine.operators: expected words among"),
    ({"operators": ""}, "engine.operators: expected at least one"),
    ({"operators": "+ sum", "scalar": True}, "none of arrays, for a scalar engine, got sum"),
    ({"operators": "+ *"}, "sum or mean besides"),
    ({"operators": "+", "scalar": True, "dtypes": "float32"}, "Python's floats"),
    ({"operators": "+ sum", "passes": "twice"}, "engine.passes"),
    ({"operators": "+ sum", "numbers": "left"}, "engine.numbers: expected both or right or never"),
    ({"operators": "+ sum", "axes": (0, 4)}, "at most 3 axes"),
    ({"operators": "+ sum", "size": (3, 2)}, "engine.size"),
    ({"operators": "+ sum", "broadcast": "yes"}, "engine.broadcast: expected True or False"),
    ({"operators": "+ sum", "gradient": "the gradient"}, "a name as in Python code"),
    ({"operators": "+ sum", "functions": {"cosh": "np.cosh"}}, "engine.functions: expected keys among"),
    ({"operators": 7}, "words in one text"),
]


@pytest.mark.parametrize(("supports", "says"), DECLARED, ids=[says for _, says in DECLARED])
def test_a_declaration_that_is_none_is_refused(supports: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(says)):
        EngineSupports(**supports)


def test_what_is_called_must_be_callable() -> None:
    with pytest.raises(ArgumentError, match="something to call"):
        gradproof.engine(float, operators="+", scalar=True, functions={"exp": "exp"})
    with pytest.raises(ArgumentError, match="what makes a leaf"):
        gradproof.engine(1.0, operators="+", scalar=True)


def test_a_name_that_tensors_do_not_have_is_said_with_those_that_they_have() -> None:
    class Value:
        def __init__(self, value: float) -> None:
            self.value, self.gradient = value, 0.0

        def __mul__(self, other: Any) -> Any:
            return Value(self.value * other.value)

        def backprop(self) -> None:
            pass

    with pytest.raises(
        ArgumentError, match=r"engine\.backward: .*not 'backward', got a Value, which has backprop, gra"
    ):
        SQUARE.run(Value)


def test_an_answer_of_one_pass_is_for_graphs_of_one_pass() -> None:
    assert SQUARE.answer(9.0, [6.0]) == {"b.data": 9.0, "a.grad": 6.0}
    with pytest.raises(ArgumentError, match="gradients: expected 1, one for each leaf"):
        SQUARE.answer(9.0, [6.0, 1.0])
    with pytest.raises(ArgumentError, match='passes="once" to be declared'):
        Graph([[3.0], [2.0]], SQUARE.operations, scalar=True).answer(9.0, [6.0])


def test_graphs_are_within_the_declaration_and_defined() -> None:
    supports = EngineSupports(**ARRAYS)
    for graph in drawn(scalar=False):
        assert defined(graph)
        assert not graph.scalar
        assert all(len(leaf.shape) <= supports.axes[1] for leaf in graph.leaves)


def test_shrinking_ends_at_the_operation_that_fails() -> None:
    """Of any graph with a reflected minus, what is left is one such operation on a leaf."""

    def alike(graph: Graph) -> bool:
        return any(operation.form == "2 - x" for operation in graph.operations)

    largest = max(filter(alike, drawn(scalar=True)), key=size)
    assert simplify(largest, alike).text() == "a = Value(1.0)\nb = 2 - a\nb.backward()"
    three = Graph([[1.0]], [Operation("-", (Number(3), X))], scalar=True)
    assert simplify(three, alike).text() == "a = Value(1.0)\nb = 2 - a\nb.backward()"

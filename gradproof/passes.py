"""Running a graph with somebody's engine: leaves, operations, backward, and what the tensors hold afterwards."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from gradproof.errors import ArgumentError
from gradproof.graph import Graph
from gradproof.operators import Dialect


def run(graph: Graph, leaf: Callable[[Any], Any], functions: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """Everything that a graph asks for, with tensors that hold their numbers and gradients in attributes.

    Does exactly what ``graph.text()`` says. A gradient of None, where backward never came by, counts as zeros.
    """
    spelled = graph.dialect
    answer: dict[str, Any] = {}
    leaves = [leaf(_given(graph, array)) for array in graph.leaves]
    for step, arrays in enumerate(graph.steps):
        if step:
            for tensor, array in zip(leaves, arrays, strict=True):
                for attribute in (spelled.data, spelled.gradient):
                    setattr(tensor, attribute, _read(leaf(_given(graph, array)), attribute, spelled))
        tensors = graph.compute(leaves, functions)
        for place in graph.backward:
            if "backward" in functions:
                functions["backward"](tensors[place])
            else:
                _read(tensors[place], spelled.backward, spelled)()
        for place in graph.results:
            answer[graph.quantity(graph.value_name(place), step)] = _read(tensors[place], spelled.data, spelled)
        for place, tensor in enumerate(leaves):
            gradient = _read(tensor, spelled.gradient, spelled)
            # A copy: the next step may write into the same array.
            found = _zeros(graph, place) if gradient is None else copy.deepcopy(gradient)
            answer[graph.quantity(graph.gradient_name(place), step)] = found
    return answer


def _given(graph: Graph, array: Any) -> Any:
    return float(array) if graph.scalar else array.copy()


def _zeros(graph: Graph, place: int) -> Any:
    return 0.0 if graph.scalar else graph.leaves[place] * 0


def _read(tensor: Any, attribute: str, spelled: Dialect) -> Any:
    try:
        return getattr(tensor, attribute)
    except AttributeError:
        field = next(f for f in ("data", "gradient", "backward") if getattr(spelled, f) == attribute)
        own = [name for name in dir(tensor) if not name.startswith("_")]
        has = f"a {type(tensor).__name__}, which has {', '.join(own[:12]) or 'nothing public'}"
        raise ArgumentError(
            f"engine.{field}", f"the name of an attribute that tensors have, not {attribute!r}", has
        ) from None

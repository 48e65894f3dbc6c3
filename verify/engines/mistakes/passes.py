"""Mistakes in the pass as a whole: in accumulating, in its order, in what a second one finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from gradproof.engines import EngineSupports
from verify.engines.mistakes.mistake import Candidate, Kind, Order, Style

STYLES: Final = (
    Style(),
    Style(difference_is_sum=True),
    Style(difference_is_sum=True, minus_is_product=True),
    Style(quotient_is_product=True),
    Style(True, True, True),
)
UNORDERED: Final[tuple[Kind, ...]] = ("every path", "first visit", "breadth first", "breadth first, every path")
ALTERED: Final = frozenset({"x + y", "x + 2", "x * y", "x * 2", "x ** 2", "-x"})
"""Forms that other operators are made of in some style."""


def structural(supports: EngineSupports) -> Iterator[Candidate]:
    """Mistakes in the pass as a whole, in every order and style in which they show."""
    overwrites = Candidate(
        "gradients overwritten",
        "where a tensor is used more than once, a later contribution to its gradient replaces the earlier ones",
        "add to the gradient: x.grad += …, not x.grad = …",
        overwrites=(),
    )
    topological = (Order(), Order("depth first"), Order("depth first", last_operand_first=True))
    written = tuple(dict.fromkeys(_written(word) for word in supports.operators))
    for order in topological:
        for style in STYLES:
            yield replace(overwrites, order=order, style=style)
            for operator in written if len(written) > 1 else ():
                yield replace(
                    overwrites,
                    name=f"gradients overwritten in {operator}",
                    words=f"going back through {operator}, a contribution replaces the gradient that is there",
                    overwrites=(operator,),
                    order=order,
                    style=style,
                )
    unordered = Candidate(
        "no topological order",
        "a tensor passes its gradient on before all that it gets has arrived: there is no topological order",
        "visit the tensors in a reversed topological order, each once",
    )
    for kind in UNORDERED:
        for last in (False, True):
            for once in (False, True):
                for style in STYLES:
                    yield replace(unordered, order=Order(kind, last, once), style=style)
    for style in STYLES:
        yield replace(unordered, order=Order("every path, operand by operand"), style=style)
        for kind in UNORDERED:
            yield replace(unordered, order=Order(kind, each_operand_once=True), any_order=True, style=style)
        yield replace(overwrites, order=Order("depth first", each_operand_once=True), any_order=True, style=style)
    if not {"repeat", "replace"} & set(supports.passes):
        return
    for adds in (False, True):
        for style in STYLES:
            yield Candidate(
                "interior gradients kept",
                "a second call of backward passes on again what the first one left in the gradients of results",
                "set the gradients of all but the leaves to 0 before a reverse pass",
                keeps_interior=True,
                seed_adds=adds,
                style=style,
            )
    replaces = "repeat" in supports.passes
    does, declared = ("replaces the gradients of", "adds to") if replaces else ("adds to", "replaces")
    yield Candidate(
        "second backward replaces" if replaces else "second backward adds",
        f"a second call of backward {does} the first one, and it is declared that it {declared} them",
        'declare passes="once replace"' if replaces else 'declare passes="once repeat"',
        other_again=True,
        convention=True,
    )


def _written(word: str) -> str:
    """The operator of an operation that a declared word gives."""
    if word.startswith("x["):
        return "index"
    return "**" if "**" in word else word.partition("(")[0]

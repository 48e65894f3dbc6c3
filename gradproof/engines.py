"""What somebody's autograd engine declares of itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import msgspec

from gradproof.checks import span
from gradproof.declaration import Declaration, declared, declaring
from gradproof.errors import ArgumentError
from gradproof.operators import OF_NUMBERS, OPERATORS, WORDS, Dialect
from gradproof.target import Range
from gradproof.vocabulary import DTYPES, Dtype

if TYPE_CHECKING:
    from gradproof.graph import Graph

PASSES: Final = ("once", "steps", "accumulate", "repeat", "replace")

Numbers = Literal["both", "right", "never"]
NUMBERS: Final[tuple[Numbers, ...]] = ("both", "right", "never")


class EngineSupports(Declaration, frozen=True, kw_only=True):
    """What an autograd engine can do. Graphs are drawn from all of it and from nothing else.

    operators: words of ``gradproof.operators.WORDS``, as a sequence or one text with spaces: ``"+ - * / ** neg relu"``.
    scalar: whether its values are single numbers; else they are arrays.
    numbers: where Python numbers may stand beside a tensor in + − × ÷: on ``both`` sides (x − 2 and 2 − x), on the
        ``right`` alone, or ``never``.
    broadcast: whether operators take two arrays of different shapes, by NumPy's rules; of no meaning for scalars.
    axes: the range of the number of axes of the arrays that leaves get.
    size: the range of the number of operations.
    passes: which of these are asked for, in one text with spaces or as a sequence:
        ``once``: one call of backward;
        ``steps``: three steps in a row, the leaves given other numbers by assignment, their gradients set back to what
        they are at first;
        ``accumulate``: two expressions over the same leaves, backward from one, then from the other, nothing reset:
        the gradients add up;
        ``repeat``: backward twice from one result: the gradients add up;
        ``replace``: the same, where the second call puts the gradients in place of the first one's.
    dtypes: the precisions that it computes in.
    leaf, data, gradient, backward, functions: how it is spelled; see ``gradproof.operators.Dialect``.
    """

    decorator: ClassVar[str] = "@gradproof.engine"

    operators: tuple[str, ...]
    scalar: bool = False
    numbers: Numbers = "both"
    broadcast: bool = True
    axes: Range = (1, 2)
    size: Range = (1, 8)
    passes: tuple[str, ...] = ("once",)
    dtypes: tuple[Dtype, ...] = ("float64",)
    leaf: str | None = None
    data: str = "data"
    gradient: str = "grad"
    backward: str = "backward"
    functions: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        for field, known in (("operators", tuple(WORDS)), ("passes", PASSES), ("dtypes", DTYPES)):
            words = _words(f"engine.{field}", getattr(self, field))
            for word in words:
                if word not in known:
                    raise ArgumentError(f"engine.{field}", f"words among {'  '.join(known)}", word)
            if not words:
                raise ArgumentError(f"engine.{field}", "at least one", "none")
            msgspec.structs.force_setattr(self, field, words)
        for field in ("scalar", "broadcast"):
            if not isinstance(getattr(self, field), bool):
                raise ArgumentError(f"engine.{field}", "True or False", getattr(self, field))
        if self.numbers not in NUMBERS:
            raise ArgumentError("engine.numbers", " or ".join(NUMBERS), self.numbers)
        for field, least in (("axes", 0), ("size", 1)):
            msgspec.structs.force_setattr(self, field, span(f"engine.{field}", getattr(self, field), least))
        if self.axes[1] > 3:
            raise ArgumentError("engine.axes", "at most 3 axes", self.axes)
        if self.scalar:
            arrays = [word for word in self.operators if word not in OF_NUMBERS]
            if arrays:
                raise ArgumentError("engine.operators", "none of arrays, for a scalar engine", " ".join(arrays))
            if self.dtypes != ("float64",):
                expected = "float64 for a scalar engine, whose numbers are Python's floats"
                raise ArgumentError("engine.dtypes", expected, " ".join(self.dtypes))
        elif not {"sum", "mean"} & set(self.operators):
            expected = "sum or mean besides, since backward starts from a single number (or scalar=True)"
            raise ArgumentError("engine.operators", expected, " ".join(self.operators))
        for operator in self.functions:
            if operator not in (*OPERATORS, "backward"):
                raise ArgumentError("engine.functions", f"keys among {' '.join(OPERATORS)} backward", operator)
        self.dialect  # noqa: B018  # raises where a name is none

    @property
    def dialect(self) -> Dialect:
        """How the engine is spelled."""
        leaf = self.leaf or ("Value" if self.scalar else "Tensor")
        return Dialect(leaf, self.data, self.gradient, self.backward, dict(self.functions))


def _words(argument: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(dict.fromkeys(value.split()))
    if not isinstance(value, Iterable):
        raise ArgumentError(argument, "words in one text, or a sequence of them", value)
    return tuple(dict.fromkeys(map(str, value)))


def engine(
    make: Callable[[Any], Any] | None = None,
    /,
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **supports: Any,
) -> Any:
    """Declares what an autograd engine supports; the arguments are those of ``EngineSupports``.

    Given what makes a leaf from a number (or from an array), it is the whole adapter::

        adapter = gradproof.engine(Value, scalar=True, operators="+ - * / ** neg relu")

    Without, it decorates a function that takes a ``Graph`` and returns an answer by the names of ``graph.quantities``;
    for engines that differentiate a function::

        @gradproof.engine(operators="+ - * / @ sum")
        def adapter(graph):
            value, gradients = value_and_gradients(graph.evaluate, graph.leaves)
            return graph.answer(value, gradients)

    make: what makes a leaf, given by its place alone; ``leaf`` is how that is spelled, its own name unless given.
    functions: by operator, what to call in place of Python's operator or the method of its name, with the same
    arguments: ``{"relu": F.relu, "abs": abs}``; under ``backward``, what starts a reverse pass.
    """
    called = dict(functions or {})
    for operator, function in called.items():
        if not callable(function):
            raise ArgumentError(f"engine.functions[{operator!r}]", "something to call", function)
    supports["functions"] = {operator: _name(operator, function) for operator, function in called.items()}
    if make is None and callable(supports.get("leaf")):  # by its name, what makes a leaf: its spelling is its own
        make = supports.pop("leaf")
    if make is None:
        return declaring(declared(EngineSupports, **supports))
    if not callable(make):
        raise ArgumentError("engine.leaf", "what makes a leaf from a number or an array", make)
    supports.setdefault("passes", ("once", "steps"))
    given = declared(EngineSupports, **{"leaf": _name("leaf", make), **supports})

    def adapter(graph: Graph) -> dict[str, Any]:
        answer: dict[str, Any] = graph.run(make, called)
        return answer

    return declaring(given)(adapter)


def _name(word: str, function: Callable[..., Any]) -> str:
    """What to call a function in code: its own name, or the operator's where it has none."""
    name = str(getattr(function, "__qualname__", "")).rpartition("<locals>.")[2]
    if all(part.isidentifier() for part in name.split(".")):
        return name
    return word if word.isidentifier() else "function_" + "_".join(re.findall(r"\w", word) or ["of_operator"])

"""Mistakes in matrix products, sums and means, indices, and where broadcasting is undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from refimpl.graphs import broadcast, operated
from refimpl.language import Node, matmul, pull_back, reshape, scale, take
from verify.engines.mistakes.forms import (
    PAIRS,
    SHAPING,
    size,
    undone,
)
from verify.engines.mistakes.mistake import Contributions, Move, OperatorMistake


def matrices() -> Iterator[OperatorMistake]:
    """Mistakes in matrix products and transposes."""
    mend = "x @ y: x gets out.grad @ y.T, y gets x.T @ out.grad"

    def product(name: str, words: str, change: Contributions) -> OperatorMistake:
        return OperatorMistake(name, words, mend, ("x @ y",), change)

    def fitting(change: Callable[[Move, Node, Node], tuple[Node, Node]]) -> Contributions:
        def changed(m: Move) -> list[Node | None] | None:
            x, y = m.tensors
            try:
                parts = change(m, x, y)
            except ValueError:  # shapes that do not fit: such an engine fails there
                return None
            same = all(part.shape == tensor.shape for part, tensor in zip(parts, m.tensors, strict=True))
            return list(parts) if same else None

        return changed

    yield product(
        "transposes missing in @",
        "the gradients of @ lack the transposes: out.grad @ y and x @ out.grad",
        fitting(lambda m, x, y: (matmul(m.delta, y), matmul(x, m.delta))),
    )
    yield product(
        "factors of @ in the wrong order",
        "the gradients of @ have their factors in the wrong order: y.T @ out.grad and out.grad @ x.T",
        fitting(lambda m, x, y: (matmul(y, m.delta, transpose_a=True), matmul(m.delta, x, transpose_b=True))),
    )
    yield product(
        "first transpose missing in @",
        "the gradient of @ for its first operand is out.grad @ y, without the transpose",
        fitting(lambda m, x, y: (matmul(m.delta, y), m.right[1])),
    )
    yield product(
        "second transpose missing in @",
        "the gradient of @ for its second operand is x @ out.grad, without the transpose",
        fitting(lambda m, x, y: (m.right[0], matmul(x, m.delta))),
    )
    yield OperatorMistake(
        "transpose missing in T",
        "x.T passes the gradient on as it comes, not transposed",
        "x.T: x gets out.grad.T",
        ("x.T",),
        lambda m: [reshape(m.delta, m.tensors[0].shape)],
    )


def shaping() -> Iterator[OperatorMistake]:
    """Mistakes in sums, means and repeated indices."""

    def entries(m: Move) -> Fraction:
        return Fraction(int(np.prod(m.tensors[0].shape)))

    def share(m: Move) -> Fraction:
        return entries(m) / max(1, int(np.prod(m.value.shape)))

    yield OperatorMistake(
        "1/n missing in mean",
        "going back through mean, the gradient is not divided by the number of entries",
        "mean: each of the n entries gets out.grad / n",
        SHAPING["mean"],
        lambda m: [scale(m.right[0], share(m))],
    )
    yield OperatorMistake(
        "1/n of all entries in mean",
        "going back through mean along an axis, the gradient is divided by the number of all entries",
        "divide by the number of entries along the axis",
        SHAPING["mean"][1:],
        lambda m: [scale(m.right[0], share(m) / entries(m))],
    )
    yield OperatorMistake(
        "1/n in sum",
        "going back through sum, the gradient is divided by the number of entries",
        "sum: each entry gets out.grad",
        SHAPING["sum"],
        lambda m: [scale(m.right[0], 1 / share(m))],
    )
    yield OperatorMistake(
        "mean is a sum",
        "mean gives the sum",
        "divide by the number of entries",
        SHAPING["mean"],
        value=lambda operation, operands: scale(operated(operation, operands), _share(operands)),
    )
    for last in (True, False):
        which = "last" if last else "first"
        yield OperatorMistake(
            "repeated index overwrites",
            "an entry that an index asks for twice gets the gradient of one place only, not the sum",
            "add up: np.add.at(x.grad, index, out.grad)",
            ("x[[i, j]]",),
            _one_place(which),
        )


def _share(operands: Sequence[Node | Fraction]) -> Fraction:
    (x,) = operands
    assert isinstance(x, Node)
    return Fraction(int(np.prod(x.shape)))


def _one_place(which: str) -> Contributions:
    def changed(m: Move) -> list[Node | None] | None:
        (x,) = m.tensors
        taken = _taken(m.value)
        if taken is None:
            return None
        sources = range(taken.size) if which == "last" else range(taken.size - 1, -1, -1)
        kept = {int(taken[source]): source for source in sources}
        if len(kept) == taken.size:
            return None
        places = np.array(list(kept.values()), dtype=np.intp)
        picked = take(m.delta, places, places.shape)
        onto = take(x, np.array(list(kept), dtype=np.intp), places.shape)
        return [pull_back(onto, picked, {"x": x})["x"]]

    return changed


def _taken(value: Node) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]] | None:
    indices = getattr(value.primitive, "indices", None)
    return None if indices is None else np.asarray(indices)


def broadcasting() -> Iterator[OperatorMistake]:
    """Mistakes where the gradient of an operand that was repeated comes back."""
    forms = tuple(form for own in PAIRS.values() for form in own if form != "x @ y")
    for words, change in (
        ("averaged", lambda part, x: scale(undone(part, x), Fraction(size(x), size(part)))),
        ("cut to the first entries", lambda part, x: take(part, np.arange(size(x), dtype=np.intp), x.shape)),
        ("left as it comes", lambda part, x: part),
    ):
        yield OperatorMistake(
            "broadcasting not undone" if words == "left as it comes" else f"broadcasting {words}",
            f"where broadcasting repeated an operand, its gradient is {words}, not summed",
            "sum the gradient over the axes that broadcasting added or repeated",
            forms,
            _unreduced(change),
        )


def _unreduced(change: Callable[[Node, Node], Node]) -> Contributions:
    """Contributions from the gradients of operands as broadcast."""

    def changed(m: Move) -> list[Node | None] | None:
        shape = m.value.shape
        if all(x.shape == shape for x in m.tensors):
            return None
        wide = [x if x.shape == shape else broadcast(x, shape) for x in m.tensors]
        operands = iter(wide)
        value = operated(m.operation, [next(operands) if isinstance(x, Node) else x for x in m.operands])
        found = pull_back(value, m.delta, {str(i): x for i, x in enumerate(wide)})
        return [found[str(i)] if x.shape == shape else change(found[str(i)], x) for i, x in enumerate(m.tensors)]

    return changed

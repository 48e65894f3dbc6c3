"""How somebody's code keeps its arrays, in words: which way round weights are, where biases and samples stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from gradproof.errors import ArgumentError
from gradproof.loss import Loss
from gradproof.target import UPSTREAM, Supports

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "weights": {
        "in_out": "(fan_in, units): z = x W + b",
        "out_in": "(units, fan_in): z = W x + b",
    },
    "bias": {
        "vector": "(units,)",
        "row": "(1, units)",
        "column": "(units, 1)",
        "first_row": "the weight's first row: (1 + fan_in, units)",
        "last_row": "the weight's last row: (fan_in + 1, units)",
        "first_column": "the weight's first column: (units, 1 + fan_in)",
        "last_column": "the weight's last column: (units, fan_in + 1)",
        "none": "there is none",
    },
    "samples": {
        "rows": "(batch, features)",
        "columns": "(features, batch)",
        "one": "one at a time, (features,)",
        "one_row": "one at a time, (1, features)",
        "one_column": "one at a time, (features, 1)",
    },
    "labels": {
        "one_hot": "targets in the shape of the outputs",
        "integer": "the number of the class, from 0",
    },
    "order": {
        "weights_biases": "all weights, then all biases",
        "biases_weights": "all biases, then all weights",
        "weight_bias": "layer by layer, the weight first",
        "bias_weight": "layer by layer, the bias first",
    },
    "vector": {
        "rows": "one flat vector, each array row by row (NumPy's ravel)",
        "columns": "one flat vector, each array column by column (MATLAB's (:), NumPy's ravel(order='F'))",
    },
}
"""Convention → word → what it means."""

ARRAYS = ("numpy", "lists", "matrix")
INSIDE = {"first_row": "in_out", "last_row": "in_out", "first_column": "out_in", "last_column": "out_in"}
"""A bias within the weight → the weights of which that is an axis."""
ELSEWHERE = ("residual", "branches", "shared", "frozen")
"""What cases may have, and adapters cannot show: code for it is written against the case itself."""


@dataclass(frozen=True)
class Conventions:
    """How somebody's code keeps its arrays; each field but ``arrays`` is a word of ``WORDS``.

    arrays: ``numpy``, ``lists`` (nested), ``matrix`` (numpy.matrix), an array library's namespace (with ``asarray``),
        or whatever makes the code's own array of a NumPy array.
    order, vector: of gradients that come under the key ``parameters``, and of ``Given.vector``; None where they come
        under ``weights`` and ``biases``.

    Raises ArgumentError for a word that is none, and for words that contradict each other.
    """

    weights: str
    bias: str
    samples: str
    labels: str = "one_hot"
    arrays: Any = "numpy"
    order: str | None = None
    vector: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            word = getattr(self, field.name)
            if field.name == "arrays":
                self._refuse_arrays()
            elif word is not None and word not in WORDS[field.name]:
                raise ArgumentError(field.name, _choice(field.name), word)
        needed = INSIDE.get(self.bias)
        if needed not in (None, self.weights):
            other = {"first_row": "first_column", "last_row": "last_column"}
            other |= {column: row for row, column in other.items()}
            raise ArgumentError(
                "bias", f"{other[self.bias]}, or weights={needed!r}", f"{self.bias} with weights={self.weights!r}"
            )
        if self.arrays == "matrix" and self.bias == "vector":
            raise ArgumentError("bias", "row or column: a numpy.matrix has two axes", self.bias)
        if self.arrays == "matrix" and self.samples == "one":
            raise ArgumentError("samples", "one_row or one_column: a numpy.matrix has two axes", self.samples)
        if self.vector is not None and self.order is None:
            raise ArgumentError("order", f"{_choice('order')}, as vector={self.vector!r} is declared", "nothing")

    def _refuse_arrays(self) -> None:
        known = self.arrays in ARRAYS if isinstance(self.arrays, str) else self._makes()
        if not known:
            raise ArgumentError(
                "arrays",
                f"{', '.join(ARRAYS)}, an array library with asarray, or a function that makes an array of a NumPy one",
                self.arrays,
            )

    def _makes(self) -> bool:
        return callable(self.arrays) or callable(getattr(self.arrays, "asarray", None))

    @property
    def one_by_one(self) -> bool:
        """Whether the code takes one sample at a time."""
        return self.samples.startswith("one")


LAYOUTS = ("weights", "bias", "samples", "labels")
"""The conventions that every adapter has; the others belong to those that hand arrays over and back."""


def declared(
    words: Mapping[str, Any],
    conventions: tuple[str, ...] = LAYOUTS,
    *,
    rates: tuple[float, ...] = (),
    **standing: Any,
) -> tuple[Conventions, Supports]:
    """What an adapter's words declare, all of them checked against each other.

    Arguments:
        words: conventions, ``biases`` (what ``Supports.bias`` says: always, never, either), and the other words of
            ``gradproof.Supports``.
        conventions: those that the adapter lets its user declare.
        rates: as ``Supports.rates``.
        standing: conventions where nothing is declared.

    Raises ArgumentError, which says what to write, for a word that is missing or unknown, and for contradictions.
    """
    known = (*conventions, "biases", *_SUPPORTED)
    for name in words:
        if name in ELSEWHERE:
            raise ArgumentError(name, "plain stacks of layers; @gradproof.target hands over whole cases", words[name])
        if name not in known:
            raise ArgumentError(name, f"a word among {', '.join(known)}", "an unknown one")
    chosen = standing | {name: words[name] for name in conventions if name in words}
    for name in ("weights", "bias", "samples"):
        if name not in chosen:
            raise ArgumentError(name, f"{_choice(name)}, so that nothing is guessed", "nothing")
    layout = Conventions(**chosen)
    supports = {name: value for name, value in words.items() if name in _SUPPORTED}
    if "losses" not in supports:
        raise ArgumentError("losses", "name/reduction, as half_squared_error/sum", "nothing")
    found = Supports(**supports, bias=_biases(layout, words.get("biases")), rates=rates)
    _refuse_labels(layout, found)
    _refuse_repeated_penalty(layout, found)
    return layout, found


def _biases(layout: Conventions, word: Any) -> Any:
    """What ``Supports.bias`` is, of the word ``biases``, which may not contradict where biases stand."""
    none = layout.bias == "none"
    if word is None:
        return "never" if none else "always"
    if none and word != "never":
        raise ArgumentError("biases", "never, as bias='none' is declared", word)
    if word == "never" and not none:
        raise ArgumentError("bias", "none, as biases='never' is declared", layout.bias)
    return word


def _refuse_labels(layout: Conventions, supports: Supports) -> None:
    if layout.labels == "one_hot":
        return
    for text in supports.losses:
        loss = None if text == UPSTREAM else Loss.parse(text)
        if loss is None or not loss.word.categorical or loss.targets != "hard":
            raise ArgumentError("labels", f"one_hot: {text} has no classes as targets", layout.labels)


def _refuse_repeated_penalty(layout: Conventions, supports: Supports) -> None:
    """Of samples that are added up, each would bring the penalty once more."""
    summed = any(text == UPSTREAM or Loss.parse(text).reduction == "sum" for text in supports.losses)
    if layout.one_by_one and supports.penalties and summed:
        raise ArgumentError(
            "penalties",
            f"none, or a mean over the batch: with samples={layout.samples!r} a sum brings it once for each sample",
            supports.penalties,
        )


def _choice(convention: str) -> str:
    return " or ".join(f"{word!r} {meaning}" for word, meaning in WORDS[convention].items())


_SUPPORTED = tuple(name for name in Supports.__struct_fields__ if name not in (*ELSEWHERE, "bias", "rates"))

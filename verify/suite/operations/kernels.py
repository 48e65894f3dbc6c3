"""Functions with a hand-written backward, right ones and planted faults, as kernel authors write them."""

from __future__ import annotations

import ctypes
from collections import Counter
from typing import Any

import numpy as np

import gradproof
from gradproof.operation_case import OperationCase
from gradproof.record import Cause
from gradproof.verdict import Finding, Verdict
from verify import drawing
from verify.loading import Implementation, adopt
from verify.subjects import subject_of
from verify.subjects.base import assess

NARROW = ("float64", "float32", "float16", "bfloat16")
Judged = list[tuple[OperationCase, tuple[Finding, ...]]]


def survey(target: Any, count: int, seed: int = 0) -> tuple[Implementation, Counter[Verdict], Judged]:
    """The verdicts on a target's first cases, and the findings of those that could be compared."""
    implementation = target if isinstance(target, Implementation) else adopt(target)
    subject = subject_of(implementation.supports)
    counts: Counter[Verdict] = Counter()
    judged: Judged = []

    def visit(case: OperationCase) -> None:
        found = assess(subject, implementation, case)
        counts[found.verdict.verdict] += 1
        if found.gave:
            judged.append((case, found.verdict.findings))

    drawing.survey(subject.strategy(implementation.supports), seed, count, visit)
    return implementation, counts, judged


def causes(target: Any, count: int = 20) -> list[Cause]:
    """Why a target is wrong, from a survey of so many cases, of the smallest wrong case."""
    implementation, counts, judged = survey(target, count)
    assert counts[Verdict.WRONG], counts
    wrong = [(case, f) for case, f in judged if any(one.verdict is Verdict.WRONG for one in f)]
    smallest = min(wrong, key=lambda pair: pair[0].inputs.size)
    found = subject_of(implementation.supports).causes(implementation, dict([smallest]), judged, 0)
    return list(found[smallest[0].id])


def soft(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=-1, keepdims=True)


@gradproof.operation("softmax", dtypes=NARROW)
def softmax(x: Any, upstream: Any) -> Any:
    y = soft(x)
    return y, y * (upstream - (upstream * y).sum(axis=-1, keepdims=True))


@gradproof.operation("sigmoid", dtypes=NARROW)
def sigmoid(x: Any, upstream: Any) -> Any:
    y = 1 / (1 + np.exp(-x))
    return y, upstream * y * (1 - y)


@gradproof.operation("leaky_relu", dtypes=NARROW)
def leaky_relu(x: Any, upstream: Any, slope: float) -> Any:
    sides = np.where(x > 0, 1.0, slope).astype(x.dtype)
    return x * sides, upstream * sides


@gradproof.operation("dense", dtypes=("float64", "float32", "float16"))
def dense(x: Any, W: Any, b: Any, upstream: Any) -> Any:
    return x @ W + b, upstream @ W.T, x.T @ upstream, upstream.sum(axis=0)


@gradproof.operation("half_squared_error/element_mean", dtypes=NARROW, batch=(1, 5))
def half_squared_error(y: Any, t: Any) -> Any:
    return ((y - t) * (y - t)).sum() / np.array(2 * y.size, y.dtype), (y - t) / np.array(y.size, y.dtype)


@gradproof.operation("softmax", batched=False)
def softmax_of_a_vector(x: Any, upstream: Any) -> Any:
    y = soft(x)
    return y, (np.diag(y) - np.outer(y, y)) @ upstream


@gradproof.operation("tanh")
def gradient_alone(x: Any, upstream: Any) -> Any:
    return upstream / np.cosh(x) ** 2


@gradproof.operation("dense(bias=False)", "tanh", "squared_error/sum")
def all_in_one(case: Any) -> Any:
    W = case.parameters["0.weight"]
    y = np.tanh(case.inputs @ W)
    delta = 2 * (y - case.targets) * (1 - y * y)
    return {
        "loss": ((y - case.targets) ** 2).sum(),
        "outputs": y,
        "inputs": delta @ W.T,
        "0.weight": case.inputs.T @ delta,
    }


@gradproof.operation("maxout")
def maxout(case: Any) -> Any:
    pieces = case.layers[0].pieces
    rows, width = case.inputs.shape
    z = case.inputs.reshape(rows, width // pieces, pieces)
    first = np.arange(pieces) == z.argmax(axis=-1)[..., None]
    return {"outputs": z.max(axis=-1), "inputs": (first * case.upstream[..., None]).reshape(rows, width)}


@gradproof.operation("dense", gradients="added")
def accumulating(x: Any, W: Any, b: Any, upstream: Any, into: Any) -> Any:
    into["inputs"] += upstream @ W.T
    into["weight"] += x.T @ upstream
    into["bias"] += upstream.sum(axis=0)
    return x @ W + b


@gradproof.operation("dense", gradients="written")
def writing(x: Any, W: Any, b: Any, upstream: Any, into: Any) -> Any:
    into["inputs"][...] = upstream @ W.T
    into["weight"][...] = x.T @ upstream
    into["bias"][...] = upstream.sum(axis=0)
    return x @ W + b


RIGHT = {
    function.__name__: function
    for function in (
        softmax,
        sigmoid,
        leaky_relu,
        dense,
        half_squared_error,
        softmax_of_a_vector,
        gradient_alone,
        all_in_one,
        maxout,
        accumulating,
        writing,
    )
}


# ---- planted faults ----


@gradproof.operation("softmax")
def softmax_diagonal(x: Any, upstream: Any) -> Any:
    y = soft(x)
    return y, y * (1 - y) * upstream


@gradproof.operation("gelu")
def gelu_by_tanh(x: Any, upstream: Any) -> Any:
    c = np.sqrt(2 / np.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x)
    return 0.5 * x * (1 + t), upstream * slope


def _memory(array: Any) -> Any:
    """What a kernel reads that is given a pointer and a size."""
    if not array.size:
        return array
    pointer = ctypes.cast(array.ctypes.data, ctypes.POINTER(ctypes.c_double))
    return np.ctypeslib.as_array(pointer, (array.size,)).reshape(array.shape).copy()


@gradproof.operation("tanh")
def ignores_strides(x: Any, upstream: Any) -> Any:
    y = np.tanh(x)
    return y, _memory(upstream) * (1 - y * y)


@gradproof.operation("dense", gradients="added")
def overwrites(x: Any, W: Any, b: Any, upstream: Any, into: Any) -> Any:
    return writing(x, W, b, upstream, into)


@gradproof.operation("dense", gradients="written")
def adds(x: Any, W: Any, b: Any, upstream: Any, into: Any) -> Any:
    return accumulating(x, W, b, upstream, into)


@gradproof.operation("squared_error/batch_mean")
def mean_with_the_gradient_of_the_sum(y: Any, t: Any) -> Any:
    return ((y - t) ** 2).sum() / len(y), 2 * (y - t)


@gradproof.operation("dense(bias=False)")
def transposed_where_square(x: Any, W: Any, upstream: Any) -> Any:
    return x @ W, upstream @ (W if W.shape[0] == W.shape[1] else W.T), x.T @ upstream


@gradproof.operation("sigmoid")
def whole_blocks_alone(x: Any, upstream: Any) -> Any:
    y = 1 / (1 + np.exp(-x))
    slope = upstream * y * (1 - y)
    slope[:, x.shape[1] // 32 * 32 :] = 0
    return y, slope


@gradproof.operation("softplus")
def wrong_for_broadcast_upstream(x: Any, upstream: Any) -> Any:
    many = len(x) if 0 in upstream.strides else 1
    return np.log1p(np.exp(x)), many * upstream / (1 + np.exp(-x))


class KeepsSum:
    """A dense layer: the first of two calls leaves its weight gradient for the second to add to."""

    def __init__(self) -> None:
        self.left: Any = None

    def __call__(self, x: Any, W: Any, b: Any, upstream: Any) -> Any:
        dW = x.T @ upstream
        total, self.left = (dW, dW) if self.left is None else (dW + self.left, None)
        return x @ W + b, upstream @ W.T, total, upstream.sum(axis=0)


class KeepsMask:
    """ReLU: the first of two calls leaves its mask for the second to use."""

    def __init__(self) -> None:
        self.left: Any = None

    def __call__(self, x: Any, upstream: Any) -> Any:
        mask, self.left = (x > 0, x > 0) if self.left is None else (self.left, None)
        return np.maximum(x, 0), upstream * mask


@gradproof.operation("relu")
def in_place(x: Any, upstream: Any) -> Any:
    upstream[x <= 0] = 0
    return np.maximum(x, 0), upstream

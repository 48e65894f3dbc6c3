"""Mistakes at dense layers, where paths meet, and where a parameter is used twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from refimpl.definitions import penalty_of
from refimpl.language import Node, gradients, matmul, scale, spread, take, total
from verify.mistakes.mistake import Alike, Mistake
from verify.mistakes.moves import (
    Accumulation,
    IntoBranches,
    ParameterGradient,
    Part,
    ThroughBranches,
    ThroughDense,
    ThroughResidual,
    WholeGradient,
)

Change = Callable[[ParameterGradient], Node | None]
BOTH: tuple[Part, ...] = ("weight", "bias")


def _gradient(
    name: str, words: str, mend: str, change: Change, parts: tuple[Part, ...], alike: Alike | None = None
) -> Mistake:
    moves = ((ParameterGradient, lambda m: change(m) if m.part in parts else None),)
    return Mistake(name, words, mend, moves, alike=alike)


def _square(x: Node) -> bool:
    return x.shape[0] == x.shape[1]


def _transposed(x: Node) -> Node:
    indices = np.arange(math.prod(x.shape)).reshape(x.shape).T
    return take(x, indices, x.shape[::-1])


def _whole_transposed(m: WholeGradient) -> Node | None:
    matrix = not m.of_inputs and len(m.right.shape) == 2 and _square(m.right)
    return _transposed(m.right) if matrix else None


def _sample(x: Node, number: int) -> Node:
    rows = np.arange(math.prod(x.shape)).reshape(x.shape)[number][None]
    return take(x, rows, rows.shape)


def _of_sample(number: int) -> Change:
    def change(m: ParameterGradient) -> Node:
        delta = _sample(m.delta, number)
        if m.part == "bias":
            return total(delta, (0,))
        return matmul(_sample(m.x, number), delta, transpose_a=True)

    return change


def _batch(m: ParameterGradient) -> int:
    return int(m.delta.shape[0])


def _over_units(m: ParameterGradient) -> Node:
    return spread(total(m.right, (0,)), (0,), m.right.shape)


def _averages(name: str, what: str, parts: tuple[Part, ...]) -> Mistake:
    return _gradient(
        name,
        f"{what} averaged over the batch in place of summed",
        "sum over the batch: a mean in the loss is in the error that comes back already",
        lambda m: scale(m.right, Fraction(1, _batch(m))),
        parts,
        "one sample",
    )


def _zero(name: str, what: str, parts: tuple[Part, ...]) -> Mistake:
    return _gradient(name, f"{what} 0", "compute it", lambda m: scale(m.right, Fraction(0)), parts)


def _negative(name: str, what: str, parts: tuple[Part, ...]) -> Mistake:
    words = f"the sign of {what} flipped"
    return _gradient(name, words, "flip it back", lambda m: scale(m.right, Fraction(-1)), parts)


def _of_one_sample(name: str, what: str, number: int, parts: tuple[Part, ...]) -> Mistake:
    which = "first" if number == 0 else "last"
    words = f"{what} that of the {which} sample alone, not the sum over the batch"
    return _gradient(name, words, "sum over the batch", _of_sample(number), parts)


WEIGHT, BIAS, GRADIENTS = "the weight's gradient is", "the bias's gradient is", "the gradients of weight and bias are"


def _through(name: str, words: str, mend: str, change: Callable[[ThroughDense], Node | None]) -> Mistake:
    return Mistake(name, words, mend, ((ThroughDense, change),))


def updated_first(rate: float) -> Mistake:
    """Of a target that only trains, at a rate: its layers learn before the error has passed through them."""

    def change(m: ThroughDense) -> Node | None:
        gradient, name = m.gradient, f"{m.place.removeprefix('layer ')}.weight"
        if m.frozen:
            return None
        if m.network.penalty is not None and name in m.network.penalised:
            penalty = penalty_of(m.network.penalty, [m.weight])
            gradient = gradient if penalty is None else gradient + gradients(penalty, {name: m.weight})[name]
        return matmul(m.delta, m.weight - scale(gradient, Fraction(rate)), transpose_b=True)

    return Mistake(
        "weights updated first",
        f"weights are updated before the error passes back through them (here by a step at the rate {rate:g})",
        "pass the error back through the weights as they were, then update them all",
        ((ThroughDense, change),),
        local=False,
    )


def _neighbour(m: ThroughDense, other: Node | None) -> Node | None:
    if other is None or other.shape != m.weight.shape:
        return None
    return matmul(m.delta, other, transpose_b=True)


def _of_branch(number: int) -> Callable[[ThroughBranches], Node]:
    return lambda m: m.passed[number]


def _mean(parts: tuple[Node, ...]) -> Node:
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    return scale(found, Fraction(1, len(parts)))


def _swapped(m: IntoBranches) -> Node | None:
    other = m.pieces[-1 - m.number]
    return other if m.layer.merge == "concat" and other.shape == m.pieces[m.number].shape else None


MISTAKES: tuple[Mistake, ...] = (
    _gradient(
        "weight gradient transposed",
        "the weight's gradient is transposed, where the weight is square",
        "xᵀ δ, with the weight's own order of axes",
        lambda m: _transposed(m.right) if _square(m.right) else None,
        ("weight",),
    ),
    Mistake(
        "whole weight gradient transposed",
        "the weight's gradient is transposed, the penalty's part with the rest, where the weight is square",
        "give it in the weight's own order of axes",
        ((WholeGradient, _whole_transposed),),
    ),
    _gradient(
        "inputs before activation",
        "the weight's gradient is made with the layer before's pre-activations z, not with its activations a",
        "xᵀ δ with x = a, what the layer was given",
        lambda m: None if m.before is None else matmul(m.before, m.delta, transpose_a=True),
        ("weight",),
    ),
    _averages("bias averaged", BIAS, ("bias",)),
    _averages("weight averaged", WEIGHT, ("weight",)),
    _averages("gradients averaged", GRADIENTS, BOTH),
    _zero("bias zero", BIAS, ("bias",)),
    _zero("weight zero", WEIGHT, ("weight",)),
    _zero("gradients zero", GRADIENTS, BOTH),
    _of_one_sample("bias of first sample", BIAS, 0, ("bias",)),
    _of_one_sample("bias of last sample", BIAS, -1, ("bias",)),
    _of_one_sample("weight of first sample", WEIGHT, 0, ("weight",)),
    _of_one_sample("weight of last sample", WEIGHT, -1, ("weight",)),
    _of_one_sample("first sample", GRADIENTS, 0, BOTH),
    _of_one_sample("last sample", GRADIENTS, -1, BOTH),
    _negative("bias sign", "the bias's gradient is", ("bias",)),
    _negative("weight sign", "the weight's gradient is", ("weight",)),
    _gradient(
        "bias times batch",
        "the bias's gradient is multiplied by the number of samples",
        "sum over the batch once",
        lambda m: scale(m.right, Fraction(_batch(m))),
        ("bias",),
        "one sample",
    ),
    _gradient(
        "bias summed over units",
        "the bias's gradient is summed over the units too, so that every unit gets the same",
        "sum over the batch alone",
        _over_units,
        ("bias",),
    ),
    _through(
        "forward weight",
        "the error passes back through W in place of Wᵀ, where W is square",
        "δ Wᵀ",
        lambda m: matmul(m.delta, m.weight) if _square(m.weight) else None,
    ),
    _through(
        "next weight",
        "the error passes back through the weight of the layer after",
        "use the weight of this layer",
        lambda m: _neighbour(m, m.following),
    ),
    _through(
        "previous weight",
        "the error passes back through the weight of the layer before",
        "use the weight of this layer",
        lambda m: _neighbour(m, m.previous),
    ),
    _through(
        "stopped at frozen",
        "a layer whose weight is frozen passes nothing back",
        "leave out the update of a frozen weight, not the error that passes through it",
        lambda m: scale(m.right, Fraction(0)) if m.frozen else None,
    ),
    _through(
        "nothing passes back",
        "the layer passes nothing back",
        "pass δ Wᵀ to the layer before",
        lambda m: scale(m.right, Fraction(0)),
    ),
    Mistake(
        "skip forgotten",
        "a residual connection passes nothing back along its skip",
        "add what comes along the skip to what comes through the body",
        ((ThroughResidual, lambda m: m.body),),
        local=False,
    ),
    Mistake(
        "body forgotten",
        "a residual connection passes back what comes along its skip alone",
        "add what comes through the body",
        ((ThroughResidual, lambda m: m.skip),),
        local=False,
    ),
    *(
        Mistake(
            f"branches overwritten by {which}",
            f"of several branches only the {which} one passes its gradient back: it overwrites the others",
            "add the gradients of all branches up",
            ((ThroughBranches, _of_branch(number)),),
            local=False,
        )
        for which, number in (("last", -1), ("first", 0))
    ),
    Mistake(
        "branches averaged",
        "the gradients that come back through branches are averaged in place of summed",
        "add them up",
        ((ThroughBranches, lambda m: _mean(m.passed)),),
        local=False,
    ),
    Mistake(
        "branches swapped",
        "concatenated branches get each other's gradient",
        "cut the gradient as the outputs were joined",
        ((IntoBranches, _swapped),),
        local=False,
    ),
    Mistake(
        "shared overwritten by first",
        "a shared parameter keeps the gradient of its first use: that overwrites the others, or they are left out",
        "add up the gradients of all uses",
        ((Accumulation, lambda m: m.uses[0]),),
        local=False,
    ),
    Mistake(
        "shared overwritten by last",
        "a shared parameter gets the gradient of its last use alone",
        "add up the gradients of all uses",
        ((Accumulation, lambda m: m.uses[-1]),),
        local=False,
    ),
    Mistake(
        "shared averaged",
        "the gradients of a shared parameter's uses are averaged in place of summed",
        "add them up",
        ((Accumulation, lambda m: _mean(m.uses)),),
        local=False,
    ),
)

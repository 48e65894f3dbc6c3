"""The program of a single operation, its enclosure, and what careful arithmetic may be off by, in any precision.

The program is that of a network's layers and loss (``refimpl.definitions``), so that every layer, activation and loss
that has a definition is an operation as well. Over an empty batch every sum is one of nothing: outputs and their
gradients have no entries, the loss and the gradients of parameters are 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb_series

from gradproof.gradients import INPUTS, LOSS, OUTPUTS
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.operation_case import OperationCase
from gradproof.operations import Operation
from gradproof.precisions import Precision
from refimpl.allowance import ROUND_UP, UNDERFLOWS, Bound, RunningBound
from refimpl.arithmetic import Values, run
from refimpl.balls import exact_balls, precision
from refimpl.definitions import chain, losses_of, reduced
from refimpl.enclosure import Given, ProgramEnclosure, check_bits, enclosed_program
from refimpl.formats import Format
from refimpl.language import Node, gradients, leaf, ones, scale, total
from refimpl.naive import BY_PROBABILITIES, NaiveAllowance, NaiveBound
from refimpl.program import TARGETS, UPSTREAM, Program, X
from refimpl.replay import reproduced_by
from refimpl.taylor import LENGTH, Series, TaylorArithmetic, constant_term, linear_term
from refimpl.typical import sampled_program
from refimpl.variants import overflows

INTO = "into."
"""Before the name of a leaf: what a gradient is added to."""


@lru_cache(maxsize=512)
def operation_program(operation: Operation, batch: int, added: bool) -> Program:
    """The program of an operation for a batch size: the loss (or Σ upstream · outputs), the outputs, the gradients.

    added: whether gradients are added to those of the leaves ``into.`` and their name.
    """
    leaves = {name: leaf(name, shape) for name, shape in operation.parameter_shapes.items()}
    names = {path: name for name, path in operation.parameters.items()}
    x = leaves[X] = leaf(X, (batch, *operation.input_shape))
    if batch == 0:
        outputs: Node = _nothing((batch, *operation.output_shape))
    elif operation.layers:
        outputs = chain(x, operation.layers, lambda position: leaves[names[position]])
    else:
        outputs = x
    goal = UPSTREAM if operation.loss is None else TARGETS
    given = leaves[goal] = leaf(goal, outputs.shape)
    wanted = {name: leaves[name] for name in operation.parameters} | {INPUTS: x}
    if batch == 0:
        loss = _nothing(())
        found = {name: _nothing(node.shape) for name, node in wanted.items()}
    else:
        if operation.loss is None:
            loss = total(given * outputs, tuple(range(len(outputs.shape))))
        else:
            loss = reduced(losses_of(operation.loss, outputs, given), operation.loss, None)
        found = gradients(loss, wanted)
    if added:
        for name, node in found.items():
            before = leaves[f"{INTO}{name}"] = leaf(f"{INTO}{name}", node.shape)
            found[name] = before + node
    return Program(MappingProxyType(leaves), MappingProxyType({LOSS: loss, OUTPUTS: outputs, **found}))


def _nothing(shape: tuple[int, ...]) -> Node:
    return scale(ones(shape), Fraction(0))


def program_of(case: OperationCase) -> Program:
    """The program of a case."""
    return operation_program(case.operation, case.batch, case.gradients == "added")


def leaf_values(case: OperationCase) -> dict[str, npt.NDArray[np.float64]]:
    """The exact numbers of a case under the names of its program's leaves."""
    batch = {X: case.inputs, TARGETS: case.targets, UPSTREAM: case.upstream}
    before = {f"{INTO}{name}": array for name, array in case.into.items()} if case.gradients == "added" else {}
    return {**case.parameters, **{name: array for name, array in batch.items() if array is not None}, **before}


def operation_enclosure(case: OperationCase, bits: int = 128) -> ProgramEnclosure:
    """Encloses what a case asks for; quantities have their batch axis, whether or not a function is given one.

    Raises ArgumentError for a precision outside of what ``refimpl.enclosure`` computes with.
    """
    check_bits(bits)

    def leaves() -> dict[str, Values]:
        return {name: exact_balls(array) for name, array in leaf_values(case).items()}

    return enclosed_program(Given(program_of(case), leaves, affine=True), bits, bits)


@dataclass(frozen=True, eq=False)
class OperationAllowance:
    """Per quantity, what careful arithmetic may be off by in a case's precision: ``refimpl.allowance.Allowance``."""

    rigorous: Mapping[str, Bound]
    near_kinks: int
    case: OperationCase = field(repr=False)
    enclosed: ProgramEnclosure = field(repr=False)

    @cached_property
    def typical(self) -> Mapping[str, Bound]:
        """What careful implementations do lose; sampled when it is first asked for."""
        if self.near_kinks:
            return self.rigorous
        target = Format.of(self.case.dtype)
        seed = int(self.case.id, 16)
        found = sampled_program(self.enclosed, target, leaf_values(self.case), seed, rounds_leaves=False)
        floor = UNDERFLOWS * target.tiny
        return MappingProxyType({name: np.fmin(found[name] + floor, bound) for name, bound in self.rigorous.items()})


def operation_allowance(case: OperationCase, enclosed: ProgramEnclosure) -> OperationAllowance:
    """The allowance of an enclosed case, for sums in the precision that it declares or in its own."""
    magnitudes = {name: np.abs(array) for name, array in leaf_values(case).items()}
    target = Format.of(case.dtype, case.accumulates)
    bound = RunningBound(target, enclosed, magnitudes, {})
    results = enclosed.computation.results
    errors = {name: ROUND_UP * bound.closed(node) for name, node in results.items()}
    errors[LOSS] = errors[LOSS] + ROUND_UP * bound.slack(results[LOSS])
    return OperationAllowance(MappingProxyType(errors), bound.near_kinks, case, enclosed)


def operation_overflows(case: OperationCase, dtype: Precision) -> tuple[str, ...]:
    """Naive formulas that overflow on a case, in words.

    NumPy computes in float16 itself; bfloat16 has the range of float32, and stands for it.
    """
    wanted: np.dtype[Any] = np.dtype("float32" if dtype == "bfloat16" else dtype)
    leaves = {name: array.astype(wanted) for name, array in leaf_values(case).items()}
    return overflows(program_of(case), wanted, leaves, elsewhere="the loss" if case.operation.loss else "a sum")


def operation_reproduced(case: OperationCase, given: Mapping[str, Any], where: Mapping[str, Any]) -> str:
    """The formulas, in words, that overflow on a case and give the numbers asked about: ``refimpl.replay``.

    Empty where none do, and in bfloat16, which NumPy does not compute in.
    """
    if case.empty or case.dtype == "bfloat16":
        return ""
    dtype = np.dtype(case.dtype)
    ways = [_way(case, case.operation.parameters, dtype)]
    other = by_probabilities(case)
    if other is not None:
        ways.append(_way(other, case.operation.parameters, dtype))
    return reproduced_by(ways, dtype, given, where)


def _way(case: OperationCase, names: Mapping[str, str], dtype: np.dtype[Any]) -> tuple[Program, dict[str, Values]]:
    """The program of a case with its leaves, its parameters' gradients under the names given."""
    built = program_of(case)
    renamed = dict(zip(case.operation.parameters, names, strict=True))
    results = {renamed.get(name, name): node for name, node in built.results.items()}
    leaves = {name: array.astype(dtype) for name, array in leaf_values(case).items()}
    return Program(built.leaves, MappingProxyType(results)), leaves


def operation_witness(enclosed: ProgramEnclosure, case: OperationCase, entries: Mapping[str, Any]) -> tuple[str, ...]:
    """The second route's word on entries that are about to be called wrong: where Taylor arithmetic, which knows no
    derivative rule, disagrees with the enclosure; in words.
    """
    if case.empty:
        return ()
    program, values = program_of(case), leaf_values(case)
    found = []
    with precision(enclosed.working_bits):
        exact = {name: exact_balls(array) for name, array in values.items()}
        for name, index in entries.items():
            if name in (LOSS, OUTPUTS):
                (value,) = run((program.results[name],), TaylorArithmetic(), exact)
                second = constant_term(value[index])
            else:
                moved = exact[X if name == INPUTS else name].copy()
                moved[index] = Series(arb_series([moved[index], 1], LENGTH))
                leaves = exact | {X if name == INPUTS else name: moved}
                (loss,) = run((program.results[LOSS],), TaylorArithmetic(), leaves)
                second = linear_term(loss[()])
                if f"{INTO}{name}" in exact:
                    second = second + exact[f"{INTO}{name}"][index]
            first = enclosed.balls(name)[index]
            if not second.overlaps(first):
                found.append(f"{name}{list(index)}: {second} by Taylor arithmetic, {first} by the reverse pass")
    return tuple(found)


def operation_naive(case: OperationCase, enclosed: ProgramEnclosure) -> NaiveAllowance:
    """What right mathematics may be off by that loses digits, as ``refimpl.naive`` says of networks."""
    own = _naive_bounds(case, enclosed)
    other = by_probabilities(case)
    if other is None:
        return NaiveAllowance(own, MappingProxyType({name: np.isinf(bound) for name, bound in own.items()}))
    others = _naive_bounds(other, operation_enclosure(other))
    names = dict(zip(other.operation.parameters, case.operation.parameters, strict=True))
    named = {names.get(name, name): bound for name, bound in others.items() if name != OUTPUTS}
    bounds = {n: np.maximum(own[n], np.where(np.isinf(b), 0.0, b)) for n, b in named.items()}
    unbounded = {name: np.isinf(bound) | np.isinf(named.get(name, 0.0)) for name, bound in own.items()}
    return NaiveAllowance(MappingProxyType({**own, **bounds}), MappingProxyType(unbounded))


def by_probabilities(case: OperationCase) -> OperationCase | None:
    """The same case with its loss computed from probabilities; None where the loss is not one of logits."""
    operation, loss = case.operation, case.operation.loss
    if case.empty or loss is None or loss.name not in BY_PROBABILITIES:
        return None
    if loss.word.categorical and operation.output_shape[-1] == 1:
        return None  # a softmax of one logit is 1, outside the domain of a loss of probabilities
    activation, name = BY_PROBABILITIES[loss.name]
    layers = (*operation.layers, Activation(activation))
    return case.computing(operation.replace(layers=layers, loss=Loss(name, loss.reduction, loss.targets)))


def _naive_bounds(case: OperationCase, enclosed: ProgramEnclosure) -> Mapping[str, Bound]:
    magnitudes = {name: np.abs(array) for name, array in leaf_values(case).items()}
    bound = NaiveBound(Format.of(case.dtype, case.accumulates), enclosed, magnitudes, {})
    results = enclosed.computation.results
    with np.errstate(over="ignore", invalid="ignore"):
        errors = {name: ROUND_UP * (bound.closed(node) + bound.reordered(node)) for name, node in results.items()}
        errors[LOSS] = errors[LOSS] + ROUND_UP * bound.slack(results[LOSS])
    return MappingProxyType({name: np.where(np.isnan(error), np.inf, error) for name, error in errors.items()})

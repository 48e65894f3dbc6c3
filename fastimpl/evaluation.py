"""One batch: loss, outputs and gradients of a case; outputs alone; the loss of any number of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fastimpl.blocks import Validation
from fastimpl.control import PARAMETERS, RUN_COLUMNS
from fastimpl.plan import COEFFICIENTS_ROW, INPUTS_ROW, TARGETS_ROW, plan
from fastimpl.program import Program, bind
from fastimpl.results import VALIDATION_ACCURACY, VALIDATION_LOSS
from fastimpl.settings import checked_case, counted
from fastimpl.walkers import run_once, run_validation
from gradproof.arrays import Floats, frozen_array
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import Gradients
from gradproof.network import Network
from gradproof.vocabulary import DTYPES, Dtype

PORTION: Final = 1024
"""Samples that ``predict`` runs at a time."""


def gradients(case: Case) -> Gradients:
    """Loss, outputs, ∂L/∂θ of every trainable parameter and ∂L/∂inputs of a case, in its dtype.

    Every array is new and the caller's own: outputs (batch, *output_shape), inputs (batch, *input_shape), a parameter
    of its own shape. Dropout is by the case's masks; without any it does nothing. Numbers that the dtype cannot hold
    come out as inf or NaN, as the arithmetic has them.
    """
    program = bind(plan(case.network, "gradients", masked=bool(case.masks)), case.dtype, case.batch)
    order = np.arange(case.batch)
    program.feed(INPUTS_ROW, case.inputs, order)
    program.feed(TARGETS_ROW, case.targets if case.network.loss is not None else case.upstream, order)
    program.feed(COEFFICIENTS_ROW, case.sample_weights, order)
    masks = {row: case.masks[path].astype(case.dtype) for path, row in program.plan.masks.items()}
    for row, mask in masks.items():
        program.feed(row, mask, order)
    parameters = program.plan.parameters
    loss = _run(program, parameters.buffer(case.parameters, case.dtype), case.batch)
    named = parameters.views(program.dtheta)
    return Gradients(
        parameters={name: named[name].copy() for name in case.network.trainable},
        loss=np.dtype(case.dtype).type(loss),
        outputs=program.read(program.plan.outputs, (case.batch, *case.network.output_shape)),
        inputs=program.read(program.plan.inputs_gradient, case.inputs.shape),
    )


def loss(case: Case) -> float:
    """The loss of a case: terms of its dtype, summed in float64."""
    return float(np.asarray(gradients(case).loss))


def predict(
    network: Network, parameters: Mapping[str, npt.ArrayLike], inputs: npt.ArrayLike, *, dtype: Dtype = "float64"
) -> Floats:
    """The network's outputs (samples, *output_shape) for inputs (samples, *input_shape), in this dtype.

    parameters: one array for each of ``network.parameter_shapes``. There may be any number of samples, none too; they
    are run in portions, so that memory does not grow with them.

    Raises ArgumentError for wrong names or shapes, and for numbers that are not finite in the dtype.
    """
    held = checked_parameters(network, parameters, dtype)
    batch = frozen_array("inputs", inputs, dtype, (None, *network.input_shape))
    outputs = np.empty((len(batch), *network.output_shape), dtype=dtype)
    if len(batch) == 0:
        return outputs
    program = bind(plan(network, "outputs"), dtype, min(len(batch), PORTION))
    theta = program.plan.parameters.buffer(held, dtype)
    order = np.arange(program.capacity)
    for start in range(0, len(batch), program.capacity):
        portion = batch[start : start + program.capacity]
        program.feed(INPUTS_ROW, portion, order)
        _run(program, theta, len(portion))
        outputs[start : start + len(portion)] = program.read(
            program.plan.outputs, (len(portion), *network.output_shape)
        )
    return outputs


forward = predict
"""The same under the name of the pass that it is."""


def checked_parameters(network: Network, parameters: Mapping[str, npt.ArrayLike], dtype: Dtype) -> dict[str, Floats]:
    """Copies of a network's parameters in this dtype. Raises ArgumentError for wrong names, shapes or numbers."""
    if dtype not in DTYPES:
        raise ArgumentError("dtype", " or ".join(DTYPES), dtype)
    if set(parameters) != set(network.parameter_shapes):
        raise ArgumentError("parameters", f"names {list(network.parameter_shapes)}", f"{list(parameters)}")
    return {
        name: frozen_array(f"parameters[{name!r}]", parameters[name], dtype, shape)
        for name, shape in network.parameter_shapes.items()
    }


def _run(program: Program, theta: Floats, batch: int) -> float:
    return run_once(program.control.ctypes.data, theta.ctypes.data, batch)


@dataclass(frozen=True)
class Evaluation:
    """The loss of some samples, and the share of answers that are right; None where they were not counted."""

    loss: float
    accuracy: float | None


def evaluate(
    network: Network,
    parameters: Mapping[str, npt.ArrayLike],
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    sample_weights: npt.ArrayLike | None = None,
    accuracy: bool | None = None,
    dtype: Dtype = "float64",
) -> Evaluation:
    """The loss of samples with its reduction over all of them and the penalty, and how many of them are right.

    The arguments are those of ``fastimpl.train``, and the numbers what its ``validation`` leaves of these samples, but
    for the order in which a penalty is added up. There may be any number of samples but none; they are run in portions,
    so that memory does not grow with them. Raises ArgumentError for a network without a loss, and for data that it
    cannot be given.
    """
    case = checked_case(network, parameters, inputs, targets, sample_weights, dtype)
    validation = Validation(case, counted(case, accuracy), times=1)
    theta = validation.program.plan.parameters.buffer(case.parameters, dtype)
    block = np.zeros(RUN_COLUMNS, dtype=np.int64)
    validation.tell(block)
    block[PARAMETERS] = theta.ctypes.data
    run_validation(block.ctypes.data)
    measured = {name: float(values[0]) for name, values in validation.measured.items()}
    return Evaluation(measured[VALIDATION_LOSS], measured.get(VALIDATION_ACCURACY))

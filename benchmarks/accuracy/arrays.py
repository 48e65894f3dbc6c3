"""The elementary functions and activations of whole arrays, by the loops and formulas of the kernels.

For measuring them: the kernels work on the numbers where they lie.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from fastimpl.buffers import aligned, aligned_zeros
from fastimpl.elementary.error import erf, erfc
from fastimpl.elementary.exponential import exponential, exponential_less_one
from fastimpl.elementary.logarithm import logarithm, logarithm_of_one_and
from fastimpl.kernels.activations import ACTIVATION_KERNELS
from fastimpl.kernels.elementwise import function
from fastimpl.table import COLUMNS, FACTOR, HYPER_COLUMNS, INPUT, OUTPUT, ROWS, SLOPE, WIDTH
from gradproof.arrays import Floats
from gradproof.errors import ArgumentError
from gradproof.vocabulary import ACTIVATIONS, DTYPES, Dtype

_KERNELS: Final = {
    "exp": function("exp", exponential, native=True),
    "expm1": function("expm1", exponential_less_one),
    "log": function("log", logarithm),
    "log1p": function("log1p", logarithm_of_one_and),
    "erf": function("erf", erf),
    "erfc": function("erfc", erfc),
} | {name: kernels[0] for name, kernels in ACTIVATION_KERNELS.items() if kernels and ACTIVATIONS[name].elementwise}

NAMES: Final = tuple(_KERNELS)
"""The functions: elementary ones, and activations by their words."""


class Evaluator:
    """A function at as many numbers of one dtype as there are in ``inputs``, again and again.

    inputs, values, slopes: (size,), views of memory as the kernels have it. Fill the inputs, then call; slopes are the
    derivatives, of activations alone. Compiles what it needs, or loads it, when it is made.

    Raises ArgumentError for a name that is not in ``NAMES``, or a dtype other than float32 and float64.
    """

    def __init__(self, name: str, dtype: str, size: int, parameter: float = 0.0) -> None:
        if name not in _KERNELS:
            raise ArgumentError("name", f"one of {', '.join(NAMES)}", name)
        if dtype not in DTYPES:
            raise ArgumentError("dtype", " or ".join(DTYPES), dtype)
        precision: Dtype = "float32" if dtype == "float32" else "float64"
        room = aligned(size)
        self._work = aligned_zeros(3 * room, precision)
        self.inputs, self.values, self.slopes = (self._work[k * room : k * room + size] for k in range(3))
        op = np.zeros(COLUMNS, dtype=np.int64)
        op[[ROWS, WIDTH, INPUT, OUTPUT, SLOPE]] = 1, size, 0, room, 2 * room
        hyper = np.zeros(HYPER_COLUMNS)
        hyper[FACTOR] = parameter
        self._table = op, hyper
        self._call = partial(_KERNELS[name].call, precision)

    def __call__(self) -> None:
        """Computes the values of the inputs as they are now."""
        op, hyper = self._table
        self._call(op.ctypes.data, hyper.ctypes.data, None, None, self._work.ctypes.data, batch=1)


def evaluate(name: str, x: npt.ArrayLike, parameter: float = 0.0) -> Floats:
    """The values of a function at every number of an array: a new array of its dtype and shape.

    name: one of ``NAMES``. x: float32 or float64, of any shape. parameter: of activations that have one.

    Raises ArgumentError for another name or dtype.
    """
    numbers = np.asarray(x)
    run = Evaluator(name, numbers.dtype.name, numbers.size, parameter)
    run.inputs[...] = numbers.reshape(-1)
    run()
    return run.values.reshape(numbers.shape).copy()

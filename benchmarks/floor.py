"""The floor under a training step: its matrix products alone, by the same BLAS, with nothing around them.

For each layer a = f(x @ W + b) the forward product x @ W, the product xᵀ @ delta for the weights' gradient, and, but
for the first layer, delta @ Wᵀ for what lies below. All matrices lie row by row, as fastimpl's do, so BLAS, which reads
columns, is given the transposed equation of each. Where matrices are small, calling BLAS costs more than multiplying,
and the floor can be undercut.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.tasks import Task
from gradproof.arrays import Floats
from gradproof.vocabulary import Dtype

GEMM: Final[dict[Dtype, str]] = {"float64": "dgemm", "float32": "sgemm"}


@dataclass(frozen=True)
class Product:
    """C ← op(A) @ op(B) for matrices that lie row by row; op is the transpose where the flag is set."""

    a: Floats
    b: Floats
    c: Floats
    a_transposed: bool = False
    b_transposed: bool = False


def products(task: Task) -> list[Product]:
    """The products of a step, in its order, on random matrices of the task's sizes."""
    random = np.random.default_rng(0)
    dtype, widths = task.case.dtype, task.case.stack.widths

    def matrix(rows: int, columns: int) -> Floats:
        return random.uniform(size=(rows, columns)).astype(dtype)

    weights = [matrix(fan_in, units) for fan_in, units in pairwise(widths)]
    a = [matrix(task.batch, width) for width in widths]
    delta = [matrix(task.batch, width) for width in widths]
    forward = [Product(a[k], weight, a[k + 1]) for k, weight in enumerate(weights)]
    backward: list[Product] = []
    for k in reversed(range(len(weights))):
        if k > 0:
            backward.append(Product(delta[k + 1], weights[k], delta[k], b_transposed=True))
        backward.append(Product(a[k], delta[k + 1], np.empty_like(weights[k]), a_transposed=True))
    return forward + backward


class Floor:
    """The products of a task's steps, called one after the other in compiled code."""

    def __init__(self, task: Task) -> None:
        self.products = products(task)
        self._multiply = _compiled(task.case.dtype)
        self._letters = np.array(
            [[ord("NT"[p.b_transposed]), ord("NT"[p.a_transposed])] for p in self.products], dtype=np.uint8
        )
        # Of the transposed equation Cᵀ = op(B)ᵀ @ op(A)ᵀ: m, n, k and the three leading dimensions.
        self._sizes = np.array(
            [[p.c.shape[1], p.c.shape[0], _inner(p), p.b.shape[1], p.a.shape[1], p.c.shape[1]] for p in self.products],
            dtype=np.int32,
        )
        self._addresses = np.array(
            [[p.b.ctypes.data, p.a.ctypes.data, p.c.ctypes.data] for p in self.products], dtype=np.uint64
        )
        self._factors = np.array([1, 0], dtype=task.case.dtype)

    def run(self, steps: int) -> None:
        """The products of so many steps."""
        self._multiply(self._letters, self._sizes, self._addresses, self._factors, steps)


def _inner(product: Product) -> int:
    return int(product.a.shape[0 if product.a_transposed else 1])


@cache
def _compiled(dtype: Dtype) -> Any:
    """Goes through tables of products, calling SciPy's BLAS by its address. Compiled when first called."""
    import numba
    from numba.extending import get_cython_function_address

    pointer = ctypes.c_void_p
    address = get_cython_function_address("scipy.linalg.cython_blas", GEMM[dtype])
    gemm = ctypes.CFUNCTYPE(None, *[pointer] * 13)(address)

    @numba.njit  # type: ignore[untyped-decorator, unused-ignore]
    def multiply(
        letters: npt.NDArray[np.uint8],
        sizes: npt.NDArray[np.int32],
        addresses: npt.NDArray[np.uint64],
        factors: Floats,
        steps: int,
    ) -> None:
        for _ in range(steps):
            for p in range(len(sizes)):
                gemm(
                    letters[p, 0:].ctypes,
                    letters[p, 1:].ctypes,
                    sizes[p, 0:].ctypes,
                    sizes[p, 1:].ctypes,
                    sizes[p, 2:].ctypes,
                    factors[0:].ctypes,
                    addresses[p, 0],
                    sizes[p, 3:].ctypes,
                    addresses[p, 1],
                    sizes[p, 4:].ctypes,
                    factors[1:].ctypes,
                    addresses[p, 2],
                    sizes[p, 5:].ctypes,
                )

    return multiply

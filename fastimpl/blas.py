"""SciPy's BLAS as an address that compiled code can call."""

from __future__ import annotations

from functools import cache
from typing import Final

from numba.extending import get_cython_function_address

from gradproof.vocabulary import Dtype

_GEMM: Final[dict[Dtype, str]] = {"float64": "dgemm", "float32": "sgemm"}


@cache
def gemm_address(dtype: Dtype) -> int:
    """The address of the matrix product for this dtype. Loads SciPy's BLAS when first called."""
    return int(get_cython_function_address("scipy.linalg.cython_blas", _GEMM[dtype]))

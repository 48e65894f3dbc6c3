"""One core and one thread for everything that is timed beside one another."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

ONE_THREAD: Final[Mapping[str, str]] = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
}
CHOSEN_BY_HAND: Final = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings that make OpenBLAS use another processor's kernels than it would by itself."""


def one_thread_environment() -> dict[str, str]:
    """This process's environment, for a child that has one thread and lets OpenBLAS find its kernels by itself."""
    kept = {name: value for name, value in os.environ.items() if name not in CHOSEN_BY_HAND}
    return {**kept, **ONE_THREAD}


def pin_to_one_core() -> int | None:
    """Keeps this process and its threads on the last core that it may use; None where the system cannot.

    To be called before a library starts its threads.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def blas_kernels() -> tuple[str, ...]:
    """Which BLAS libraries are loaded in this process, with the kernels that they chose and their threads."""
    from threadpoolctl import threadpool_info

    pools: list[dict[str, Any]] = threadpool_info()
    found = {
        f"{pool['internal_api']} {pool.get('version')} ({pool.get('architecture')}, {pool['num_threads']} thread)"
        for pool in pools
        if pool["user_api"] == "blas"
    }
    return tuple(sorted(found))

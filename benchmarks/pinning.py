"""Cores and threads of everything that is timed beside one another: as many of each, the same for all."""

from __future__ import annotations

import os
from typing import Any, Final

THREADS_OF: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Environment variables that set a library's number of threads."""

ONE_THREAD_XLA: Final = "--xla_cpu_multi_thread_eigen=false"
"""XLA has no number to set: it takes as many threads as the process has cores, or one."""

CHOSEN_BY_HAND: Final = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings that make OpenBLAS use another processor's kernels than it would by itself."""


def settings(threads: int) -> dict[str, str]:
    """Environment variables for a process with so many threads."""
    xla = ONE_THREAD_XLA if threads == 1 else ""
    return {**dict.fromkeys(THREADS_OF, str(threads)), "XLA_FLAGS": xla, "JAX_PLATFORMS": "cpu"}


def environment(threads: int) -> dict[str, str]:
    """This process's environment, for a child with so many threads that lets OpenBLAS find its kernels by itself."""
    kept = {name: value for name, value in os.environ.items() if name not in CHOSEN_BY_HAND}
    return {**kept, **settings(threads)}


def pin(cores: int) -> tuple[int, ...]:
    """Keeps this process and its threads on the last cores that it may use; empty where the system cannot.

    To be called before a library starts its threads.
    """
    if not hasattr(os, "sched_setaffinity"):
        return ()
    chosen = tuple(sorted(os.sched_getaffinity(0))[-cores:])
    os.sched_setaffinity(0, chosen)
    return chosen


def cores_here() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blas_kernels() -> tuple[str, ...]:
    """Which BLAS libraries are loaded in this process, with the kernels that they chose and their threads."""
    from threadpoolctl import threadpool_info

    pools: list[dict[str, Any]] = threadpool_info()
    found = {
        f"{pool['internal_api']} {pool.get('version')} ({pool.get('architecture')}, {pool['num_threads']} thread"
        f"{'s' if pool['num_threads'] > 1 else ''})"
        for pool in pools
        if pool["user_api"] == "blas"
    }
    return tuple(sorted(found))

"""Threads of BLAS: how many a training takes, and how they are set while it runs.

Only SciPy's BLAS is meant, which compiled code calls; NumPy's may be another. Our own products run on one thread: a
layer is given to BLAS where a second thread pays. Threads are a property of the whole process, so they are set for as
long as compiled code runs, and given back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

THREADED_FROM: Final = 2**22
"""Multiplications of a layer's product, batch · fan_in · units, from which BLAS on two threads is faster than our own
product on one: some tens of microseconds of work for each thread. ``python -m benchmarks.crossover 2`` shows it."""


def threads_that_pay(multiplications: int) -> int:
    """Threads for a network whose largest product takes so many multiplications: one, or as many as there are.

    There are no more than the cores that this process may use, nor than BLAS is set to (by OPENBLAS_NUM_THREADS, say).
    """
    return min(_cores(), _threads_set()) if multiplications >= THREADED_FROM else 1


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Gives SciPy's BLAS so many threads, and afterwards those that it had."""
    before = [(library, library.get_num_threads()) for library in _libraries()]
    try:
        for library, _ in before:
            library.set_num_threads(count)
        yield
    finally:
        for library, threads in before:
            library.set_num_threads(threads)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads_set() -> int:
    return min((library.get_num_threads() or 1 for library in _libraries()), default=1)


@cache
def _libraries() -> tuple[Any, ...]:
    """SciPy's own BLAS where it brings one; else every BLAS of the process, which it then shares."""
    import scipy.linalg.cython_blas  # noqa: F401 - loads it
    from threadpoolctl import ThreadpoolController

    found = [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]
    own = [library for library in found if any(part.startswith("scipy") for part in Path(library.filepath).parts)]
    return tuple(own or found)

"""What ``pytest benchmarks`` needs: a task with its trainers proved right first, on one core and one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from benchmarks.pinning import pin


@pytest.fixture(scope="session", autouse=True)
def _one_core() -> Iterator[None]:
    """Keeps the session on one core and, where libraries are loaded already, on one BLAS thread."""
    from threadpoolctl import threadpool_limits

    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pin(1)
    with threadpool_limits(1):
        yield
    if before is not None:
        os.sched_setaffinity(0, before)

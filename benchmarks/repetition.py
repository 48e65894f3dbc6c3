"""Kernels of fastimpl called again and again in compiled code, so that they can be timed by themselves."""

from __future__ import annotations

import numba

from fastimpl.memory import call_kernel


@numba.njit  # type: ignore[untyped-decorator, unused-ignore]  # Numba has no types
def again(address: int, op: int, hyper: int, theta: int, dtheta: int, work: int, batch: int, times: int) -> None:
    """Calls the kernel whose ``entry`` is ``address`` so many times; the other arguments are addresses, see its row."""
    for _ in range(times):
        call_kernel(address, op, hyper, theta, dtheta, work, batch)

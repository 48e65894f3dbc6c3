"""Compiles everything that fastimpl ever compiles, for both dtypes: ``python -m benchmarks.compile_all``.

Prints what it took as JSON. What the cache on disk holds already is loaded; see ``benchmarks.figures.compilation``.
"""

from __future__ import annotations

import gc
from importlib import import_module
from pkgutil import walk_packages
from time import perf_counter

import msgspec

import fastimpl
from gradproof.vocabulary import DTYPES


class Compiled(msgspec.Struct, frozen=True):
    """What compiling took. seconds: function → seconds, with the dtype where it has one; hits: found in the cache."""

    seconds: dict[str, float]
    hits: int


def compile_all() -> Compiled:
    """Compiles every kernel and every walker of the package, whether any table holds it or not."""
    for module in walk_packages(fastimpl.__path__, "fastimpl."):
        import_module(module.name)
    from fastimpl.jit import Kernel, Walker

    seconds: dict[str, float] = {}
    hits = 0
    declared = gc.get_objects()  # asked for their types alone: proxies of what is gone are among them
    for kernel in (found for found in declared if type(found) is Kernel):
        for dtype in DTYPES:
            start = perf_counter()
            hits += kernel.compiled(dtype).cached
            seconds[f"{kernel.name}, {dtype}"] = perf_counter() - start
    for walker in (found for found in declared if type(found) is Walker):
        start = perf_counter()
        hits += sum(walker.compiled().stats.cache_hits.values())
        seconds[f"{walker.function.__module__}.{walker.function.__qualname__}"] = perf_counter() - start
    return Compiled(seconds, hits)


if __name__ == "__main__":
    print(msgspec.json.encode(compile_all()).decode())

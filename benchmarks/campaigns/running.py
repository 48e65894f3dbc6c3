"""A campaign's cases in chunks on every core, merged in order, kept as they come, and taken up again where they ended.

What a chunk finds is added to what the chunks before it found, so that the record of a campaign does not depend on
how many processes ran it, nor on how often it was interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Final, Generic, TypeVar

import msgspec

from benchmarks.pinning import environment
from gradproof.errors import ArgumentError, RecordError
from gradproof.record import encode, write

CHUNK: Final = 60
"""Cases that a process takes at a time."""
AHEAD: Final = 2
"""Chunks that wait for each process."""

F = TypeVar("F", bound=msgspec.Struct)
Progress = Callable[[int, F, float], None]
"""Called with the number of cases done, what was found in them, and the seconds spent on them."""


@dataclass(frozen=True)
class Work(Generic[F]):
    """What a campaign does: ``search`` looks at cases first … last − 1 of a seed, ``merge`` adds two findings up."""

    search: Callable[[int, int, int], F]
    merge: Callable[[F, F], F]
    empty: Callable[[], F]
    kind: type[F]


class _Partial(msgspec.Struct, frozen=True, tag_field="schema", tag="gradproof.campaign.partial/1"):
    """A campaign that has not ended: so many cases of this seed, from the first on, and what was found in them."""

    seed: int
    cases: int
    seconds: float
    found: msgspec.Raw


def run(work: Work[F], cases: int, seed: int, keep: Path | None, progress: Progress[F]) -> tuple[F, float]:
    """What is found in ``cases`` cases of a seed, and the seconds that it took, earlier runs' included.

    keep: a file that holds what is found so far; where one of the same seed exists, the campaign goes on from there.
    Raises ArgumentError for no cases, RecordError for a file that is no such record.
    """
    if cases < 1:
        raise ArgumentError("cases", "at least 1", cases)
    found, done, spent = _kept(work, cases, seed, keep)
    start = perf_counter()
    for last, chunk in _chunks(work, done, cases, seed):
        found, done = work.merge(found, chunk), last
        seconds = spent + perf_counter() - start
        if keep is not None:
            write(keep, encode(_Partial(seed, done, seconds, msgspec.Raw(msgspec.json.encode(found)))))
        progress(done, found, seconds)
    return found, spent + perf_counter() - start


def _kept(work: Work[F], cases: int, seed: int, keep: Path | None) -> tuple[F, int, float]:
    if keep is None or not keep.exists():
        return work.empty(), 0, 0.0
    try:
        partial = msgspec.json.decode(keep.read_bytes(), type=_Partial)
        found = msgspec.json.decode(partial.found, type=work.kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{keep}: not a campaign of this version of gradproof: {error}") from error
    if partial.seed != seed or partial.cases > cases:
        raise RecordError(f"{keep}: {partial.cases} cases of seed {partial.seed} are in it; remove it to begin anew")
    return found, partial.cases, partial.seconds


def _chunks(work: Work[F], first: int, cases: int, seed: int) -> Iterator[tuple[int, F]]:
    """What each chunk finds, in order, with where it ends."""
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bounds = iter([(start, min(start + CHUNK, cases)) for start in range(first, cases, CHUNK)])
    with _one_thread_each(), ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        waiting: list[tuple[int, Future[F]]] = []

        def submit(count: int) -> None:
            waiting.extend((last, pool.submit(work.search, seed, start, last)) for start, last in islice(bounds, count))

        submit(processes * (1 + AHEAD))
        try:
            while waiting:
                last, chunk = waiting.pop(0)
                yield last, chunk.result()
                submit(1)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are started inside have one thread each: they share the cores among themselves."""
    before = dict(os.environ)
    os.environ.update(environment(threads=1))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

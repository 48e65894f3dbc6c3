"""Hypothesis as a source of cases and as a shrinker: the same cases for the same seed, nothing printed or stored."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, errors
from hypothesis.internal.conjecture import providers
from hypothesis.strategies import SearchStrategy

from gradproof.cases import AnyCase

C = TypeVar("C", bound=AnyCase)

DRAWS_PER_CASE = 6
"""How many draws may be spent for each distinct case asked for: small declarations repeat themselves."""


class Enough(BaseException):
    """Ends a search from inside: no Exception, so that Hypothesis takes it for no failure and lets it through."""


class _Alike(Exception):  # noqa: N818
    """The failure that is being shrunk."""


def survey(strategy: SearchStrategy[C], seed: int, count: int, visit: Callable[[C], None]) -> None:
    """Visits ``count`` distinct cases, or as many as there are, in an order that the seed decides.

    Raises ArgumentError where the strategy finds that nothing can be drawn.
    """
    seen: set[str] = set()

    def once(case: C) -> None:
        if case.id in seen:
            return
        seen.add(case.id)
        visit(case)
        if len(seen) >= count:
            raise Enough

    with contextlib.suppress(Enough):
        _run(strategy, seed, count, once, (Phase.generate,))


def shrink(
    strategy: SearchStrategy[C],
    seed: int,
    count: int,
    alike: Callable[[C], bool],
) -> None:
    """Offers ``alike`` ever smaller cases, from the first one of the survey of this seed that it says yes to.

    Whoever asks keeps the smallest, and may end the search by raising ``Enough`` from ``alike``.
    """

    def probe(case: C) -> None:
        if alike(case):
            raise _Alike

    with contextlib.suppress(_Alike, Enough, errors.Flaky):
        _run(strategy, seed, count, probe, (Phase.generate, Phase.shrink))


def _run(
    strategy: SearchStrategy[C],
    seed: int,
    count: int,
    test: Callable[[C], None],
    phases: tuple[Phase, ...],
) -> None:
    settings = hypothesis.settings(
        max_examples=DRAWS_PER_CASE * count,
        database=None,
        deadline=None,
        derandomize=False,
        phases=phases,
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    run = hypothesis.seed(seed)(settings(hypothesis.given(strategy)(test)))
    with _no_constants_of_modules():
        run()


@contextlib.contextmanager
def _no_constants_of_modules() -> Iterator[None]:
    """Hypothesis spices its numbers with constants from the source of whatever modules happen to be imported.

    That would make the cases of a seed differ from one process to the next. Where a version of Hypothesis has no such
    hook there is nothing to switch off.
    """
    hooks: Any = providers
    found, cache = getattr(hooks, "_get_local_constants", None), getattr(hooks, "CONSTANTS_CACHE", None)
    if found is None or cache is None:
        yield
        return
    none = hooks.Constants()
    hooks._get_local_constants = lambda: none
    cache.cache.clear()
    try:
        yield
    finally:
        hooks._get_local_constants = found
        cache.cache.clear()

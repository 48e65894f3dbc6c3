"""Figures and benchmarks as rows to show: numbers as text, ratios, and the length of each bar."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradproof.record import Figure
from reports.numbers import count, duration, significant
from reports.recorded import Benchmark
from reports.text import clean, command, line, shorten
from reports.view import NAME_WIDTH

OURS = "gradproof"
BASE = "fastimpl"
"""The peer that others are compared with, where it was timed."""
UNGROUPED = "other benchmarks"


@dataclass(frozen=True)
class Bar:
    """One of several numbers that are compared."""

    name: str
    value: str
    ratio: str
    """How many times the first bar's number, ``12.3×``; empty where there is no ratio."""
    share: float
    """Length, as a share of the longest bar; 0 where the number has none."""


@dataclass(frozen=True)
class FigureView:
    """One figure."""

    name: str
    value: str
    goal: str
    met: str
    bars: tuple[Bar, ...]
    """Ours and those of the peers; none where there are no peers."""
    command: str
    note: str


@dataclass(frozen=True)
class Timing:
    """One peer's time."""

    bar: Bar
    what: str
    """How the peer was used, in words; empty where the benchmark does not say."""
    least: str
    spread: str
    rounds: str


@dataclass(frozen=True)
class Group:
    """Peers that did the same work."""

    name: str
    base: str
    timings: tuple[Timing, ...]


def figure_view(figure: Figure) -> FigureView:
    """A figure in words."""
    unit = line(figure.unit)
    values = {OURS: figure.value, **{line(name): value for name, value in sorted(figure.peers.items())}}
    return FigureView(
        name=shorten(line(figure.name), 2 * NAME_WIDTH),
        value=_quantity(figure.value, unit),
        goal=line(figure.goal or ""),
        met={True: "met", False: "missed", None: ""}[figure.met],
        bars=bars([(name, value, _quantity(value, unit)) for name, value in values.items()]) if figure.peers else (),
        command=command(figure.command),
        note=clean(figure.note),
    )


def groups(benchmarks: Iterable[Benchmark]) -> tuple[Group, ...]:
    """Benchmarks by group, in the order of their names; in each the base first, then the others, fastest first."""
    found: dict[str, list[Benchmark]] = {}
    for benchmark in benchmarks:
        found.setdefault(line(benchmark.group or "") or UNGROUPED, []).append(benchmark)
    return tuple(_group(name, members) for name, members in sorted(found.items(), key=lambda pair: _natural(pair[0])))


def bars(rows: Sequence[tuple[str, float, str]]) -> tuple[Bar, ...]:
    """Bars of (name, number, number as text): lengths and ratios, the latter to the first one's number."""
    longest = max((value for _, value, _ in rows if _drawable(value)), default=0.0)
    first = rows[0][1]
    return tuple(
        Bar(
            name=shorten(name, NAME_WIDTH),
            value=text,
            ratio=f"{significant(value / first)}×" if _drawable(value) and _drawable(first) and first > 0 else "",
            share=value / longest if _drawable(value) and longest > 0 else 0.0,
        )
        for name, value, text in rows
    )


def _group(name: str, members: list[Benchmark]) -> Group:
    ordered = sorted(members, key=lambda b: (b.peer != BASE, b.stats.median, b.peer, b.name))
    drawn = bars([(line(b.peer), b.stats.median, duration(b.stats.median)) for b in ordered])
    timings = tuple(
        Timing(
            bar=bar,
            what=line(b.what),
            least=duration(b.stats.min),
            spread=duration(b.stats.iqr),
            rounds=f"{count(b.stats.rounds)} × {count(b.stats.iterations)}",
        )
        for bar, b in zip(drawn, ordered, strict=True)
    )
    return Group(shorten(name, NAME_WIDTH), drawn[0].name, timings)


def _quantity(value: float, unit: str) -> str:
    if unit == "s":
        return duration(value)
    return f"{significant(value)} {unit}".strip()


def _drawable(value: float) -> bool:
    return math.isfinite(value) and value >= 0


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sorts numbers inside names by size: 5-8-6-3 before 784-16-16-10."""
    parts: list[tuple[bool, int, str]] = []
    digits = ""
    for char in f"{name}\0":
        if char.isascii() and char.isdigit():
            digits += char
            continue
        if digits:
            parts.append((False, int(digits[:18]), digits))
            digits = ""
        parts.append((True, 0, char))
    return parts

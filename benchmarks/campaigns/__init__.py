"""Runs over many thousands of random cases: too long for a test, kept as a record, repeatable from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from benchmarks.campaigns import accusations, inclusion
from benchmarks.campaigns.running import Work, run
from benchmarks.figures.common import PACKAGES
from gradproof import __version__
from gradproof.record import Machine, encode, machine, now, write

EVERY: Final = 10.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Campaign:
    """A kind of campaign.

    what: it does, in a line. cases: so many are asked for. work, summary and line: what is done with the cases, what
    of it a record keeps, and what is said of it. failed: whether anything was found that must not be.
    """

    what: str
    cases: int
    work: Work[Any]
    summary: Callable[[Any], Any]
    line: Callable[[Any], str]
    failed: Callable[[Any], bool]


CAMPAIGNS: Final[Mapping[str, Campaign]] = MappingProxyType(
    {
        "accusations": Campaign(
            "correct implementations before the oracle: none may be accused",
            100_000,
            accusations.WORK,
            accusations.summary,
            accusations.line,
            lambda found: bool(found.accusations),
        ),
        "inclusion": Campaign(
            "enclosures before mpmath at 300 digits: all must hold its numbers",
            10_100,
            inclusion.WORK,
            lambda found: found,
            inclusion.line,
            lambda found: found.misses > 0,
        ),
    }
)


class CampaignRecord(msgspec.Struct, frozen=True, tag_field="schema", tag="gradproof.campaign/1"):
    """A campaign that was run to its end."""

    campaign: str
    command: str
    cases: int
    seed: int
    found: Any
    seconds: float
    ended: str
    machine: Machine
    gradproof: str


def conduct(name: str, cases: int, seed: int, out: Path | None, say: Callable[[str], None]) -> tuple[str, bool]:
    """Runs a campaign; returns what was found in a line, and whether it is as it must be.

    out: where the record is written. Until it is complete, what is found stands in ``out`` with ``.partial`` behind;
    the same command goes on from there. Raises ArgumentError for no cases, RecordError for a partial record of another
    seed.
    """
    campaign = CAMPAIGNS[name]
    partial = None if out is None else out.with_name(f"{out.name}.partial")
    told = 0.0

    def progress(done: int, found: Any, seconds: float) -> None:
        nonlocal told
        if done < cases and seconds - told >= EVERY:
            told = seconds
            say(f"{done:,} of {cases:,}, {seconds:.0f} s: {campaign.line(found)}")

    found, seconds = run(campaign.work, cases, seed, partial, progress)
    if out is not None and partial is not None:
        command = f"python -m benchmarks campaign {name} --cases {cases} --seed {seed}"
        summary = campaign.summary(found)
        record = CampaignRecord(
            name, command, cases, seed, summary, round(seconds, 1), now(), machine(PACKAGES), __version__
        )
        write(out, encode(record))
        partial.unlink(missing_ok=True)
    return f"{campaign.line(found)}; {seconds:.0f} s", not campaign.failed(found)

"""Enclosures before a second source: mpmath at 300 digits, forward passes alone, derivatives by differences of them.

Where the two disagree, the second source is asked again with 1,200 digits, and that counts: without shifts, its
formulas lose as many digits as e^z has.
"""

from __future__ import annotations

from typing import Final

import msgspec

from benchmarks.campaigns.running import Work
from benchmarks.random_cases import Sizes, drawn
from refimpl.enclosure import enclosure

SIZES: Final = Sizes(depth=3, width=3, batch=2, manners=("ordinary", "saturated", "tiny"))
"""Small, since each derivative takes four forward passes at 300 digits; not huge, for the digits that e^z has."""
KEPT: Final = 20


class Found(msgspec.Struct, frozen=True):
    """What is found in some cases: numbers compared, and in words the enclosures that miss theirs.

    kinks: cases that meet a kink, where a derivative has no one number: not compared. unsure: derivatives of which the
    second source has fewer than 60 digits; they were compared with what it has. again: cases that needed 1,200 digits.
    """

    cases: int = 0
    numbers: int = 0
    misses: int = 0
    kinks: int = 0
    unsure: int = 0
    again: int = 0
    words: tuple[str, ...] = ()

    def __add__(self, other: Found) -> Found:
        return Found(
            self.cases + other.cases,
            self.numbers + other.numbers,
            self.misses + other.misses,
            self.kinks + other.kinks,
            self.unsure + other.unsure,
            self.again + other.again,
            (*self.words, *other.words)[:KEPT],
        )


def search(seed: int, first: int, last: int) -> Found:
    """Cases first … last − 1."""
    from verify.suite.oracle.inclusion import compared
    from verify.suite.oracle.plain import DIGITS

    found = Found()
    for number in range(first, last):
        enclosed = enclosure(drawn(seed, number, SIZES))
        if enclosed.met_kinks:
            found += Found(1, kinks=1)
            continue
        comparison = compared(enclosed, number)
        words = tuple(f"case {number}: {text}" for text in comparison.misses)
        again = int(comparison.digits > DIGITS)
        found += Found(1, comparison.numbers, len(comparison.misses), 0, len(comparison.unsure), again, words)
    return found


def line(found: Found) -> str:
    """What was found, in one line."""
    compared = f"{found.numbers:,} numbers of {found.cases - found.kinks:,} cases compared"
    return (
        f"{compared}, {found.misses} outside their ball; "
        f"{found.again} cases with 1,200 digits, {found.kinks} at kinks left out, "
        f"{found.unsure} derivatives known to fewer digits"
    )


WORK: Final = Work(search, Found.__add__, Found, Found)

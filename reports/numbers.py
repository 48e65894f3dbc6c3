"""How numbers are shown: two decimals under each other with the digits that differ apart, counts, times, arrays."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import takewhile
from textwrap import fill
from typing import Any

import numpy as np

from gradproof.arrays import Array
from reports.text import line, shorten

Number = np.floating[Any] | np.bool_

NUMBER_WIDTH = 60
"""Decimal text longer than this is no number that a person reads."""

FIXED = range(-4, 6)
"""Decimal exponents written without one."""
FAR = 8
"""Numbers further apart than this many orders of magnitude are not put under each other."""

SMALL = 64
"""Arrays of at most this many entries are shown whole."""
FIRST = 6
"""How many entries of larger ones are shown."""


@dataclass(frozen=True)
class Digits:
    """A number as text, cut where it starts to differ from another: ``pad + agrees + differs + exponent``."""

    pad: str
    agrees: str
    differs: str
    exponent: str = ""

    @property
    def text(self) -> str:
        """The number, padded so that decimal points align."""
        return self.pad + self.agrees + self.differs + self.exponent


def aligned(got: str | None, exact: str | None) -> tuple[Digits, Digits]:
    """Two decimals with one exponent and their points under each other, each cut at the first digit that differs.

    Digits that one of them does not have count as zeros. Numbers further apart than ``FAR`` orders of magnitude differ
    throughout. What is no finite number (nan, an interval at a kink, None) is shown as it came and not cut.
    """
    one, other = _number(got), _number(exact)
    if one is None or other is None:
        return Digits("", _as_given(got), ""), Digits("", _as_given(exact), "")
    texts = _same_exponent(one, other)
    if texts is None:
        return Digits("", "", _as_given(got)), Digits("", "", _as_given(exact))
    points = [(text + ".").index(".") for text, _ in texts]
    pads = [" " * (max(points) - point) for point in points]
    length = max(len(pad) + len(text) for pad, (text, _) in zip(pads, texts, strict=True))
    columns = [pad + _with_zeros(text, length - len(pad)) for pad, (text, _) in zip(pads, texts, strict=True)]
    agree = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*columns, strict=True)))
    first, second = (_cut(pad, text, tail, agree) for pad, (text, tail) in zip(pads, texts, strict=True))
    return first, second


def count(number: int, noun: str = "") -> str:
    """``12,345 cases``; ``1 case``."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Three digits in the unit that suits: ``1.23 ms``, ``45.6 s``, ``2 min 5 s``."""
    if not np.isfinite(seconds) or seconds < 0:
        return f"{seconds} s"
    if seconds >= 119.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes:,} min {rest} s"
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= 0.9995 * scale:
            return f"{significant(seconds / scale)} {unit}"
    return f"{significant(seconds / 1e-9)} ns"


def significant(number: float, digits: int = 3) -> str:
    """A measured number: so many digits, no exponent where it reads without one."""
    if not np.isfinite(number) or number == 0:
        return f"{number:g}"
    if not 1e-3 <= abs(number) < 1e6:
        return f"{number:.{digits - 1}e}"
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(float(f"{number:.{digits}g}"))))))
    return f"{float(f'{number:.{digits}g}'):,.{decimals}f}"


def array_text(array: Array, width: int) -> str:
    """An array as Python writes it, each number the shortest text that gives it back, decimal points aligned.

    Of more than ``SMALL`` entries: the shape and the first few.
    """
    if array.size > SMALL:
        first = ", ".join(shortest(number) for number in array.ravel()[:FIRST])
        return fill(f"shape {array.shape}, starts {first}, …", max(width, 1), break_long_words=False)
    texts = {number.tobytes(): shortest(number) for number in array.ravel()}
    before = max((_point(text) for text in texts.values()), default=0)
    after = max((len(text) - _point(text) for text in texts.values()), default=0)

    def cell(number: Number) -> str:
        text = texts[number.tobytes()]
        return f"{' ' * (before - _point(text))}{text}".ljust(before + after)

    text = np.array2string(
        array,
        separator=", ",
        max_line_width=max(width, before + after + 6),
        formatter={"float_kind": cell, "bool": cell},
    )
    return text if array.ndim else text.strip()


def shortest(number: Number) -> str:
    """The shortest decimal that gives this number back at its own precision."""
    return str(number)


def _point(text: str) -> int:
    return min((i for i, char in enumerate(text) if char in ".e"), default=len(text))


def _as_given(text: str | None) -> str:
    return "–" if text is None else shorten(line(text), NUMBER_WIDTH)


def _number(text: str | None) -> Decimal | None:
    if text is None or len(text) > NUMBER_WIDTH:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _same_exponent(one: Decimal, other: Decimal) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """(digits, exponent) of both, the exponent that of the larger one; None where they are too far apart."""
    exponents = [number.adjusted() for number in (one, other) if number]
    if not exponents:
        return (_plain(one, 0), ""), (_plain(other, 0), "")
    if max(exponents) - min(exponents) > FAR:
        return None
    shift = 0 if max(exponents) in FIXED else max(exponents)
    tail = f"e{shift:+03d}" if shift else ""
    return (_plain(one, shift), tail if one else ""), (_plain(other, shift), tail if other else "")


def _plain(number: Decimal, shift: int) -> str:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # _number lets finite ones through only
    return f"{Decimal((sign, digits, exponent - shift)):f}" if number else ("-0" if sign else "0")


def _with_zeros(text: str, length: int) -> str:
    return (text if "." in text else f"{text}.").ljust(length, "0")[: max(length, len(text))]


def _cut(pad: str, text: str, tail: str, agree: int) -> Digits:
    at = max(0, agree - len(pad))
    return Digits(pad, text[:at], text[at:], tail)

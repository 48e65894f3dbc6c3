"""One gradient entry explained: its formula, the chain rule step by step, and how numbers come out."""

from __future__ import annotations

import msgspec


class Formula(msgspec.Struct, frozen=True):
    """``symbol = expression``, as text and in LaTeX, with its exact value on the case, in decimal."""

    text: str
    latex: str
    value: str


class Computed(msgspec.Struct, frozen=True):
    """The entry as one way of computing it gives it. Numbers are decimal text."""

    by: str
    """float64, float32, or a numerical difference with its step."""
    value: str
    error: str
    """|value − exact|, relative to |exact| where that is not 0."""
    relative: bool
    allowed: str | None
    """What careful arithmetic at that precision may be off by, in the same measure; None for differences."""


class Explanation(msgspec.Struct, frozen=True):
    """What is known of ∂L/∂ of one entry at one case."""

    case_id: str
    network: str
    quantity: str
    index: tuple[int, ...]
    steps: tuple[Formula, ...]
    """The straight-line program that leads to the entry: forward, then backward; each symbol once."""
    closed_form: Formula | None
    """The entry in inputs and parameters alone; None where that is too long to read."""
    exact: str
    """The certified number; at a kink the interval of all admissible ones."""
    enclosure: str
    """What is proved of it: midpoint and radius."""
    nearest: str | None
    """The nearest float64; None for a set at a kink."""
    computed: tuple[Computed, ...]

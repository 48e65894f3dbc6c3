"""A check in the formats that other programs and pages take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from gradproof.record import CheckRecord, encode
from reports.github import github
from reports.gradescope import gradescope
from reports.junit import junit
from reports.page import html_text, markdown_text

FORMATS: Final[Mapping[str, Callable[[CheckRecord], str]]] = MappingProxyType(
    {
        "json": lambda record: encode(record).decode(),
        "junit": junit,
        "markdown": lambda record: markdown_text((record,)),
        "html": lambda record: html_text((record,)),
        "github": github,
        "gradescope": gradescope,
    }
)
"""Name → the text of a record in this format, which ends in a newline.

Each raises RecordError or ArgumentError where a case in the record is damaged.
"""

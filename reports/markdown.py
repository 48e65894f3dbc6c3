"""Text as Markdown that shows it and does nothing else: GitHub's dialect, in which raw HTML and references live."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[\\`*_\[\]|~$]")
_STARTS_A_BLOCK = re.compile(r"\A(?:[-+=]|[0-9]{1,9}[.)](?=\s|\Z))", re.ASCII)
_ENTITIES = {char: f"&#{ord(char)};" for char in "&<>@#`|*_[]\\~$"}
_PLAIN_CODE = re.compile(r"[^`|\n\\]+")


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def escape(value: object) -> Markdown:
    """Text in the flow of a paragraph or in a table's cell, on one line; what is Markdown already stays."""
    if isinstance(value, Markdown):
        return value
    text = " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _SPECIAL.sub(lambda match: "\\" + match.group(), text)
    text = _STARTS_A_BLOCK.sub(lambda match: f"{match.group()[:-1]}\\{match.group()[-1]}", text)
    # Bare addresses, @names and #numbers become links or notify people where a report is pasted into a discussion.
    for active, inert in (("#", "&#35;"), ("@", "&#64;"), ("://", "&#58;//"), ("www.", "www&#46;")):
        text = text.replace(active, inert)
    return Markdown(text)


def code(text: str) -> Markdown:
    """A name, number or command as code; empty text stays empty."""
    if not text.strip():
        return Markdown("")
    if _PLAIN_CODE.fullmatch(text):
        return Markdown(f"`{text}`")
    return Markdown(f"<code>{_entities(text)}</code>")


def parted_code(start: str, strong: str, end: str) -> Markdown:
    """Code with a part in bold."""
    if not (start or end) or not strong:
        return code(f"{start}{strong}{end}")
    return Markdown(f"<code>{_entities(start)}<b>{_entities(strong)}</b>{_entities(end)}</code>")


def fence(text: str) -> Markdown:
    """Text of several lines as a block of code, in a fence that it cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return Markdown(f"{ticks}text\n{text}\n{ticks}")


def _entities(text: str) -> str:
    return "".join(_ENTITIES.get(char, " " if char == "\n" else char) for char in text)

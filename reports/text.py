"""Text from others (names, messages, captured output) made safe to show anywhere."""

from __future__ import annotations

import re
import unicodedata

_ESCAPE_SEQUENCES = re.compile(
    r"""\x1b\[ [0-?]* [ -/]* [@-~]?             # CSI: colours, cursor movement
      | \x1b[\]PX^_] [^\x07\x1b]* (\x07|\x1b\\)?  # OSC and other strings: window titles, links, clipboard
      | \x1b [ -/]* [0-~]?                      # every other escape
      | \x9b [0-?]* [ -/]* [@-~]?               # CSI as one character""",
    re.VERBOSE,
)

LINES = 30
"""A message keeps this many lines: of a traceback that is the whole story, of flooded output enough."""
WIDTH = 500
"""A line keeps this many characters."""

_PLAIN = str.maketrans(
    {"∂": "d", "·": "-", "→": "->", "−": "-", "×": "x", "…": "...", "≤": "<=", "│": "|", "─": "-", "’": "'", "⁻": "-"}
)


def clean(text: str, lines: int = LINES) -> str:
    """Text without anything that a terminal or a browser acts on, long lines and long texts shortened in the middle.

    Terminal escape sequences go as a whole. So do control characters other than the newline, and format characters,
    which reverse or hide text; tabs become spaces. Lone surrogates are spelled out, so that any encoding can write it.
    """
    shown = _harmless(text).strip("\n").split("\n")
    if len(shown) > lines:
        head = lines // 3
        tail = lines - head - 1
        shown = [*shown[:head], f"… {len(shown) - head - tail} lines left out …", *shown[-tail:]]
    return "\n".join(shorten(line.rstrip(), WIDTH) for line in shown)


def line(text: str) -> str:
    """The same as one line."""
    return shorten(" ".join(clean(text).split()), WIDTH)


def command(text: str) -> str:
    """A command as one line, never shortened, spaces kept: it is there to be copied."""
    return " ".join(_harmless(text).split("\n")).strip()


def shorten(text: str, width: int) -> str:
    """At most ``width`` characters, an ellipsis in place of the middle."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def encodable(text: str, encoding: str) -> str:
    """Text that ``encoding`` can write: signs without a place in it are replaced by plain ones, or spelled out."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plain = "".join(char if _fits(char, encoding) else char.translate(_PLAIN) for char in text)
        return plain.encode(encoding, "backslashreplace").decode(encoding)
    return text


def _harmless(text: str) -> str:
    plain = _ESCAPE_SEQUENCES.sub("", text).replace("\r\n", "\n").replace("\t", "    ")
    return "".join(map(_shown, plain))


def _fits(char: str, encoding: str) -> bool:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _shown(char: str) -> str:
    if char == "\n" or char.isprintable():
        return char
    category = unicodedata.category(char)
    if category in ("Zl", "Zp"):
        return "\n"
    if category == "Cs":
        return f"\\u{ord(char):04x}"
    return " " if category == "Zs" else ""

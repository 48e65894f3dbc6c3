"""A draft of an adapter: its words with the reason of each, its code, and what could not be told."""

from __future__ import annotations

from dataclasses import dataclass, field

CONFIRM = "CONFIRM: "
"""What begins whatever is no finding."""


@dataclass
class Draft:
    """What is to be written."""

    kind: str
    """What the object was taken for, in words."""
    decorator: str
    """``plain``: the name in ``gradproof.adapters``."""
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Word → its value as code, and why; a reason that begins with CONFIRM is no finding."""
    imports: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    """Lines of the adapter's function."""

    def word(self, name: str, value: object, why: str) -> None:
        """Declares a word."""
        self.words[name] = (repr(value).replace("'", '"'), why)

    @property
    def recognised(self) -> list[str]:
        """What was told of the object, one line each."""
        return [f"{name}={value}: {why}" for name, (value, why) in self.words.items() if not why.startswith(CONFIRM)]

    @property
    def open(self) -> list[str]:
        """What is to be confirmed, one line each."""
        confirm = [
            f"{n}={v}: {why.removeprefix(CONFIRM)}" for n, (v, why) in self.words.items() if why.startswith(CONFIRM)
        ]
        return confirm + [line.strip().removeprefix(f"# {CONFIRM}") for line in self.body if f"# {CONFIRM}" in line]

    def text(self, target: str) -> str:
        """The adapter's file."""
        doc = f'"""An adapter for {target}: {self.kind}.\n\nDrafted by gradproof init; confirm what is marked.\n"""'
        width = max((len(f"    {name}={value},") for name, (value, _) in self.words.items()), default=0)
        words = [f"    {name}={value},".ljust(width) + f"  # {why}" for name, (value, why) in self.words.items()]
        lines = [doc, "", *sorted(self.imports), "", "import gradproof", "", ""]
        lines += [f"@gradproof.adapters.{self.decorator}(", *words, ")", "def adapter(net):"]
        return "\n".join([*lines, *(f"    {line}" if line else "" for line in self.body)]) + "\n"

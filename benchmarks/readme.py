"""The numbers in READMEs: blocks between comments, written from the published records and from nothing else."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
from rich.console import Console

from benchmarks import pictures, third_party
from benchmarks.campaigns import CampaignRecord
from benchmarks.campaigns.accusations import Summary, paragraph
from benchmarks.commands import CHECKOUT, README, ReadmeError
from benchmarks.figures import training
from benchmarks.published import ACCUSATIONS, CHECKS, FIGURES, check_record, figures_record
from benchmarks.tasks import KINDS, NETWORKS
from benchmarks.timing import FLOOR
from gradproof.record import Figure, write
from gradproof.vocabulary import DTYPES
from reports.numbers import count, duration, significant
from reports.terminal import render_check

WIDTH: Final = 100
"""Characters that a line of the quoted screen may have."""
LINE: Final = 120
"""Characters that a line of prose may have."""
COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "jax": "JAX, order by NumPy",
        "jax.jitted": "JAX, shuffle jitted",
        "torch": "PyTorch",
        "torch.compile": "torch.compile",
        "numpy": "NumPy",
        "scikit-learn": "scikit-learn",
        FLOOR: "products alone",
    }
)
"""What a step is timed beside → the head of its column: their time over ours."""


def screen() -> str:
    """What a terminal shows of the check of the wrong example."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        render_check(check_record("numpy_network_wrong"), console)
    shown = "\n".join(text.rstrip() for text in capture.get().strip("\n").split("\n"))
    return f"```text\n{shown}\n```"


def checks() -> str:
    """A table of what ``check`` says of each published target."""
    rows = ["| target | what it is | verdict | cases | numbers compared |", "|---|---|---|---|---|"]
    for name, published in CHECKS.items():
        record = check_record(name)
        path = published.target.partition(":")[0]
        verdict = f"**{record.verdict}**"
        if record.counts.get("correct", 0) != record.cases:
            verdict += f" in {count(record.counts[str(record.verdict)])}"
        rows.append(
            f"| [`{path}`]({path}) | {published.what} | {verdict} | {count(record.cases)} | {count(record.entries)} |"
        )
    return "\n".join(rows)


def accusations() -> str:
    """What the campaign of correct implementations found."""
    record = msgspec.json.decode(ACCUSATIONS.read_bytes(), type=CampaignRecord)
    return wrapped(paragraph(record.cases, msgspec.convert(record.found, Summary)))


def packages() -> str:
    """How many packages of others were checked, and what was found."""
    return wrapped(third_party.summary())


def wrapped(text: str) -> str:
    """A paragraph in lines as long as those written by hand."""
    return textwrap.fill(text, LINE, break_long_words=False, break_on_hyphens=False)


def figures() -> str:
    """A table of the published figures, and one of the step times beside the peers' for each kind of training."""
    record = figures_record()
    steps = {figure.name: figure for figure in record.figures if figure.name in training.CELLS}
    rest = [figure for figure in record.figures if figure.name not in steps]
    where = f"{record.machine.processor}, {count(record.machine.cores, 'core')}, Python {record.machine.python}"
    path = FIGURES.relative_to(CHECKOUT).as_posix()
    lines = [f"Measured on {where} ([`{path}`]({path}), {record.started[:10]}).", ""]
    lines += ["| figure | value | goal | |", "|---|---|---|---|"]
    lines += [f"| `{figure.name}` | {_value(figure.value, figure.unit)} | {_goal(figure)} |" for figure in rest]
    for family, threads in training.THREADS.items():
        for kind, what in KINDS.items():
            rows = [row for network in NETWORKS if (row := _steps_row(steps, family, network, kind))]
            if rows:
                lines += ["", wrapped(f"One step on {count(threads, 'core')}, float64 / float32: {what}."), ""]
                lines += [
                    f"| network | ours, µs | {' | '.join(COLUMNS.values())} |",
                    "|---|---|" + "---|" * len(COLUMNS),
                ]
                lines += rows
    return "\n".join(lines)


def drawn() -> str:
    """The published pictures."""
    return pictures.block(figures_record(), CHECKOUT)


def _steps_row(steps: Mapping[str, Figure], family: str, network: str, kind: str) -> str | None:
    cells = [steps.get(f"{family}.{network}.{kind}.{dtype}") for dtype in DTYPES]
    if not any(cells):
        return None
    ours = " / ".join("–" if cell is None else significant(cell.value) for cell in cells)
    others = (" / ".join(_times(cell, peer) for cell in cells) for peer in COLUMNS)
    return f"| {network} | {ours} | {' | '.join(others)} |"


def _times(cell: Figure | None, peer: str) -> str:
    if cell is None or peer not in cell.peers:
        return "–"
    return f"{significant(cell.peers[peer] / cell.value, 2 if peer != FLOOR else 3)}×"


def _value(value: float, unit: str) -> str:
    if unit == "s":
        return duration(value)
    return f"{significant(value)} {'µs' if unit == 'us' else unit}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return "– | "
    return f"{figure.goal.replace('<=', '≤').replace('>=', '≥')} | {'met' if figure.met else 'missed'}"


BLOCKS: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "screen": screen,
        "checks": checks,
        "third-party": packages,
        "accusations": accusations,
        "figures": figures,
        "pictures": drawn,
    }
)
THIRD_PARTY: Final = third_party.FOLDER / "README.md"
THIRD_PARTY_BLOCKS: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {"summary": packages, "verdicts": third_party.table, "findings": third_party.findings}
)


def refresh(*, write_changes: bool) -> tuple[str, ...]:
    """The names of the blocks and pictures that differ from the published records; writes them anew where asked to.

    Raises ReadmeError where a block's two comments, ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``, are missing.
    """
    pages = ((README, BLOCKS), (THIRD_PARTY, THIRD_PARTY_BLOCKS))
    changed = [name for page, blocks in pages for name in _refresh(page, blocks, write_changes)]
    for path, content in pictures.drawings(figures_record()).items():
        if not path.exists() or path.read_bytes() != content:
            changed.append(path.name)
            if write_changes:
                write(path, content)
    return tuple(changed)


def _refresh(page: Path, blocks: Mapping[str, Callable[[], str]], write_changes: bool) -> list[str]:
    before = text = page.read_text(encoding="utf-8")
    changed = []
    for name, content in blocks.items():
        place = re.compile(f"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)", re.DOTALL)
        found = place.search(text)
        if found is None:
            raise ReadmeError(f"{page.name}: expected <!-- begin: {name} --> and <!-- end: {name} -->, found none")
        wanted = f"{found[1]}\n{content()}\n\n{found[2]}"
        if found[0] != wanted:
            changed.append(name)
            text = text.replace(found[0], wanted)
    if write_changes and text != before:
        write(page, text.encode())
    return changed

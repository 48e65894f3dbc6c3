"""The figures that are drawn: what each picture shows, made from the published record and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from benchmarks.drawing import Axis, Line, Panel, Picture, draw
from benchmarks.figures.throughput import OPERATIONS, SAMPLES
from benchmarks.published import FOLDER
from gradproof.record import Figure, FiguresRecord
from gradproof.vocabulary import DTYPES
from reports.numbers import significant


@dataclass(frozen=True)
class Drawn:
    """How a figure is drawn: its heading, its axes, and which of its curves: heading of a panel → their name."""

    title: str
    x: Axis
    y: Axis
    panels: Mapping[str, str]
    names: Literal["ends", "corner"] = "ends"


PICTURES: Final[Mapping[str, Drawn]] = MappingProxyType(
    {
        "throughput.width": Drawn(
            "Training throughput against width: n-n-n-10, batch 64, one core",
            Axis("width n of the inputs and hidden layers", "log2"),
            Axis(OPERATIONS, "log10"),
            {dtype: f"{dtype}, {OPERATIONS}" for dtype in DTYPES},
        ),
        "throughput.batch": Drawn(
            "Training throughput against batch: 784-128-64-10, one core",
            Axis("samples per mini-batch", "log2"),
            Axis(SAMPLES, "log10"),
            {dtype: f"{dtype}, {SAMPLES}" for dtype in DTYPES},
        ),
        "digits.epoch": Drawn(
            "Real digits: accuracy against time, 784-16-16-10, batches of 10, one core",
            Axis("seconds of training", "log10"),
            Axis("digits held out that are told right, %", "linear"),
            {dtype: dtype for dtype in DTYPES},
            "corner",
        ),
    }
)
"""Figure → how it is drawn. A panel for each precision, a line for each implementation."""


CAPTION: Final = "The floor, dashed, is the matrix products of the same steps alone, by the same BLAS:"


def file_of(name: str) -> Path:
    """Where the picture of a figure is kept."""
    return FOLDER / f"{name.replace('.', '_')}.svg"


def picture(figure: Figure) -> Picture:
    """The picture of a figure of ``PICTURES``. Its description says in words where every line begins and ends."""
    drawn = PICTURES[figure.name]
    panels = tuple(
        Panel(heading, tuple(Line(name, points) for name, points in figure.curves[curves].items()))
        for heading, curves in drawn.panels.items()
    )
    ends = "; ".join(
        f"{panel.heading}: " + ", ".join(_in_words(line) for line in panel.lines if line.points) for panel in panels
    )
    return Picture(drawn.title, f"{drawn.y.label} over {drawn.x.label}. {ends}.", drawn.x, drawn.y, panels, drawn.names)


def _in_words(line: Line) -> str:
    (x0, y0), (x1, y1) = line.points[0], line.points[-1]
    return f"{line.name} from {significant(y0)} at {significant(x0)} to {significant(y1)} at {significant(x1)}"


def drawings(record: FiguresRecord) -> dict[Path, bytes]:
    """File → content, of every figure of the record that is drawn."""
    figures = [figure for figure in record.figures if figure.name in PICTURES and figure.curves]
    return {file_of(figure.name): draw(picture(figure)) for figure in figures}


def block(record: FiguresRecord, root: Path) -> str:
    """The pictures of a record as Markdown, for a page in the folder ``root``; empty where it has none."""
    drawn = [figure.name for figure in record.figures if figure.name in PICTURES and figure.curves]
    if not drawn:
        return ""
    images = [f"![{PICTURES[name].title}]({file_of(name).relative_to(root).as_posix()})" for name in drawn]
    return "\n\n".join((CAPTION, *images))

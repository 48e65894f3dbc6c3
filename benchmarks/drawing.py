"""Curves as SVG: panels of lines over shared axes, each line named where it ends, readable on light and dark pages.

The picture carries its own ground and follows the reader's colour scheme; title and description are there for those
who hear it read. It is built as a tree of elements, so that no text that it is given can become markup.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from xml.etree import ElementTree

from gradproof.errors import ArgumentError

Scale = Literal["linear", "log10", "log2"]
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A curve. name: what it is called where it ends, and which colour it has (see ``COLOURS``). points: (x, y)."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Panel:
    """Curves that share a pair of axes, under a heading."""

    heading: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Axis:
    """What runs along an axis, with its unit. bounds: lowest and highest, where they are not those of the points."""

    label: str
    scale: Scale
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Picture:
    """Panels side by side over the same axes.

    description: what a reader who does not see it should know. names: where those of the lines stand, where each line
    ends, or one below another in the lower right corner, where curves that rise and level off leave room.
    """

    title: str
    description: str
    x: Axis
    y: Axis
    panels: tuple[Panel, ...]
    names: Literal["ends", "corner"] = "ends"


@dataclass(frozen=True)
class Colour:
    """Of a line, on a light and on a dark ground."""

    light: str
    dark: str


COLOURS: Final[Mapping[str, Colour]] = {
    "fastimpl": Colour("#0b5fcc", "#5ea8ff"),
    "floor": Colour("#6b7280", "#9aa4b2"),
    "jax": Colour("#d2490b", "#ff9a5c"),
    "torch": Colour("#8530c4", "#c79bff"),
    "torch.compile": Colour("#c21f5e", "#ff86b4"),
    "scikit-learn": Colour("#1f7a3d", "#67d58c"),
    "numpy": Colour("#806200", "#dcc04a"),
}
"""Name of a line → its colour, the same in every picture; other names take those left over."""

OURS: Final = "fastimpl"
"""The line that is drawn strongest, and last."""
FLOOR: Final = "floor"
"""The line that is drawn dashed: no implementation, but what bounds one."""

PLOT_WIDTH: Final = 300.0
WIDE_PLOT_WIDTH: Final = 640.0
"""Of the only panel of a picture that has one."""
PLOT_HEIGHT: Final = 300.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 108.0, 98.0, 58.0
"""Around each plot: tick labels; names of lines; title, axis label and heading; tick labels and axis label."""
_NAME_WIDTH: Final = 9.0
"""Pixels that a letter of a name takes, at most."""
LABEL_GAP: Final = 15.0
"""Pixels between the middles of two names."""

_STYLE: Final = """
.ground { fill: #ffffff } .frame { stroke: #d0d7de } .grid { stroke: #e7ebef } .axis { stroke: #8c959f }
text { font: 12px system-ui, -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #57606a }
.title { font-size: 16px; font-weight: 600; fill: #1f2328 }
.heading { font-size: 13px; font-weight: 600; fill: #1f2328 }
.name { font-weight: 600; paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round }
.line { fill: none; stroke-width: 1.75; stroke-linejoin: round; stroke-linecap: round } .ours { stroke-width: 3 }
.floor { stroke-dasharray: 5 5 } .leader { stroke-width: 0.75; opacity: 0.7 }
"""
_DARK: Final = """
.ground { fill: #0d1117 } .frame { stroke: #30363d } .grid { stroke: #21262d } .axis { stroke: #6e7681 }
text { fill: #9198a1 } .title, .heading { fill: #f0f6fc } .name { stroke: #0d1117 }
"""


def draw(picture: Picture) -> bytes:
    """The picture as an SVG file.

    Raises ArgumentError where there is nothing to draw, or a number that its axis has no place for: one that is not
    finite, or not positive on a logarithmic axis.
    """
    _refuse_undrawable(picture)
    across = _Ruler(picture.x, [x for line in _lines(picture) for x, _ in line.points])
    up = _Ruler(picture.y, [y for line in _lines(picture) for _, y in line.points])
    plot_width = WIDE_PLOT_WIDTH if len(picture.panels) == 1 else PLOT_WIDTH
    width = len(picture.panels) * (LEFT + plot_width + RIGHT)
    height = TOP + PLOT_HEIGHT + BOTTOM
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width:g} {height:g}",
            "width": f"{width:g}",
            "height": f"{height:g}",
            "role": "img",
            "aria-labelledby": "title description",
        },
    )
    ElementTree.SubElement(root, "title", {"id": "title"}).text = picture.title
    ElementTree.SubElement(root, "desc", {"id": "description"}).text = picture.description
    colours = _colours(picture)
    ElementTree.SubElement(root, "style").text = _style(colours)
    ground = {"width": f"{width - 1:g}", "height": f"{height - 1:g}", "x": "0.5", "y": "0.5", "rx": "6"}
    ElementTree.SubElement(root, "rect", {**ground, "class": "ground frame"})
    _text(root, 20, 32, picture.title, "title")
    for number, panel in enumerate(picture.panels):
        place = _Place(number * (LEFT + plot_width + RIGHT) + LEFT, TOP, plot_width, PLOT_HEIGHT, across, up)
        _panel(root, place, panel, picture, [*colours])
    ElementTree.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode").encode() + b"\n"


def _lines(picture: Picture) -> list[Line]:
    return [line for panel in picture.panels for line in panel.lines]


def _refuse_undrawable(picture: Picture) -> None:
    if not any(line.points for line in _lines(picture)):
        raise ArgumentError("panels", "a line with a point", picture.panels)
    for axis, which in ((picture.x, 0), (picture.y, 1)):
        for line in _lines(picture):
            for point in line.points:
                value = point[which]
                if not math.isfinite(value) or (axis.scale != "linear" and value <= 0):
                    wanted = "a finite number" if axis.scale == "linear" else "a finite positive number"
                    raise ArgumentError(f"{line.name}, {axis.label}", wanted, value)


def _colours(picture: Picture) -> dict[str, Colour]:
    """Name → colour, for each line of the picture: its own, or one that none of the others has."""
    names = list(dict.fromkeys(line.name for line in _lines(picture)))
    left = [colour for name, colour in COLOURS.items() if name not in names]
    return {name: COLOURS[name] if name in COLOURS else left[index % len(left)] for index, name in enumerate(names)}


def _style(colours: Mapping[str, Colour]) -> str:
    def rules(pick: Callable[[Colour], str]) -> str:
        return "\n".join(
            f".c{number} {{ stroke: {pick(colour)} }} text.n{number}, circle.c{number} {{ fill: {pick(colour)} }}"
            for number, colour in enumerate(colours.values())
        )

    light, dark = rules(lambda colour: colour.light), rules(lambda colour: colour.dark)
    return f"{_STYLE}{light}\n@media (prefers-color-scheme: dark) {{{_DARK}{dark}\n}}\n"


class _Ruler:
    """Where on an axis, from 0 to 1, a number lies, and which numbers are marked."""

    def __init__(self, axis: Axis, values: Sequence[float]) -> None:
        self.axis = axis
        low, high = axis.bounds or _enclosing(axis.scale, min(values), max(values))
        self.low, self.high = low, high

    def __call__(self, value: float) -> float:
        low, high, value = (_measure(self.axis.scale, number) for number in (self.low, self.high, value))
        return (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round numbers within the axis, few enough to be told apart."""
        if self.axis.scale == "linear":
            step = _nice((self.high - self.low) / 5)
            least = math.ceil(self.low / step - 1e-9)
            return [number * step for number in range(least, math.floor(self.high / step + 1e-9) + 1)]
        base = 2.0 if self.axis.scale == "log2" else 10.0
        first, last = (math.log(bound, base) for bound in (self.low, self.high))
        exponents = range(math.floor(first), math.ceil(last) + 1)
        factors = (1.0, 2.0, 5.0) if base == 10.0 and last - first < 3 else (1.0,)
        ticks = [factor * base**exponent for exponent in exponents for factor in factors]
        ticks = [tick for tick in ticks if self.low * (1 - 1e-9) <= tick <= self.high * (1 + 1e-9)]
        return ticks[:: max(1, -(-len(ticks) // 8))]


def _measure(scale: Scale, value: float) -> float:
    return value if scale == "linear" else math.log(value)


def _enclosing(scale: Scale, low: float, high: float) -> Point:
    """Bounds a little wider than the numbers; never the same one twice."""
    if scale == "linear":
        room = (high - low or abs(high) or 1.0) / 20
        return low - room, high + room
    room = (high / low) ** 0.05 if high > low else 2.0
    return low / room, high * room


def _nice(step: float) -> float:
    """The least of 1, 2, 5, 10 times a power of ten that is at least ``step``."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def tick_label(value: float) -> str:
    """A tick's number as people write it: 0.05, 20, 1,024, 20k, 3M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(unit, 1e4):
            return f"{value / unit:g}{name}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@dataclass(frozen=True)
class _Place:
    """A plot's rectangle, and what turns numbers into pixels within it."""

    left: float
    top: float
    width: float
    height: float
    across: _Ruler
    up: _Ruler

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def x(self, value: float) -> float:
        return self.left + self.width * self.across(value)

    def y(self, value: float) -> float:
        return self.bottom - self.height * self.up(value)


def _panel(root: ElementTree.Element, place: _Place, panel: Panel, picture: Picture, names: Sequence[str]) -> None:
    group = ElementTree.SubElement(root, "g")
    _text(group, place.left, place.top - 34, panel.heading, "heading")
    _text(group, place.left, place.top - 14, picture.y.label)
    for tick in place.up.ticks():
        y = place.y(tick)
        _segment(group, (place.left, y), (place.right, y), "grid")
        _text(group, place.left - 8, y + 4, tick_label(tick), anchor="end")
    for tick in place.across.ticks():
        x = place.x(tick)
        _segment(group, (x, place.top), (x, place.bottom), "grid")
        _text(group, x, place.bottom + 18, tick_label(tick), anchor="middle")
    _segment(group, (place.left, place.bottom), (place.right, place.bottom), "axis")
    _text(group, (place.left + place.right) / 2, place.bottom + 40, picture.x.label, anchor="middle")
    drawn = sorted((line for line in panel.lines if line.points), key=lambda line: line.name == OURS)
    for line in drawn:
        number = names.index(line.name)
        kind = {OURS: " ours", FLOOR: " floor"}.get(line.name, "")
        points = [(place.x(x), place.y(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        ElementTree.SubElement(group, "polyline", {"points": path, "class": f"line c{number}{kind}"})
        for x, y in points if line.name != FLOOR else ():
            radius = "3.5" if line.name == OURS else "2.5"
            ElementTree.SubElement(
                group, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": radius, "class": f"c{number}"}
            )
    if picture.names == "ends":
        _names_at_ends(group, place, drawn, names)
    else:
        _names_in_corner(group, place, panel.lines, names)


def _names_at_ends(group: ElementTree.Element, place: _Place, drawn: Sequence[Line], names: Sequence[str]) -> None:
    ends = [(place.x(line.points[-1][0]), place.y(line.points[-1][1])) for line in drawn]
    extents = [(x, _NAME_WIDTH * len(line.name)) for line, (x, _) in zip(drawn, ends, strict=True)]
    for together in _side_by_side(extents):
        heights = spread([ends[index][1] for index in together], place.top, place.bottom)
        for index, height in zip(together, heights, strict=True):
            (x, y), number = ends[index], names.index(drawn[index].name)
            if abs(height - y) > 3:
                _segment(group, (x + 4, y), (x + 10, height), f"leader c{number}")
            _text(group, x + 12, height + 4, drawn[index].name, f"name n{number}")


def _names_in_corner(group: ElementTree.Element, place: _Place, lines: Sequence[Line], names: Sequence[str]) -> None:
    for below, line in enumerate(reversed([line for line in lines if line.points])):
        number, y = names.index(line.name), place.bottom - 14 - below * LABEL_GAP
        _text(group, place.right - 8, y, line.name, f"name n{number}", "end")


def _side_by_side(extents: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Groups of names, by number, that would stand over one another; of each is given where it starts and its width."""
    groups: list[list[int]] = []
    end = -math.inf
    for index in sorted(range(len(extents)), key=lambda index: extents[index]):
        start, width = extents[index]
        if start > end:
            groups.append([])
        groups[-1].append(index)
        end = max(end, start + width)
    return groups


def spread(heights: Sequence[float], top: float, bottom: float) -> list[float]:
    """Heights near those given, in the same order, no two closer than ``LABEL_GAP`` if they all find room."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed = list(heights)
    for before, index in zip([None, *order], order, strict=False):
        placed[index] = max(placed[index], top if before is None else placed[before] + LABEL_GAP)
    below = bottom
    for index in reversed(order):
        placed[index] = min(placed[index], below)
        below = placed[index] - LABEL_GAP
    return placed


def _segment(parent: ElementTree.Element, start: Point, end: Point, kind: str) -> None:
    (x1, y1), (x2, y2) = start, end
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    ElementTree.SubElement(parent, "line", {**ends, "class": kind})


def _text(parent: ElementTree.Element, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    ElementTree.SubElement(parent, "text", {**place, **({"class": kind} if kind else {})}).text = text

"""Pictures: well-formed whatever they are called, every point where its numbers say, names that can be told apart."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks import pictures, readme
from benchmarks.commands import README
from benchmarks.drawing import COLOURS, LABEL_GAP, Axis, Line, Panel, Picture, draw, spread, tick_label
from benchmarks.figures.common import figure
from benchmarks.published import FOLDER
from gradproof.errors import ArgumentError
from gradproof.record import FiguresRecord, Machine, decode, encode

SVG = "{http://www.w3.org/2000/svg}"


def one_panel(lines: tuple[Line, ...], x: Axis, y: Axis, title: str = "title") -> Picture:
    return Picture(title, "description", x, y, (Panel("panel", lines),))


def parsed(picture: Picture) -> Any:
    return ElementTree.fromstring(draw(picture))


def texts(root: Any, kind: str | None = None) -> list[str]:
    return [each.text for each in root.iter(f"{SVG}text") if kind is None or kind in each.get("class", "").split()]


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30))
@example(text="</text><script>alert(1)</script>")
@example(text='"&lt;]]>')
@settings(deadline=None, max_examples=30)
def test_no_text_becomes_markup(text: str) -> None:
    line = Line(text, ((1.0, 1.0), (2.0, 2.0)))
    drawn = Picture(text, text, Axis(text, "linear"), Axis(text, "linear"), (Panel(text, (line,)),))
    try:
        root = parsed(drawn)
    except ElementTree.ParseError:
        assert not text.isprintable(), "what XML has no place for is no text that anybody reads"
        return
    assert root.find(f"{SVG}title").text == text
    assert root.find(f"{SVG}desc").text == text
    assert texts(root).count(text) == 5
    kinds = {"svg", "title", "desc", "style", "rect", "g", "line", "polyline", "circle", "text"}
    assert {each.tag.removeprefix(SVG) for each in root.iter()} == kinds
    assert text not in root.find(f"{SVG}style").text or len(text) < 20


def test_points_lie_where_their_numbers_say() -> None:
    doubling = Line("fastimpl", tuple((2.0**n, 10.0**n) for n in range(4)))
    root = parsed(one_panel((doubling,), Axis("x", "log2"), Axis("y", "log10")))
    points = [tuple(map(float, pair.split(","))) for pair in root.find(f".//{SVG}polyline").get("points").split()]
    for steps in ([b[0] - a[0] for a, b in pairwise(points)], [b[1] - a[1] for a, b in pairwise(points)]):
        assert max(steps) - min(steps) < 0.25, "equal ratios are equal distances"
    assert all(b[0] > a[0] and b[1] < a[1] for a, b in pairwise(points)), "up is up"
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]
    assert circles == points
    marks = {"1": 0, "10": 1, "100": 2, "1000": 3}
    for text in root.iter(f"{SVG}text"):
        if text.get("text-anchor") == "end" and text.text.replace(",", "") in marks:
            assert abs(float(text.get("y")) - 4 - points[marks[text.text.replace(",", "")]][1]) < 0.25


@given(
    numbers=st.lists(st.tuples(*[st.floats(1e-9, 1e9)] * 2), min_size=1, max_size=8),
    scales=st.tuples(*[st.sampled_from(["linear", "log10", "log2"])] * 2),
)
@settings(deadline=None, max_examples=60)
def test_every_point_and_every_tick_is_within_the_axes(numbers: list[Any], scales: tuple[Any, Any]) -> None:
    root = parsed(one_panel((Line("jax", tuple(numbers)),), Axis("x", scales[0]), Axis("y", scales[1])))
    width, height = float(root.get("width")), float(root.get("height"))
    bottom = max(float(line.get("y1")) for line in root.iter(f"{SVG}line") if line.get("class") == "axis")
    for circle in root.iter(f"{SVG}circle"):
        assert 62 <= float(circle.get("cx")) <= width - 108
        assert 98 <= float(circle.get("cy")) <= bottom
    for line in root.iter(f"{SVG}line"):
        if line.get("class") == "grid":
            assert all(
                0 <= float(line.get(at)) <= (width if at[0] == "x" else height) for at in ("x1", "x2", "y1", "y2")
            )
    assert len([each for each in root.iter(f"{SVG}line") if each.get("class") == "grid"]) <= 24


def test_bounds_that_are_given_hold() -> None:
    root = parsed(one_panel((Line("jax", ((1.0, 90.0),)),), Axis("x", "log10"), Axis("y", "linear", (0.0, 100.0))))
    assert {"0", "20", "40", "60", "80", "100"} <= set(texts(root))


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_what_an_axis_has_no_place_for_is_refused(value: float) -> None:
    for points in (((value, 1.0),), ((1.0, value),)):
        with pytest.raises(ArgumentError, match=r"jax, [xy]: expected a finite positive number, got"):
            draw(one_panel((Line("jax", points),), Axis("x", "log2"), Axis("y", "log10")))
    if math.isfinite(value):
        draw(one_panel((Line("jax", ((value, value),)),), Axis("x", "linear"), Axis("y", "linear")))


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ArgumentError, match="a line with a point"):
        draw(one_panel((Line("jax", ()),), Axis("x", "linear"), Axis("y", "linear")))


@given(heights=st.lists(st.floats(0, 300), min_size=1, max_size=10))
@settings(deadline=None)
def test_names_keep_their_order_and_their_distance(heights: list[float]) -> None:
    placed = spread(heights, 0, 300)
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    assert all(placed[b] - placed[a] >= LABEL_GAP - 1e-9 for a, b in pairwise(order))
    assert all(-1e-9 <= height <= 300 + 1e-9 for height in placed)
    apart = all(b - a >= LABEL_GAP for a, b in pairwise(sorted(heights)))
    assert not apart or placed == pytest.approx(heights), "names that find room stand where their lines end"


def test_a_line_has_one_colour_in_every_panel_and_no_two_the_same_one() -> None:
    names = (*COLOURS, "another")
    lines = tuple(Line(name, ((1.0, float(n)), (2.0, float(n)))) for n, name in enumerate(names))[1:]
    drawn = Picture("t", "d", Axis("x", "linear"), Axis("y", "linear"), (Panel("a", lines), Panel("b", lines[::-1])))
    root = parsed(drawn)
    style = root.find(f"{SVG}style").text
    for half in style.split("@media (prefers-color-scheme: dark)"):
        colours = re.findall(r"\.c\d+ \{ stroke: (#[0-9a-f]{6}) \}", half)
        assert len(set(colours)) == len(colours) == len(lines)
    kinds: dict[str, set[str]] = {}
    for text in root.iter(f"{SVG}text"):
        if "name" in text.get("class", "").split():
            kinds.setdefault(text.text, set()).add(text.get("class"))
    assert set(kinds) == {line.name for line in lines}
    assert all(len(found) == 1 for found in kinds.values())
    assert len({next(iter(found)) for found in kinds.values()}) == len(lines)


def test_names_in_the_corner_stand_within_the_plot_one_below_another() -> None:
    lines = tuple(Line(name, ((1.0, 1.0), (2.0, 2.0))) for name in COLOURS)
    axes = Axis("x", "linear"), Axis("y", "linear")
    root = parsed(Picture("t", "d", *axes, (Panel("a", lines),), "corner"))
    named = [each for each in root.iter(f"{SVG}text") if "name" in each.get("class", "").split()]
    assert [each.text for each in sorted(named, key=lambda each: float(each.get("y")))] == list(COLOURS)
    heights = sorted(float(each.get("y")) for each in named)
    assert all(b - a == LABEL_GAP for a, b in pairwise(heights))
    assert {each.get("text-anchor") for each in named} == {"end"}
    right = max(float(line.get("x2")) for line in root.iter(f"{SVG}line") if line.get("class") == "axis")
    assert all(float(each.get("x")) < right for each in named)


@pytest.mark.parametrize(
    ("value", "label"),
    [(0.05, "0.05"), (20.0, "20"), (1024.0, "1,024"), (10_000.0, "10k"), (2_000_000.0, "2M"), (3e9, "3G"), (0.0, "0")],
)
def test_ticks_are_written_as_people_write_them(value: float, label: str) -> None:
    assert tick_label(value) == label


def record() -> FiguresRecord:
    curves = {
        f"{dtype}, {what}": {"fastimpl": ((16.0, 2.0), (32.0, 4.5)), "floor": ((16.0, 3.0), (32.0, 5.0))}
        for dtype in ("float64", "float32")
        for what in ("samples per second", "GFLOP/s of the matrix products")
    }
    drawn = figure("throughput.width", 0.9, "of the floor", curves=curves)
    return FiguresRecord((figure("cli_help", 1.0, "s"), drawn), "2026-01-01", Machine("", "", 2, "3", {}), "0")


def test_a_picture_is_drawn_from_the_record_and_says_in_words_what_it_shows() -> None:
    kept = decode(encode(record()), FiguresRecord)
    assert kept == record(), "curves are kept with their figure"
    drawn = pictures.drawings(kept)
    assert list(drawn) == [pictures.file_of("throughput.width")]
    root = ElementTree.fromstring(drawn[pictures.file_of("throughput.width")])
    assert texts(root, "heading") == ["float64", "float32"]
    assert sorted(texts(root, "name")) == ["fastimpl", "fastimpl", "floor", "floor"]
    description = root.find(f"{SVG}desc")
    assert description is not None
    assert "float32: fastimpl from 2.00 at 16.0 to 4.50 at 32.0" in str(description.text)
    block = pictures.block(kept, FOLDER.parents[1])
    assert block.endswith(
        "![Training throughput against width: n-n-n-10, batch 64, one core](reports/published/throughput_width.svg)"
    )
    nothing_drawn = FiguresRecord(kept.figures[:1], kept.started, kept.machine, kept.gradproof)
    assert (pictures.block(nothing_drawn, FOLDER), pictures.drawings(nothing_drawn)) == ("", {})


def test_pictures_are_kept_beside_the_record_they_are_drawn_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "README.md"
    page.write_bytes(README.read_bytes())
    monkeypatch.setattr(readme, "README", page)
    monkeypatch.setattr(readme, "figures_record", record)
    monkeypatch.setattr(pictures, "file_of", lambda name: tmp_path / f"{name}.svg")
    monkeypatch.setattr(readme, "CHECKOUT", tmp_path)
    monkeypatch.setattr(readme, "FIGURES", tmp_path / "figures.json")
    kept = tmp_path / "throughput.width.svg"
    assert {"pictures", kept.name} <= set(readme.refresh(write_changes=False))
    assert not kept.exists()
    readme.refresh(write_changes=True)
    assert kept.read_bytes() == pictures.drawings(record())[kept]
    assert "](throughput.width.svg)" in page.read_text(encoding="utf-8")
    assert readme.refresh(write_changes=False) == ()
    kept.write_bytes(b"<svg/>")
    assert readme.refresh(write_changes=False) == (kept.name,)

"""The Markdown and HTML files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from gradproof.errors import ArgumentError, RecordError
from gradproof.record import CheckRecord, Figure, FiguresRecord, encode
from gradproof.verdict import Finding, Verdict
from reports import markdown
from reports.page import write_report
from reports.recorded import read
from reports.text import clean
from verify.suite.reports.records import (
    RECORDS,
    WRONG_FINDINGS,
    benchmark,
    benchmarks,
    check,
    correct,
    failure,
    figures,
    small_case,
    wrong,
)

VOID = {"meta", "link", "br", "rect"}
GITHUB = MarkdownIt("commonmark", {"html": True, "xhtmlOut": True}).enable(["table", "strikethrough"])
RENDERED = {
    *("h1", "h2", "h3", "h4", "p", "strong", "ul", "li", "pre", "code", "b"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
"""What the Markdown may turn into: no link, no picture, no rule, no quote, no element of somebody else."""

HOSTILE = (
    "<script>alert(1)</script>",
    "</style></pre><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    '"><a href="javascript:alert(1)">x</a>',
    "| a | b |\n| --- | --- |",
    "``` \n```html\n<b>x</b>\n```",
    "# heading\n- item\n> quote\n\n---",
    "[text](http://example.org) ![x](http://example.org/x.png) http://example.org www.example.org",
    "*a* _b_ ~c~ $d$ @somebody #12 \\| &lt; &amp;",
    "\x1b[31mred\x1b[0m \x1b]8;;http://x\x07y\x1b]8;;\x07 \x00 \u202e",
    "nan NaN inf",
    "1. one",
    "- two - three",
    "---",
    "===",
    "+ four",
    "     five",
    "x" * 5000,
    "]]>--><!--",
)


class Page(HTMLParser):
    """Reads a page, and asserts that every element is closed where it must be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.nested: set[tuple[str, str]] = set()
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.nested.update((outer, tag) for outer in self.open)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def shows(self, text: str) -> bool:
        """Whether the page holds this text, spaces aside."""
        return "".join(text.split()) in "".join(self.text.split())


def written(folder: Path, *contents: Any) -> tuple[str, Page]:
    """The Markdown and the HTML made from these records."""
    files = []
    for number, content in enumerate(contents):
        file = folder / f"{number:03d}.json"
        file.write_bytes(json.dumps(content).encode() if isinstance(content, dict) else encode(content))
        files.append(file)
    paths = write_report(files, folder / "out")
    assert [path.name for path in paths] == ["report.md", "report.html"]
    return paths[0].read_text(encoding="utf-8"), Page(paths[1].read_text(encoding="utf-8"))


def everything() -> list[Any]:
    return [*(make() for make in RECORDS.values()), figures(), benchmarks()]


def tables(text: str) -> list[list[str]]:
    """The Markdown tables outside fences, as lists of lines."""
    found: list[list[str]] = []
    fence = ""
    before = ""
    for printed in text.splitlines():
        ticks = re.match("`{3,}", printed)
        if fence:
            fence = "" if printed == fence else fence
        elif ticks:
            fence = ticks.group()
        elif printed.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append(printed)
        before = printed
    assert not fence, "a fence is left open"
    return found


def columns(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row.rstrip())) - 1


def assert_sound(text: str, page: Page) -> None:
    """What holds of every report, whatever is in it."""
    rendered = Page(GITHUB.render(text))
    assert {tag for tag, _ in rendered.tags} <= RENDERED
    assert not any(inner in ("ul", "pre") for outer, inner in rendered.nested if outer == "li")
    for table in tables(text):
        assert {columns(row) for row in table} == {columns(table[0])}, table
    outside = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", text)
    # An escaped backtick opens no code.
    assert not re.findall(r"<(?!/?(?:code|b)>)", re.sub(r"(?<!\\)`[^`\n]*`", "", outside))
    for tag, attributes in page.tags:
        assert tag not in ("script", "img", "iframe", "object", "embed", "form", "base")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "action", "data", "srcset"):
            target = attributes.get(name)
            assert target is None or target.startswith("#") or target == "data:,", (tag, target)
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(identities)) == len(identities)
    for _, attributes in page.tags:
        target = attributes.get("href") or ""
        assert not target.startswith("#") or target[1:] in identities
        assert attributes.get("aria-labelledby") in (None, *identities)


def test_everything_that_was_recorded_is_shown(tmp_path: Path) -> None:
    text, page = written(tmp_path, *everything())
    assert_sound(text, page)
    for make in RECORDS.values():
        record = make()
        for each in record.failures:
            for told in (each.case_id, each.summary, each.replay, *(f.message for f in each.findings if f.message)):
                assert page.shows(told)
            assert each.replay in text
            assert each.case_id in text
    for told in ("0.013562881298718", "4.2e-17", "[[ 0.5 , -1.0 ],", "152×", "311×", "784-16-16-10, batch 10, float32"):
        assert page.shows(told)
    assert "<code>0.013<b>562881298718</b></code> | <code>0.013<b>998042109812341287</b></code>" in text
    assert "7 checks: 3 wrong, 1 crashed, 1 inaccurate, 1 correct, 1 nothing ran. 3 figures, 1 of 2 goals met." in text
    assert "Recorded 2026-01-02." in text
    assert "a-host-name" not in text + page.text


def test_each_row_of_a_table_has_a_cell_for_each_column(tmp_path: Path) -> None:
    written(tmp_path, *everything())
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    found = re.findall(r"(?s)<table.*?</table>", html)
    assert len(found) == 8
    for table in found:
        cells = [len(re.findall("<t[hd][ >]", row)) for row in re.findall(r"(?s)<tr.*?</tr>", table)]
        assert len(set(cells)) == 1, table


def test_a_verdict_is_told_in_words_and_signs_not_by_colour_alone(tmp_path: Path) -> None:
    _, page = written(tmp_path, *everything())
    for told in ("✗wrong", "✓correct", "≈inaccurate", "?nothing ran", "✓met", "✗missed"):
        assert page.shows(told)


def test_the_page_is_self_contained_and_follows_the_readers_colours(tmp_path: Path) -> None:
    written(tmp_path, *everything())
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import|//[a-z]", html)
    for told in ("prefers-color-scheme: dark", "@media print", 'lang="en"', "default-src 'none'", "viewport"):
        assert told in html


def test_bars_are_as_long_as_their_numbers(tmp_path: Path) -> None:
    _, page = written(tmp_path, benchmarks(benchmark("g", "fastimpl", 1e-6), benchmark("g", "numpy", 4e-6)))
    lengths = [attributes["width"] for _, attributes in page.tags if attributes.get("class") == "fill"]
    assert lengths == ["25.0", "100.0"]
    assert page.shows("4.00×")


def test_peers_stand_in_one_table_with_the_base_first(tmp_path: Path) -> None:
    rows = [benchmark("g", "torch", 1e-7), benchmark("g", "fastimpl", 1e-6), benchmark("h", "numpy", 1e-6)]
    text, _ = written(tmp_path, benchmarks(*rows))
    ours, torch, numpy = (text.index(f"| {who} |") for who in ("fastimpl", "torch", "numpy"))
    assert text.index("### g") < ours < torch < text.index("### h") < numpy
    assert "| torch | 100 ns | 0.100× |" in text


def test_networks_are_sorted_by_their_numbers(tmp_path: Path) -> None:
    rows = [benchmark(group, "fastimpl", 1e-6) for group in ("784-16", None, "64-10", "5-10", "5-8")]
    text, _ = written(tmp_path, benchmarks(*rows))
    assert re.findall("### (.*)", text) == ["5-8", "5-10", "64-10", "784-16", "other benchmarks"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, *everything())
    for name in ("report.md", "report.html"):
        assert (tmp_path / "a/out" / name).read_bytes() == (tmp_path / "b/out" / name).read_bytes()


def test_a_folder_stands_for_its_json_files_and_no_file_counts_twice(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(encode(wrong()))
    (tmp_path / "b.json").write_bytes(encode(correct()))
    (tmp_path / "notes.txt").write_text("not a record")
    twice = tmp_path / ".." / tmp_path.name / "b.json"
    assert len(read([tmp_path, tmp_path / "a.json", str(twice)]).checks) == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(tmp_path: Path, text: str) -> None:
    reports = written(tmp_path, *outside(text))
    assert_sound(*reports)
    if len(text) < 500:
        assert reports[1].shows(clean(text))
        assert Page(GITHUB.render(reports[0])).shows(clean(text))


@example(text="0000000000`000000000<")
@given(text=st.text(max_size=100) | st.text(st.sampled_from("`|\\<>&*_[]()#\n \"'{}%~-="), max_size=30))
def test_no_text_from_others_breaks_a_report(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    assert_sound(*written(tmp_path_factory.mktemp("report"), *outside(text)))


def outside(text: str) -> list[Any]:
    """Records with this text in every place that holds text from outside."""
    finding = Finding(
        Verdict.WRONG, text, text, layer=text, got=text, exact=text, error=text, allowed=text, entries=3, bad=1
    )
    machine = replace(correct().machine, system=text, processor=text, python=text, packages={text: text})
    case = small_case().replace(tags=(text,)).to_data()
    each = replace(failure(summary=text, replay=text, case_id=text, findings=(finding, *WRONG_FINDINGS)), case=case)
    record = replace(
        check(each),
        target=text,
        notes=(text, text),
        profile=text,
        machine=machine,
        gradproof=text,
        started=text,
        counts={text: 3},
    )
    figure = Figure(text, 1.5, text, text, False, {text: 3.0}, text, text)
    run = benchmarks(benchmark(text, text, 1e-6, name=text, extra_info={"what": text}))
    run |= {"datetime": text, "version": text}
    run["machine_info"] |= {"system": text, "cpu": {"brand_raw": text, "count": 2}}
    return [record, FiguresRecord((figure,), text, machine, text), run]


@given(st.text())
def test_escaped_markdown_is_one_line_without_markup(text: str) -> None:
    escaped = markdown.escape(clean(text))
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|~$]", escaped.replace("\\\\", ""))
    assert not re.search("[<>@]|://", escaped)


@given(st.text("`~ \na", max_size=40))
def test_no_text_closes_its_fence(text: str) -> None:
    first, *inside, last = markdown.fence(text).split("\n")
    assert first == f"{last}text"
    assert not any(last in row for row in inside)


def damaged(name: str) -> bytes:
    data = encode(wrong())
    good: Callable[[], Any] = lambda: json.loads(data)  # noqa: E731
    if name == "empty":
        return b""
    if name == "not JSON":
        return b"<html>"
    if name == "not text":
        return b"\xff\xfe\x00"
    if name == "cut off":
        return data[: len(data) // 2]
    if name == "nested without end":
        return b"[" * 100_000
    if name == "a list":
        return b"[1]"
    if name == "no schema":
        return b'{"a": 1}'
    if name == "another schema":
        return json.dumps(good() | {"schema": "gradproof.check/999"}).encode()
    if name == "schema of another type":
        return json.dumps(good() | {"schema": 3}).encode()
    if name == "unknown verdict":
        return json.dumps(good() | {"verdict": "fine"}).encode()
    if name == "damaged case":
        record = good()
        record["failures"][0]["case"]["inputs"]["data"] = [1.0]
        return json.dumps(record).encode()
    if name == "impossible network":
        record = good()
        record["failures"][0]["case"]["network"]["layers"] = []
        return json.dumps(record).encode()
    if name == "benchmarks without times":
        return json.dumps(benchmarks() | {"benchmarks": [{"name": "x"}]}).encode()
    return b'{"benchmarks": [], "machine_info": {}}'


@pytest.mark.parametrize(
    "name",
    [
        "empty",
        "not JSON",
        "not text",
        "cut off",
        "nested without end",
        "a list",
        "no schema",
        "another schema",
        "schema of another type",
        "unknown verdict",
        "damaged case",
        "impossible network",
        "benchmarks without times",
        "benchmarks without a date",
    ],
)
def test_bad_files_are_named_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "good.json").write_bytes(encode(correct()))
    (tmp_path / "bad.json").write_bytes(damaged(name))
    with pytest.raises(RecordError, match=re.escape(str(tmp_path / "bad.json"))):
        write_report([tmp_path / "good.json", tmp_path / "bad.json"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@given(st.integers(0, 20_000))
def test_a_file_cut_off_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, at: int) -> None:
    data = encode(wrong()).strip()
    file = tmp_path_factory.mktemp("cut") / "cut.json"
    file.write_bytes(data[: at % len(data)])
    with pytest.raises(RecordError, match=r"cut\.json"):
        read([file])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"nowhere\.json: cannot be read"):
        write_report([tmp_path / "nowhere.json"], tmp_path / "out")


@pytest.mark.parametrize("paths", [[], ["folder"]])
def test_no_files_is_an_error(tmp_path: Path, paths: list[str]) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArgumentError, match="at least one recorded JSON file"):
        write_report([tmp_path / path for path in paths], tmp_path / "out")


def test_the_folder_to_write_to_must_not_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(encode(correct()))
    with pytest.raises(ArgumentError, match="out_dir: expected a folder"):
        write_report([tmp_path / "a.json"], tmp_path / "a.json")


def test_the_days_of_all_files_are_told(tmp_path: Path) -> None:
    records = [
        replace(correct(), target=f"t{n}", started=started)
        for n, started in enumerate(("2026-01-09T00:00:00+00:00", "2026-01-07T23:30:00-01:00", "2026-01-10T00:00:00"))
    ]
    text, _ = written(tmp_path, *records)
    assert "Recorded 2026-01-08 to 2026-01-10." in text


def test_many_checks_are_all_there(tmp_path: Path) -> None:
    records: list[CheckRecord] = [replace(wrong(), target=f"t{n}.py:f") for n in range(40)]
    text, page = written(tmp_path, *records)
    assert_sound(text, page)
    assert all(page.shows(f"t{n}.py:f") and f"`t{n}.py:f`" in text for n in range(40))

"""The cause of a wrong answer stands near the top of its failure, on the screen, in Markdown and in HTML."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
import records  # type: ignore[import-not-found,unused-ignore]
from rich.console import Console

from gradproof.record import Cause, CheckRecord, decode, encode
from reports.page import write_report
from reports.terminal import render_case, render_check

NAMED = Cause(
    kind="mistake",
    name="derivative at a",
    layer="layer 0",
    words="the derivative of sigmoid is taken at the activation a, not at the pre-activation z",
    mend="pass z to the derivative of sigmoid",
    same_as=("1 < 2 in other words",),
    cases=161,
    wrong=101,
    fresh=60,
)
UNKNOWN = Cause("unknown", None, None, "no known mistake reproduces these numbers", None, (), 40, 20, 0)
TEXTS = (
    f"layer 0: {NAMED.words}",
    "mend: pass z to the derivative of sigmoid",
    "it reproduces all of 161 answers (101 of them found wrong, 60 new), and no other known does",
)


def record(cause: Cause) -> CheckRecord:
    plain: CheckRecord = records.check(records.failure(causes=(cause,)))
    return plain


def screen(cause: Cause) -> str:
    stream = io.StringIO()
    render_check(record(cause), Console(file=stream, width=200))
    return stream.getvalue()


def test_the_screen_names_the_mistake_above_the_numbers() -> None:
    shown = screen(NAMED)
    for text in TEXTS:
        assert text in shown
    assert "the same on all that the target supports: 1 < 2 in other words" in shown
    assert shown.index(TEXTS[0]) < shown.index("∂L/∂0.weight")


def test_an_unknown_cause_says_what_is_known() -> None:
    shown = screen(UNKNOWN)
    assert "cause unknown: no known mistake reproduces these numbers" in shown
    assert "compared with 40 answers (20 of them found wrong, 0 new)" in shown
    assert "mend:" not in shown


def test_a_single_case_shows_kept_causes() -> None:
    stream = io.StringIO()
    render_case(records.small_case(), records.WRONG_FINDINGS, Console(file=stream, width=200), causes=(NAMED,))
    assert TEXTS[0] in stream.getvalue()


@pytest.mark.parametrize("suffix", [".md", ".html"])
def test_pages_name_the_mistake(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "check.json").write_bytes(encode(record(NAMED)))
    pages = write_report([tmp_path / "check.json"], tmp_path / "out")
    text = next(page for page in pages if page.suffix == suffix).read_text(encoding="utf-8")
    assert TEXTS[0] in text
    assert "mend: pass z" in text
    assert "1 < 2" not in text  # escaped


def test_causes_survive_json_and_older_records_have_none() -> None:
    kept = record(NAMED)
    assert decode(encode(kept), CheckRecord) == kept
    data = msgspec.json.decode(encode(kept))
    del data["failures"][0]["causes"]
    assert decode(msgspec.json.encode(data), CheckRecord).failures[0].causes == ()

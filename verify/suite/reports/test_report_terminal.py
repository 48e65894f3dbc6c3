"""The terminal's screens."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.console import Console

from gradproof.errors import GradproofError
from gradproof.record import CheckRecord
from gradproof.verdict import Finding, Verdict
from reports.terminal import render_case, render_check
from verify.suite.reports.records import RECORDS, WRONG_FINDINGS, check, correct, failure, kink, small_case, wrong


def console(width: int = 80, encoding: str = "utf-8", **options: Any) -> tuple[Console, io.BytesIO]:
    stream = io.BytesIO()
    return Console(file=io.TextIOWrapper(stream, encoding=encoding), width=width, **options), stream


def screen(record: CheckRecord, width: int = 80, encoding: str = "utf-8", **options: Any) -> str:
    to, stream = console(width, encoding, **options)
    render_check(record, to)
    to.file.flush()
    return stream.getvalue().decode(encoding)


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_every_screen_fits_its_terminal(name: str, width: int, encoding: str) -> None:
    record = RECORDS[name]()
    replays = [each.replay for each in record.failures]
    for printed in screen(record, width, encoding).splitlines():
        assert len(printed.rstrip()) <= width or printed.strip() in replays, printed


def test_success_says_what_was_done() -> None:
    text = screen(correct())
    assert "CORRECT" in text
    for told in ("500 cases, all correct", "61,234 numbers", "12.3 s", "seed 0", "left derivative", "numpy 2.4.0"):
        assert told in text
    assert "ailure" not in text


def test_failure_shows_every_number() -> None:
    text = screen(wrong())
    lines = [printed.strip() for printed in text.splitlines()]
    assert "500 cases: 137 wrong, 363 correct" in text
    assert "∂L/∂0.weight[0, 1]        0.013562881298718            4.4e-04" in lines
    assert "layer 0: dense 2          0.013998042109812341287      4.2e-17" in lines
    for told in ("wrong in 2 of 4 entries", "nan", "2 -> dense 2 -> sigmoid -> dense 1 -> sigmoid"):
        assert told in text
    for row in ("0.weight  [[ 0.5 , -1.0 ],", "[ 0.25,  2.0 ]]", "2.bias    [0.1]", "inputs    [[1.0, 0.0]]"):
        assert row in lines
    assert wrong().failures[0].replay in lines


def test_differing_digits_are_marked_without_colour() -> None:
    lines = screen(wrong()).splitlines()
    (at,) = [n for n, printed in enumerate(lines) if "0.013562881298718" in printed]
    exact, carets = lines[at + 1], lines[at + 2]
    start, end = carets.index("^"), carets.rindex("^") + 1
    assert exact[start:end] == "998042109812341287"
    assert set(carets[start:end]) == {"^"}


def test_differing_digits_are_coloured() -> None:
    text = screen(wrong(), force_terminal=True, color_system="standard")
    assert "0.013\x1b[1;31m562881298718\x1b[0m" in text
    assert "0.013\x1b[1;32m998042109812341287\x1b[0m" in text


def test_a_set_at_a_kink_is_shown_as_an_interval() -> None:
    assert "[0, 2]" in screen(kink())


def test_every_array_of_a_case_is_shown() -> None:
    lines = [printed.strip() for printed in screen(kink()).splitlines()]
    assert "upstream  [[2.0]]" in lines
    lines = [printed.strip() for printed in screen(RECORDS["inaccurate"]()).splitlines()]
    for row in ("[-3e-05, 40.0  ]]", "1.body.0.weight  [[0.33333334, 0.0       ],", "sample weights   [1.0, 2.5]"):
        assert row in lines


def test_all_failures_are_shown() -> None:
    failures = [failure(summary=f"summary number {n}", replay=f"gradproof replay {n}") for n in range(7)]
    text = screen(check(*failures))
    for n in range(7):
        assert f"summary number {n}" in text
        assert f"gradproof replay {n}\n" in text


def test_replay_is_one_line_to_copy() -> None:
    command = f"gradproof replay abc --target '{'long  folder/' * 60}net.py:net'"
    assert f"  {command}\n" in screen(check(failure(replay=command)), width=60)


def test_multi_line_messages_keep_their_lines() -> None:
    lines = screen(RECORDS["crashed"]()).splitlines()
    assert '  │   File "net.py", line 12, in backward' in lines
    assert "  │             ~~~~~~~~~~^~~~~~" in lines


def test_rich_markup_and_emoji_codes_are_text() -> None:
    text = screen(check(failure(summary="[bold]x[/bold] [/] :smile: [link=http://a]b[/link]"), target="[red]t[/red]"))
    assert "[bold]x[/bold] [/] :smile: [link=http://a]b[/link]" in text
    assert "[red]t[/red]" in text


@given(st.text(max_size=200), st.sampled_from(["utf-8", "ascii", "latin-1"]), st.integers(30, 120))
def test_no_text_from_others_harms_a_terminal(text: str, encoding: str, width: int) -> None:
    finding = Finding(
        Verdict.CRASHED, text, text, layer=text, got=text, exact=text, error=text, allowed=text, entries=3, bad=1
    )
    each = failure(summary=text, replay=text, case_id=text, findings=(finding, *WRONG_FINDINGS))
    machine = replace(correct().machine, processor=text, packages={text: text})
    record = check(each, target=text, notes=(text,), profile=text, machine=machine, gradproof=text)
    shown = screen(record, width, encoding)
    assert all(char == "\n" or char.isprintable() for char in shown)


def test_a_damaged_case_prints_nothing() -> None:
    data = replace(small_case().to_data(), parameters={})
    to, stream = console()
    with pytest.raises(GradproofError):
        render_check(check(replace(failure(), case=data)), to)
    to.file.flush()
    assert stream.getvalue() == b""


def test_a_case_alone() -> None:
    to, stream = console()
    render_case(small_case(), WRONG_FINDINGS, to)
    render_case(small_case(), (), to, target="[b]net.py:f[/b]")
    to.file.flush()
    found, fine = stream.getvalue().decode().split("CORRECT")
    assert "WRONG   case c52c0610191b" in found
    assert "0.013562881298718" in found
    assert "[b]net.py:f[/b]" in fine
    assert "[[ 0.5 , -1.0 ]," in found
    assert "[[ 0.5 , -1.0 ]," in fine

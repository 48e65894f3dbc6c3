"""How a training is shown: a bar where a person watches, lines where they are asked for, nothing else."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import threading
import time

import pytest

from fastimpl import progress
from fastimpl.progress import FitProgress, watched


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def assert_no_timer() -> None:
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(timeout=30)
            assert not thread.is_alive()


def told(stream: io.StringIO | None, asked: bool | None, monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> str:
    """What is written to standard error of five epochs that take so many seconds each."""
    now = 0.0
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("time.monotonic", lambda: now)
    with watched(asked) as watcher:
        for epoch in range(6):
            if watcher is not None:
                metrics = {"loss": 1 / (epoch + 1), "accuracy": 0.875} if epoch else {}
                watcher(FitProgress(epoch, 5, 3 * epoch, 15, metrics, now, seconds * (5 - epoch)))
            now += seconds
    return "" if stream is None else stream.getvalue()


def test_a_terminal_shows_a_bar_with_the_numbers_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    written = told(Terminal(), None, monkeypatch, seconds=1.0)
    assert "2/5" in written
    assert "5/5" in written
    assert "3 s left" in written
    assert "loss 0.1667" in written
    assert "accuracy 0.875" in written
    assert "━" in written


@pytest.mark.parametrize("asked", [None, True])
def test_a_short_training_draws_nothing_on_a_terminal(asked: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(Terminal(), asked, monkeypatch, seconds=0.01) == ""


def test_a_long_silence_is_explained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0.01)
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with watched(None) as watcher:
        assert watcher is not None
        deadline = time.monotonic() + 30
        while "starting" not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "is compiled, and kept" in stream.getvalue()
        monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
        watcher(FitProgress(5, 5, 15, 15, {"loss": 0.5}, 3.0, 0.0))
    assert "epoch 5/5" in stream.getvalue()
    assert_no_timer()


@pytest.mark.parametrize("failing", [False, True])
def test_a_bar_that_was_never_told_leaves_nothing(failing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with contextlib.suppress(ZeroDivisionError), watched(None):
        if failing:
            raise ZeroDivisionError
    assert stream.getvalue() == ""
    assert_no_timer()


def test_nothing_is_written_to_a_pipe_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(io.StringIO(), None, monkeypatch, seconds=10) == ""
    assert told(Terminal(), False, monkeypatch, seconds=10) == ""
    assert told(None, None, monkeypatch, seconds=10) == ""
    assert told(None, True, monkeypatch, seconds=10) == ""


def test_lines_come_every_few_seconds_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    written = told(io.StringIO(), True, monkeypatch, seconds=1.1)
    assert written.splitlines() == [
        "epoch 2 of 5, loss 0.3333, accuracy 0.875, 2.2 s, 3.3 s left",
        "epoch 4 of 5, loss 0.2, accuracy 0.875, 4.4 s, 1.1 s left",
        "epoch 5 of 5, loss 0.1667, accuracy 0.875, 5.5 s, 0.0 s left",
    ]


def test_a_bar_is_gone_from_the_terminal_s_state_when_a_training_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream, out = Terminal(), sys.stdout
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)

    def fail() -> None:
        with watched(None) as watcher:
            assert watcher is not None
            watcher(FitProgress(1, 5, 3, 15, {}, 1.0, 4.0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h") > 0, "the cursor is back"
    assert (sys.stderr, sys.stdout) == (stream, out)


def test_what_draws_is_loaded_when_it_draws() -> None:
    code = (
        "import sys; from fastimpl.progress import *\n"
        "for asked in (None, True, False):\n"
        "    with watched(asked) as w: w and w(FitProgress(5, 5, 15, 15, {}, 9.0, 0.0))\n"
        "sys.exit('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "epoch 5 of 5, 9.0 s, 0.0 s left\n"

"""The command as people meet it: every bad input with its exit code, JSON that is nothing else, replay, files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from gradproof import __version__, cli
from gradproof.case import Case
from gradproof.cases import from_data
from gradproof.cli import watching
from gradproof.record import CaseRecord, CheckRecord, decode
from gradproof.verdict import CaseVerdict
from verify import campaign, judge
from verify.suite.door.folders import Folder

GRADPROOF = Path(sys.executable).parent / "gradproof"


@pytest.fixture(autouse=True)
def _few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PROFILES", {**campaign.PROFILES, "smoke": 12})


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(cli.main, [*map(str, arguments)])


def check(target: str, *options: Any) -> Any:
    return run("check", target, "--profile", "smoke", *options)


def record_of(target: str, *options: Any) -> Any:
    result = check(target, "--format", "json", *options)
    return decode(result.stdout_bytes, CheckRecord), result


def outside(*arguments: Any, cwd: Any) -> Any:
    """A process of its own, as a person starts it."""
    return subprocess.run([GRADPROOF, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


# Every way to be no answer: what the target does, its verdict, its exit code, and what is said.
BAD = {
    "raises": ("raise IndexError('nothing there')", "crashed", 3, ["IndexError: nothing there", "bad.py:4 in raises"]),
    "exits": ("sys.exit(0)", "crashed", 3, ["SystemExit: 0"]),
    "none": ("net.right(case)", "broke protocol", 3, ["returned None", "expected gradproof.Gradients"]),
    "names": (
        "a = net.right(case); a['parameters'] = {n + 's': v for n, v in a['parameters'].items()}; return a",
        "broke protocol",
        3,
        ["unknown parameter '0.weights'", "did you mean '0.weight'?"],
    ),
    "shapes": (
        "a = net.right(case); a['outputs'] = a['outputs'][..., None]; return a",
        "broke protocol",
        3,
        ["outputs is of shape (1, 1, 1), expected (1, 1)"],
    ),
    "dtype": (
        "a = net.right(case); a['outputs'] = a['outputs'].astype(np.float32); return a",
        "broke protocol",
        3,
        ["outputs is of dtype float32, expected float64"],
    ),
    "nan": ("a = net.right(case); a['outputs'] = a['outputs'] * np.nan; return a", "wrong", 1, ["not finite"]),
    "changes": ("case.inputs[...] = 0", "broke protocol", 3, ["changes inputs of the case in place", "copy first"]),
    "forces": (
        "x = case.inputs; x.setflags(write=True); x += 1; return net.right(case)",
        "broke protocol",
        3,
        ["changes inputs of the case", "copy first"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_a_finding_and_the_run_goes_on(folder: Folder, name: str) -> None:
    body, verdict, code, words = BAD[name]
    record, result = record_of(folder.target(name, body))
    assert result.exit_code == record.exit_code == code
    assert (record.verdict, record.cases, record.counts) == (verdict, 12, {verdict: 12})
    assert all(word in record.failures[0].summary for word in words), record.failures[0].summary
    screen = check(f"bad.py:{name}")
    assert screen.exit_code == code
    assert all(word in " ".join(screen.output.split()) for word in words[:1])
    assert "Traceback" not in screen.output


def test_one_bad_case_does_not_end_the_run(folder: Folder) -> None:
    record, result = record_of(folder.target("at_two", "return net.right(case) if case.batch != 2 else 1 / 0"))
    assert result.exit_code == 3
    assert set(record.counts) == {"crashed", "correct"}
    assert record.cases == 12
    assert Case.from_data(record.failures[0].case).batch == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "nowhere.py:net"], ["no file 'nowhere.py'"]),
        (["check", "net.py:rihgt"], ["did you mean 'right'?"]),
        (["check", "net.py:undeclared"], ["@gradproof.target("]),
        (["check", "broken.py:net"], ["ZeroDivisionError", 'broken.py", line 1']),
        (["check", "impossible.py:net"], ["supports.losses"]),
        (["check", "net.py:right", "--profile", "huge"], ["huge"]),
        (["check", "net.py:right", "--seed", "x"], ["--seed"]),
        (["check"], ["TARGET"]),
        (["replay", "123456789abc"], ["ID: expected the id of one kept case"]),
        (["replay", "../x"], ["12 hex digits"]),
        (["replay", "net.json"], ["net.json: cannot be read"]),
        (["replay", "damaged.json"], ["damaged.json: not a record"]),
        (["report"], ["nothing is kept", "run gradproof check first"]),
        (["report", "nowhere.json"], ["nowhere.json"]),
        (["chekc"], ["chekc"]),
    ],
)
def test_bad_usage_is_one_message_and_exit_code_2(folder: Folder, arguments: list[str], words: list[str]) -> None:
    folder.write("broken.py", "1 / 0")
    folder.write("impossible.py", "import gradproof\nclass Net: pass\n")
    folder.write(
        "impossible.py",
        """
        import gradproof
        @gradproof.target(losses="binary_cross_entropy/sum", output="identity")
        def net(case): ...
        """,
    )
    folder.write("damaged.json", '{"schema": "gradproof.case/1"')
    result = run(*arguments)
    assert result.exit_code == 2
    assert all(word in result.stderr for word in words), result.stderr
    assert "gradproof/cli" not in result.stderr
    assert result.stdout == ""
    assert not Path(".gradproof").exists()


def test_a_right_network_passes(folder: Folder) -> None:
    for target in ("net.py:right", "net:Network"):
        result = check(target)
        assert result.exit_code == 0
        assert "CORRECT" in result.stdout
        assert [line for line in result.stderr.splitlines() if not line.startswith("gradproof: checking")] == []


def test_a_wrong_network_is_shown_kept_and_replayed(folder: Folder) -> None:
    result = check("net.py:wrong")
    assert result.exit_code == 1
    (kept,) = Path(".gradproof/checks").glob("*.json")
    assert kept.name.endswith("-net-py-wrong.json")
    record = decode(kept.read_bytes(), CheckRecord)
    failure = record.failures[0]
    case = from_data(failure.case)
    assert isinstance(case, Case)
    assert len(case.stack.widths) <= 3
    assert sum(a.size for a in (*case.parameters.values(), case.inputs, case.targets) if a is not None) <= 6
    shown = " ".join(result.output.split())
    for text in (failure.replay, failure.case_id, failure.findings[0].quantity):
        assert text in shown
    assert failure.replay == f"gradproof replay {failure.case_id}"

    again = run(*failure.replay.split()[1:])
    assert again.exit_code == 1
    assert "net.py:wrong: wrong" in again.output
    told = msgspec.json.decode(run("replay", failure.case_id[:6], "--format", "json").stdout, type=CaseVerdict)
    assert told == CaseVerdict(failure.case_id, failure.verdict, failure.findings)
    other = run("replay", failure.case_id, "net.py:right")
    assert other.exit_code == 0
    assert "correct" in other.output.lower()


def test_a_failing_case_is_explained(folder: Folder) -> None:
    check("net.py:wrong")
    case_id = next(Path(".gradproof/cases").glob("*.json")).stem
    screen = run("explain", case_id, "--entry", "0.bias[0]")
    assert screen.exit_code == 0
    assert f"∂L/∂0.bias[0] of case {case_id}" in screen.stdout
    assert "db0[0] = " in screen.stdout
    assert run("explain", case_id, "--format", "latex").stdout.startswith("\\begin{align*}")
    assert json.loads(run("explain", case_id, "--format", "json").stdout)["case_id"] == case_id
    wrong = run("explain", case_id, "--entry", "9.bias[0]")
    assert wrong.exit_code == 2
    assert "entry: expected one of 0.weight" in wrong.stderr


def test_a_case_that_two_targets_fail_replays_each(folder: Folder) -> None:
    first, second = folder.target("first", "raise KeyError(1)"), folder.target("second", "raise KeyError(2)")
    records = [record_of(target)[0] for target in (first, second, first)]
    assert len({record.failures[0].case_id for record in records}) == 1
    for record, word in zip(records, ("KeyError: 1", "KeyError: 2", "KeyError: 1"), strict=True):
        assert word in run(*record.failures[0].replay.split()[1:]).output
    assert len(list(Path(".gradproof/checks").glob("*.json"))) == 3


def test_json_is_the_record_and_nothing_else(folder: Folder) -> None:
    body = "print('loud'); print('loud', file=sys.stderr); os.write(1, b'louder'); return net.wrong(case)"
    target = folder.target("loud", body)
    result = outside(
        "check", target, "--profile", "smoke", "--format", "json", "--out", "out/copy.json", cwd=folder.path
    )
    assert result.returncode == 1
    assert json.loads(result.stdout)["schema"] == "gradproof.check/1"
    (kept,) = (folder.path / ".gradproof/checks").glob("*.json")
    assert result.stdout == kept.read_text() == (folder.path / "out/copy.json").read_text()
    record = decode(result.stdout.encode(), CheckRecord)
    assert (record.target, record.profile, record.seed, record.cases) == (target, "smoke", 0, 60)


@pytest.mark.parametrize("isolated", [(), ("--isolate",)], ids=["judged beside it", "apart"])
def test_no_way_of_printing_reaches_the_json(isolated: tuple[str, ...], folder: Folder) -> None:
    """Streams that were held on to at import, buffers that are not flushed, and words at the process's end."""
    folder.write(
        "bad.py",
        """
        import atexit, ctypes, os, sys
        from sys import stdout
        import gradproof, net
        own = open(1, "w", closefd=False)
        c = ctypes.CDLL(None)
        atexit.register(os.write, 1, b"end")
        stdout.write("loading")

        @gradproof.target(**net.SUPPORTS)
        def loud(case):
            stdout.write("held")
            sys.__stdout__.write("first")
            own.write("own")
            c.printf(b"compiled")
            return net.right(case)
        """,
    )
    result = outside("check", "bad.py:loud", "--profile", "smoke", "--format", "json", *isolated, cwd=folder.path)
    assert result.returncode == 0, result.stderr
    (kept,) = (folder.path / ".gradproof/checks").glob("*.json")
    assert result.stdout == kept.read_text()


def test_a_target_called_verify_beside_a_folder_called_reports(folder: Folder) -> None:
    folder.write("verify.py", (folder.path / "net.py").read_text() + "\nimport reports.words\n")
    folder.write("reports/words.py", "import benchmarks\n")
    folder.write("benchmarks.py", "")
    result = outside("check", "verify.py:right", "--profile", "smoke", cwd=folder.path)
    assert (result.returncode, "CORRECT" in result.stdout) == (0, True), result.stderr
    result = outside("check", "verify:wrong", "--profile", "smoke", cwd=folder.path)
    assert (result.returncode, "WRONG" in result.stdout) == (1, True), result.stderr


def test_a_case_keeps_its_target_and_its_numbers(folder: Folder) -> None:
    failure = record_of("net.py:wrong")[0].failures[0]
    kept = decode(Path(f".gradproof/cases/{failure.case_id}.json").read_bytes(), CaseRecord)
    assert (kept.target, kept.verdict, kept.summary) == ("net.py:wrong", failure.verdict, failure.summary)
    assert from_data(kept.case).id == failure.case_id == kept.case_id


def test_a_record_that_cannot_be_kept_does_not_cost_the_verdict(folder: Folder) -> None:
    folder.write(".gradproof", "a file in the way")
    result = check("net.py:wrong")
    assert result.exit_code == 1
    assert "cannot be kept" in result.stderr
    assert "gradproof check net.py:wrong --profile smoke --seed 0" in result.stdout
    folder.write("file", "")
    assert check("net.py:right", "--out", "file/record.json").exit_code == 2


def test_undecided_and_inaccurate_have_codes_of_their_own(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = judge.certified()
    folder.target("nan", "a = net.right(case); a['loss'] = np.nan; return a")

    def with_oracle(**changes: Any) -> Any:
        monkeypatch.setattr(judge, "certified", lambda: replace(real, **changes))

    with_oracle(overflowing=lambda case, dtype: ("a naive formula",))
    assert check("bad.py:nan").exit_code == 4
    assert check("net.py:right").exit_code == 0

    class Nothing:
        def __init__(self, case: Case, enclosed: Any) -> None:
            known = real.allowance(case, enclosed).rigorous
            self.rigorous = self.typical = {name: np.full_like(bound, np.inf) for name, bound in known.items()}

    with_oracle(allowance=Nothing)
    assert check("bad.py:nan").exit_code == 6

    def fails(case: Case, bits: int) -> Any:
        raise ArithmeticError("lost")

    with_oracle(enclosure=fails)
    result = check("net.py:right")
    assert result.exit_code == 6
    assert "gradproof itself fails" in result.output


def test_nothing_ran_has_a_code_of_its_own(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.drawing.survey", lambda *arguments, **options: None)
    assert check("net.py:right").exit_code == 5


def test_a_defect_of_ours_shows_its_traceback_and_asks_for_a_report(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("ours")

    monkeypatch.setattr(campaign, "check_implementation", defect)
    result = check("net.py:right")
    assert result.exit_code == 6
    assert "AssertionError: ours" in result.stderr
    assert "defect of gradproof" in result.stderr


@pytest.mark.parametrize("options", [[], ["--isolate"]])
def test_ctrl_c_ends_a_run_without_a_verdict(folder: Folder, options: list[str]) -> None:
    target = folder.target("slow", "open('called', 'w').close()\nimport time\ntime.sleep(60)")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it, heirs too
    try:
        command = subprocess.Popen(
            [GRADPROOF, "check", target, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    while command.poll() is None and not (folder.path / "called").exists():
        time.sleep(0.01)
    os.killpg(command.pid, signal.SIGINT)  # as a terminal does
    out, errors = command.communicate(timeout=60)
    assert command.returncode == 130, errors
    assert "interrupted" in errors
    assert out == ""


def test_an_interrupt_that_the_target_raises_is_no_ctrl_c(folder: Folder) -> None:
    result = check(folder.target("interrupts", "raise KeyboardInterrupt"))
    assert result.exit_code == 3
    assert "KeyboardInterrupt, raised by the target itself" in result.stdout


def test_a_report_is_made_of_what_was_kept(folder: Folder) -> None:
    check("net.py:wrong")
    result = run("report", "--out", "pages")
    assert result.exit_code == 0, result.output
    files = [Path(line) for line in result.stdout.split()]
    assert {file.suffix for file in files} == {".md", ".html"}
    assert all("net.py:wrong" in file.read_text() for file in files)


def test_long_runs_say_how_far_they_are_where_nobody_watches(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(watching, "LINE_SECONDS", 0.0)
    lines = check(folder.target("slow", "raise OSError"), "--format", "json").stderr.splitlines()
    assert "gradproof: checking, 7 of 12 cases, 7 crashed" in lines
    assert lines[-1].startswith("gradproof: shrinking, 1 of 1 failures")


def test_a_terminal_shows_a_bar(folder: Folder) -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    command = [str(GRADPROOF), "check", "net.py:right", "--profile", "smoke"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    ended = subprocess.run(
        command, cwd=folder.path, stdout=subprocess.PIPE, stderr=follower, env=environment, check=False
    )
    os.close(follower)
    drawn = os.read(leader, 1 << 20).decode(errors="replace")  # a slow run draws more than one read gives
    os.close(leader)
    assert ended.returncode == 0
    assert "/60" in drawn
    assert b"/60" not in ended.stdout


def test_whoever_stops_reading_gets_the_exit_code(folder: Folder) -> None:
    command = f"{GRADPROOF} check net.py:wrong --profile smoke | true; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["/bin/bash", "-c", command], cwd=folder.path, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "1"
    assert result.stderr == "" or "BrokenPipe" not in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["--version"]])
def test_help_is_light(arguments: list[str]) -> None:
    heavy = ("sympy", "numba", "hypothesis", "scipy", "rich", "flint")
    code = (
        "import sys\nfrom gradproof.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\nassert not loaded, loaded"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    if arguments == ["--version"]:
        assert __version__ in result.stdout
    else:
        assert "gradproof check net.py:backprop" in result.stdout
        assert "Exit codes" in result.stdout

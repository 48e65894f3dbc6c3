"""The command survives a target that takes its process down, and says what happened; limits and options."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gradproof
from gradproof.errors import ArgumentError, GradproofError
from gradproof.record import CheckRecord, decode
from gradproof.verdict import Verdict
from verify import campaign
from verify.isolation import supervision
from verify.isolation.tampering import TamperedError
from verify.loading import TargetError
from verify.suite.isolation import hostile

EXAMPLES = Path(gradproof.__file__).parents[1] / "examples"
FEW = {"smoke": 6, "default": 6}
SHRINK_CALLS = 3
COMMAND = f"""
from verify import campaign
campaign.PROFILES = {FEW}
campaign.SHRINK_CALLS = {SHRINK_CALLS}
from gradproof.cli import main
main()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(hostile.__file__, tmp_path / "hostile.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(campaign, "PROFILES", FEW)
    monkeypatch.setattr(campaign, "SHRINK_CALLS", SHRINK_CALLS)
    return tmp_path


def checked(name: str, **options: Any) -> tuple[CheckRecord, list[str]]:
    said: list[str] = []
    target = f"hostile.py:{name}"
    record = supervision.check(target, profile="smoke", on_progress=lambda _: None, say=said.append, **options)
    return record, said


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("segmentation_fault", "it died of SIGSEGV"),
        ("exits_at_once", "it ended with exit code 0"),
        ("interrupts", "it raised KeyboardInterrupt"),
        ("closes_every_file", "it "),
        ("replaces_functions_of_numpy", "the target replaces numpy."),
    ],
)
def test_a_target_that_takes_the_judge_down_is_run_apart_from_the_same_seed(folder: Path, name: str, why: str) -> None:
    record, said = checked(name)
    assert why in said[0]
    assert why in record.notes[0]
    assert record.cases == 6
    assert record.verdict in (Verdict.CRASHED, Verdict.BROKE_PROTOCOL)
    assert record.counts["correct"] >= 1 or name.startswith("replaces")


def test_a_run_that_starts_again_is_the_run_that_was_isolated(folder: Path) -> None:
    again, _ = checked("segmentation_fault")
    apart, said = checked("segmentation_fault", isolate=True)
    assert said == []
    assert apart.counts == again.counts
    assert [f.case_id for f in apart.failures] == [f.case_id for f in again.failures]


def test_a_call_that_does_not_end_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "CALL_SECONDS", 0.4)
    monkeypatch.setattr(campaign, "PROFILES", {"smoke": 2})
    monkeypatch.setattr("verify.isolation.isolated.FIRST_SECONDS", 0.3)
    monkeypatch.setattr("verify.isolation.isolated.LEAST_SECONDS", 0.3)
    record, said = checked("loops_without_end", seed=2)
    assert "no answer within" in said[0]
    assert record.verdict is Verdict.TIMED_OUT


@pytest.mark.parametrize("name", ["leaves_threads", "prints_much", "forks", "moves_away"])
def test_a_target_that_leaves_the_judge_alone_is_checked_once(folder: Path, name: str) -> None:
    record, said = checked(name)
    assert said == []
    assert record.verdict is Verdict.CORRECT
    assert record.cases == 6


def test_the_record_is_that_of_the_judge_s_own_process(folder: Path) -> None:
    record, _ = checked("exits")
    ours = gradproof.check("hostile.py:exits", profile="smoke")
    apart = gradproof.check("hostile.py:exits", profile="smoke", isolate=True)
    for other in (ours, apart):
        assert (other.counts, other.verdict, other.exit_code) == (record.counts, record.verdict, record.exit_code)
        assert [f.findings for f in other.failures] == [f.findings for f in record.failures]


def test_errors_come_out_as_they_are(folder: Path) -> None:
    with pytest.raises(GradproofError, match=r"no file 'missing\.py'"):
        supervision.check("missing.py:it", on_progress=lambda _: None, say=lambda _: None)
    with pytest.raises(TargetError, match=r"no file 'missing\.py'"):
        gradproof.check("missing.py:it", isolate=True)
    with pytest.raises(ArgumentError, match="seed: expected a whole number"):
        gradproof.check("hostile.py:exits", seed="one", isolate=True)  # type: ignore[arg-type]


def test_a_target_that_dies_while_it_is_imported_cannot_be_had(folder: Path) -> None:
    (folder / "dies.py").write_text("import os\nprint('bye', flush=True)\nos._exit(3)\n")
    with pytest.raises(TargetError, match=r"cannot be loaded apart: .* exit code 3.*\nbye"):
        gradproof.check("dies.py:it", isolate=True)
    with pytest.raises(GradproofError, match="cannot be loaded apart"):
        supervision.check("dies.py:it", on_progress=lambda _: None, say=lambda _: None)


def test_what_cannot_be_isolated_and_limits_without_isolation_are_refused(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="isolate: expected False for an object"):
        gradproof.check(hostile.exits, isolate=True)
    with pytest.raises(ArgumentError, match="time_limit: expected None without isolate=True"):
        gradproof.check("hostile.py:exits", time_limit=3)
    with pytest.raises(ArgumentError, match="time_limit: expected seconds above 0, got -1"):
        gradproof.check("hostile.py:exits", isolate=True, time_limit=-1)
    with pytest.raises(ArgumentError, match="memory_limit: expected a whole number"):
        gradproof.check("hostile.py:exits", isolate=True, memory_limit=1.5)  # type: ignore[arg-type]


def test_replaced_functions_are_told_where_nothing_else_can_be_done(folder: Path, monkeypatch: Any) -> None:
    import numpy as np

    for name in ("any", "all", "asarray", "isfinite", "abs"):
        monkeypatch.setattr(np, name, getattr(np, name))  # put back afterwards
    with pytest.raises(TamperedError, match=r"the target replaces numpy\.\w+.*--isolate"):
        gradproof.check("hostile.py:replaces_functions_of_numpy", profile="smoke")


def test_no_target_within_a_target_s_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "again.py").write_text(
        "import gradproof\nfrom hostile import exits\n\n"
        "gradproof.check('again.py:exits', profile='smoke', isolate=True)\n"
    )
    with pytest.raises(TargetError, match="isolate: expected False where a target is being run apart already"):
        gradproof.check("again.py:exits", profile="smoke", isolate=True)


def test_the_command_as_it_is_typed(folder: Path) -> None:
    Path(".gradproof/cases").mkdir(parents=True)
    arguments = ["check", "hostile.py:segmentation_fault", "--profile", "smoke", "--format", "json"]
    result = subprocess.run([sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 3
    assert "again" in result.stderr
    record = decode(result.stdout.encode())
    assert isinstance(record, CheckRecord)
    case_id = record.failures[0].case_id
    replayed = subprocess.run(
        [sys.executable, "-c", COMMAND, "replay", case_id], capture_output=True, text=True, check=False
    )
    assert replayed.returncode == 3
    assert "SIGSEGV" in replayed.stdout
    assert not [file for file in folder.iterdir() if file.name.startswith("core")]


@pytest.mark.parametrize("kind", ["engines/scalar_engine_wrong", "operations/softmax", "optimisers/numpy_adam"])
def test_every_kind_of_target_is_judged_apart_as_it_is_here(folder: Path, kind: str) -> None:
    target = f"{EXAMPLES / kind}.py:adapter"
    here, apart = (gradproof.check(target, profile="smoke", isolate=isolate) for isolate in (False, True))
    assert (here.counts, here.verdict, here.entries) == (apart.counts, apart.verdict, apart.entries)
    assert [f.case_id for f in here.failures] == [f.case_id for f in apart.failures]

"""The command's other formats, and what it tells GitHub Actions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from gradproof.cli import main
from gradproof.record import CheckRecord, decode
from verify import campaign
from verify.suite.door.folders import Folder


@pytest.fixture(autouse=True)
def _few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PROFILES", {**campaign.PROFILES, "smoke": 12})
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


@pytest.fixture
def target(folder: Folder) -> str:
    return folder.target("broken", "raise OSError('no disk')")


def run(target: str, form: str) -> Any:
    result = CliRunner().invoke(main, ["check", target, "--profile", "smoke", "--format", form])
    assert result.exit_code == 3
    return result


def test_each_format_is_printed_and_nothing_else(target: str) -> None:
    suites = ElementTree.fromstring(run(target, "junit").stdout_bytes)
    assert suites.get("errors") == "2"
    tests = json.loads(run(target, "gradescope").stdout)["tests"]
    assert [(test["name"], test["score"]) for test in tests] == [
        ("half_squared_error/sum-one_layer-float64", 0.0),
        ("half_squared_error/sum-sigmoid-float64", 0.0),
    ]
    assert run(target, "html").stdout.startswith("<!doctype html>")
    assert run(target, "markdown").stdout.startswith("# gradproof report\n")
    (line,) = run(target, "github").stdout.splitlines()
    assert line.startswith("::error file=bad.py,line=3,title=gradproof%3A crashed::OSError: no disk (bad.py:4 in")


def test_actions_are_told_beside_any_format(target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = run(target, "json")
    assert decode(result.stdout_bytes, CheckRecord).target == target
    assert [line for line in result.stderr.splitlines() if line.startswith("::")] == [
        line for line in run(target, "github").stdout.splitlines() if line.startswith("::")
    ]
    text = summary.read_text()
    assert text.startswith("before\n# gradproof report\n")
    assert text.count("# gradproof report") == 2
    assert "`bad.py:broken` | **crashed**" in text

    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert "the step summary cannot be written" in run(target, "json").stderr

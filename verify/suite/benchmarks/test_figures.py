"""The figures' entry point and the README's blocks: names, goals, and numbers that cannot drift."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks import readme, timing
from benchmarks.__main__ import main
from benchmarks.agreement import DisagreementError
from benchmarks.commands import README, CommandError, ReadmeError, run
from benchmarks.figures import FIGURES, commands, common, described, measure
from benchmarks.peers import peers
from benchmarks.published import CHECKS, check_record, figures_record
from benchmarks.tasks import NAMES, task
from gradproof.errors import ArgumentError
from gradproof.record import Figure, FiguresRecord, decode


def test_every_figure_is_listed_with_what_it_is() -> None:
    listed = CliRunner().invoke(main, ["figures", "--list"])
    assert listed.exit_code == 0
    lines = dict(line.split(": ", 1) for line in listed.output.splitlines())
    assert lines == described()
    assert set(lines) == set(FIGURES)
    assert all(lines.values())
    assert {f"training_step.{name}" for name in NAMES} < set(lines)


def test_an_unknown_figure_is_refused_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIGURES, "cli_help", lambda progress: pytest.fail("measured"))
    with pytest.raises(ArgumentError, match=r"name: expected a figure among .*cli_help.*, got no_such"):
        measure(["cli_help", "no_such"], lambda text: None)
    refused = CliRunner().invoke(main, ["figures", "no_such"])
    assert refused.exit_code == 1
    assert "no_such" in refused.stderr


@pytest.mark.parametrize(
    ("value", "provided", "met"), [(4.9, True, True), (5.0, True, True), (5.1, True, False), (1.0, False, False)]
)
def test_a_goal_is_met_up_to_its_limit_and_only_with_what_else_has_to_hold(
    value: float, provided: bool, met: bool
) -> None:
    figure = common.figure("some", value, "s", at_most=5, provided=provided)
    assert (figure.goal, figure.met) == ("<= 5 s", met)
    assert figure.command == "python -m benchmarks figures some"


def test_a_figure_without_a_goal_is_neither_met_nor_missed() -> None:
    assert (common.figure("some", 1.0, "us").goal, common.figure("some", 1.0, "us").met) == (None, None)


def test_figures_prints_a_record_and_writes_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(FIGURES, "cli_help", lambda progress: common.figure("cli_help", 0.2, "s", at_most=0.4))
    out = tmp_path / "figures.json"
    done = CliRunner().invoke(main, ["figures", "cli_help", "--json", "--out", str(out)])
    assert done.exit_code == 0, done.output
    record = decode(done.stdout.encode(), FiguresRecord)
    assert record == decode(out.read_bytes(), FiguresRecord)
    assert [figure.name for figure in record.figures] == ["cli_help"]
    assert record.machine.packages["numpy"]
    assert done.stderr == "cli_help\n"
    text = CliRunner().invoke(main, ["figures", "cli_help"])
    assert text.stdout == "cli_help: 0.2 s  goal <= 0.4 s  met\n"


def test_a_command_that_fails_has_no_time() -> None:
    with pytest.raises(CommandError, match="expected exit code 0, got 3: sorry"):
        run(["python", "-c", "import sys; print('sorry', file=sys.stderr); sys.exit(3)"])


def test_a_figure_that_cannot_be_measured_is_told_and_the_others_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(progress: common.Progress) -> Figure:
        raise CommandError("planted")

    monkeypatch.setitem(FIGURES, "test_suite", fail)
    monkeypatch.setitem(FIGURES, "cli_help", lambda progress: common.figure("cli_help", 0.2, "s"))
    done = CliRunner().invoke(main, ["figures", "test_suite", "cli_help", "--json"])
    assert done.exit_code == 1
    assert [figure.name for figure in decode(done.stdout.encode(), FiguresRecord).figures] == ["cli_help"]
    assert "test_suite could not be measured: planted" in done.stderr


def test_help_is_timed_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "HELP_RUNS", 1)
    figure = FIGURES["cli_help"](lambda text: None)
    assert 0.01 < figure.value < 60


def test_a_peer_with_a_wrong_step_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(trainer: object, single: object) -> None:
        if type(trainer).__name__ == "NumpyTrainer":
            raise DisagreementError("planted")

    monkeypatch.setattr(timing, "peers", lambda: {n: p for n, p in peers().items() if n in ("numpy", "fastimpl")})
    monkeypatch.setattr(timing, "refuse_wrong_step", refuse)
    monkeypatch.setattr(timing, "ROUNDS", 2)
    monkeypatch.setattr(timing, "TURN", 0.001)
    times = timing.time_task(task("5-8-6-3.float64"))
    assert times.refused == {"numpy": "planted"}
    assert set(times.microseconds) == {"fastimpl"}


def test_the_readme_quotes_the_published_records() -> None:
    assert readme.refresh(write_changes=False) == (), "run: python -m benchmarks readme"


def test_the_readme_changes_with_the_published_records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_bytes(README.read_bytes())
    monkeypatch.setattr(readme, "README", copy)
    record = figures_record()
    changed = tuple(msgspec.structs.replace(figure, value=777.0) for figure in record.figures)
    monkeypatch.setattr(
        readme,
        "figures_record",
        lambda: FiguresRecord(changed, record.started, record.machine, record.gradproof),
    )
    assert CliRunner().invoke(main, ["readme", "--check"]).exit_code == 1
    assert "777 µs" not in copy.read_text(encoding="utf-8")
    assert CliRunner().invoke(main, ["readme"]).exit_code == 0
    assert "777 µs" in copy.read_text(encoding="utf-8")
    assert readme.refresh(write_changes=False) == ()


def test_a_readme_without_a_place_for_a_block_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(README.read_text(encoding="utf-8").replace("<!-- end: checks -->", ""), encoding="utf-8")
    monkeypatch.setattr(readme, "README", copy)
    with pytest.raises(ReadmeError, match="checks"):
        readme.refresh(write_changes=True)


def test_published_figures_can_be_measured_again_and_published_checks_have_their_verdicts() -> None:
    assert {figure.name for figure in figures_record().figures} <= set(FIGURES)
    for name, published in CHECKS.items():
        record = check_record(name)
        assert (record.target, record.verdict) == (published.target, published.verdict)

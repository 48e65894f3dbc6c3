"""The figures' entry point and the README's blocks: names, goals, and numbers that cannot drift."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks import readme, timing
from benchmarks.__main__ import main
from benchmarks.commands import README, CommandError, ReadmeError, run
from benchmarks.figures import FIGURES, commands, common, described, measure, training
from benchmarks.peers import peers
from benchmarks.peers.numpy_peer import NumpyTrainer
from benchmarks.published import CHECKS, check_record, figures_record
from benchmarks.tasks import NAMES, Task, task
from gradproof.errors import ArgumentError
from gradproof.record import Figure, FiguresRecord, decode, encode, machine


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
    known = {name: peer for name, peer in peers().items() if name in ("numpy", "fastimpl", "scikit-learn")}
    known["broken"] = replace(known["numpy"], name="broken", trainer=lambda what: next(iter(())))
    known["wrong"] = replace(known["numpy"], name="wrong", trainer=Doubling)
    monkeypatch.setattr(timing, "peers", lambda: known)
    monkeypatch.setattr(timing, "ROUNDS", 2)
    monkeypatch.setattr(timing, "TURN", 0.001)
    times = timing.time_task(task("5-8-6-3.sigmoid_sgd.float64"))
    assert set(times.times) == {"fastimpl", "numpy", "floor"}
    assert "0.weight" in times.refused["wrong"]
    assert "StopIteration" in times.refused["broken"]
    if known["scikit-learn"].installed:
        assert "identity" in times.refused["scikit-learn"]
    figure = training._cell("training_step.5-8-6-3.sigmoid_sgd.float64", times)
    assert set(figure.peers) == {"numpy", "floor"}
    assert "not timed: its step is wrong" in figure.note


class Doubling(NumpyTrainer):
    """Goes twice as far as the gradient says."""

    def __init__(self, what: Task) -> None:
        doubled = msgspec.structs.replace(what.optimiser, rate=2 * what.optimiser.rate)
        super().__init__(replace(what, optimiser=doubled))


def test_no_speed_of_a_wrong_result_of_ours() -> None:
    times = timing.StepTimes("some", 1, {}, {"fastimpl": "planted"}, ())
    with pytest.raises(timing.TimingError, match="no speed of a wrong result: planted"):
        training._cell("training_step.some", times)


def test_more_threads_than_cores_are_refused_before_anything_is_timed() -> None:
    with pytest.raises(ArgumentError, match="at most the"):
        timing.time_steps(NAMES[:1], 10**6, lambda text: pytest.fail("timed"))


def test_a_child_that_ends_badly_takes_nothing_else_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found, failed = timing.time_steps(["no-such-network.sigmoid_sgd.float64"], 1, lambda text: None)
    assert not found
    assert "KeyError" in str(failed["no-such-network.sigmoid_sgd.float64"])


def _cells(peers_of: Callable[[str], dict[str, float]]) -> dict[str, Figure]:
    names = training.cells(training.ONE_CORE)
    return {name: common.figure(name, 2.0, "us", peers=peers_of(name)) for name in names}


def test_what_follows_from_the_steps_is_derived_from_them() -> None:
    def peers_of(name: str) -> dict[str, float]:
        return {"jax": 20.0 if "784-30-10" not in name else 5.0, "torch": 50.0, "floor": 1.9}

    cells = _cells(peers_of)
    mean = training.derive("training_step.jax_ratio", cells)
    assert mean.value == pytest.approx((10**24 * 2.5**4) ** (1 / 28))
    assert (mean.goal, mean.met) == (">= 4 times", True)
    small = training.derive("training_step.jax_least.small", cells)
    assert (small.value, small.met) == (2.5, True)
    assert "784-30-10" in small.note
    assert training.derive("training_step.jax_least.large", cells).value == 10.0
    assert training.derive("training_step.torch_ratio", cells).value == pytest.approx(25.0)
    floor = training.derive("training_step.floor.784-512-512-10.relu_adam", cells)
    assert (floor.value, floor.met) == (0.95, True)
    name = "training_step.784-512-512-10.relu_adam.float32"
    slow = {**cells, name: common.figure(name, 4.0, "us", peers={"floor": 1.9})}
    assert training.derive(floor.name, slow).value == pytest.approx(0.475)
    assert training.derive("training_step.floor.784-512-512-10.sigmoid_sgd", slow).value == 0.95
    del cells["training_step.784-30-10.relu_adam.float32"]
    with pytest.raises(timing.TimingError, match=r"784-30-10\.relu_adam\.float32 was not measured"):
        training.derive("training_step.jax_ratio", cells)
    with pytest.raises(timing.TimingError, match="jax was not timed"):
        training.derive("training_step.jax_ratio", _cells(lambda name: {}))


def test_one_measurement_serves_all_figures_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []

    def time_steps(
        names: Sequence[str], threads: int, progress: common.Progress
    ) -> tuple[dict[str, timing.StepTimes], dict[str, timing.TimingError]]:
        calls.append((len(names), threads))
        spread = timing.Spread(2.0, 1.9, (1.95, 2.05))
        times = dict.fromkeys(("fastimpl", "jax", "jax.jitted", "torch", "floor"), spread)
        return {name: timing.StepTimes(name, threads, times, {}, ()) for name in names}, {}

    monkeypatch.setattr(training, "time_steps", time_steps)
    record, failed = measure(["training_step"], lambda text: None)
    assert calls == [(28, 1)]
    assert not failed
    assert {figure.name for figure in record.figures} == {*training.cells("training_step"), *training.DERIVED}
    record, _ = measure(["training_step.torch_ratio", "training_step_two_cores"], lambda text: None)
    assert calls[1:] == [(28, 1), (8, 2)]
    assert [figure.name for figure in record.figures] == [
        "training_step.torch_ratio",
        *training.cells("training_step_two_cores"),
    ]


def test_a_cell_that_is_measured_again_changes_what_follows_from_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = training.cells(training.ONE_CORE)
    cells = _cells(lambda name: {"jax": 4.0})
    before = FiguresRecord(
        (*cells.values(), training.derive("training_step.jax_least.small", cells)), "then", machine(()), "0"
    )
    into = tmp_path / "figures.json"
    into.write_bytes(encode(before))
    again = common.figure(names[0], 2.0, "us", peers={"jax": 3.0})
    monkeypatch.setattr(training, "measure_cells", lambda wanted, progress: ({names[0]: again}, {}))
    done = CliRunner().invoke(main, ["figures", names[0], "--into", str(into)])
    assert done.exit_code == 0, done.output
    after = {figure.name: figure for figure in decode(into.read_bytes(), FiguresRecord).figures}
    assert len(after) == len(before.figures)
    assert after[names[0]] == again
    assert after["training_step.jax_least.small"].value == 1.5


def test_figures_of_another_machine_are_not_mixed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(training, "measure_cells", lambda wanted, progress: pytest.fail("measured"))
    into = tmp_path / "figures.json"
    for changes, says in (({"processor": "another"}, "processor"), ({"packages": {"numpy": "0.1"}}, "numpy")):
        other = msgspec.structs.replace(machine(("numpy",)), **changes)
        into.write_bytes(encode(FiguresRecord((), "then", other, "0")))
        done = CliRunner().invoke(main, ["figures", "training_step", "--into", str(into)])
        assert done.exit_code == 1
        assert says in done.stderr


def test_the_readme_has_a_table_of_steps_for_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = _cells(lambda name: {"jax": 5.0, "floor": 1.98} if name.endswith("64") else {"jax": 7.0})
    record = figures_record()
    monkeypatch.setattr(
        readme,
        "figures_record",
        lambda: msgspec.structs.replace(record, figures=tuple(cells.values())),
    )
    text = readme.figures()
    assert text.count("| 784-30-10 | 2.00 / 2.00 | 2.5× / 3.5× |") == 2
    assert text.count("0.990× / –") == 14
    assert text.count("One step on 1 core") == 2


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
    assert "777 times" not in copy.read_text(encoding="utf-8")
    assert CliRunner().invoke(main, ["readme"]).exit_code == 0
    assert "777 times" in copy.read_text(encoding="utf-8")
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

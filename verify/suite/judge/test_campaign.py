"""Whole runs: what is found, how small it gets, what is counted, and that the seed decides it all."""

from __future__ import annotations

import sys
import types
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import Gradients
from gradproof.target import Supports
from gradproof.verdict import EXIT_CODES, Verdict
from verify import campaign, drawing
from verify.campaign import PROFILES, check
from verify.judge import judge
from verify.loading import TargetError
from verify.strategies import cases
from verify.suite.judge.hand_written import at_the_activation, backprop, on_parameters, target

RIGHT = target()


@pytest.fixture(autouse=True)
def _few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PROFILES", {**PROFILES, "smoke": 15})


def smoke(function: Any, **options: Any) -> Any:
    return check(function, profile="smoke", **options)


def numbers(case: Case) -> int:
    return sum(array.size for array in (*case.parameters.values(), case.inputs, case.targets) if array is not None)


def test_a_right_network_passes_every_case() -> None:
    record = smoke(RIGHT)
    assert (record.verdict, record.exit_code, record.cases) == (Verdict.CORRECT, 0, 15)
    assert record.counts == {"correct": 15}
    assert record.failures == ()
    assert record.entries > 15 * 5
    assert not [note for note in record.notes if "never gave" in note]


def test_a_derivative_at_the_wrong_point_shrinks_to_paper_size() -> None:
    record = smoke(target(slope=at_the_activation))
    assert (record.verdict, record.exit_code) == (Verdict.WRONG, 1)
    for failure in record.failures:
        case = Case.from_data(failure.case)
        assert case.id == failure.case_id
        assert case.batch == 1
        assert len(case.stack.widths) <= 3
        assert numbers(case) <= 6
        assert all(float(number) in (0, 1) for array in case.parameters.values() for number in array.flat)
        assert judge(case, Gradients(**backprop(case, at_the_activation))).findings == failure.findings
        assert judge(case, Gradients(**backprop(case))).verdict is Verdict.CORRECT


@pytest.mark.parametrize("error", [1e-3, 1e-8, 1e-11])
def test_one_entry_off_by_very_little_is_proved_wrong(error: Any) -> None:
    def off(case: Case, name: str, value: Any) -> Any:
        return value if name != "0.weight" else value * (1 + error * (np.arange(value.size) == 0).reshape(value.shape))

    record = smoke(target(on_parameters(off)))
    assert record.verdict is Verdict.WRONG
    assert {finding.quantity for failure in record.failures for finding in failure.findings} == {"0.weight"}


def test_a_fault_that_needs_two_samples_keeps_two() -> None:
    record = smoke(target(on_parameters(lambda case, n, v: v * case.batch if n.endswith("bias") else v)))
    assert [Case.from_data(failure.case).batch for failure in record.failures] == [2]
    assert "2 × the exact number (samples: 2)" in record.failures[0].summary


def test_each_way_of_failing_is_shown_once_with_its_cases_counted() -> None:
    def change(case: Case, answer: Any) -> Any:
        if case.batch == 1:
            raise KeyError("one")
        if case.batch == 2:
            return {**answer, "loss": -answer["loss"]}
        return answer if case.batch == 3 else None

    record = smoke(target(change, depth=(1, 2)))
    assert [failure.verdict for failure in record.failures] == ["wrong", "crashed", "broke protocol"]
    assert [failure.cases_alike for failure in record.failures] == [
        record.counts[word] for word in ("wrong", "crashed", "broke protocol")
    ]
    assert list(record.counts) == ["wrong", "crashed", "broke protocol", "correct"]
    assert sum(record.counts.values()) == record.cases
    assert record.failures[0].summary.startswith("loss is wrong; it is −1 × the exact number")
    assert "KeyError: 'one' (test_campaign.py:" in record.failures[1].summary


def test_a_part_of_a_fault_makes_no_failure_of_its_own() -> None:
    def doubled(case: Case, name: str, value: Any) -> Any:
        return 2 * value if case.batch > 1 or name.endswith("bias") else value

    record = smoke(target(on_parameters(doubled), depth=(1, 1)))
    assert len(record.failures) == 1
    assert {finding.quantity for finding in record.failures[0].findings} == {"0.weight", "0.bias"}
    assert record.failures[0].cases_alike == record.counts["wrong"]


WORST: dict[Verdict, Any] = {
    Verdict.WRONG: lambda case, answer: {**answer, "loss": answer["loss"] + 1},
    Verdict.CRASHED: lambda case, answer: answer[3],
    Verdict.BROKE_PROTOCOL: lambda case, answer: None,
    Verdict.CORRECT: lambda case, answer: answer,
}


@pytest.mark.parametrize("pair", list(combinations(WORST, 2)), ids=lambda pair: f"{pair[0]}, {pair[1]}")
def test_the_graver_verdict_decides_the_exit_code(pair: Any) -> None:
    def change(case: Case, answer: Any) -> Any:
        return WORST[pair[0 if case.batch == 1 else 1]](case, answer)

    record = smoke(target(change, depth=(1, 1), width=(1, 2)), shrink_seconds=0)
    assert set(record.counts) == set(pair)
    assert record.verdict is pair[0]
    assert record.exit_code == EXIT_CODES[pair[0]]


def test_the_same_seed_gives_the_same_record() -> None:
    wrong = target(slope=at_the_activation)
    first, second = (msgspec.structs.replace(smoke(wrong, seed=3), started="", seconds=0.0) for _ in range(2))
    assert first == second
    assert smoke(RIGHT, seed=3).entries != smoke(RIGHT, seed=4).entries


def test_modules_that_happen_to_be_imported_do_not_change_the_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered: Any = st.integers(0, 10**6).map(lambda number: types.SimpleNamespace(id=str(number)))

    def ids() -> Any:
        found: list[str] = []
        drawing.survey(numbered, 0, 200, lambda case: found.append(case.id))
        return found

    before = ids()
    source = tmp_path / "newcomer.py"
    source.write_text("\n".join(f"CONSTANT = {7919 * n}" for n in range(100)))
    module = types.ModuleType("newcomer")
    module.__file__ = str(source)
    monkeypatch.setitem(sys.modules, "newcomer", module)
    assert ids() == before
    assert len(set(before)) == 200


def test_a_survey_visits_distinct_cases_as_many_as_asked_for() -> None:
    seen = []
    drawing.survey(cases(Supports(losses=("squared_error/sum",))), 0, 60, lambda case: seen.append(case.id))
    assert len(seen) == len(set(seen)) == 60


def test_a_declaration_of_few_cases_ends_the_survey_early() -> None:
    few: Any = st.integers(0, 4).map(lambda number: types.SimpleNamespace(id=str(number)))
    seen: list[str] = []
    drawing.survey(few, 0, 60, lambda case: seen.append(case.id))
    assert sorted(seen) == ["0", "1", "2", "3", "4"]


def test_nothing_ran_is_a_result_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "survey", lambda *arguments, **options: None)
    record = smoke(RIGHT)
    assert (record.verdict, record.exit_code, record.cases) == (None, 5, 0)
    assert "Only 0 distinct cases" in record.notes[0]


def test_what_is_never_given_is_noted() -> None:
    def bare(case: Case, answer: Any) -> Any:
        return {"parameters": answer["parameters"]}

    notes = " ".join(smoke(target(bare)).notes)
    assert all(f"never gave {what}" in notes for what in ("the loss", "the outputs", "the gradient for the inputs"))


def test_progress_tells_how_far_a_run_is() -> None:
    seen = []
    smoke(target(slope=at_the_activation), on_progress=lambda progress: seen.append((progress.stage, progress.done)))
    assert [done for stage, done in seen if stage == "checking"] == list(range(1, 16))
    assert seen[-1][0] == "shrinking"


def test_no_time_to_shrink_still_shows_a_failing_case() -> None:
    record = smoke(target(slope=at_the_activation), shrink_seconds=0.0)
    assert record.failures
    assert any("ran out of time" in note for note in record.notes)


def test_what_a_failing_target_prints_is_noted() -> None:
    def change(case: Case, answer: Any) -> Any:
        print("so far so good")
        raise RuntimeError

    assert any("so far so good" in note for note in smoke(target(change)).notes)


def test_float32_is_asked_for_where_it_is_declared() -> None:
    def cast(case: Case, answer: Any) -> Any:
        return {**answer, "loss": float(answer["loss"])}

    seen = set()

    def remember(case: Case, answer: Any) -> Any:
        seen.add(case.dtype)
        return cast(case, answer)

    assert smoke(target(remember, dtypes=("float32", "float64"))).verdict is Verdict.CORRECT
    assert seen == {"float32", "float64"}


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        (RIGHT, {"profile": "huge"}, "smoke or default or thorough"),
        (RIGHT, {"seed": 1.5}, "a whole number"),
        (target(losses="binary_cross_entropy/sum", output="identity"), {}, "supports.losses"),
    ],
)
def test_arguments_that_cannot_be_are_refused(function: Any, options: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        check(function, **options)


def test_what_declares_nothing_is_no_target() -> None:
    with pytest.raises(TargetError, match=r"@gradproof\.target"):
        check(lambda case: None)


def test_the_door_is_the_campaign() -> None:
    import gradproof

    assert gradproof.check is check

"""What is said of targets whose answers depend on more than the case."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gradproof.verdict import Verdict
from verify import campaign
from verify.calling import call
from verify.isolation import purity
from verify.isolation.isolated import Apart
from verify.isolation.process import Limits
from verify.isolation.purity import Change, explained, recorded
from verify.loading import adopt, load
from verify.subjects.networks import SUBJECT
from verify.suite.isolation import impure
from verify.suite.isolation.test_hostile import case_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(impure.__file__, tmp_path / "impure.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    impure.SEEN.clear()


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("accumulates", purity.CALLS_BEFORE),
        ("keeps_what_came_first", purity.CASES_BEFORE),
        ("drops_out", purity.GLOBAL_RANDOM),
        ("rolls_python_s_dice", purity.GLOBAL_RANDOM),
        ("rolls_dice_of_its_own", purity.RANDOM),
        ("looks_at_addresses", purity.ADDRESSES),
        ("looks_at_hashes", purity.HASHES),
    ],
)
def test_processes_alike_but_for_one_thing_tell_what_an_answer_depends_on(folder: Path, name: str, by: str) -> None:
    implementation, recorder = recorded(load(f"impure.py:{name}"), 60)
    cases = [case_of(1), case_of(2)]
    recorder.every = 1
    for case in cases:
        call(SUBJECT, implementation, case)
    other = call(SUBJECT, implementation, case_of(3))
    with Apart(f"impure.py:{name}", Limits(), hash_seed=purity.HASH_SEEDS[0]) as fresh:
        assert explained(SUBJECT, recorder, Change(cases[0], other), fresh) == by


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("accumulates", "calls before it"),
        ("keeps_what_came_first", "cases before it"),
        ("drops_out", "global random state"),
        ("rolls_dice_of_its_own", "or is random"),
    ],
)
def test_of_an_object_it_is_told_as_far_as_one_process_can(name: str, words: str) -> None:
    implementation, recorder = recorded(adopt(getattr(impure, name)), 60)
    case = case_of(2)
    outcome = call(SUBJECT, implementation, case)
    call(SUBJECT, implementation, case_of(1))
    assert words in explained(SUBJECT, recorder, Change(case, outcome), None)


def check(name: str, **options: Any) -> Any:
    return campaign.check(f"impure.py:{name}", shrink_seconds=0.0, **options)


def test_right_when_first_asked_and_wrong_when_asked_again_is_a_failure(folder: Path) -> None:
    record = check("accumulates", profile="smoke")
    assert record.verdict is Verdict.WRONG
    (failure,) = record.failures
    assert failure.summary == f"wrong when asked again, and not when first asked: {purity.CALLS_BEFORE}, or is random"
    assert record.counts == {"wrong": 2, "correct": 58}
    assert record.cases == 60


def test_another_process_tells_what_this_one_cannot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PROFILES", {"default": 12})
    record = check("right_where_it_was_made")
    assert record.verdict is Verdict.WRONG
    assert "when asked again" in record.failures[0].summary


def test_a_change_within_the_allowance_is_noted_and_not_wrong(folder: Path) -> None:
    record = check("loses_the_last_digit", profile="smoke")
    assert record.verdict is Verdict.CORRECT
    assert any("with the same verdict: it depends on the global random state" in note for note in record.notes)


def test_a_pure_target_is_asked_a_tenth_more_and_nothing_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def counted(case: Any) -> Any:
        nonlocal asked
        asked += 1
        return impure.answer(case)

    target = impure.scaled(lambda case: 1.0)
    counted.__dict__.update(vars(target))
    monkeypatch.setattr(campaign, "PROFILES", {"default": 64})
    record = campaign.check(counted)
    assert record.verdict is Verdict.CORRECT
    assert 64 < asked <= 64 * 1.1
    assert not any("again" in note for note in record.notes)

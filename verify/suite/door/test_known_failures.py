"""The file of known failures: what is amiss in it is said by key, and it excuses what it names and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gradproof.cli import main
from gradproof.errors import ArgumentError
from gradproof.known import KnownFailure, KnownFailures, read_known_failures, settled
from gradproof.record import CheckRecord, FamilyResult, decode
from gradproof.verdict import Verdict
from verify import campaign
from verify.suite.door.folders import Folder
from verify.suite.reports.records import check, failure

ENTRY = '[[known_failures]]\nid = "*"\nreason = "so"\n'

AMISS = {
    "no TOML": ("[[known_failures", "gradproof.toml: expected TOML"),
    "no file": (None, "expected a file of known failures"),
    "another table": ("[knwon_failures]", "the keys known_failures and no other.*did you mean 'known_failures'"),
    "one table": ('[known_failures]\nid = "*"', r"tables, each under \[\[known_failures\]\]"),
    "no table": ("known_failures = [1]", r"known_failures\[0\]: expected a table with id and reason, got 1"),
    "no reason": ('[[known_failures]]\nid = "*"', r"known_failures\[0\].reason: expected a text; every entry has"),
    "no id": ('[[known_failures]]\nreason = "so"', r"known_failures\[0\].id: expected a text"),
    "empty reason": ('[[known_failures]]\nid = "*"\nreason = " "', r"known_failures\[0\].reason: expected a text"),
    "number": (f"{ENTRY}issue = 12", r"known_failures\[0\].issue: expected a text, got 12"),
    "verdict": (f'{ENTRY}verdict = "correct"', r"known_failures\[0\].verdict: expected wrong or crashed"),
    "second entry": (f'{ENTRY}{ENTRY}reasons = "x"', r"known_failures\[1\].*'reasons'; did you mean 'reason'"),
}  # fmt: skip


@pytest.mark.parametrize("what", AMISS)
def test_what_is_amiss_is_named_by_its_key(what: str, tmp_path: Path) -> None:
    text, said = AMISS[what]
    file = tmp_path / "gradproof.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ArgumentError, match=said):
        read_known_failures(file)


def record(**verdicts: Verdict | None) -> CheckRecord:
    families = {name: FamilyResult(v, 3, {} if v is None else {str(v): 3}) for name, v in verdicts.items()}
    return check(failure(families=tuple(verdicts)), families=families)


def known(*entries: KnownFailure) -> KnownFailures:
    return KnownFailures(entries, "known.toml")


def test_what_is_known_no_longer_counts_and_stays_what_it_is() -> None:
    found = record(a=Verdict.WRONG, b=Verdict.INACCURATE, c=Verdict.CORRECT)
    after, stale = settled(found, known(KnownFailure("a", "so")))
    assert (after.exit_code, after.verdict, stale) == (4, Verdict.WRONG, [])
    assert {name: result.known for name, result in after.families.items()} == {"a": "so", "b": None, "c": None}
    after, stale = settled(found, known(KnownFailure("?", "so", issue="https://example.org/1")))
    assert after.exit_code == 0
    assert after.families["b"].known == "so (https://example.org/1)"
    assert len(stale) == 1  # c passes


def test_brackets_in_an_id_are_brackets() -> None:
    entry = KnownFailure("x[[i,j]]-*", "so")
    assert entry.matches("x[[i,j]]-float32")
    assert not entry.matches("x[i]-float32")


def test_what_belongs_to_no_family_is_not_known() -> None:
    found = check(failure(families=("a",)), failure(), families={"a": FamilyResult(Verdict.WRONG, 3, {"wrong": 3})})
    after, _ = settled(found, known(KnownFailure("*", "so")))
    assert after.exit_code == 1


def test_a_verdict_excuses_no_other() -> None:
    found = record(a=Verdict.WRONG)
    after, stale = settled(found, known(KnownFailure("a", "so", verdict=Verdict.INACCURATE)))
    assert (after.exit_code, after.families["a"].known, stale) == (1, None, [])


def test_entries_that_match_nothing_or_pass_are_stale() -> None:
    found = record(a=Verdict.WRONG, b=Verdict.CORRECT, c=None)
    _, stale = settled(found, known(KnownFailure("d", "so"), KnownFailure("b", "so"), KnownFailure("c", "so")))
    assert len(stale) == 2
    assert "known.toml: the entry 'd' of known_failures matches none of 3 families" in stale[0]
    assert "matches 'b' of examples/numpy_network.py:network, which passes" in stale[1]


def test_entries_of_other_targets_are_left_alone() -> None:
    found = record(a=Verdict.WRONG)
    after, stale = settled(found, known(KnownFailure("d", "so", target="other.py:*"), KnownFailure("a", "so")))
    assert (after.exit_code, stale) == (0, [])


@pytest.fixture
def _few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PROFILES", {**campaign.PROFILES, "smoke": 12})


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["check", *arguments, "--profile", "smoke"])


@pytest.mark.usefixtures("_few_cases")
def test_the_command_knows_them(folder: Folder) -> None:
    target = folder.target("broken", "raise OSError('no disk')")
    folder.write("gradproof.toml", f'[[known_failures]]\nid = "*-float64"\nreason = "no disk"\ntarget = "{target}"\n')
    result = run(target)
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "KNOWN TO FAIL bad.py:broken" in text
    assert "Known to fail: half_squared_error/sum-one_layer-float64, no disk" in text
    assert "A known failure: 12 cases ended like this" in text
    kept = decode(run(target, "--format", "json").stdout_bytes, CheckRecord)
    assert (kept.verdict, kept.exit_code) == (Verdict.CRASHED, 0)

    result = run("net.py:right")
    assert result.exit_code == 0  # no entry is for this one

    folder.write("stale.toml", ENTRY)
    result = run("net.py:right", "--known-failures", "stale.toml")
    assert result.exit_code == 2
    assert "CORRECT" in result.output
    assert "Error: stale.toml: the entry '*' of known_failures matches" in result.stderr

    folder.write("amiss.toml", "known = 1")
    result = run("net.py:right", "--known-failures", "amiss.toml")
    assert result.exit_code == 2
    assert "the key 'known'" in result.stderr

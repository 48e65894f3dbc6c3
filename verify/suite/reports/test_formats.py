"""The formats for other programs: they hold what the screen says, by family, and no text of others acts in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from gradproof.optimiser import Optimiser
from gradproof.record import CheckRecord, FamilyResult, decode
from gradproof.run import Run
from gradproof.verdict import Finding, Verdict
from reports.formats import FORMATS
from reports.view import KNOWN
from verify.suite.reports.records import RECORDS, check, failure

HOSTILE = "</failure>]]>&<b>::error::x%0A\x1b[31m\x00\n::warning::|`*[a](http://x)`\ud800"


def families(**changes: Any) -> CheckRecord:
    """A run with a family of each outcome."""
    wrong = failure(families=("mse-tanh",))
    crashed = failure(
        verdict=Verdict.CRASHED,
        summary="it raised OSError: no disk",
        findings=(Finding(Verdict.CRASHED, "target", "OSError: no disk"),),
        families=("mse-relu",),
    )
    results = {
        "mse-sigmoid": FamilyResult(Verdict.CORRECT, 20, {"correct": 20}),
        "mse-tanh": FamilyResult(Verdict.WRONG, 20, {"wrong": 13, "correct": 7}),
        "mse-relu": FamilyResult(Verdict.CRASHED, 20, {"crashed": 20}),
        "mse-softplus": FamilyResult(Verdict.INACCURATE, 20, {"inaccurate": 20}, known="the formula overflows"),
        "mse-mixed": FamilyResult(None, 0, {}),
    }
    return check(wrong, crashed, families=results, **changes)


def junit(record: CheckRecord) -> ElementTree.Element:
    suite = ElementTree.fromstring(FORMATS["junit"](record).encode()).find("testsuite")
    assert suite is not None
    return suite


def test_junit_has_a_test_for_each_family() -> None:
    suite = junit(families())
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["5", "1", "1", "2"]
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases["mse-sigmoid"]) == []
    (told,) = cases["mse-tanh"]
    assert (told.tag, told.get("type")) == ("failure", "wrong")
    assert "(20 cases: 13 wrong, 7 correct)" in (told.get("message") or "")
    assert "0.013562881298718" in (told.text or "")
    assert "gradproof replay" in (told.text or "")
    assert [child.tag for child in cases["mse-relu"]] == ["error"]
    (skipped,) = cases["mse-softplus"]
    assert (skipped.tag, skipped.get("message")) == ("skipped", "the formula overflows; 20 cases, all inaccurate")
    assert [child.tag for child in cases["mse-mixed"]] == ["skipped"]


def test_what_belongs_to_no_family_is_a_test_of_its_own() -> None:
    record = families()
    recurring = failure(summary="it recurs", verdict=Verdict.INACCURATE)
    suite = junit(msgspec.structs.replace(record, failures=(*record.failures, recurring)))
    (case,) = (case for case in suite.iter("testcase") if case.get("name") == "all")
    assert [(told.tag, told.get("type")) for told in case] == [("failure", "inaccurate")]
    (case,) = junit(RECORDS["wrong"]()).iter("testcase")
    assert case.get("name") == "all"


def test_gradescope_scores_each_family() -> None:
    results = json.loads(FORMATS["gradescope"](families()))
    scores = {test["name"]: (test["score"], test["max_score"], test["status"]) for test in results["tests"]}
    assert scores == {
        "mse-sigmoid": (1.0, 1.0, "passed"),
        "mse-tanh": (0.0, 1.0, "failed"),
        "mse-relu": (0.0, 1.0, "failed"),
        "mse-softplus": (1.0, 1.0, "passed"),
    }
    assert results["output"].startswith("wrong: examples/numpy_network.py:network")


def test_github_annotates_the_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "one.py").write_text("import numpy\n\n\nclass Net:\n    def call(self):\n        pass\n")
    for target, place in {"nets/one.py:Net.call": "5", "nets.one:Net": "4", "nets.one:other": "1"}.items():
        first, second = FORMATS["github"](families(target=target)).splitlines()
        where = f"::error file=nets/one.py,line={place},title=gradproof%3A"
        assert first.startswith(f"{where} wrong::the gradient of")
        assert second.startswith(f"{where} crashed::it raised OSError: no")
    text = FORMATS["github"](check(target="no/where.py:x"))
    assert text.startswith("::notice title=gradproof%3A correct::correct: no")


def test_github_says_what_is_known_and_what_is_doubtful() -> None:
    record = families()
    known = {name: msgspec.structs.replace(r, known="so") for name, r in record.families.items()}
    assert FORMATS["github"](msgspec.structs.replace(record, families=known)).count("::notice ") == 2
    assert FORMATS["github"](RECORDS["inaccurate"]()).startswith("::warning ")


@pytest.mark.parametrize("form", FORMATS)
def test_text_of_others_does_nothing(form: str) -> None:
    finding = Finding(
        Verdict.WRONG, HOSTILE, HOSTILE, layer=HOSTILE, index=(0,), got=HOSTILE, exact="1", entries=1, bad=1
    )
    record = check(
        failure(summary=HOSTILE, findings=(finding,), replay=HOSTILE, script=HOSTILE, families=(HOSTILE,)),
        target=HOSTILE,
        notes=(HOSTILE,),
        families={HOSTILE: FamilyResult(Verdict.WRONG, 1, {"wrong": 1}, known=HOSTILE)},
    )
    if form == "json":  # which keeps all as it came, but for what no JSON can hold
        with pytest.raises(UnicodeEncodeError):
            FORMATS[form](record)
        return
    text = FORMATS[form](record)
    assert text.encode().decode() == text
    for active in ("\x1b", "\x00", *(("<b>::",) if form in ("html", "junit") else ())):
        assert active not in text
    if form == "github":
        assert (text.startswith("::"), text.count("\n")) == (True, 1)
    if form == "junit":
        assert len(list(junit(record).iter())) == 8
    if form == "gradescope":
        assert set(json.loads(text)) == {"output", "output_format", "execution_time", "tests"}


def test_json_is_the_record() -> None:
    assert decode(FORMATS["json"](families()).encode(), CheckRecord) == families()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", RECORDS)
def test_every_record_has_every_format(name: str, form: str) -> None:
    text = FORMATS[form](RECORDS[name]())
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_what_is_known_to_fail_says_so() -> None:
    result = FamilyResult(Verdict.WRONG, 5, {"wrong": 5}, known="upstream mends it")
    record = check(failure(families=("a",)), families={"a": result}, exit_code=0)
    for form in ("markdown", "html"):
        text = FORMATS[form](record)
        assert KNOWN in text
        assert "Known to fail: a, upstream mends it" in text
        assert "A known failure: 137 cases" in text


def run_case() -> Run:
    return Run(Optimiser("sgd", rate=0.5), {"w": [1.0]}, ({"w": [2.0]},))


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "json"])
def test_cases_of_another_kind_need_nothing_special(form: str) -> None:
    case = run_case()
    record = check(
        failure(of=case, families=("sgd-float64",)), families={"sgd-float64": FamilyResult(Verdict.WRONG, 1, {})}
    )
    text = FORMATS[form](record)
    if form != "github":  # which has the summary alone
        assert case.id in text
        assert case.facts() in text
        for line in case.text().splitlines():
            assert line.split("(")[0].strip() in text

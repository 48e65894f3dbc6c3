"""Campaigns: cases by number, histograms that add up, runs that go on where they were interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import campaigns
from benchmarks.__main__ import main
from benchmarks.campaigns import accusations, inclusion, running
from benchmarks.campaigns.histogram import Ratios
from benchmarks.campaigns.running import Work, run
from benchmarks.implementations import implementation, installed
from benchmarks.random_cases import MANNERS, Sizes, drawn
from gradproof.case import Case
from gradproof.errors import ArgumentError, RecordError
from gradproof.gradients import Gradients
from gradproof.verdict import Verdict
from gradproof.vocabulary import ACTIVATIONS, DTYPES, LOSSES


def test_a_case_is_told_by_its_number_and_everything_takes_its_turn() -> None:
    sizes = Sizes()
    cases = [drawn(3, number, sizes) for number in range(12 * 2 * 4 * 3)]
    assert drawn(3, 40, sizes).id == cases[40].id != drawn(4, 40, sizes).id
    assert {case.dtype for case in cases} == set(DTYPES)
    assert {tag for case in cases for tag in case.tags} == set(MANNERS)
    texts = " ".join(str(case.network) for case in cases)
    assert all(word in texts for word in (*ACTIVATIONS, *LOSSES, "residual", "concat", "l1", "l2", "shared", "frozen"))


def test_another_cases_network_comes_with_numbers_of_its_own() -> None:
    one, other = drawn(0, 5, Sizes()), drawn(0, 41, Sizes(), network=5)
    assert (one.network, one.batch) == (other.network, other.batch)
    assert not np.array_equal(one.inputs, other.inputs)


def test_what_compiles_is_asked_about_every_dtype_manner_and_depth_but_about_few_networks() -> None:
    numbers = range(accusations.TURN * accusations.COMPILED_SHARE * 4)
    asked = [case for case, compiled in (accusations.campaign_case(0, number) for number in numbers) if compiled]
    assert len(asked) == len(numbers) / accusations.COMPILED_SHARE
    assert len({(case.dtype, case.tags) for case in asked}) == len(DTYPES) * len(MANNERS)
    assert len({case.network for case in asked}) <= accusations.COMPILED_NETWORKS
    assert asked[0].network == drawn(0, 0, accusations.SIZES).network


def test_each_implementation_answers_as_many_cases_as_any_other_and_those_that_compile_few_networks() -> None:
    available = ("numpy", "fastimpl", "torch", "jax")
    numbers = range(accusations.TURN * accusations.COMPILED_SHARE * 3)
    names = [accusations.asked(number, available) for number in numbers]
    assert {names.count(name) for name in available} == {len(numbers) / 4}
    assert all(accusations.campaign_case(0, n)[1] == (names[n] == "jax") for n in numbers[:: accusations.TURN // 2])
    assert "jax" not in {accusations.asked(number, available[:3]) for number in numbers}


@pytest.mark.parametrize("name", installed())
def test_implementations_answer_everything_at_the_cases_dtype(name: str) -> None:
    for number in (1, 13):
        case = drawn(0, number, Sizes(manners=("ordinary",)))
        answer = implementation(name)(case).quantities()
        assert set(answer) == {"loss", "outputs", "inputs", *case.network.trainable}
        assert all(np.asarray(array).dtype == case.dtype for array in answer.values())


def test_histograms_add_up_to_the_quantiles_of_the_whole() -> None:
    ratios = np.abs(np.random.default_rng(0).normal(size=2000))
    whole = Ratios.of(ratios)
    assert whole == Ratios.of(ratios[:700]) + Ratios.of(ratios[700:])
    assert whole.total == 2000
    for share in (0.5, 0.99):
        exact = np.quantile(ratios, share, method="inverted_cdf")
        assert exact <= whole.quantile(share) <= 1.1 * exact
    assert whole.quantile(1) == whole.largest == ratios.max()
    assert Ratios.of(np.array([0.0, 0.0, 1.0])).quantile(0.5) == 0


def test_a_wrong_answer_is_an_accusation_and_a_right_one_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(case: Case) -> Gradients:
        right = implementation("numpy")(case)
        return Gradients({n: np.asarray(g) / 2 for n, g in right.parameters.items()}, right.loss, right.outputs)

    def failing(case: Case) -> Gradients:
        raise ZeroDivisionError("planted")

    targets = {"numpy": implementation("numpy"), "halved": halved, "failing": failing}
    monkeypatch.setattr(accusations, "_imported", targets.__getitem__)
    case = drawn(0, 2, Sizes(manners=("ordinary",)))
    found = accusations.judged(case, 2, list(targets))
    assert found.implementations == {"numpy": {"correct": 1}, "halved": {"wrong": 1}, "failing": {"failed": 1}}
    assert [accusation.implementation for accusation in found.accusations] == ["halved", "failing"]
    assert found.groups[f"{case.dtype}/3"].rigorous.largest > 1


def test_enclosures_hold_what_the_second_source_says() -> None:
    found = inclusion.search(0, 0, 6)
    assert (found.cases, found.misses) == (6, 0)
    assert found.numbers > 30


class Sum(msgspec.Struct, frozen=True):
    total: int = 0
    cases: int = 0

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.total + other.total, self.cases + other.cases)


def add(seed: int, first: int, last: int) -> Sum:
    return Sum(sum(range(first, last)) + seed, last - first)


WORK = Work(add, Sum.__add__, Sum, Sum)


def test_a_run_goes_on_where_it_was_interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(running, "CHUNK", 10)
    keep = tmp_path / "sum.partial"

    def stop(done: int, found: Sum, seconds: float) -> None:
        if done >= 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(WORK, 95, 0, keep, stop)
    seen: list[int] = []
    found, _ = run(WORK, 95, 0, keep, lambda done, found, seconds: seen.append(done))
    assert found == Sum(sum(range(95)), 95)
    assert seen == [40, 50, 60, 70, 80, 90, 95]
    for cases, seed in ((95, 1), (50, 0)):
        with pytest.raises(RecordError, match="95 cases of seed 0"):
            run(WORK, cases, seed, keep, stop)
    keep.write_text("{}")
    with pytest.raises(RecordError, match="not a campaign"):
        run(WORK, 95, 0, keep, stop)
    with pytest.raises(ArgumentError, match="cases"):
        run(WORK, 0, 0, None, stop)


def test_the_command_writes_a_record_and_says_by_its_exit_code_whether_all_is_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def done(work: Any, cases: int, seed: int, keep: Path, progress: Any) -> tuple[Any, float]:
        verdict = "correct" if cases == 2 else Verdict.WRONG.value
        accused = () if cases == 2 else (accusations.Accusation(0, "numpy", verdict, "a network", "far off"),)
        return accusations.Found(cases, {}, {"numpy": {verdict: cases}}, accused), 1.5

    monkeypatch.setattr(campaigns, "run", done)
    out = tmp_path / "record.json"
    fine = CliRunner().invoke(main, ["campaign", "--cases", "2", "--out", str(out)])
    assert fine.exit_code == 0, fine.output
    assert fine.stdout == "2 answers to 2 cases: 2 correct; 2 s\n"
    record = msgspec.json.decode(out.read_bytes(), type=campaigns.CampaignRecord)
    assert record.command == "python -m benchmarks campaign accusations --cases 2 --seed 0"
    assert record.found["answers"] == 2
    assert CliRunner().invoke(main, ["campaign", "--cases", "3"]).exit_code == 1

"""The systems that textbooks show: each script computes what it says, trains to what it promises, and is certified."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refimpl.enclosure import enclosure

SYSTEMS = Path(__file__).resolve().parents[3] / "examples" / "systems"


@pytest.fixture(autouse=True, scope="module")
def _folder_in_front() -> Iterator[None]:
    """Scripts are imported as their commands run them: with their own folder first on the path."""
    assert SYSTEMS.is_dir(), f"the examples are tested in a checkout of the repository: no folder {SYSTEMS}"
    sys.path.insert(0, str(SYSTEMS))
    yield
    sys.path.remove(str(SYSTEMS))


def script(name: str) -> ModuleType:
    """A script of ``examples/systems``."""
    return importlib.import_module(name)


class TestOneHiddenLayer:
    def test_formulas_and_balls_agree_in_30_digits(self) -> None:
        layer = script("one_hidden_layer")
        case = layer.small_case()
        numbers, enclosed = layer.symbolic(case.network).numbers(case, 30), enclosure(case)
        for name in enclosed.names():
            for index in np.ndindex(enclosed.shape(name)):
                assert numbers.balls(name)[index].overlaps(enclosed.balls(name)[index])
                assert float(numbers.balls(name)[index].rel_accuracy_bits()) > 99
                assert numbers.decimal(name, index) == enclosed.decimal(name, index, 30)

    def test_it_prints_closed_forms_in_text_and_latex(self, capsys: pytest.CaptureFixture[str]) -> None:
        script("one_hidden_layer").main()
        printed = capsys.readouterr().out
        # ∂L/∂b of the output, which a person writes down: (σ(z) − t)·σ′(z).
        assert "dz2[0] = a3'[0]*da3[0]" in printed
        assert r"\frac{\partial L}{\partial w^{(0)}_{1,0}} = w^{(2)}_{0,0} x_{1}" in printed
        assert printed.count("correct") == 2

    def test_it_learns(self) -> None:
        layer = script("one_hidden_layer")
        trained, losses = layer.learn(layer.product_case())
        assert losses[-1] < losses[0] / 100
        assert script("common").verdict(trained) == "correct"


@pytest.fixture(scope="module")
def later(_folder_in_front: None) -> dict[str, np.ndarray]:
    """The worked example's parameters after 10,000 steps."""
    return dict(script("worked_example").trained(10_000))


@pytest.fixture(scope="module")
def learned(_folder_in_front: None) -> tuple[dict[str, np.ndarray], list[float]]:
    """The parameters that the 28×28 digits end with, and the losses on the way."""
    digits = script("digits_28x28")
    parameters, losses = digits.learn(digits.load()[0])
    return parameters, losses


class TestWorkedExample:
    """The 2-2-2 example: its published numbers, whoever takes the step."""

    @pytest.mark.parametrize("who", ["oracle", "fastimpl's gradient", "fastimpl's loop"])
    def test_every_published_number_comes_out(self, who: str, later: dict[str, np.ndarray]) -> None:
        example = script("worked_example")
        after = {
            "oracle": example.oracle_step,
            "fastimpl's gradient": example.fast_step,
            "fastimpl's loop": lambda start: example.trained(1),
        }[who](example.START)
        numbers = example.numbers(after, later)
        wrong = {n: (numbers[n], text) for n, text in example.PUBLISHED.items() if not example.agrees(numbers[n], text)}
        assert not wrong

    def test_the_misprint_does_not_follow_from_the_published_weights(self) -> None:
        # The published weights are within half a unit of their last place, so at most 5e-9, of those that were meant.
        # Where |∂L/∂w| < 0.1 throughout, eight of them move the error by less than 8 · 5e-9 · 0.1 = 4e-9.
        example = script("worked_example")
        printed = [float(example.PUBLISHED[f"w{number} after one step"]) for number in range(1, 9)]
        weights = np.array(printed).reshape(2, 2, 2).transpose(0, 2, 1)
        case = example.case_at(example.START | {"0.weight": weights[0], "2.weight": weights[1]})
        enclosed = enclosure(case)
        assert all(np.abs(enclosed.nearest(name)).max() < 0.09 for name in case.network.trainable)
        (published,) = example.MISPRINTED.values()
        assert enclosed.distance("loss", float(published)) > 1e-7

    def test_the_biases_stay(self, later: dict[str, np.ndarray]) -> None:
        example = script("worked_example")
        for name in ("0.bias", "2.bias"):
            assert np.array_equal(later[name], example.START[name])

    def test_the_gradient_is_certified_before_and_after(self, later: dict[str, np.ndarray]) -> None:
        example = script("worked_example")
        for parameters in (example.START, later):
            assert script("common").verdict(example.case_at(parameters)) == "correct"

    def test_agreement_means_half_a_unit_of_the_last_printed_place(self) -> None:
        agrees = script("worked_example").agrees
        assert agrees(0.12349, "0.123")
        assert agrees(0.511301270239, "0.511301270")
        assert not agrees(0.12351, "0.123")
        assert not agrees(0.5113012706, "0.511301270")


class TestXor:
    @pytest.mark.parametrize("hidden", [2, 3])
    def test_it_learns_the_truth_table_with_a_certified_gradient(self, hidden: int) -> None:
        learned = script("xor").learn(hidden, seed=0)
        assert learned.before.stack.widths == (2, hidden, 1)
        assert learned.mistakes == 0
        assert np.abs(learned.outputs - script("xor").TARGETS).max() < 0.1
        assert learned.losses[-1] < learned.losses[0] / 20
        assert [script("common").verdict(case) for case in (learned.before, learned.after)] == ["correct"] * 2

    def test_some_starts_of_two_hidden_neurons_end_in_a_local_minimum(self) -> None:
        mistakes = [script("xor").learn(2, seed).mistakes for seed in range(12)]
        assert 0 < sum(count > 0 for count in mistakes) < 6

    def test_mistakes_are_counted(self) -> None:
        learned = script("xor").learn(2, seed=0)
        flipped = script("xor").Learned(learned.before, learned.after, 1 - learned.outputs, learned.losses)
        assert flipped.mistakes == 4


class TestExamScore:
    def test_it_learns_the_three_scores_with_a_certified_gradient(self) -> None:
        exam = script("exam_score")
        start = exam.before()
        trained, losses = exam.learn(start)
        assert np.abs(exam.scores(start) - exam.SCORES[:, 0]).max() > 5
        assert np.abs(exam.scores(trained) - exam.SCORES[:, 0]).max() < 1
        assert losses[-1] < losses[0] / 100
        assert [script("common").verdict(case) for case in (start, trained)] == ["correct"] * 2


class TestDigits8x8:
    def test_92_then_95_percent_of_digits_never_trained_on(self) -> None:
        digits = script("digits_8x8")
        kept, held_out = digits.load()
        assert (len(kept.labels), len(held_out.labels)) == (1438, 359)
        parameters, accuracies = digits.learn(kept, held_out)
        first, second = (digits.reached(goal, accuracies) for goal in (0.92, 0.95))
        assert first is not None
        assert second is not None
        assert first <= second
        assert accuracies[-1] >= 0.95
        # The accuracy is the definition's, too: outputs of the oracle for the first fifty pictures.
        case = held_out.first(50).case(digits.NETWORK, parameters)
        guesses = enclosure(case).nearest("outputs").argmax(axis=1)
        assert np.mean(guesses == held_out.labels[:50]) >= 0.9
        assert script("common").verdict(kept.first(10).case(digits.NETWORK, parameters)) == "correct"

    def test_no_digit_is_in_both_halves(self) -> None:
        digits = script("digits_8x8")
        kept, held_out = digits.load()
        rows = {picture.tobytes() for picture in kept.pictures}
        assert not any(picture.tobytes() in rows for picture in held_out.pictures)


class TestDigits28x28:
    def test_it_learns(self, learned: tuple[dict[str, np.ndarray], list[float]]) -> None:
        digits = script("digits_28x28")
        kept, held_out = digits.load()
        parameters, losses = learned
        assert (len(kept.labels), len(held_out.labels)) == (4000, 1000)
        assert held_out.accuracy(digits.NETWORK, digits.START) < 0.3
        assert held_out.accuracy(digits.NETWORK, parameters) >= 0.88
        assert losses[-1] < losses[0] / 5

    @pytest.mark.parametrize("moment", ["before training", "after it"])
    def test_all_13002_entries_are_enclosed_and_fastimpl_is_correct(
        self, moment: str, learned: tuple[dict[str, np.ndarray], list[float]]
    ) -> None:
        digits = script("digits_28x28")
        parameters = digits.START if moment == "before training" else learned[0]
        case = digits.load()[0].first(digits.BATCH).case(digits.NETWORK, parameters)
        entries, radius = digits.enclosed_entries(case)
        assert entries == 13_002
        assert radius < 1e-30
        assert script("common").verdict(case) == "correct"


DYADIC = st.integers(-64, 64).map(lambda number: number / 8)


class TestSquaredNorm:
    def test_the_published_numbers(self) -> None:
        norm = script("squared_norm")
        enclosed = enclosure(norm.case_of(norm.W, norm.X))
        for name, published in (
            ("loss", 0.116),
            ("0.weight", [[0.088, 0.104], [0.176, 0.208]]),
            ("inputs", [[-0.112, 0.636]]),
        ):
            # W and x are rounded to float64, relative 2^-53 each, and the numbers above are at most cubic in them;
            # 1e-15 is ten times what that can amount to here.
            assert np.all(enclosed.distance(name, np.array(published)) < 1e-15)

    @settings(deadline=None, max_examples=50)
    @given(st.data(), st.integers(1, 4), st.integers(1, 4))
    def test_the_enclosure_is_2qx_and_W2q_exactly(self, data: st.DataObject, rows: int, columns: int) -> None:
        norm = script("squared_norm")
        W = data.draw(arrays(np.float64, (rows, columns), elements=DYADIC))
        x = data.draw(arrays(np.float64, (columns,), elements=DYADIC))
        case = norm.case_of(W, x)
        enclosed, exact = enclosure(case), norm.textbook(case)
        assert script("common").verdict(case) == "correct"
        q = [sum(Fraction(w) * Fraction(v) for w, v in zip(row, x.tolist(), strict=True)) for row in W.tolist()]
        assert exact["loss"] == sum(number * number for number in q)
        for name in ("loss", "0.weight", "inputs"):
            # Eighths up to 8 multiply and add up exactly, in the formulas as in 128-bit balls.
            numbers = np.array(exact[name], dtype=object).astype(np.float64)
            assert np.array_equal(enclosed.nearest(name), numbers)
            assert not np.any(enclosed.distance_upper(name, numbers))


class TestCurve:
    def test_it_falls_from_the_highest_bar_to_the_lowest(self) -> None:
        assert script("common").curve([8.0, 4.0, 1.0]) == "8 █▄▁ 1"

    def test_a_long_history_is_thinned(self) -> None:
        drawn = script("common").curve(list(range(10_000, 0, -1)), width=20).split(" ")
        assert [drawn[0], len(drawn[1]), drawn[2]] == ["10000", 20, "1"]

    def test_a_flat_history_can_be_drawn(self) -> None:
        assert script("common").curve([2.0, 2.0]) == "2 ▁▁ 2"

    def test_nothing_cannot(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            script("common").curve([])

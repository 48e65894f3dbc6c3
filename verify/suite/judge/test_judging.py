"""The judge against an oracle whose numbers, widths and allowances are chosen: every verdict for its own reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import Gradients
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.verdict import Verdict
from gradproof.vocabulary import Dtype
from verify.judge import FIRST_BITS, LAST_BITS, Oracle, examine, judge

SIGMOID = Activation("sigmoid")


def case_of(widths: Any = (2, 2), batch: Any = 3, dtype: Dtype = "float64") -> Any:
    loss = Loss("half_squared_error", "sum")
    network = Network((widths[0],), dense_chain(widths, (SIGMOID,) * (len(widths) - 1)), loss)
    parameters = {name: np.ones(shape) for name, shape in network.parameter_shapes.items()}
    return Case(network, parameters, np.ones((batch, widths[0])), targets=np.zeros((batch, widths[-1])), dtype=dtype)


@dataclass
class Fake:
    """An oracle that knows what it is told; ``width`` says how wide its balls are at a precision."""

    exact: dict[str, Any]
    allowed: float = 1e-12
    width: Any = lambda bits: 0.0
    kinked: bool = False
    formulas: tuple[str, ...] = ()
    usual: float | None = None
    doubts: tuple[str, ...] = ()
    accused: list[Any] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def oracle(self) -> Any:
        return Oracle(self.enclosure, lambda case, enclosed: self, lambda case, dtype: self.formulas, self.witness)

    def witness(self, enclosed: Any, accused: Any) -> Any:
        self.accused.append(dict(accused))
        return self.doubts

    def enclosure(self, case: Case, bits: int) -> Any:
        self.asked.append(bits)
        return FakeEnclosure(self, self.width(bits))

    @property
    def rigorous(self) -> Any:
        return {name: np.full(np.shape(value), self.allowed) for name, value in self.exact.items()}

    @property
    def typical(self) -> Any:
        usual = self.allowed if self.usual is None else self.usual
        return {name: np.full(np.shape(value), usual) for name, value in self.exact.items()}


@dataclass
class FakeEnclosure:
    fake: Fake
    radius: float

    @property
    def met_kinks(self) -> Any:
        return int(self.fake.kinked)

    @property
    def kinds_met(self) -> Any:
        return frozenset()

    def under(self, choose: Any) -> Any:
        raise AssertionError("no kind of kink is met")

    def exact(self, name: str) -> Any:
        return np.asarray(self.fake.exact[name], dtype=np.float64)

    def distance(self, name: str, got: Any) -> Any:
        off = np.abs(np.asarray(got) - self.exact(name))
        return np.where(np.isfinite(got), np.maximum(off - self.radius, 0), np.inf)

    def distance_upper(self, name: str, got: Any) -> Any:
        return np.abs(np.asarray(got) - self.exact(name)) + self.radius

    def lower(self, name: str) -> Any:
        return self.exact(name) - self.radius

    def upper(self, name: str) -> Any:
        return self.exact(name) + self.radius

    def kinks(self, name: str) -> Any:
        return np.full(self.exact(name).shape, self.fake.kinked)

    def decimal(self, name: str, index: Any = (), digits: Any = 20) -> Any:
        return arb(float(self.exact(name)[index])).str(digits, radius=False)


EXACT = {"0.weight": [[1.0, 2.0], [3.0, 4.0]], "0.bias": [0.5, -0.5]}


def answer(**changes: Any) -> Any:
    return Gradients({**{name: np.array(value) for name, value in EXACT.items()}, **changes})


def one(verdict: Any) -> Any:
    assert len(verdict.findings) == 1
    return verdict.findings[0]


def test_what_is_exact_is_correct_and_has_no_finding() -> None:
    verdict = judge(case_of(), answer(), Fake(EXACT).oracle())
    assert verdict.verdict is Verdict.CORRECT
    assert verdict.findings == ()
    assert verdict.case_id == case_of().id


def test_the_worst_entry_is_named_with_its_numbers() -> None:
    off = np.array([[1.0, 2.0 + 1e-9], [3.0 - 1e-6, 4.0]])
    finding = one(judge(case_of(), answer(**{"0.weight": off}), Fake(EXACT).oracle()))
    assert (finding.verdict, finding.quantity, finding.index) == (Verdict.WRONG, "0.weight", (1, 0))
    assert finding.layer == "layer 0: dense 2"
    assert (finding.bad, finding.entries) == (2, 4)
    assert float(finding.got) == off[1, 0]
    assert finding.exact == "3.0000000000000000000"
    assert float(finding.error) == pytest.approx(1e-6, rel=1e-2)
    assert float(finding.allowed) == 1e-12
    assert "2 of 4 entries" in finding.message


@given(exact=st.floats(-1e6, 1e6), off=st.floats(-10, 10), allowed=st.floats(1e-300, 10), radius=st.floats(0, 1e-9))
def test_wrong_exactly_when_the_whole_enclosure_is_further_away_than_allowed(
    exact: float, off: float, allowed: float, radius: float
) -> None:
    got = exact + off
    fake = Fake({"loss": exact}, allowed=allowed, width=lambda bits: radius)
    verdict = judge(case_of(), Gradients({}, loss=np.float64(got)), fake.oracle()).verdict
    assert (verdict is Verdict.WRONG) == (max(abs(got - exact) - radius, 0) > allowed)


def test_between_the_allowances_an_answer_is_inaccurate_and_says_how_many_digits_are_left() -> None:
    off = np.array([[1.0, 2.0 + 1e-6], [3.0, 4.0 + 1e-13]])
    fake = Fake(EXACT, allowed=1e-3, usual=1e-12)
    finding = one(judge(case_of(), answer(**{"0.weight": off}), fake.oracle()))
    assert finding.verdict is Verdict.INACCURATE
    assert (finding.index, finding.bad) == ((0, 1), 1)
    assert finding.allowed == "1e-12"
    assert "6 are right where careful arithmetic keeps 12" in finding.message


def test_where_nothing_is_proved_a_typical_error_is_correct_and_a_larger_one_undecided() -> None:
    fake = Fake(EXACT, allowed=np.inf, usual=1e-9)
    near, far = (answer(**{"0.bias": [0.5 + off, -0.5]}) for off in (1e-10, 1e-8))
    assert judge(case_of(), near, fake.oracle()).verdict is Verdict.CORRECT
    assert judge(case_of(), far, fake.oracle()).verdict is Verdict.UNDECIDED


def test_a_second_route_that_disagrees_makes_it_our_fault() -> None:
    wrong = answer(**{"0.bias": [0.5, 0.5]})
    fake = Fake(EXACT, doubts=("0.bias[1]: 1 by one route, 2 by the other",))
    finding = one(judge(case_of(), wrong, fake.oracle()))
    assert finding.verdict is Verdict.ORACLE_CONFLICT
    assert "0.bias[1]: 1 by one route" in finding.message
    assert fake.accused == [{"0.bias": (1,)}]
    assert judge(case_of(), answer(), fake.oracle()).verdict is Verdict.ORACLE_CONFLICT


def test_an_enclosure_too_wide_to_decide_is_narrowed_by_more_bits() -> None:
    fake = Fake(EXACT, width=lambda bits: 1.0 if bits < 8 * FIRST_BITS else 0.0)
    assert judge(case_of(), answer(), fake.oracle()).verdict is Verdict.CORRECT
    assert fake.asked == [FIRST_BITS, 2 * FIRST_BITS, 4 * FIRST_BITS, 8 * FIRST_BITS]


def test_an_enclosure_no_wider_than_the_allowance_is_narrow_enough() -> None:
    fake = Fake({"loss": 1.0}, allowed=1e-6, width=lambda bits: 4e-7)
    assert judge(case_of(), Gradients({}, loss=1 + 0.8e-6), fake.oracle()).verdict is Verdict.CORRECT
    assert fake.asked == [FIRST_BITS]


def test_bits_are_not_raised_for_what_is_proved_already() -> None:
    fake = Fake(EXACT, width=lambda bits: 1.0)
    assert judge(case_of(), answer(**{"0.bias": np.array([9.0, 9.0])}), fake.oracle()).findings[-1].bad == 2
    fake = Fake({"loss": 1.0}, width=lambda bits: 0.25)
    assert judge(case_of(), Gradients({}, loss=2.0), fake.oracle()).verdict is Verdict.WRONG
    assert fake.asked == [FIRST_BITS]


def test_what_the_last_bits_do_not_tell_is_undecided() -> None:
    fake = Fake(EXACT, width=lambda bits: 1.0)
    verdict = judge(case_of(), answer(), fake.oracle())
    assert {finding.verdict for finding in verdict.findings} == {Verdict.UNDECIDED}
    assert fake.asked[-1] == LAST_BITS
    assert f"{LAST_BITS} bits" in verdict.findings[0].message


def test_where_nothing_is_bounded_only_a_neighbour_of_the_exact_number_is_correct() -> None:
    fake = Fake({"loss": 1.0}, allowed=np.inf)
    near = Gradients({}, loss=np.nextafter(1.0, 2.0))
    assert judge(case_of(), near, fake.oracle()).verdict is Verdict.CORRECT
    finding = one(judge(case_of(), Gradients({}, loss=1.0 + 1e-12), fake.oracle()))
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.allowed == "inf"


def test_an_exact_zero_that_its_ball_cannot_pin_down_is_no_doubt() -> None:
    fake = Fake({"loss": 0.0}, allowed=0.0, width=lambda bits: 2.0**-1074)
    assert judge(case_of(), Gradients({}, loss=0.0), fake.oracle()).verdict is Verdict.CORRECT
    assert fake.asked == [FIRST_BITS]


@pytest.mark.parametrize("got", [np.nan, np.inf, -np.inf])
def test_not_finite_is_wrong_unless_a_usual_formula_overflows(got: Any) -> None:
    bad = answer(**{"0.bias": np.array([0.5, got])})
    finding = one(judge(case_of(), bad, Fake(EXACT).oracle()))
    assert (finding.verdict, finding.index, finding.got) == (Verdict.WRONG, (1,), repr(float(got)))
    assert "not finite" in finding.message
    finding = one(judge(case_of(), bad, Fake(EXACT, formulas=("softmax without a shift",)).oracle()))
    assert finding.verdict is Verdict.INACCURATE
    assert "softmax without a shift" in finding.message
    finding = one(judge(case_of(), bad, Fake(EXACT, allowed=np.inf).oracle()))
    assert finding.verdict is Verdict.UNDECIDED


def test_infinity_is_right_for_a_number_beyond_the_largest() -> None:
    fake = Fake({"loss": 1e39}, allowed=1.0)
    assert judge(case_of(dtype="float32"), Gradients({}, loss=np.float32(np.inf)), fake.oracle()).verdict == "correct"
    assert judge(case_of(dtype="float32"), Gradients({}, loss=np.float32(-np.inf)), fake.oracle()).verdict == "wrong"
    assert judge(case_of(), Gradients({}, loss=np.inf), fake.oracle()).verdict == "wrong"


def test_at_a_kink_every_admissible_value_passes_and_no_other() -> None:
    fake = Fake({"loss": 0.5}, width=lambda bits: 0.5, kinked=True)
    for got in (0.0, 0.5, 1.0):
        assert judge(case_of(), Gradients({}, loss=got), fake.oracle()).verdict is Verdict.CORRECT
    assert judge(case_of(), Gradients({}, loss=2.0), fake.oracle()).verdict is Verdict.WRONG
    assert examine(case_of(), Gradients({}, loss=0.0), fake.oracle()).kinks == 1


@pytest.mark.parametrize("part", ["enclosure", "allowance", "overflowing", "witness"])
def test_a_failing_oracle_is_our_fault_and_says_so(part: str) -> None:
    def fails(*arguments: Any) -> Any:
        raise ZeroDivisionError("in the oracle")

    fake = Fake(EXACT)
    parts: dict[str, Any] = {
        "enclosure": fake.enclosure,
        "allowance": lambda case, enclosed: fake,
        "overflowing": lambda case, dtype: (),
        "witness": fake.witness,
    }
    verdict = judge(case_of(), answer(**{"0.bias": np.array([np.nan, 0])}), Oracle(**{**parts, part: fails}))
    assert verdict.verdict is Verdict.ORACLE_CONFLICT
    assert "gradproof itself fails" in verdict.findings[0].message
    assert "Traceback" in verdict.findings[0].message
    assert "in fails" in verdict.findings[0].message


def test_an_allowance_that_is_no_number_accuses_nobody() -> None:
    assert judge(case_of(), answer(), Fake(EXACT, allowed=np.nan).oracle()).verdict is Verdict.ORACLE_CONFLICT


@pytest.mark.parametrize(
    ("given", "argument"),
    [
        (Gradients({"0.weight": np.ones((2, 3))}), "0.weight"),
        (Gradients({"1.weight": np.ones((2, 2))}), "1.weight"),
        (Gradients({}, loss=np.ones(3)), "loss"),
        (Gradients({}, outputs=np.ones((2, 3))), "outputs"),
        (Gradients({}, inputs="much"), "inputs"),
    ],
)
def test_an_answer_of_another_form_is_refused(given: Any, argument: str) -> None:
    with pytest.raises(ArgumentError, match=argument):
        judge(case_of(), given, Fake(EXACT).oracle())


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda w: -w, "each is −1 × the exact number: the sign is flipped"),
        (lambda w: 2 * w, "each is 2 × the exact number (outputs: 2)"),
        (lambda w: w / 3, "each is 1/3 × the exact number (samples: 3)"),
        (lambda w: 6 * w, "each is 6 × the exact number (samples × outputs: 6)"),
        (lambda w: 0 * w, "each is 0"),
        (lambda w: w.T, "its transpose is exact"),
        (lambda w: 0.7 * w, "each is about 0.7 × the exact number, the same factor for all"),
    ],
)
def test_what_is_certain_about_wrong_numbers_is_said(change: Any, fact: str) -> None:
    finding = one(judge(case_of(), answer(**{"0.weight": change(np.array(EXACT["0.weight"]))}), Fake(EXACT).oracle()))
    assert fact in finding.message


def test_what_only_seems_so_is_not_said() -> None:
    off = np.array([[2.0, 4.0], [6.0, 8.001]])
    finding = one(judge(case_of(), answer(**{"0.weight": off}), Fake(EXACT).oracle()))
    assert "×" not in finding.message
    assert "transpose" not in finding.message


def test_the_layer_nearest_the_loss_is_where_it_starts() -> None:
    case = case_of((2, 2, 2))
    exact = {name: np.ones(shape) for name, shape in case.network.parameter_shapes.items()} | {"loss": 1.0}
    wrong = {name: 3 * np.ones(shape) for name, shape in case.network.parameter_shapes.items()}
    judgement = examine(case, Gradients(wrong, loss=1.0), Fake(exact).oracle())
    starts = [f.quantity for f in judgement.verdict.findings if "goes wrong here first" in f.message]
    assert starts == ["2.weight", "2.bias"]
    assert judgement.cause == ("the last layer", "weight", "bias")
    before = {**wrong, "2.weight": np.ones((2, 2)), "2.bias": np.ones(2)}
    judgement = examine(case, Gradients(before, loss=1.0), Fake(exact).oracle())
    assert judgement.cause == ("a layer before the last", "weight", "bias")
    judgement = examine(case, Gradients(wrong, loss=-1.0), Fake(exact).oracle())
    assert judgement.cause == ("loss",)
    assert judgement.entries == 13


def test_the_only_wrong_quantity_is_said_to_be_the_only_one() -> None:
    finding = one(judge(case_of(), answer(**{"0.bias": np.array([0.5, 0.5])}), Fake(EXACT).oracle()))
    assert "everything else that is given is right" in finding.message


def test_layers_without_parameters_of_their_own_have_no_say() -> None:
    network = Network((1,), (Dense(1), SIGMOID), Loss("half_squared_error", "sum"), frozen=("0.weight",))
    case = Case(network, {"0.weight": [[1.0]], "0.bias": [1.0]}, [[1.0]], targets=[[0.0]])
    fake = Fake({"0.bias": [1.0]})
    ignored = Gradients({"0.weight": np.array([[np.nan]]), "0.bias": np.array([1.0])})
    assert judge(case, ignored, fake.oracle()).verdict is Verdict.CORRECT

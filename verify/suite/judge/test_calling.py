"""What a target may return, print, raise and change, and what is said of it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import gradproof
from gradproof.case import Case
from gradproof.gradients import Gradients
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network
from gradproof.verdict import Verdict
from gradproof.vocabulary import Dtype
from verify.calling import PRINTED_BYTES, Answer, NoAnswer
from verify.loading import adopt
from verify.subjects.networks import SUBJECT as NETWORKS

SHARED = (("4.weight", "2.weight"),)


def case_of(dtype: Dtype = "float64", shared: Any = ()) -> Any:
    layers = (Dense(3), Activation("tanh"), Dense(3, bias=False), Activation("tanh"), Dense(3, bias=False))
    network = Network((2,), layers, Loss("squared_error", "sum"), shared=shared, frozen=("0.bias",))
    parameters = {name: np.full(shape, 0.5) for name, shape in network.parameter_shapes.items()}
    return Case(network, parameters, [[1, 2], [3, 4]], targets=np.ones((2, 3)), dtype=dtype)


def good(case: Case) -> Any:
    parameters = {name: np.ones(case.network.parameter_shapes[name], case.dtype) for name in case.network.trainable}
    return {"loss": 1.0, "outputs": np.zeros((2, 3), case.dtype), "parameters": parameters}


def ask(function: Any, case: Case | None = None) -> Any:
    declared = gradproof.target(losses="squared_error/sum", hidden="tanh", output="identity")
    return NETWORKS.call(adopt(declared(function)), case or case_of())


def changed(**changes: Any) -> Any:
    def function(case: Case) -> Any:
        return {**good(case), **changes}

    return ask(function)


def with_parameter(name: str, value: Any) -> Any:
    def function(case: Case) -> Any:
        answer = good(case)
        answer["parameters"][name] = value
        return answer

    return ask(function)


def faults(result: Any) -> Any:
    assert isinstance(result, NoAnswer)
    assert result.verdict is Verdict.BROKE_PROTOCOL
    return {finding.quantity: finding.message for finding in result.findings}


def test_a_good_answer_is_read_whole() -> None:
    result = ask(good)
    assert isinstance(result, Answer)
    assert set(result.quantities) == {"loss", "outputs", "0.weight", "2.weight", "4.weight"}


def test_gradients_are_taken_as_well_as_a_mapping() -> None:
    result = ask(lambda case: Gradients(**good(case)))
    assert isinstance(result, Answer)
    assert "inputs" not in result.quantities


@pytest.mark.parametrize(
    ("value", "came"),
    [(None, "None"), ((1, 2), "a tuple of 2"), (np.ones(3), "a ndarray of shape (3,)"), (3.0, "float")],
)
def test_no_answer_at_all(value: Any, came: str) -> None:
    message = faults(ask(lambda case: value))["target"]
    assert came in message
    assert "expected gradproof.Gradients" in message


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("0.weight", np.ones((3, 2)), ["shape (3, 2)", "expected (2, 3)", "transposed?"]),
        ("0.weight", np.ones(6), ["shape (6,)", "expected (2, 3)"]),
        ("0.weight", np.ones((2, 3), np.float32), ["float32", "expected float64", "dtypes="]),
        ("0.weight", np.ones((2, 3), np.complex128), ["complex128", "expected float64"]),
        ("0.weight", np.ones((2, 3), np.int64), ["int64", "expected float64"]),
        ("0.weight", np.ones((2, 3), object), ["object", "expected float64"]),
        ("0.weight", [[1.0, 2.0], [3.0]], ["0.weight", "cannot be read"]),
        ("0.weight", "much", ["expected float64"]),
        ("0.weight", [[True] * 3] * 2, ["bool", "expected float64"]),
        ("0.weight", None, ["∂L/∂0.weight is missing"]),
    ],
)
def test_a_parameter_that_cannot_be_compared(name: str, value: Any, words: list[str]) -> None:
    message = faults(with_parameter(name, value))[name]
    assert all(word in message for word in words), message
    assert with_parameter(name, value).findings[0].layer == "layer 0: dense 3"


def test_every_fault_of_an_answer_is_told_at_once() -> None:
    def function(case: Case) -> Any:
        return {"loss": 1j, "outputs": np.ones((3, 2)), "parameters": {"2.weight": np.ones(3)}}

    assert set(faults(ask(function))) == {"loss", "outputs", "0.weight", "2.weight", "4.weight"}


def test_names_close_to_the_right_ones_are_suggested() -> None:
    assert "did you mean '0.weight'?" in faults(with_parameter("0.wieght", np.ones((2, 3))))["target"]
    assert "did you mean 'outputs'?" in faults(changed(output=1))["target"]
    assert "did you mean" not in faults(changed(grads=1))["target"]
    assert "belong under the key 'parameters'" in faults(changed(**{"0.weight": 1}))["target"]
    assert "case.stack.name" in faults(changed(parameters=[1, 2]))["target"]


def test_a_shared_parameter_has_one_gradient() -> None:
    def function(case: Case) -> Any:
        answer = good(case)
        answer["parameters"]["4.weight"] = np.ones((3, 3))
        return answer

    assert "give one gradient for '2.weight'" in faults(ask(function, case_of(shared=SHARED)))["target"]


def test_gradients_of_frozen_parameters_are_ignored() -> None:
    result = with_parameter("0.bias", "whatever")
    assert isinstance(result, Answer)
    assert "0.bias" not in result.quantities


def test_python_numbers_have_no_dtype_and_a_loss_may_have_axes() -> None:
    for dtype in ("float64", "float32"):
        case = case_of(dtype)
        result = ask(
            lambda case: {**good(case), "loss": np.ones((1, 1), case.dtype), "outputs": [[1, 2.5, 3]] * 2}, case
        )
        assert isinstance(result, Answer)
        assert np.shape(np.asarray(result.quantities["loss"])) == ()


def test_a_wider_array_than_the_case_is_no_answer_in_its_dtype() -> None:
    message = faults(ask(lambda case: {**good(case), "outputs": np.ones((2, 3))}, case_of("float32")))["outputs"]
    assert "float64, expected float32" in message


def test_an_exception_is_a_finding_with_its_place() -> None:
    def fails(case: Case) -> Any:
        raise KeyError("lost")

    result = ask(fails)
    assert isinstance(result, NoAnswer)
    assert result.verdict is Verdict.CRASHED
    assert result.findings[0].message.startswith("KeyError: 'lost' (test_calling.py:")
    assert result.findings[0].message.endswith("in fails)")


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    "error", [SystemExit(0), GeneratorExit(), RecursionError("deep"), BaseException("bare"), MuteError()]
)
def test_no_exception_but_an_interrupt_escapes(error: Any) -> None:
    def fails(case: Case) -> Any:
        raise error

    assert ask(fails).verdict is Verdict.CRASHED

    def interrupts(case: Case) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(interrupts)


def test_an_answer_that_raises_while_it_is_read_is_a_crash() -> None:
    class Torn(dict[str, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            raise RuntimeError("torn")

    assert ask(lambda case: {**good(case), "parameters": Torn()}).verdict is Verdict.CRASHED


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("part", ["inputs", "targets", "parameters['2.weight']"])
def test_changing_the_case_is_found_and_does_not_reach_ours(part: str, forced: bool) -> None:
    def changes(case: Case) -> Any:
        array = case.parameters["2.weight"] if "[" in part else getattr(case, part)
        if forced:
            array.setflags(write=True)
        array += 1
        return good(case)

    case = case_of()
    before = case.to_data()
    result = ask(changes, case)
    assert result.verdict is Verdict.BROKE_PROTOCOL
    assert part in result.findings[0].message
    assert "copy" in result.findings[0].message
    assert case.to_data() == before


@pytest.mark.parametrize("answers", [True, False])
def test_a_case_that_is_taken_apart_is_no_failure_of_ours(answers: bool) -> None:
    def takes_apart(case: Case) -> Any:
        answer = good(case)
        object.__delattr__(case, "inputs")
        object.__setattr__(case, "parameters", {})
        return answer if answers else case.inputs

    result = ask(takes_apart)
    assert isinstance(result, Answer) if answers else result.verdict is Verdict.CRASHED


def test_a_change_that_then_fails_is_still_a_change() -> None:
    def changes(case: Case) -> Any:
        case.inputs.setflags(write=True)
        case.inputs += 1  # the array, and then the attribute, which a case refuses

    assert "changes inputs" in ask(changes).findings[0].message


def test_writing_to_another_read_only_array_is_no_change_of_the_case() -> None:
    def crashes(case: Case) -> Any:
        np.broadcast_to(np.ones(1), 3)[0] = 2

    result = ask(crashes)
    assert result.verdict is Verdict.CRASHED
    assert "read-only" in result.findings[0].message


def test_what_a_target_prints_is_kept_apart_and_short(capfd: pytest.CaptureFixture[str]) -> None:
    def prints(case: Case) -> Any:
        print("out" * PRINTED_BYTES)
        sys.stdout.buffer.write(b"\xff")
        print("err", file=sys.stderr)
        return good(case)

    result = ask(prints)
    assert isinstance(result, Answer)
    assert result.printed.startswith("outout")
    assert len(result.printed) == PRINTED_BYTES
    assert capfd.readouterr() == ("", "")


def test_warnings_of_the_arithmetic_are_silent(recwarn: pytest.WarningsRecorder) -> None:
    def divides(case: Case) -> Any:
        np.ones(2) / np.zeros(2)
        return good(case)

    def again(case: Case) -> Any:
        return divides(case)

    assert isinstance(ask(divides), Answer)
    with np.errstate(all="raise"):  # what somebody else has set is not the target's concern
        assert isinstance(ask(again), Answer)
    assert not recwarn.list

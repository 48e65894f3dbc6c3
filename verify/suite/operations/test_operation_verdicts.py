"""Right kernels are never accused, whatever the precision and layout; each planted fault is caught, and told."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import gradproof
from gradproof.cases import from_data
from gradproof.layers import Activation
from gradproof.layouts import Layout
from gradproof.operation_case import OperationCase
from gradproof.operations import Operation, OperationSupports
from gradproof.record import CheckRecord, decode, encode
from gradproof.verdict import Verdict
from verify import campaign, drawing
from verify.campaign import PROFILES, check
from verify.loading import adopt, load
from verify.operations import causes as naming
from verify.operations.features import told_apart
from verify.operations.judging import examine
from verify.operations.strategies import operation_cases
from verify.subjects import subject_of
from verify.suite.operations import kernels
from verify.suite.operations.kernels import NARROW, RIGHT, causes, survey

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "operations"


@pytest.mark.parametrize("name", RIGHT)
def test_right_kernels_are_never_accused(name: str) -> None:
    _, counts, judged = survey(RIGHT[name], 12)
    assert counts == {Verdict.CORRECT: 12}, [found for _, found in judged if found]


def test_torch_is_right_in_every_precision_and_layout_that_it_knows() -> None:
    pytest.importorskip("torch")
    target = load(f"{EXAMPLES / 'torch_function.py'}:adapter")
    assert target.supports.dtypes == NARROW  # type: ignore[attr-defined]
    _, counts, _ = survey(target, 24)
    assert counts == {Verdict.CORRECT: 24}


@pytest.mark.parametrize("name", ["softmax", "gelu", "softplus", "elu"])
def test_torchs_own_activations_are_right_in_every_precision(name: str) -> None:
    torch = pytest.importorskip("torch")
    example: Any = load(f"{EXAMPLES / 'torch_function.py'}:adapter").function.__globals__
    functional = torch.nn.functional
    compute = {
        "softmax": lambda x: functional.softmax(x, -1),
        "softplus": lambda x: functional.softplus(x, threshold=40),
        "elu": functional.elu,
    }.get(name) or getattr(functional, name)
    layouts = ("offset", "padded", "transposed", "strided", "broadcast")

    @gradproof.operation(name, dtypes=NARROW, layouts=layouts)
    def adapter(x: Any, upstream: Any, **parameter: float) -> Any:
        x = example["tensor"](x).requires_grad_()
        y = compute(x, **parameter)
        y.backward(example["tensor"](upstream))
        return example["array"](y), example["array"](x.grad)

    _, counts, judged = survey(adapter, 10)
    assert counts == {Verdict.CORRECT: 10}, [found for _, found in judged if found]


# ---- planted faults ----


@pytest.fixture(autouse=True)
def _few_cases_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, few in (("FRESH_CASES", 8), ("WRONG_CASES", 12), ("RIGHT_CASES", 8)):
        monkeypatch.setattr(naming, count, few)


@pytest.mark.parametrize(
    ("fault", "name", "words"),
    [
        ("softmax_diagonal", "diagonal", "only the diagonal"),
        ("gelu_by_tanh", "exact for gelu_tanh", "exact for gelu_tanh; declared is gelu"),
        ("ignores_strides", "ignores the strides of the upstream gradient", "as if it were contiguous"),
        ("overwrites", "overwrites", "overwrite what the arrays held before"),
        ("adds", "accumulates", "declared to be written over"),
        (
            "mean_with_the_gradient_of_the_sum",
            "gradients exact for squared_error/sum",
            "the values for squared_error/batch_mean",
        ),
        ("transposed_where_square", "forward weight", "where W is square"),
    ],
)
def test_faults_are_caught_and_named(fault: str, name: str, words: str) -> None:
    (cause,) = causes(getattr(kernels, fault))
    assert cause.name is not None
    assert name in cause.name
    assert words in cause.words
    assert cause.mend
    assert cause.wrong >= 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("whole_blocks_alone", "whose last size is no multiple of 32"),
        ("wrong_for_broadcast_upstream", "in which the upstream gradient has strides of 0"),
    ],
)
def test_faults_outside_the_catalogue_are_told_apart_and_not_named(fault: str, words: str) -> None:
    (cause,) = causes(getattr(kernels, fault), 40)
    assert (cause.kind, cause.name, cause.mend) == ("unknown", None, None)
    assert words in cause.words
    assert "right: all" in cause.words


def test_in_16_bits_alone_no_formula_is_named() -> None:
    @gradproof.operation("softmax", dtypes="float16")
    def narrow(x: Any, upstream: Any) -> Any:
        return kernels.softmax_diagonal(x, upstream)

    (cause,) = causes(narrow)
    assert (cause.kind, cause.name) == ("unknown", None)


@pytest.mark.parametrize(("kind", "part"), [(kernels.KeepsSum, "dense"), (kernels.KeepsMask, "relu")])
def test_a_function_that_keeps_state_is_found_by_a_second_call(kind: type, part: str) -> None:
    target = gradproof.operation(part)(kind())
    implementation, counts, judged = survey(target, 30)
    assert counts[Verdict.WRONG] > 3
    case, findings = next((case, f) for case, f in judged if f)
    assert {finding.layer for finding in findings} == {"second call"}
    assert "only on a second call" in findings[0].message
    found = subject_of(implementation.supports).causes(implementation, {case: findings}, judged, 0)
    assert [cause.name for cause in found[case.id]] == ["keeps state"]


def test_writing_into_what_is_given_breaks_the_protocol() -> None:
    implementation = adopt(kernels.in_place)
    subject = subject_of(implementation.supports)
    layouts: tuple[Layout, ...] = ("contiguous", "read-only", "broadcast")
    for name in layouts:
        operation = implementation.supports.operation((2,), [{}])  # type: ignore[attr-defined]
        case = OperationCase(operation, [[-1.0, 2.0]], upstream=[[3.0, 4.0]], layouts={"upstream": name})
        found = subject.call(implementation, case)
        assert "changes upstream" in found.findings[0].message  # type: ignore[union-attr]


def test_the_gap_beside_an_array_is_watched_too() -> None:
    @gradproof.operation("relu", layouts="padded")
    def beside(x: Any, upstream: Any) -> Any:
        if x.base is not None:
            x.base[...] = 0
        return np.maximum(x, 0), upstream * (x > 0)

    _, counts, _ = survey(beside, 20)
    assert counts[Verdict.BROKE_PROTOCOL]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x, g: (x, g, g), r"expected a tuple \(outputs, ∂L/∂inputs\)"),
        (lambda x, g: None, "returned None"),
        (lambda x, g: (x, None), "no gradient came back"),
        (lambda x, g: (x[:, :0], g), "outputs is of shape"),
        (lambda x, g: (x, g.astype(np.float32)), "dtype float32"),
        (lambda x, g: {"output": x, "inputs": g}, "did you mean 'outputs'"),
    ],
)
def test_answers_that_are_none_say_what_to_return(answer: Any, message: str) -> None:
    implementation = adopt(gradproof.operation("identity")(answer))
    subject = subject_of(implementation.supports)
    case = OperationCase(
        implementation.supports.operation((2,), [{}]),  # type: ignore[attr-defined]
        [[1.0, 2.0]],
        upstream=[[3.0, 4.0]],
    )
    found = subject.call(implementation, case)
    assert found.verdict is Verdict.BROKE_PROTOCOL  # type: ignore[union-attr]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found.findings[0].message)  # type: ignore[union-attr]


def test_gradients_that_are_added_must_not_come_back() -> None:
    @gradproof.operation("relu", gradients="added")
    def both(x: Any, upstream: Any, into: Any) -> Any:
        into["inputs"] += upstream * (x > 0)
        return {"outputs": np.maximum(x, 0), "inputs": upstream * (x > 0)}

    _, counts, _ = survey(both, 5)
    assert counts == {Verdict.BROKE_PROTOCOL: 5}


def test_halves_may_come_back_in_float32_and_in_nothing_else() -> None:
    def adapter(dtype: Any) -> Any:
        def relu(x: Any, upstream: Any) -> Any:
            return np.maximum(x, 0).astype(dtype), (upstream * (x > 0)).astype(dtype)

        return gradproof.operation("relu", dtypes=("float16", "bfloat16"))(relu)

    assert survey(adapter(np.float32), 20)[1] == {Verdict.CORRECT: 20}
    assert survey(adapter(np.float64), 5)[1] == {Verdict.BROKE_PROTOCOL: 5}


# ---- what sets cases apart ----


def test_nothing_is_said_where_nothing_sets_cases_apart() -> None:
    _, _, judged = survey(RIGHT["softmax"], 20)
    cases = [case for case, _ in judged]
    assert told_apart([(case, False) for case in cases]) == ""
    assert told_apart([(case, True) for case in cases]) == ""


def test_what_is_said_of_cases_is_true_of_all() -> None:
    cases: list[OperationCase] = []
    drawing.survey(operation_cases(adopt(RIGHT["dense"]).supports), 0, 90, cases.append)  # type: ignore[arg-type]
    words = told_apart([(case, case.layouts.get("weight") == "transposed") for case in cases])
    assert "in which weight is the transpose" in words
    words = told_apart([(case, case.operation.input_shape[0] >= 15) for case in cases])
    assert "features or more" in words
    assert told_apart([(case, number % 2 == 0) for number, case in enumerate(cases)]) == ""


# ---- whole runs ----


def test_a_run_shrinks_names_records_and_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PROFILES", {**PROFILES, "smoke": 20})
    record = check(kernels.softmax_diagonal, profile="smoke")
    assert (record.verdict, record.exit_code, record.cases) == (Verdict.WRONG, 1, 20)
    assert decode(encode(record), CheckRecord) == record
    (failure,) = record.failures
    case = from_data(failure.case)
    assert isinstance(case, OperationCase)
    assert (case.batch, case.operation.input_shape, dict(case.layouts)) == (1, (2,), {})
    assert failure.causes[0].kind == "mistake"
    assert set(msgspec.to_builtins(failure.case)["kind"].split()) == {"operation"}
    assert {name.split("-")[0] for name in record.families} == {"softmax"}


def test_families_are_layouts_and_precisions() -> None:
    supports = OperationSupports(parts=("dense", "relu"), dtypes=("float64", "float16"), layouts=("fortran",))
    subject = subject_of(supports)
    families = subject.families(supports)
    expected = {f"dense-relu-{dtype}-{layout}" for dtype in ("float64", "float16") for layout in supports.layouts}
    assert set(families) == expected
    found: Counter[str] = Counter()
    drawing.survey(subject.strategy(supports), 0, 30, lambda case: found.update([subject.family(case)]))
    assert set(found) <= expected


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        ("softmax.py:adapter", Verdict.CORRECT),
        ("softmax_wrong.py:adapter", Verdict.WRONG),
        ("gelu.py:adapter", Verdict.CORRECT),
        ("gelu.py:approximated", Verdict.WRONG),
        ("dense.py:adapter", Verdict.CORRECT),
        ("dense.py:accumulating", Verdict.CORRECT),
        ("cross_entropy.py:adapter", Verdict.CORRECT),
        ("classifier.py:adapter", Verdict.CORRECT),
        ("c_kernel.py:adapter", Verdict.CORRECT),
        ("c_kernel.py:careless", Verdict.WRONG),
    ],
)
def test_examples(target: str, verdict: Verdict) -> None:
    if target.startswith("c_kernel") and not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("no C compiler")
    _, verdicts, _ = survey(load(f"{EXAMPLES / target}"), 12)
    if verdict is Verdict.CORRECT:
        assert verdicts == {Verdict.CORRECT: 12}
    else:
        assert verdicts[verdict] > 3
        assert set(verdicts) <= {verdict, Verdict.CORRECT}


def test_the_readme_shows_the_smallest_adapter_as_it_is() -> None:
    source = (EXAMPLES / "softmax.py").read_text(encoding="utf-8")
    lines = source[source.index("@gradproof.operation") :].splitlines()[1:]
    assert "\n".join(lines) in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert len(lines) <= 4


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_an_overflow_that_ends_finite_is_inaccurate_and_other_numbers_are_wrong(dtype: Any) -> None:
    """Two exponentials that are finite, whose sum is not: each over infinity is 0."""
    largest = float(np.log(np.finfo(dtype).max)) - 0.1
    case = OperationCase(
        Operation((2,), (Activation("softmax"),)), [[largest, largest]], upstream=[[1.0, 0.0]], dtype=dtype
    )
    zeros = np.zeros((1, 2), dtype)
    judged = examine(case, {"outputs": zeros, "inputs": zeros})
    assert judged.verdict.verdict is Verdict.INACCURATE
    assert "no maximum is subtracted" in judged.verdict.findings[0].message
    assert examine(case, {"outputs": zeros + np.dtype(dtype).type(0.25)}).verdict.verdict is Verdict.WRONG

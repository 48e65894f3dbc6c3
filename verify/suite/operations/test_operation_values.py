"""Precisions, memory layouts, declarations and cases: what they are, what they refuse, and that JSON keeps them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import ml_dtypes
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradproof
from gradproof import operations, precisions
from gradproof.cases import from_data
from gradproof.errors import ArgumentError, NetworkError
from gradproof.layers import Activation, Dense, Dropout, Layer, Residual
from gradproof.layouts import GAP, LAYOUTS, WORDS, laid
from gradproof.loss import Loss
from gradproof.operation_case import OperationCase, OperationData
from gradproof.operations import Operation, OperationSupports
from gradproof.precisions import PRECISIONS, PrecisionError, largest, quantum, rounded, type_of
from gradproof.vocabulary import ACTIVATIONS, LOSSES
from refimpl.formats import FORMATS
from verify.drawing import survey
from verify.operations.strategies import operation_cases

numbers = st.floats(allow_nan=False, allow_infinity=False)
SOFTMAX = Operation((3,), (Activation("softmax"),))
X = np.arange(6.0).reshape(2, 3) / 7


def case(**changes: Any) -> OperationCase:
    return OperationCase(SOFTMAX, X, upstream=np.ones((2, 3))).replace(**changes)


# ---- precisions ----


def test_precisions_are_the_formats_that_errors_are_bounded_in() -> None:
    assert tuple(FORMATS) == PRECISIONS
    for name in PRECISIONS:
        form = FORMATS[name]
        assert (precisions.BITS[name], precisions.LEAST[name]) == (form.bits, form.least)
        assert largest(name) == form.largest


@pytest.mark.parametrize("precision", PRECISIONS)
@given(st.lists(numbers, min_size=1, max_size=20))
def test_numbers_are_rounded_as_the_types_themselves_round(precision: Any, values: list[float]) -> None:
    kept = [value for value in values if abs(value) <= largest(precision)]
    # ml_dtypes rounds a float64 to bfloat16 by way of float32, twice; so it is asked about float32 numbers.
    given = np.array(kept, dtype=np.float32 if precision == "bfloat16" else np.float64)
    kind = ml_dtypes.bfloat16 if precision == "bfloat16" else precision
    assert np.array_equal(rounded("x", given, precision), given.astype(kind).astype(np.float64))


@given(numbers)
def test_bfloat16_is_rounded_once(value: float) -> None:
    if abs(value) > largest("bfloat16"):
        return
    (near,) = rounded("x", [value], "bfloat16")
    assert abs(near - value) <= quantum(value, "bfloat16") / 2
    assert float(ml_dtypes.bfloat16(near)) == near


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_no_precision_holds_is_refused(precision: Any) -> None:
    for wrong in ([np.inf], [np.nan], [2.0 * largest(precision)] if precision != "float64" else [np.inf]):
        with pytest.raises(ArgumentError, match=f"finite {precision}"):
            rounded("x", wrong, precision)
    with pytest.raises(ArgumentError, match="real numbers"):
        rounded("x", ["a"], precision)


def test_bfloat16_without_ml_dtypes_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(PrecisionError, match="pip install"):
        case(dtype="bfloat16").arguments()
    assert case(dtype="bfloat16").arrays()["inputs"].dtype == np.float32  # and its text needs none


# ---- layouts ----


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 3), (1, 1), (0, 4), (3, 2, 4), (5,)])
def test_an_array_in_any_layout_has_the_same_entries(layout: Any, shape: tuple[int, ...]) -> None:
    word = WORDS[layout]
    if len(shape) < word.axes:
        with pytest.raises(ArgumentError, match="axes"):
            laid(np.zeros(shape), layout)
        return
    array = np.ones(shape) if word.repeats else np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    one = laid(array, layout)
    assert one.array.shape == shape
    assert np.array_equal(one.array, array)
    assert one.array.flags.writeable == word.written
    if array.size > 1 and min(shape) > 1:
        assert one.array.flags.c_contiguous == word.contiguous


def test_layouts_are_what_their_words_say() -> None:
    array = np.arange(6.0).reshape(2, 3)
    strides = {name: laid(array if not WORDS[name].repeats else np.ones((2, 3)), name).array for name in LAYOUTS}
    assert strides["fortran"].flags.f_contiguous
    assert strides["reversed"].strides == (-24, -8)
    assert strides["strided"].strides == (48, 16)
    assert strides["padded"].strides == (48, 8)
    assert strides["transposed"].strides == (8, 40)
    assert strides["broadcast"].strides == (0, 8)
    assert strides["expanded"].strides == (0, 0)
    assert not strides["unaligned"].flags.aligned
    assert strides["offset"].ctypes.data != laid(array, "offset").memory.ctypes.data


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if not WORDS[name].contiguous])
def test_who_ignores_strides_reads_memory_of_the_array_itself(layout: Any) -> None:
    array = np.ones((2, 3)) if WORDS[layout].repeats else np.arange(6.0).reshape(2, 3)
    one = laid(array, layout)
    start = one.array.ctypes.data - one.memory.ctypes.data
    assert start + array.nbytes <= one.memory.nbytes
    assert not np.array_equal(one.misread(), array)
    assert set(one.misread().ravel()) <= {*array.ravel(), GAP}


def test_entries_that_share_memory_must_be_equal() -> None:
    with pytest.raises(ArgumentError, match="equal entries"):
        laid(np.arange(6.0).reshape(2, 3), "expanded")


# ---- declarations ----


@pytest.mark.parametrize("name", [*ACTIVATIONS, "dense", "maxout", *(f"{loss}/sum" for loss in LOSSES)])
def test_every_activation_layer_and_loss_is_an_operation(name: str) -> None:
    supports = OperationSupports(parts=(name,))
    drawn = operation_cases(supports)
    found: list[OperationCase] = []
    survey(drawn, 0, 3, found.append)
    assert len(found) == 3
    assert all(isinstance(one, OperationCase) for one in found)


def test_kinds_of_layers_are_those_of_networks_without_dropout() -> None:
    assert set(operations.KINDS.values()) == {*get_args(Layer)} - {Dropout}


@pytest.mark.parametrize(
    ("part", "layer"),
    [
        ("relu", Activation("relu")),
        ("leaky_relu(0.25)", Activation("leaky_relu", 0.25)),
        ("dense(2)", Dense(2)),
        ("dense(2, bias=False)", Dense(2, bias=False)),
        (Residual((Dense(3),)), Residual((Dense(3),))),
    ],
)
def test_parts_in_words_and_as_values(part: Any, layer: Layer) -> None:
    supports = OperationSupports(parts=(part,))
    assert supports.operation((3,), [{}]).layers == (layer,)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("gelo",), "among"),
        (("dense(units)",), "a name, perhaps with fields"),
        (("dense(1, 2, 3)",), "at most 2 fields"),
        (("dense(width=2)",), "fields among units, bias"),
        (("relu(1, 2)",), r"relu or relu\(parameter\)"),
        (("residual",), "its body"),
        (("softmax(2)",), "no parameter for softmax"),
        (("squared_error/sum", "dense"), "one loss behind them"),
        ((), "layers, a loss"),
        ((3,), "the name of an activation"),
        (("__import__('os').getcwd()",), "a name"),
    ],
)
def test_parts_that_mean_nothing_are_refused(parts: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        gradproof.operation(*parts)


@pytest.mark.parametrize(
    ("supports", "message"),
    [
        ({"dtypes": "float8"}, "among float64"),
        ({"dtypes": ()}, "at least one"),
        ({"layouts": "diagonal"}, "among contiguous"),
        ({"gradients": "kept"}, "among returned"),
        ({"dtypes": "float64", "accumulates": "float32"}, "no fewer digits"),
        ({"batch": (3, 2)}, "0 <= least <= most"),
        ({"sizes": (0, 2)}, "1 <= least <= most"),
        ({"batch": 3}, "a range"),
        ({"axes": 0}, "at least 1"),
        ({"input_shape": 3}, "the shape of one sample"),
    ],
)
def test_declarations_that_cannot_be_are_refused(supports: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        gradproof.operation("softmax", **supports)


def test_layers_that_stand_on_no_inputs_are_refused_when_declared() -> None:
    with pytest.raises(NetworkError, match="one axis"):
        gradproof.operation("dense", axes=2)


def test_the_door_stays_light() -> None:
    code = "import sys, gradproof; gradproof.operation('softmax'); print([m for m in ('sympy', 'flint', 'hypothesis', 'numba', 'ml_dtypes') if m in sys.modules])"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- cases ----


def everything() -> st.SearchStrategy[OperationCase]:
    declared = [
        OperationSupports(parts=parts, dtypes=PRECISIONS, gradients=gradients, batched=batched, sizes=(1, 4))
        for parts in (("softmax",), ("dense", "elu"), ("categorical_cross_entropy/sum/soft",), ("dense",))
        for gradients in ("returned", "added", "written")
        for batched in (True, False)
    ]
    return st.sampled_from(declared).flatmap(operation_cases)


@given(everything())
def test_cases_go_through_json_and_back(drawn: OperationCase) -> None:
    data = msgspec.json.decode(msgspec.json.encode(drawn.to_data()), type=OperationData)
    again = from_data(data)
    assert again == drawn
    assert again.id == drawn.id
    assert drawn.replace() == drawn


@given(everything())
def test_what_is_handed_over_is_the_case(drawn: OperationCase) -> None:
    arguments = drawn.arguments()
    kind = type_of(drawn.dtype)
    given_arrays = {"inputs": arguments.inputs, **arguments.parameters}
    for name, array in given_arrays.items():
        exact = drawn.inputs if name == "inputs" else drawn.parameters[name]
        batched = drawn.batched or name != "inputs"
        assert array.dtype == kind
        assert np.array_equal(array.astype(np.float64), exact if batched else exact[0])
    assert (arguments.upstream is None) == (drawn.operation.loss is not None)
    assert set(arguments.into) == (set() if drawn.gradients == "returned" else {"inputs", *drawn.parameters})
    for array in arguments.into.values():
        assert array.flags.writeable


@given(everything())
def test_turned_twice_is_the_same(drawn: OperationCase) -> None:
    assert drawn.turned().turned() == drawn
    assert np.array_equal(drawn.turned().inputs, drawn.inputs[::-1])


def test_ids_tell_layouts_and_precisions_apart() -> None:
    cases = [case(), case(dtype="float32"), case(layouts={"inputs": "strided"}), case(gradients="returned")]
    assert len({one.id for one in cases}) == 3
    assert case(tags=("odd",)).id == case().id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upstream": None}, "upstream and no targets"),
        ({"targets": X}, "upstream and no targets"),
        ({"inputs": X[:, :2]}, "shape"),
        ({"parameters": {"weight": X}}, "names"),
        ({"dtype": "float8"}, "float64 or float32"),
        ({"accumulates": "float16"}, "no fewer digits"),
        ({"batched": False}, "one sample"),
        ({"layouts": {"weights": "strided"}}, "names among inputs, upstream"),
        ({"layouts": {"inputs": "spiral"}}, "among contiguous"),
        ({"layouts": {"inputs": "broadcast"}}, "equal entries"),
        ({"into": {"inputs": X}}, "names"),
        ({"gradients": "added"}, "names"),
        ({"gradients": "added", "into": {"inputs": X}, "layouts": {"into.inputs": "read-only"}}, "written to"),
        ({"inputs": np.full((2, 3), 1e300), "dtype": "float32"}, "finite float32"),
    ],
)
def test_cases_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        case(**changes)


def test_losses_refuse_what_they_do_not_admit() -> None:
    loss = Operation((2,), (), Loss("categorical_cross_entropy", "sum"))
    OperationCase(loss, [[0.5, 0.25]], targets=[[0, 1]])
    for inputs, targets in (([[0.5, 1.0]], [[0, 1]]), ([[0.5, 0.25]], [[1, 1]]), ([[0.5, 0.25]], [[0.5, 0.5]])):
        with pytest.raises(ArgumentError):
            OperationCase(loss, inputs, targets=targets)
    with pytest.raises(ArgumentError, match="neither"):
        Operation((2,))


def test_a_case_is_immutable_and_says_what_it_is() -> None:
    one = case(dtype="bfloat16", accumulates="float32", layouts={"upstream": "broadcast"})
    with pytest.raises(AttributeError, match="replace"):
        one.dtype = "float64"
    with pytest.raises(ValueError, match="read-only"):
        one.inputs[0, 0] = 1
    assert one.facts() == "bfloat16, sums in float32, batch 2"
    assert one.text() == "3 -> softmax | upstream gradient\nupstream: one row for all samples (stride 0)"

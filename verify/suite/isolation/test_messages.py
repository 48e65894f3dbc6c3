"""What comes from a target's process is taken for what it says, or refused; nothing else happens to the judge."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import gradproof
from gradproof.declaration import Declaration
from verify.isolation.declared import decode_declaration, encode_declaration
from verify.isolation.messages import (
    HEADER,
    MESSAGE_BYTES,
    Answered,
    Ask,
    Broken,
    Numbers,
    Ready,
    Refused,
    Unanswered,
    decode,
    encode,
    length,
)
from verify.suite.isolation.test_hostile import case_of

KINDS: Any = Ready | Refused | Answered | Unanswered
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
TYPES = ("Numbers", "Answered", "Ready", "Unanswered", "Refused", "Ask")


@given(st.binary(max_size=200) | PLAIN.map(msgspec.msgpack.encode))
def test_whatever_bytes_come_are_a_message_or_broken(data: bytes) -> None:
    with contextlib.suppress(Broken):
        decode(data, KINDS)


@given(st.dictionaries(st.sampled_from(["type", "number", "quantities", "printed", "cause"]), PLAIN, max_size=6))
def test_a_map_that_is_nearly_a_message_is_a_message_or_broken(plain: dict[str, Any]) -> None:
    for kind in TYPES:
        try:
            decode(msgspec.msgpack.encode({**plain, "type": kind}), KINDS)
        except Broken:
            continue


@given(
    st.text(max_size=12) | st.sampled_from(["float64", "object", "O", "U4", "V0", "float64,float32", "bfloat16"]),
    st.lists(st.integers(0, 2**62), max_size=4),
    st.binary(max_size=64),
)
def test_an_array_is_one_of_numbers_or_broken(dtype: str, shape: list[int], data: bytes) -> None:
    try:
        array = Numbers(dtype, tuple(shape), data).array()
    except Broken:
        return
    assert not array.dtype.hasobject
    assert array.shape == tuple(shape)
    assert array.tobytes() == data


@given(arrays_of.arrays(st.sampled_from([np.float64, np.float32, np.float16]), arrays_of.array_shapes(min_side=0)))
def test_an_array_comes_over_bit_for_bit(array: Any) -> None:
    message = Answered(7, {"0.weight": Numbers.of(array)}, "said")
    received = decode(encode(message)[HEADER:], KINDS)
    assert received.quantities["0.weight"].array().tobytes() == array.tobytes()


def test_a_number_format_that_numpy_lacks_comes_over() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    assert Numbers.of(array).array().dtype == array.dtype


def test_a_case_comes_over_as_it_is() -> None:
    case = case_of(2, "a tag")
    request = decode(encode(Ask(1, case.to_data(), None))[HEADER:], Ask)
    assert gradproof.Case.from_data(request.case) == case  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, MESSAGE_BYTES + 1, 2**64 - 1])
def test_a_length_that_no_message_has_is_broken(size: int) -> None:
    with pytest.raises(Broken):
        length(size.to_bytes(HEADER, "big"))


DECLARATIONS = [
    gradproof.Supports(losses=("half_squared_error/sum",), depth=(1, 3), penalties=("l2/half",)),
    gradproof.OperationSupports(parts=("dense", "softmax", "categorical_cross_entropy/batch_mean")),
    gradproof.EngineSupports(operators=("+", "-", "tanh"), scalar=True),
    gradproof.StepSupports(optimisers=("adam",), decay=("none", "l2/decoupled"), fixed={"epsilon": 1e-8}),
]


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda declaration: type(declaration).__name__)
def test_a_declaration_of_each_kind_comes_over(declaration: Declaration) -> None:
    assert decode_declaration(encode_declaration(declaration)) == declaration


@pytest.mark.parametrize(
    "plain",
    [
        "words",
        ["tuple", 1],
        ["struct", "os", "system", ["command", "true"]],
        ["struct", "gradproof.record", "write", ["path", "x"], ["data", "y"]],
        ["struct", "gradproof.target", "Supports", ["losses", 3]],
        ["struct", "gradproof.target", "Supports", ["no such field", "x"]],
        ["struct", "gradproof.loss", "Loss", ["name", "half_squared_error"], ["reduction", "sum"]],
        ["struct", "gradproof.nowhere", "Supports"],
        ["call", "os.system"],
    ],
)
def test_what_is_no_declaration_is_broken(plain: Any) -> None:
    with pytest.raises(Broken):
        decode_declaration(msgspec.msgpack.encode(plain))


@given(PLAIN)
def test_whatever_is_declared_is_a_declaration_or_broken(plain: Any) -> None:
    with pytest.raises(Broken):
        decode_declaration(msgspec.msgpack.encode(["struct", "gradproof.target", "Supports", plain]))

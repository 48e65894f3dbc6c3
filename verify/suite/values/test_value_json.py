"""Networks and cases survive JSON bit for bit."""

# What is refused has a type that the checker refuses too.
# mypy: disable-error-code="arg-type, misc, index, union-attr"

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof import Activation, ArgumentError, Branches, Case, Dense, Loss, Network, Penalty, Residual
from gradproof.arrays import ArrayData, from_data, to_data
from gradproof.case import CaseData
from gradproof.errors import RecordError
from verify.strategies import cases, networks


def through_json(case: Case) -> Case:
    return Case.from_data(msgspec.json.decode(msgspec.json.encode(case.to_data()), type=CaseData))


def bits(array: Any) -> Any:
    return (array.dtype, array.shape, array.tobytes())


@given(networks())
def test_networks_survive_json(network: Any) -> None:
    back = Network.from_json(network.to_json())
    assert back == network
    assert hash(back) == hash(network)
    assert str(back) == str(network)
    assert back.to_json() == network.to_json()


@given(cases(extremes=True))
def test_cases_survive_json_bit_for_bit(case: Any) -> None:
    back = through_json(case)
    assert back == case
    assert hash(back) == hash(case)
    assert (back.id, back.tags, back.dtype, back.network) == (case.id, case.tags, case.dtype, case.network)
    for name, array in case.parameters.items():
        assert bits(back.parameters[name]) == bits(array)
    for name in ("inputs", "targets", "upstream", "sample_weights"):
        mine, its = getattr(case, name), getattr(back, name)
        assert (mine is None) == (its is None)
        if mine is not None:
            assert bits(mine) == bits(its)


@given(cases())
def test_cases_survive_pickle_and_copies(case: Any) -> None:
    for back in (pickle.loads(pickle.dumps(case)), copy.copy(case), copy.deepcopy(case)):
        assert back == case
        assert bits(back.inputs) == bits(case.inputs)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(data=st.data())
def test_every_float_survives_json(dtype: Any, data: Any) -> None:
    width = {"float64": 64, "float32": 32}[dtype]
    numbers = data.draw(st.lists(st.floats(width=width), max_size=8))
    array = np.array(numbers, dtype=dtype)
    back = from_data(msgspec.json.decode(msgspec.json.encode(to_data(array)), type=ArrayData))
    same_nan = np.isnan(array) & np.isnan(back)
    assert back.dtype == array.dtype
    assert np.where(same_nan, 0, back).tobytes() == np.where(same_nan, 0, array).tobytes()


@pytest.mark.parametrize("number", [-0.0, 5e-324, -5e-324, 2.0**-149, 1.7976931348623157e308, 0.1, 2**53 + 0.0, 1e22])
def test_numbers_that_are_easily_lost(number: Any) -> None:
    case = Case(Network((1,), (Dense(1, False),)), {"0.weight": [[number]]}, [[number]], upstream=[[1]])
    back = through_json(case)
    assert bits(back.inputs) == bits(np.array([[number]]))


def test_minus_zero_is_another_case() -> None:
    network = Network((1,), (Dense(1, False),))
    plus = Case(network, {"0.weight": [[0.0]]}, [[1]], upstream=[[1]])
    minus = Case(network, {"0.weight": [[-0.0]]}, [[1]], upstream=[[1]])
    assert plus != minus


def test_float32_subnormal_survives() -> None:
    number = np.float32(2.0**-149)
    case = Case(Network((1,), (Dense(1, False),)), {"0.weight": [[number]]}, [[1]], upstream=[[1]], dtype="float32")
    assert bits(through_json(case).parameters["0.weight"]) == bits(np.array([[number]]))


def test_integers_and_numpy_numbers_are_the_same_network_before_and_after() -> None:
    network = Network(
        (np.int64(2),),
        (
            Dense(np.int32(2), np.bool_(True)),
            Activation("leaky_relu", 1),
            Residual([Dense(2)]),
            Branches([[Dense(1)]], "sum"),
        ),
        penalty=Penalty("l2", 1, half=False, biases=np.True_),
    )
    back = Network.from_json(network.to_json())
    assert back == network
    assert str(back) == str(network)
    assert back.to_json() == network.to_json()
    assert isinstance(hash(network), int)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "object"),
        (b'{"input_shape":[2]}', "layers"),
        (b'{"input_shape":[2],"layers":[]}', "at least one layer"),
        (b'{"input_shape":[2],"layers":[{"kind":"conv"}]}', "conv"),
        (b'{"input_shape":[2],"layers":[{"kind":"dense","units":0}]}', "at least 1 unit"),
        (b'{"input_shape":[2],"layers":[{"kind":"dense","units":"2"}]}', "units"),
        (b'{"input_shape":[2],"layers":[{"kind":"dense","units":2.5}]}', "units"),
        (b'{"input_shape":[2],"layers":[{"kind":"activation","name":"swash"}]}', "swash"),
    ],
)
def test_damaged_networks_are_refused(data: Any, why: Any) -> None:
    with pytest.raises(msgspec.DecodeError, match=why):
        Network.from_json(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (ArrayData("float16", (1,), [1.0]), "float16"),
        (ArrayData("float64", (2,), [1.0]), "expected 2 numbers, got 1"),
        (ArrayData("float64", (-1, -1), [1.0]), "expected 1 numbers"),
        (ArrayData("float64", (1,), ["__import__('os')"]), "expected numbers, nan, inf or -inf"),
        (ArrayData("float64", (1,), ["1.0"]), "expected numbers, nan, inf or -inf"),
    ],
)
def test_damaged_arrays_are_refused(data: Any, why: Any) -> None:
    with pytest.raises(RecordError, match=why):
        from_data(data)


def test_a_recorded_case_is_validated_anew() -> None:
    case = Case(Network((1,), (Dense(1, False),)), {"0.weight": [[1]]}, [[1]], upstream=[[1]])
    data = msgspec.structs.replace(case.to_data(), inputs=ArrayData("float64", (1, 1), ["nan"]))
    with pytest.raises(ArgumentError, match=r"inputs\[0, 0\]: expected a finite float64, got nan"):
        Case.from_data(data)


def test_only_float64_and_float32_become_data() -> None:
    with pytest.raises(ArgumentError, match="float16"):
        to_data(np.zeros(1, dtype=np.float16))


def test_ids_ignore_tags_and_nothing_else() -> None:
    network = Network((1,), (Dense(1),), Loss("squared_error", "sum"))
    case = Case(network, {"0.weight": [[1]], "0.bias": [0]}, [[1]], targets=[[0]], sample_weights=[1])
    assert case.replace(tags=["kink"]).id == case.id
    assert case.replace(tags=["kink"]) != case
    others = [
        case.replace(parameters={"0.weight": [[2]], "0.bias": [0]}),
        case.replace(inputs=[[2]]),
        case.replace(targets=[[1]]),
        case.replace(sample_weights=[2]),
        case.replace(dtype="float32"),
        case.replace(network=network.replace(loss=Loss("squared_error", "batch_mean"))),
    ]
    assert len({case.id, *(other.id for other in others)}) == 7

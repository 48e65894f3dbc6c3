"""Dropout as a value: the layer, a case's masks, and what cases without masks keep being."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given

import gradproof
from gradproof import Activation, ArgumentError, Branches, Case, Dense, Dropout, Loss, Network, NetworkError, Residual
from gradproof.case import CaseData
from gradproof.errors import RecordError
from reports.view import case_numbers
from verify.strategies import cases, seeded_case

NETWORK = Network(
    (3,), (Dense(4), Activation("tanh"), Dropout(0.25), Dense(2)), Loss("half_squared_error", "sum", "real")
)
MASK = [[True, False, True, True], [False, False, False, True]]


def case(**changes: Any) -> Case:
    return seeded_case(NETWORK, 2, seed=1).replace(masks={"2": MASK}).replace(**changes)


def test_a_network_with_dropout_prints_and_comes_back_from_json() -> None:
    assert str(NETWORK) == "3 -> dense 4 -> tanh -> dropout 0.25 -> dense 2 | half_squared_error/sum"
    assert Network.from_json(NETWORK.to_json()) == NETWORK
    assert b'{"kind":"dropout","probability":0.25}' in NETWORK.to_json()
    assert Dropout(0) == Dropout(-0.0) == Dropout(0.0)
    assert str(Dropout(-0.0)) == "dropout 0.0"


def test_a_network_knows_its_dropouts_wherever_they_are() -> None:
    body = (Dropout(0.5), Dense(3))
    network = Network((3,), (Residual(body), Branches((body, (Dropout(0.1),)), "concat"), Dropout(0.2)))
    assert dict(network.dropouts) == {"0.body.0": (3,), "1.0.0": (3,), "1.1.0": (3,), "2": (6,)}
    assert not network.positions.keys() & network.dropouts.keys()


@pytest.mark.parametrize("probability", [1.0, -0.1, 2, float("nan"), float("inf")])
def test_probabilities_that_leave_nothing_are_refused(probability: float) -> None:
    with pytest.raises(NetworkError, match=r"layer 0: expected dropout with 0 <= probability < 1, got"):
        Network((1,), (Dropout(probability),))
    with pytest.raises(ArgumentError, match=r"dropout.probability: expected a real number, got 'half'"):
        Dropout("half")  # type: ignore[arg-type]


def test_behind_dropout_no_loss_of_probabilities_stands() -> None:
    with pytest.raises(NetworkError, match="loss binary_cross_entropy: expected outputs that cannot leave"):
        Network((1,), (Activation("sigmoid"), Dropout(0.0)), Loss("binary_cross_entropy", "sum"))


def test_a_cases_masks_are_its_own_and_read_only() -> None:
    given = np.array(MASK)
    held = case(masks={"2": given})
    given[...] = False
    assert held.masks["2"].tolist() == MASK
    assert held.masks["2"].dtype == np.bool_
    with pytest.raises(ValueError, match="read-only"):
        held.masks["2"][0, 0] = False
    with pytest.raises(TypeError):
        held.masks["2"] = given  # type: ignore[index]
    assert case(masks={"2": np.array(MASK, dtype=np.float32)}) == case(masks={"2": np.array(MASK, dtype=int)}) == case()


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"1": MASK}, r"masks: expected paths \['2'\], or no masks, got \['1'\]"),
        ({"2": MASK, "3": MASK}, r"masks: expected paths \['2'\], or no masks, got \['2', '3'\]"),
        (MASK, r"masks: expected paths \['2'\], or no masks, got list"),
        ({"2": MASK[0]}, r"masks\['2'\]: expected shape \(2, 4\), got shape \(4,\)"),
        ({"2": MASK[:1]}, r"masks\['2'\]: expected shape \(2, 4\), got shape \(1, 4\)"),
        ({"2": [[0.5] * 4] * 2}, r"masks\['2'\]: expected booleans, True where an entry is kept .*, got other numbers"),
        ({"2": [[float("nan")] * 4] * 2}, r"masks\['2'\]: expected booleans, .*, got other numbers"),
        ({"2": [["yes"] * 4] * 2}, r"masks\['2'\]: expected booleans, .*, got dtype <U3"),
        ({"2": [[1], [1, 0]]}, r"masks\['2'\]: expected rows of one length"),
    ],
)
def test_masks_that_do_not_fit_are_refused_by_name(masks: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        case(masks=masks)


def test_a_network_without_dropout_has_no_masks() -> None:
    plain = seeded_case(Network((1,), (Dense(1),)), 1)
    assert dict(plain.replace(masks={}).masks) == {}
    with pytest.raises(ArgumentError, match=r"masks: expected no masks, since the network has no dropout, got \['0'\]"):
        plain.replace(masks={"0": [[True]]})


def test_masks_are_part_of_what_a_case_is() -> None:
    assert case() != case(masks={})
    assert case() != case(masks={"2": [*MASK[:1], [True] * 4]})
    assert case(tags=["a"]).id == case().id
    for again in (Case.from_data(case().to_data()), pickle.loads(pickle.dumps(case())), copy.deepcopy(case())):
        assert again == case()
        assert again.masks["2"].tolist() == MASK
        assert not again.masks["2"].flags.writeable
    text = msgspec.json.encode(case().to_data())
    assert b'"masks":{"2":{"shape":[2,4],"kept":[true,false,true,true,false,false,false,true]}}' in text
    assert Case.from_data(msgspec.json.decode(text, type=CaseData)) == case()
    damaged = text.replace(b'"shape":[2,4]', b'"shape":[2,5]')
    with pytest.raises(RecordError, match="mask: expected 10 booleans, got 8"):
        Case.from_data(msgspec.json.decode(damaged, type=CaseData))


def test_cases_without_masks_are_what_they_were_before_there_were_any() -> None:
    """Ids and JSON as version 0.1.0 wrote them when no case had masks."""
    network = Network((2,), (Dense(1),), Loss("half_squared_error", "sum"))
    old = Case(network, {"0.weight": [[1.0], [0.5]], "0.bias": [0.0]}, [[1.0, -1.0]], targets=[[0.25]], tags=["kink"])
    text = msgspec.json.encode(old.to_data())
    assert b"mask" not in text
    assert text == (
        b'{"kind":"network","network":{"input_shape":[2],"layers":[{"kind":"dense","units":1,"bias":true}],'
        b'"loss":{"name":"half_squared_error","reduction":"sum","targets":"real"},'
        b'"penalty":null,"shared":[],"frozen":[]},"dtype":"float64",'
        b'"parameters":{"0.weight":{"dtype":"float64","shape":[2,1],"data":[1.0,0.5]},'
        b'"0.bias":{"dtype":"float64","shape":[1],"data":[0.0]}},'
        b'"inputs":{"dtype":"float64","shape":[1,2],"data":[1.0,-1.0]},'
        b'"targets":{"dtype":"float64","shape":[1,1],"data":[0.25]},'
        b'"upstream":null,"sample_weights":null,"tags":["kink"]}'
    )
    assert old.id == "e87c73ba56d7"
    assert Case.from_data(msgspec.json.decode(text, type=CaseData)) == old


@given(cases(losses=("half_squared_error/sum",), depth=(2, 4)))
def test_a_case_with_masks_survives_json(drawn: Case) -> None:
    again = Case.from_data(msgspec.json.decode(msgspec.json.encode(drawn.to_data()), type=CaseData))
    assert again == drawn
    assert {path: mask.tobytes() for path, mask in again.masks.items()} == {
        path: mask.tobytes() for path, mask in drawn.masks.items()
    }


def test_masks_are_printed_with_a_cases_arrays() -> None:
    assert list(case().arrays())[-2:] == ["targets", "2.mask"]
    assert dict(case_numbers(case(), 80))["2.mask"] == "[[ True, False,  True,  True],\n [False, False, False,  True]]"


def test_a_stack_has_masks_layer_by_layer() -> None:
    stack = case().stack
    assert stack.activations == ("tanh", "identity")
    assert stack.probabilities == (0.25, 0.0)
    assert stack.masks[0] is not None
    assert stack.masks[0].tolist() == MASK
    assert stack.masks[1] is None
    assert case(masks={}).stack.masks == (None, None)
    bare = seeded_case(Network((1,), (Dense(1), Dropout(0.5), Dense(1))), 1).stack
    assert (bare.activations, bare.probabilities) == (("identity", "identity"), (0.5, 0.0))
    for layers in ((Dropout(0.5), Dense(1)), (Dense(1), Dropout(0.5), Dropout(0.5))):
        with pytest.raises(ArgumentError, match="and that by at most one dropout, got"):
            _ = seeded_case(Network((1,), layers), 1).stack


def test_operations_have_no_dropout() -> None:
    with pytest.raises(ArgumentError, match="operation: expected layers without dropout, whose masks come with"):
        gradproof.Operation((2,), (Residual((Dropout(0.5),)),))
    with pytest.raises(ArgumentError, match=r"residual, branches, (?!.*dropout,)"):
        gradproof.operation("dropout(0.5)")

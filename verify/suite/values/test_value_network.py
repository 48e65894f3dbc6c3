"""Networks as values, and every network that cannot exist, refused with the reason."""

# What is refused has a type that the checker refuses too.
# mypy: disable-error-code="arg-type, misc, index, union-attr"

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof import (
    Activation,
    ArgumentError,
    Branches,
    Dense,
    Loss,
    Network,
    NetworkError,
    Penalty,
    Residual,
    dense_chain,
)
from gradproof.layers import Maxout, walk
from gradproof.network import is_bias
from verify.strategies import networks

SIGMOID, SOFTMAX, TANH, RELU = (Activation(name) for name in ("sigmoid", "softmax", "tanh", "relu"))
LEAKY = Activation("leaky_relu", 0.5)
BCE = Loss("binary_cross_entropy", "sum")
CCE = Loss("categorical_cross_entropy", "sum")
TWO = (Dense(2), Dense(2))


def net(*layers: Any, **rest: Any) -> Network:
    return Network((2,), layers, **rest)


@given(networks(), st.randoms())
def test_order_in_frozen_and_shared_carries_no_meaning(network: Any, random: Any) -> None:
    shared, frozen = list(network.shared), list(network.frozen)
    random.shuffle(shared)
    random.shuffle(frozen)
    again = Network(network.input_shape, network.layers, network.loss, network.penalty, shared, frozen)
    assert again == network
    assert hash(again) == hash(network)
    assert again.to_json() == network.to_json()


@given(networks())
def test_parts_of_a_network_fit_together(network: Any) -> None:
    aliases = dict(network.shared)
    assert list(network.parameter_shapes) == [name for name in network.positions if name not in aliases]
    assert set(network.trainable) | set(network.frozen) == set(network.parameter_shapes)
    assert not set(network.trainable) & set(network.frozen)
    assert network.sites[-1].output_shape == network.output_shape
    for position, shape in network.positions.items():
        assert network.parameter_shapes[network.parameter_at(position)] == shape
    paths = [site.path for site in network.sites]
    assert len(set(paths)) == len(paths)
    for position in network.positions:
        assert position.rpartition(".")[0] in paths
    if network.penalty is None:
        assert network.penalised == ()
    else:
        over = {name for name in network.parameter_shapes if network.penalty.biases or not is_bias(name)}
        assert set(network.penalised) == over
    assert "\n" not in str(network)


@given(networks())
def test_networks_differ_by_every_part(network: Any) -> None:
    changed = [network.replace(input_shape=network.input_shape, layers=(*network.layers, Activation("identity")))]
    penalty = Penalty("l1", 0.123, half=True, biases=True)
    changed.append(network.replace(penalty=penalty))
    if network.trainable:
        changed.append(network.replace(frozen=(*network.frozen, network.trainable[0])))
    for other in changed:
        assert other != network
        assert str(other) != str(network)


def test_networks_are_immutable() -> None:
    network = Network((2,), TWO)
    with pytest.raises(AttributeError):
        network.loss = BCE
    with pytest.raises(AttributeError):
        network.layers[0].units = 3
    with pytest.raises(TypeError):
        network.positions["0.weight"] = (1,)
    with pytest.raises(TypeError):
        network.parameter_shapes["0.weight"] = (1,)


def test_text_of_a_network() -> None:
    network = Network(
        (2,),
        (
            Dense(2),
            TANH,
            Residual((Dense(2, bias=False), LEAKY)),
            Branches(((Dense(1),), (RELU,)), "concat"),
        ),
        Loss("squared_error", "batch_mean"),
        Penalty("l2", 0.1, half=True, biases=False),
        shared=(("2.body.0.weight", "0.weight"),),
        frozen=("0.bias",),
    )
    assert str(network) == (
        "2 -> dense 2 -> tanh -> residual(dense 2 without bias -> leaky_relu(0.5)) -> concat(dense 1, relu)"
        " | squared_error/batch_mean | l2(0.1/2, weights) | shared 2.body.0.weight = 0.weight | frozen 0.bias"
    )
    assert list(network.positions) == ["0.weight", "0.bias", "2.body.0.weight", "3.0.0.weight", "3.0.0.bias"]
    assert network.parameter_at("2.body.0.weight") == "0.weight"
    assert network.output_shape == (3,)


def test_dense_chain() -> None:
    layers = dense_chain((5, 8, 3), (TANH, SOFTMAX), bias=False)
    assert layers == (Dense(8, False), TANH, Dense(3, False), SOFTMAX)
    with pytest.raises(NetworkError, match=r"activations: expected 2 for widths \(5, 8, 3\), got 1"):
        dense_chain((5, 8, 3), (TANH,))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Network((2,), ()), "layers: expected at least one layer, got none"),
        (lambda: Network((), (SIGMOID,)), "input_shape: expected at least one axis"),
        (lambda: Network((0,), (SIGMOID,)), "input_shape: expected at least one axis, each of size 1 or more"),
        (lambda: Network((2.5,), (Dense(2),)), "input_shape: expected a whole number, got 2.5"),
        (lambda: Network(2, (Dense(2),)), "input_shape: expected the shape of one sample"),
        (lambda: net(Dense(0)), "layer 0: expected a dense layer of at least 1 unit, got 0 units"),
        (lambda: net(Dense(-1)), "layer 0: .* got -1 units"),
        (lambda: net(Dense(2.0)), "dense.units: expected a whole number, got 2.0"),
        (lambda: net(Dense("2")), "dense.units: expected a whole number, got '2'"),
        (lambda: net(Dense(True)), "dense.units: expected a whole number, got True"),
        (lambda: net(Dense(2, bias="no")), "dense.bias: expected True or False, got 'no'"),
        (lambda: Network((2, 2), (Dense(2),)), r"layer 0: expected inputs of one axis .* got \(2, 2\)"),
        (lambda: net(Activation("swash")), "layer 0: expected an activation among identity, .* got swash"),
        (lambda: net(Activation(["relu"])), "layer 0: expected an activation among"),
        (lambda: net(Activation("relu", 0.5)), "layer 0: expected no parameter for relu, got 0.5"),
        (lambda: net(Activation("leaky_relu")), "layer 0: expected a finite slope for leaky_relu, got None"),
        (lambda: net(Activation("leaky_relu", float("nan"))), "layer 0: expected a finite slope"),
        (lambda: net(Activation("leaky_relu", "0.1")), "parameter: expected a real number, got '0.1'"),
        (lambda: net(Activation("elu")), "layer 0: expected a finite alpha for elu, got None"),
        (lambda: net(Maxout(0)), "layer 0: expected maxout over at least 1 piece, got 0 pieces"),
        (lambda: net(Maxout(3)), "layer 0: expected a multiple of 3 features for maxout over 3 pieces, got 2"),
        (lambda: net(Maxout(2.0)), "maxout.pieces: expected a whole number, got 2.0"),
        (lambda: net(Residual(())), "0.body: expected at least one layer, got none"),
        (lambda: net(Residual((Dense(3),))), r"layer 0: expected a residual body that keeps the shape \(2,\)"),
        (lambda: net(Residual(Dense(2))), "residual.body: expected a sequence of layers"),
        (lambda: net(Branches((), "sum")), "layer 0: expected at least one branch, got none"),
        (lambda: net(Branches(((),), "sum")), "0.0: expected at least one layer, got none"),
        (lambda: net(Branches(((Dense(2),), (Dense(3),)), "sum")), "layer 0: expected branches of one shape"),
        (lambda: net(Branches(((Dense(2),),), "max")), "layer 0: expected a merge among concat, sum, got max"),
        (lambda: net(Branches((Dense(2),), "sum")), r"branches.bodies\[0\]: expected a sequence of layers"),
        (lambda: net(Branches(3, "sum")), "branches.bodies: expected a sequence of chains"),
        (lambda: Network((2,), (TANH, Residual((Dense(0),)))), "layer 1.body.0: expected a dense layer"),
        (lambda: net("dense 2"), "layers: expected a sequence of layers"),
        (lambda: Network((2,), Dense(2)), "layers: expected a sequence of layers"),
        (lambda: Network((2,), TWO, "squared_error/sum"), "loss: expected a Loss or None, got squared_error/sum"),
        (lambda: Network((2,), TWO, None, "l2"), "penalty: expected a Penalty or None, got l2"),
        (lambda: net(*TWO, frozen=("2.weight",)), "frozen: expected a name among 0.weight, .* got 2.weight"),
        (lambda: net(*TWO, frozen=("0.bias", "0.bias")), "frozen: expected each parameter once"),
        (lambda: net(*TWO, frozen="0.bias"), "frozen: expected a sequence of names, got '0.bias'"),
        (lambda: Network((2,), (TANH,), frozen=("0.weight",)), r"frozen: .*\(none: this network has no parameters\)"),
        (
            lambda: net(*TWO, shared=(("1.weight", "0.weight"),), frozen=("1.weight",)),
            "frozen: expected a name among 0.weight, 0.bias, 1.bias, got 1.weight",
        ),
        (lambda: net(*TWO, shared=(("1.weight", "3.weight"),)), "shared: expected a name among .* got 3.weight"),
        (lambda: net(*TWO, shared=(("3.weight", "1.weight"),)), "shared: expected a name among .* got 3.weight"),
        (
            lambda: Network((2,), (Dense(2), Dense(3)), shared=(("1.weight", "0.weight"),)),
            r"shared 1.weight = 0.weight: expected one shape, \(2, 2\), got \(2, 3\)",
        ),
        (
            lambda: Network((2,), (*TWO, Dense(2)), shared=(("1.weight", "0.weight"), ("2.weight", "1.weight"))),
            "shared: expected a parameter that is not itself shared from another, got 1.weight",
        ),
        (lambda: net(*TWO, shared=(("1.weight", "1.weight"),)), "not itself shared"),
        (
            lambda: net(*TWO, shared=(("1.weight", "0.weight"), ("1.weight", "0.weight"))),
            "shared: expected one parameter for each position",
        ),
        (lambda: net(*TWO, shared=("1.weight", "0.weight")), "shared: expected a sequence of names"),
        (lambda: net(*TWO, shared=(("1.weight",),)), "shared: expected a sequence of pairs"),
        (lambda: net(*TWO, shared={"1.weight": "0.weight"}), "shared: expected a sequence of pairs"),
        (lambda: Network((2,), TWO).parameter_at("5.weight"), "position: expected a name among .* got 5.weight"),
    ],
)  # fmt: skip
def test_impossible_networks_are_refused_with_the_reason(build: Any, message: Any) -> None:
    with pytest.raises(ArgumentError, match=message):
        build()


@pytest.mark.parametrize("loss", [BCE, CCE], ids=str)
@pytest.mark.parametrize(
    "layers",
    [
        (Dense(2),),
        (Dense(2), TANH),
        (Dense(2), RELU),
        (Dense(2), Activation("softplus")),
        (SIGMOID, Dense(2)),
        (SIGMOID, TANH),
        (SIGMOID, Residual((SIGMOID,))),
        (Branches(((SIGMOID,), (SIGMOID,)), "sum"),),
        (Branches(((SIGMOID,), (Dense(1),)), "concat"),),
        (Dense(1), SOFTMAX),
        (Dense(1), SOFTMAX, Activation("identity")),
        (
            Branches(
                (
                    (Dense(1), SOFTMAX),
                    (Branches(((Dense(1), SIGMOID), (Dense(1), SOFTMAX)), "concat"),),
                    (Dense(1), SOFTMAX),
                ),
                "concat",
            ),
        ),
    ],
    ids=lambda layers: " ".join(map(str, layers)),
)
def test_losses_on_outputs_that_can_leave_their_domain_are_refused(loss: Any, layers: Any) -> None:
    with pytest.raises(NetworkError, match=r"outputs that cannot leave the open interval \(0.0, 1.0\)"):
        Network((2,), layers, loss)
    assert Network((2,), layers, Loss("squared_error", "sum")).loss is not None


@pytest.mark.parametrize(
    "layers",
    [
        (Dense(2), SIGMOID),
        (Dense(1), SIGMOID),
        (Dense(2), SOFTMAX),
        (Dense(2), SIGMOID, Activation("identity")),
        (Dense(2), SIGMOID, SIGMOID),
        (Branches(((Dense(1), SIGMOID), (SOFTMAX,)), "concat"),),
    ],
    ids=lambda layers: " ".join(map(str, layers)),
)
def test_losses_on_outputs_within_their_domain_are_admitted(layers: Any) -> None:
    assert Network((2,), layers, BCE).output_shape == Network((2,), layers, CCE).output_shape


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Loss("mse", "sum"), "loss.name: expected a loss among half_squared_error, .* got mse"),
        (lambda: Loss("squared_error", "mean"), "loss.reduction: expected a reduction among sum, .* got mean"),
        (lambda: Loss("squared_error", "sum", "hard"), "loss.targets: expected real for squared_error, got hard"),
        (lambda: Loss("binary_cross_entropy", "sum", "real"), "loss.targets: expected hard or soft or free"),
        (lambda: Loss.parse("squared_error"), "loss: expected name/reduction"),
        (lambda: Loss.parse("a/b/c/d"), "loss: expected name/reduction"),
        (lambda: Loss.parse("squared_error/sum/"), "loss.targets"),
        (lambda: Loss.parse(""), "loss: expected name/reduction"),
        (lambda: Penalty("l3", 1, half=False, biases=False), "penalty.kind: expected a penalty among l1, l2, got l3"),
        (
            lambda: Penalty("l2", -1, half=False, biases=False),
            "penalty.strength: expected a finite number of",
        ),
        (lambda: Penalty("l2", float("inf"), half=False, biases=False), "penalty.strength: expected a finite number"),
        (lambda: Penalty("l2", float("nan"), half=False, biases=False), "penalty.strength: expected a finite number"),
        (lambda: Penalty("l2", "1", half=False, biases=False), "penalty.strength: expected a real number, got '1'"),
        (lambda: Penalty("l2", 1, half=None, biases=False), "penalty.half: expected True or False, got None"),
    ],
)
def test_impossible_losses_and_penalties_are_refused(build: Any, message: Any) -> None:
    with pytest.raises(ArgumentError, match=message):
        build()


@given(networks())
def test_losses_survive_their_text(network: Any) -> None:
    if network.loss is not None:
        assert Loss.parse(str(network.loss)) == network.loss


def test_walk_gives_inner_layers_before_the_one_that_holds_them() -> None:
    layers = (Dense(2), Residual((Branches(((TANH,), (Dense(2),)), "sum"),)), RELU)
    assert [site.path for site in walk(layers, (2,))] == ["0", "1.body.0.0.0", "1.body.0.1.0", "1.body.0", "1", "2"]


def test_a_network_of_many_axes_needs_no_dense_layer() -> None:
    network = Network((2, 3), (Residual((TANH,)), SOFTMAX), CCE)
    assert network.output_shape == (2, 3)
    assert msgspec.json.decode(network.to_json())["input_shape"] == [2, 3]

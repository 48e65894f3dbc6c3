"""Mistakes at an activation: what stands in place of f′(z) in ∂L/∂z = f′(z) · ∂L/∂a."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from gradproof.layers import Activation
from refimpl.definitions import ACTIVATIONS, along_last
from refimpl.language import Node, Step, apply, matmul, pull_back, scale, total
from verify.mistakes.backward import one_minus
from verify.mistakes.mistake import Mistake
from verify.mistakes.moves import ParameterGradient, ThroughActivation, ThroughDense

ELEMENTWISE = (
    *("sigmoid", "tanh", "relu", "leaky_relu", "softplus"),
    *("hard_tanh", "elu", "gelu", "gelu_tanh", "silu"),
)
SMOOTH = ("sigmoid", "tanh", "softplus")
"""Those whose derivative has a formula in terms of the activation."""
ALL = (*ELEMENTWISE, "softmax")

Change = Callable[[ThroughActivation], Node | None]


def _mistake(name: str, words: str, mend: str, change: Change, kinds: tuple[str, ...]) -> Mistake:
    return Mistake(name, words, mend, ((ThroughActivation, change),), kinds)


def through(layer: Activation, z: Node, delta: Node) -> Node:
    """Jᵀ delta of an activation at any tensor z."""
    a = ACTIVATIONS[layer.name](z, layer)
    return delta if a is z else pull_back(a, delta, {"z": z})["z"]


def _slope_of(name: str) -> Change:
    return lambda m: through(Activation(name), m.z, m.delta)


def _from_value(name: str, x: Node) -> Node:
    """The derivative of an activation by the formula that takes its value, of any tensor x in place of that."""
    if name == "sigmoid":
        return x * one_minus(x)
    if name == "tanh":
        return one_minus(x * x)
    return one_minus(apply("exp", scale(x, Fraction(-1))))  # softplus


def _value_formula(name: str) -> Change:
    return lambda m: m.delta * _from_value(name, m.a)


def _formula_at_z(m: ThroughActivation) -> Node | None:
    if m.layer.name == "softmax":
        products = m.delta * m.z
        return m.z * (m.delta - along_last(total(products, (-1,)), products))
    return m.delta * _from_value(m.layer.name, m.z)


def _softmax_sum(m: ThroughActivation) -> Node | None:
    products = m.delta * m.a
    return products - along_last(total(products, (-1,)), products)


def _stepped(m: ThroughActivation, below: Fraction, above: Fraction) -> Node:
    return m.delta * Node(Step(below, above), (m.z,), m.z.shape)


def _slope(m: ThroughActivation) -> Fraction:
    return Fraction(m.layer.parameter or 0.0)


def _elsewhere(which: str) -> Change:
    def change(m: ThroughActivation) -> Node | None:
        other = m.previous if which == "previous" else m.following
        if other is None or other.z.shape != m.z.shape:
            return None
        return through(m.layer, other.z, m.delta)

    return change


def _function_of(which: str) -> Change:
    def change(m: ThroughActivation) -> Node | None:
        other = m.previous if which == "previous" else m.following
        return None if other is None or other.layer == m.layer else through(other.layer, m.z, m.delta)

    return change


MISTAKES: tuple[Mistake, ...] = (
    _mistake(
        "derivative at a",
        "the derivative of {f} is taken at the activation a, not at the pre-activation z",
        "pass z to the derivative of {f}, or use its formula in terms of a",
        lambda m: through(m.layer, m.a, m.delta),
        ALL,
    ),
    _mistake(
        "formula for a at z",
        "the formula that gives the derivative of {f} from the activation a is fed the pre-activation z",
        "pass a to that formula, or use the derivative's formula in terms of z",
        _formula_at_z,
        (*SMOOTH, "softmax"),
    ),
    _mistake(
        "derivative missing",
        "the derivative of {f} is missing",
        "multiply the error that comes back by the derivative of {f} at z",
        lambda m: m.delta,
        ALL,
    ),
    _mistake(
        "derivative twice",
        "the derivative of {f} is applied twice",
        "apply the derivative of {f} once",
        lambda m: through(m.layer, m.z, m.right),
        ALL,
    ),
    _mistake(
        "extra factor a",
        "beside the derivative of {f} there is an extra factor, the activation a itself",
        "leave the factor a away",
        lambda m: m.right * m.a,
        ALL,
    ),
    _mistake(
        "factor a for derivative",
        "the activation a itself stands where the derivative of {f} belongs",
        "multiply by the derivative of {f}, not by its value",
        lambda m: m.delta * m.a,
        ALL,
    ),
    _mistake(
        "factor 1 - a for derivative",
        "1 − a stands where the derivative of {f} belongs",
        "multiply by the whole derivative of {f}",
        lambda m: m.delta * one_minus(m.a),
        ALL,
    ),
    _mistake(
        "derivative at previous z",
        "the derivative of {f} is taken at the pre-activations of the layer before",
        "take it at this layer's own pre-activations",
        _elsewhere("previous"),
        ELEMENTWISE,
    ),
    _mistake(
        "derivative at next z",
        "the derivative of {f} is taken at the pre-activations of the layer after",
        "take it at this layer's own pre-activations",
        _elsewhere("following"),
        ELEMENTWISE,
    ),
    _mistake(
        "previous layer's derivative",
        "in place of the derivative of {f} stands that of the layer before's activation",
        "use the derivative of this layer's own activation",
        _function_of("previous"),
        (*ALL, "identity"),
    ),
    _mistake(
        "next layer's derivative",
        "in place of the derivative of {f} stands that of the layer after's activation",
        "use the derivative of this layer's own activation",
        _function_of("following"),
        (*ALL, "identity"),
    ),
    *(
        _mistake(
            f"derivative of {other}",
            f"the derivative of {other} is used in place of that of {{f}}",
            "use the derivative of {f}",
            _slope_of(other),
            tuple(kind for kind in (*ALL, "identity") if kind != other),
        )
        for other in ("sigmoid", "tanh", "relu")
    ),
    *(
        _mistake(
            formula,
            f"{formula}, which gives the derivative of {other} from its value a, is used for {{f}}",
            "use the derivative of {f}",
            _value_formula(other),
            tuple(kind for kind in (*ALL, "identity") if kind not in (other, *skip)),
        )
        for formula, other, skip in (("a(1 − a)", "sigmoid", ("softmax",)), ("1 − a²", "tanh", ()))
    ),
    _mistake(
        "softmax diagonal",
        "of the Jacobian of softmax only the diagonal a(1 − a) is used",
        "add what is off the diagonal: ∂L/∂z = a · (δ − Σ δ a) with δ = ∂L/∂a",
        lambda m: m.delta * _from_value("sigmoid", m.a),
        ("softmax",),
    ),
    _mistake(
        "softmax sum without a",
        "in the Jacobian of softmax the sum that is subtracted lacks its factor a",
        "∂L/∂z = a · (δ − Σ δ a) with δ = ∂L/∂a",
        _softmax_sum,
        ("softmax",),
    ),
    _mistake(
        "slope ignored",
        "the slope of leaky ReLU is ignored going back: nothing passes for negative inputs",
        "pass slope · ∂L/∂a back where z < 0",
        lambda m: _stepped(m, Fraction(0), Fraction(1)),
        ("leaky_relu",),
    ),
    _mistake(
        "slopes swapped",
        "the slopes of {f} are swapped going back: that for negative inputs is used for positive ones",
        "compare z with 0 the other way round",
        lambda m: _stepped(m, Fraction(1), _slope(m)),
        ("relu", "leaky_relu"),
    ),
    _mistake(
        "slope negated",
        "the slope of leaky ReLU for negative inputs has its sign flipped going back",
        "use the slope as it is",
        lambda m: _stepped(m, -_slope(m), Fraction(1)),
        ("leaky_relu",),
    ),
    Mistake(
        "passed on undamped",
        "the error passes on to the layer before without the derivative of this layer's activation",
        "pass ∂L/∂z = f′(z) · ∂L/∂a through the weights, not ∂L/∂a",
        ((ThroughDense, lambda m: None if m.undamped is None else _passed(m.undamped, m.weight)),),
    ),
    Mistake(
        "parameters undamped",
        "the gradients of weights and biases leave the derivative of the layer's activation out",
        "use ∂L/∂z = f′(z) · ∂L/∂a for them, not ∂L/∂a",
        ((ParameterGradient, lambda m: None if m.undamped is None else _own(m, m.undamped)),),
    ),
)


def _passed(delta: Node, weight: Node) -> Node:
    return matmul(delta, weight, transpose_b=True)


def _own(m: ParameterGradient, delta: Node) -> Node:
    return matmul(m.x, delta, transpose_a=True) if m.part == "weight" else total(delta, (0,))

"""Mistakes and other conventions of a loss's two terms: the data's (loss, reduction, factors) and the penalty's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from gradproof.layers import Activation
from gradproof.loss import Loss, Penalty
from gradproof.network import is_bias
from gradproof.vocabulary import LOSSES as WORDS
from gradproof.vocabulary import REDUCTIONS, UNIT, Reduction
from refimpl.definitions import losses_of, penalty_of, reduced, softmax
from refimpl.language import Leaf, Node, Step, apply, gradients, ones, pull_back, scale, spread, total
from verify.mistakes.activations import through
from verify.mistakes.backward import spread_rows
from verify.mistakes.mistake import Alike, Mistake
from verify.mistakes.moves import LossGradient, LossValue, PenaltyGradient, UpstreamGradient, WholeGradient

Sized = Callable[[int, int], Fraction]
"""A factor from the number of samples N and that of outputs K."""

REDUCED = {
    "sum": "the sum over the batch",
    "batch_mean": "the mean over the batch",
    "element_mean": "the mean over all outputs",
}
FUSED = {"binary_cross_entropy": "sigmoid", "categorical_cross_entropy": "softmax"}
"""A loss of probabilities → the activation that gives them."""


def _other(m: Any, name: str | None, reduction: Reduction | None) -> Loss | None:
    """Another loss than the declared one, where the outputs are in its domain."""
    declared = m.network.loss
    if declared is None:
        return None
    name, reduction = name or declared.name, reduction or declared.reduction
    if (name, reduction) == (declared.name, declared.reduction):
        return None
    if WORDS[name].domain == UNIT and WORDS[declared.name].domain != UNIT and m.ends_in not in FUSED.values():
        return None
    return Loss(name, reduction)


def _term(m: Any, loss: Loss) -> Node:
    return reduced(losses_of(loss, m.outputs, m.targets), loss, m.weights)


def _delta_of(name: str | None, reduction: Reduction | None) -> Callable[[LossGradient], Node | None]:
    def change(m: LossGradient) -> Node | None:
        loss = _other(m, name, reduction)
        return None if loss is None else pull_back(_term(m, loss), m.seed, {"y": m.outputs})["y"]

    return change


def _value_of(name: str | None, reduction: Reduction | None) -> Callable[[LossValue], Node | None]:
    def change(m: LossValue) -> Node | None:
        loss = _other(m, name, reduction)
        return None if loss is None else _with_penalty(_term(m, loss), m.penalty)

    return change


def _with_penalty(data: Node, penalty: Node | None) -> Node:
    return data if penalty is None else data + penalty


def _conventions(
    name: str,
    what: str,
    declared: str,
    delta: Sequence[tuple[Any, Callable[[Any], Node | None]]],
    value: Sequence[tuple[Any, Callable[[Any], Node | None]]],
    alike: Alike | None = None,
) -> tuple[Mistake, ...]:
    """One convention met in the gradient, in the loss, and in both."""
    mend = "declare what is meant, or compute what is declared"
    forms = (
        (f"gradient: {name}", f"the gradient is exact for {what}; {declared}{{rest}}", delta),
        (f"loss and gradient: {name}", f"loss and gradient are exact for {what}; {declared}{{rest}}", (*delta, *value)),
        (f"loss: {name}", f"the gradient is right, and the loss is exact for {what}; {declared}", value),
    )
    return tuple(
        Mistake(form, words, mend, tuple(moves), local=False, convention=True, alike=alike)
        for form, words, moves in forms
        if moves
    )


def _losses() -> tuple[Mistake, ...]:
    found: list[Mistake] = []
    for reduction in REDUCTIONS:
        delta, value = _delta_of(None, reduction), _value_of(None, reduction)
        found += _conventions(
            reduction, REDUCED[reduction], "{loss} is declared", ((LossGradient, delta),), ((LossValue, value),)
        )
    for name in WORDS:
        for reduced_as in (None, *REDUCTIONS):
            delta, value = _delta_of(name, reduced_as), _value_of(name, reduced_as)
            how = f", {REDUCED[reduced_as]}" if reduced_as else ""
            found += _conventions(
                name if reduced_as is None else f"{name}/{reduced_as}",
                f"the {name.replace('_', ' ')}{how}",
                "{loss} is declared",
                ((LossGradient, delta),),
                ((LossValue, value),),
            )
    return tuple(found)


def _factors() -> tuple[Mistake, ...]:
    """Factors on the data term, and on everything."""
    sized: tuple[tuple[str, str, Sized, Alike | None], ...] = (
        ("2", "doubled", lambda n, k: Fraction(2), None),
        ("1/2", "halved", lambda n, k: Fraction(1, 2), None),
        ("N", "multiplied by the number of samples{N}", lambda n, k: Fraction(n), "one sample"),
        ("1/N", "divided by the number of samples{N}", lambda n, k: Fraction(1, n), "one sample"),
        ("K", "multiplied by the number of outputs{K}", lambda n, k: Fraction(k), "one output"),
        ("1/K", "divided by the number of outputs{K}", lambda n, k: Fraction(1, k), "one output"),
        ("NK", "multiplied by the number of all outputs of the batch{NK}", lambda n, k: Fraction(n * k), "one entry"),
        (
            "1/NK",
            "divided by the number of all outputs of the batch{NK}",
            lambda n, k: Fraction(1, n * k),
            "one entry",
        ),
        ("2/N", "doubled and divided by the number of samples{N}", lambda n, k: Fraction(2, n), None),
        ("2/K", "doubled and divided by the number of outputs{K}", lambda n, k: Fraction(2, k), None),
    )
    found: list[Mistake] = []
    for name, words, factor, alike in sized:
        delta = _scaled_delta(factor)
        found += _conventions(
            f"data x {name}",
            f"the data term {words}",
            "{loss} is declared",
            ((LossGradient, delta), (UpstreamGradient, delta)),
            ((LossValue, _scaled_value(factor)),),
            alike,
        )
    for name, words, factor, alike in sized:
        found.append(
            Mistake(
                f"everything x {name}",
                f"every gradient is {words}, the penalty's part with the rest",
                "look for the factor where gradients come out",
                ((WholeGradient, _scaled_whole(factor)),),
                local=False,
                convention=True,
                alike=alike,
            )
        )
    return tuple(found)


def _scaled_delta(factor: Sized) -> Callable[[Any], Node]:
    return lambda m: scale(m.right, factor(m.batch, m.width))


def _scaled_value(factor: Sized) -> Callable[[LossValue], Node]:
    return lambda m: _with_penalty(scale(m.data, factor(m.batch, m.width)), m.penalty)


def _scaled_whole(factor: Sized) -> Callable[[WholeGradient], Node]:
    return lambda m: scale(m.right, factor(m.batch, m.width))


def _weighted(change: Callable[[Node, int], Node]) -> Callable[[LossGradient], Node | None]:
    """The loss's gradient with other sample weights than those given."""

    def rewrite(m: LossGradient) -> Node | None:
        if m.weights is None or m.network.loss is None:
            return None
        plain = reduced(losses_of(m.network.loss, m.outputs, m.targets), m.network.loss, None)
        delta = pull_back(plain, m.seed, {"y": m.outputs})["y"]
        return delta * spread_rows(change(m.weights, m.batch), delta)

    return rewrite


def _sum_to(numerator: Callable[[int], int]) -> Callable[[Node, int], Node]:
    def normalised(weights: Node, batch: int) -> Node:
        share = apply("reciprocal", total(weights, (0,)))
        return weights * spread(scale(share, Fraction(numerator(batch))), (0,), weights.shape)

    return normalised


def _residual_only(m: LossGradient) -> Node | None:
    """P − t, which is ∂L/∂z of a cross-entropy with the activation that belongs to it, taken for ∂L/∂p."""
    loss = m.network.loss
    if loss is None or loss.name not in FUSED:
        return None
    return _reduced_delta(m, m.outputs - m.targets)


def _reduced_delta(m: LossGradient, each: Node) -> Node:
    """What stands for the derivative of each output's loss, weighted and divided as the declared loss is."""
    assert m.network.loss is not None
    terms = reduced(each, m.network.loss, m.weights)
    return each * pull_back(terms, m.seed, {"y": each})["y"]


def _probabilities(m: LossGradient) -> Node | None:
    loss = m.network.loss
    if loss is None or not loss.name.endswith("with_logits"):
        return None
    return apply("sigmoid", m.outputs) if loss.name.startswith("binary") else softmax(m.outputs)


def _logits_for_probabilities(m: LossGradient) -> Node | None:
    return None if _probabilities(m) is None else _reduced_delta(m, m.outputs - m.targets)


def _twice(m: LossGradient) -> Node | None:
    loss = m.network.loss
    if loss is None or not loss.name.endswith("with_logits"):
        return None
    return through(Activation("sigmoid" if loss.name.startswith("binary") else "softmax"), m.outputs, m.right)


def _sigmoid_for_softmax(m: LossGradient) -> Node | None:
    loss = m.network.loss
    if loss is None or loss.name != "categorical_cross_entropy_with_logits":
        return None
    return _reduced_delta(m, apply("sigmoid", m.outputs) - m.targets)


def _first_half(m: LossGradient) -> Node | None:
    loss = m.network.loss
    if loss is None or loss.name != "binary_cross_entropy":
        return None
    return _reduced_delta(m, scale(m.targets / m.outputs, Fraction(-1)))


def _sign_only(m: LossGradient) -> Node | None:
    loss = m.network.loss
    if loss is None or "squared" not in loss.name:
        return None
    error = m.outputs - m.targets
    return _reduced_delta(m, Node(Step(Fraction(-1), Fraction(1)), (error,), error.shape))


def _loss(name: str, words: str, mend: str, change: Callable[[LossGradient], Node | None]) -> Mistake:
    return Mistake(name, words, mend, ((LossGradient, change),), local=False)


def _negated(m: Any) -> Node:
    return scale(m.right, Fraction(-1))


LOSS_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "data sign",
        "the sign of the loss's derivative is flipped: t − y where y − t belongs, or a gradient that points downhill",
        "flip it",
        ((LossGradient, _negated), (UpstreamGradient, _negated)),
        local=False,
        convention=True,
    ),
    Mistake(
        "whole sign",
        "the sign of every gradient is flipped, the penalty's part with the rest: it points downhill",
        "give ∂L/∂θ, not what is added to θ",
        ((WholeGradient, _negated),),
        local=False,
        convention=True,
    ),
    Mistake(
        "parameters' sign",
        "the sign of every parameter's gradient is flipped, that for the inputs is right",
        "give ∂L/∂θ, not what is added to θ",
        ((WholeGradient, lambda m: None if m.of_inputs else _negated(m)),),
        local=False,
        convention=True,
    ),
    Mistake(
        "zero",
        "every gradient is 0",
        "see that what is computed is what is returned",
        ((WholeGradient, lambda m: scale(m.right, Fraction(0))),),
        local=False,
    ),
    _loss(
        "sample weights ignored",
        "the gradient leaves the sample weights out",
        "multiply each sample's error by its weight",
        _weighted(lambda weights, _: ones(weights.shape)),
    ),
    _loss(
        "sample weights squared",
        "the sample weights are applied twice",
        "multiply each sample's error by its weight once",
        _weighted(lambda weights, _: weights * weights),
    ),
    _loss(
        "sample weights normalised to 1",
        "the gradient is that of sample weights divided by their sum",
        "use the sample weights as they are given",
        _weighted(_sum_to(lambda batch: 1)),
    ),
    _loss(
        "sample weights normalised to N",
        "the gradient is that of sample weights divided by their mean",
        "use the sample weights as they are given",
        _weighted(_sum_to(lambda batch: batch)),
    ),
    _loss(
        "p - t taken for dL/dp",
        "p − t, the derivative of the cross-entropy for the pre-activation, is taken for that for the probability p, "
        "so that the derivative of the last activation comes in twice",
        "start from ∂L/∂p, or start at the pre-activation and skip the last activation's derivative",
        _residual_only,
    ),
    _loss(
        "logits taken for probabilities",
        "the loss's derivative is z − t: the logits z are taken for the probabilities",
        "p − t with p the sigmoid or softmax of the logits",
        _logits_for_probabilities,
    ),
    _loss(
        "derivative beside fused loss",
        "the derivative of sigmoid or softmax is applied beside a loss that works on logits and holds it already",
        "start from p − t alone",
        _twice,
    ),
    _loss(
        "sigmoid for softmax in loss",
        "the categorical cross-entropy's derivative is made with the sigmoid of the logits, not with their softmax",
        "softmax(z) − t",
        _sigmoid_for_softmax,
    ),
    _loss(
        "only -t/p",
        "the binary cross-entropy's derivative is −t/p alone, without (1 − t)/(1 − p)",
        "(1 − t)/(1 − p) − t/p",
        _first_half,
    ),
    _loss(
        "sign of the error",
        "only the sign of the error y − t goes into the loss's derivative, as for the absolute error",
        "use the error itself",
        _sign_only,
    ),
)


def _strength(penalty: Penalty) -> Fraction:
    return Fraction(penalty.strength) / (2 if penalty.half else 1)


def _slope(m: PenaltyGradient, penalty: Penalty | None = None) -> Node | None:
    """The penalty's gradient as if it ran over this parameter."""
    term = penalty_of(penalty or m.penalty, [m.theta])
    return None if term is None else gradients(term, {"theta": m.theta})["theta"]


def _where(change: Callable[[PenaltyGradient], Node | None]) -> Callable[[PenaltyGradient], Node | None]:
    return lambda m: change(m) if m.penalised else None


def _times(factor: Callable[[PenaltyGradient], Fraction]) -> Callable[[PenaltyGradient], Node | None]:
    return _where(lambda m: scale(m.right, factor(m)))


def _penalty(
    name: str,
    words: str,
    mend: str,
    change: Callable[[PenaltyGradient], Node | None],
    *,
    local: bool = False,
    convention: bool = False,
) -> Mistake:
    return Mistake(name, words, mend, ((PenaltyGradient, change),), local=local, convention=convention)


def _other_kind(m: PenaltyGradient) -> Node | None:
    other = "l1" if m.penalty.kind == "l2" else "l2"
    return _slope(m, Penalty(other, m.penalty.strength, m.penalty.half, m.penalty.biases))  # type: ignore[arg-type]


def _without_strength(m: PenaltyGradient) -> Node | None:
    strength = _strength(m.penalty)
    return None if strength == 0 else scale(m.right, 1 / strength)


PENALTY_MISTAKES: tuple[Mistake, ...] = (
    _penalty(
        "penalty missing",
        "the gradient leaves the penalty out",
        "add the penalty's gradient",
        _times(lambda m: Fraction(0)),
        local=True,
    ),
    _penalty(
        "penalty sign",
        "the penalty's gradient is subtracted, where it belongs added",
        "add it",
        _times(lambda m: Fraction(-1)),
    ),
    _penalty(
        "penalty of the gradient",
        "the penalty adds λ times the gradient, not λ times the parameter",
        "add λ · θ",
        _where(lambda m: scale(m.data, _strength(m.penalty) * (2 if m.penalty.kind == "l2" else 1))),
    ),
    _penalty(
        "penalty of the other kind",
        "the penalty's part of the gradient is that of the other kind, |θ| for θ² or θ² for |θ|",
        "λ times the sign of θ for L1, λ times θ for L2",
        _where(_other_kind),
    ),
    _penalty(
        "penalty without strength",
        "the penalty's part of the gradient leaves its strength λ out",
        "multiply by λ",
        _where(_without_strength),
    ),
    _penalty(
        "penalty for each use",
        "the penalty runs over a shared parameter once for each of its uses",
        "add it once",
        _times(lambda m: Fraction(m.uses)),
    ),
)


def _agreed(
    name: str,
    what: str,
    mend: str,
    slope: Callable[[PenaltyGradient], Node | None],
    value: Callable[[LossValue], Node | None],
) -> tuple[Mistake, ...]:
    """Another convention of the penalty, met in the gradient, in the loss, and in both; the data's term is right."""
    forms: tuple[tuple[str, str, tuple[tuple[Any, Any], ...]], ...] = (
        (name, f"the penalty's part of the gradient is {what}; the data's part is right", ((PenaltyGradient, slope),)),
        (
            f"loss and gradient: {name}",
            f"the penalty's part of loss and gradient is {what}; the data's part is right",
            ((PenaltyGradient, slope), (LossValue, value)),
        ),
        (
            f"loss: {name}",
            f"the gradient is right, and the penalty's part of the loss is {what}",
            ((LossValue, value),),
        ),
    )
    return tuple(Mistake(form, words, mend, moves, local=False, convention=True) for form, words, moves in forms)


def _scaled_penalty(factor: Callable[[Any], Fraction]) -> Callable[[LossValue], Node | None]:
    return lambda m: None if m.penalty is None else m.data + scale(m.penalty, factor(m))


def _over(parameters: Callable[[LossValue], Sequence[Node]]) -> Callable[[LossValue], Node | None]:
    """The loss with a penalty over other parameters; None where these are the declared ones."""

    def value(m: LossValue) -> Node | None:
        if m.network.penalty is None or len(parameters(m)) == len(m.theta):
            return None
        return _with_penalty(m.data, penalty_of(m.network.penalty, list(parameters(m))))

    return value


def _is_weight(theta: Node) -> bool:
    return isinstance(theta.primitive, Leaf) and not is_bias(theta.primitive.name)


PENALTY_CONVENTIONS: tuple[Mistake, ...] = (
    *_agreed(
        "penalty doubled",
        "twice what it should be, as for λ in place of λ/2",
        "declare the penalty that is meant, or halve its gradient",
        _times(lambda m: Fraction(2)),
        _scaled_penalty(lambda m: Fraction(2)),
    ),
    *_agreed(
        "penalty halved",
        "half what it should be, as for λ/2 in place of λ",
        "declare the penalty that is meant, or double its gradient",
        _times(lambda m: Fraction(1, 2)),
        _scaled_penalty(lambda m: Fraction(1, 2)),
    ),
    *_agreed(
        "penalty / N",
        "divided by the number of samples{N}",
        "declare a penalty divided by the batch, or add it undivided",
        _times(lambda m: Fraction(1, m.batch)),
        _scaled_penalty(lambda m: Fraction(1, m.batch)),
    ),
    *_agreed(
        "penalty x N",
        "multiplied by the number of samples{N}",
        "add it once a step, not once a sample",
        _times(lambda m: Fraction(m.batch)),
        _scaled_penalty(lambda m: Fraction(m.batch)),
    ),
    *_agreed(
        "penalty on biases",
        "exact for one over biases too, where weights alone are declared",
        "declare that biases are penalised, or leave them out",
        lambda m: None if m.penalised or not m.bias else _slope(m),
        _over(lambda m: (*m.theta, *m.others)),
    ),
    *_agreed(
        "penalty not on biases",
        "exact for one over weights alone, where biases are declared too",
        "declare that biases are not penalised, or add their part",
        lambda m: scale(m.right, Fraction(0)) if m.bias and m.penalised else None,
        _over(lambda m: tuple(filter(_is_weight, m.theta))),
    ),
)

VALUE_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "loss: penalty missing",
        "the gradient is right, and the loss is exact without its penalty",
        "add the penalty to the loss",
        ((LossValue, lambda m: m.data),),
        local=False,
        convention=True,
    ),
)

MISTAKES: tuple[Mistake, ...] = (
    *_losses(),
    *LOSS_MISTAKES,
    *_factors(),
    *PENALTY_CONVENTIONS,
    *PENALTY_MISTAKES,
    *VALUE_MISTAKES,
)

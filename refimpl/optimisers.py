"""What each optimiser computes in one step: forward programs of the tensor language, from the step's own inputs.

A step's leaves are parameters, gradients and state, and its hyperparameters as numbers (): ``rate`` (η·s of this
step), ``multiplier`` (s), the variant's own, β₁ᵗ and β₂ᵗ (``beta1_power``, ``beta2_power``), ``decay`` (λ), ``limit``
and ``clip_epsilon``. Everything else that a formula needs of them (1 − β, 1 − βᵗ) is computed in the program, so that
its rounding and amplification are part of the bound.

A ``detour`` stands where implementations reach the same number by other formulas. They are, with ``SPARE`` roundings
left for the order of products and quotients:

- moments: βm + (1 − β)g, or m + (1 − β)(g − m), whose difference is as large as |m| + |g|;
- Adam: η m̂/(√ŝ + ε), (η/(1 − β₁ᵗ)) m/(√s/√(1 − β₂ᵗ) + ε), η √(1 − β₂ᵗ)/(1 − β₁ᵗ) m/(√s + ε √(1 − β₂ᵗ));
- Nesterov: μv + Δ from the new velocity, or (1 + μ)v′ − μv from both;
- decoupled decay: θ − ηλθ, or (1 − ηλ)θ;
- norms: of all entries at once, or of the norms of each parameter; any scaling against overflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType

from gradproof.layers import Shape
from gradproof.optimiser import Clipping, Optimiser, WeightDecay
from gradproof.update import state_name
from refimpl.language import (
    Node,
    Step,
    apply,
    detour,
    join,
    leaf,
    maximum,
    minimum,
    ones,
    reshape,
    scale,
    spread,
    total,
)
from refimpl.program import Program

SPARE = 4
"""Roundings that an implementation may spend on a product or quotient in another order."""
OTHERWISE = 4
"""Roundings of a sum that is formed otherwise."""

BETAS = ("beta1", "beta2")

State = Mapping[str, Node]


def parameter_leaf(name: str) -> str:
    """The name of a parameter's leaf."""
    return f"parameter {name}"


def gradient_leaf(name: str) -> str:
    """The name of a gradient's leaf."""
    return f"gradient {name}"


def repeated(number: Node, shape: Shape) -> Node:
    """A number (), repeated to a shape."""
    return spread(number, tuple(range(len(shape))), shape)


class Numbers:
    """The hyperparameters of a step as nodes, in whatever shape they are needed; ``leaves`` holds those asked for.

    starts: whether a buffer that starts with its first gradient starts at this step.
    """

    def __init__(self, *, starts: bool) -> None:
        self.starts = starts
        self.leaves: dict[str, Node] = {}
        self._complements: dict[str, Node] = {}

    def __call__(self, name: str, shape: Shape) -> Node:
        """A hyperparameter, repeated to a shape."""
        if name not in self.leaves:
            self.leaves[name] = leaf(name, ())
        return repeated(self.leaves[name], shape)

    def complement(self, name: str) -> Node:
        """1 less a hyperparameter."""
        if name not in self._complements:
            self._complements[name] = ones(()) - self(name, ())
        return self._complements[name]


def negative(x: Node) -> Node:
    """−x."""
    return scale(x, Fraction(-1))


def sign(x: Node) -> Node:
    """−1 or 1; at 0 the set of all numbers between."""
    return Node(Step(Fraction(-1), Fraction(1)), (x,), x.shape)


Rule = Callable[[Node, State, Numbers], tuple[Node, State]]
"""(gradient, state, hyperparameters) → what is added to the parameter, and the new state."""


def sgd(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """Δ = −ηg."""
    return negative(h("rate", g.shape) * g), {}


def momentum(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """v′ = μv − ηg; Δ = v′."""
    velocity = h("momentum", g.shape) * state["velocity"] - h("rate", g.shape) * g
    return velocity, {"velocity": velocity}


def nesterov(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """v′ = μv − ηg; Δ = μv′ − ηg = (1 + μ)v′ − μv."""
    mu = h("momentum", g.shape)
    _, new = momentum(g, state, h)
    ahead = mu * new["velocity"]
    delta = ahead - h("rate", g.shape) * g
    return detour(delta, OTHERWISE, new["velocity"], ahead, mu * state["velocity"]), new


def buffered(g: Node, state: State, h: Numbers) -> Node:
    """μb + (1 − τ)g, as torch has it: g at the first step, and g alone without momentum."""
    return g if h.starts else dampened(g, state, h)


def dampened(g: Node, state: State, h: Numbers) -> Node:
    """μb + (1 − τ)g."""
    return h("momentum", g.shape) * state["buffer"] + repeated(h.complement("dampening"), g.shape) * g


def momentum_torch(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """b′ = g at first, then μb + (1 − τ)g; Δ = −ηb′."""
    buffer = buffered(g, state, h)
    return negative(h("rate", g.shape) * buffer), {"buffer": buffer}


def momentum_dampened(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """b′ = μb + (1 − τ)g; Δ = −ηb′."""
    buffer = dampened(g, state, h)
    return negative(h("rate", g.shape) * buffer), {"buffer": buffer}


def nesterov_torch(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """b′ = g at first, then μb + (1 − τ)g; Δ = −η(g + μb′)."""
    buffer = buffered(g, state, h)
    return negative(h("rate", g.shape) * (g + h("momentum", g.shape) * buffer)), {"buffer": buffer}


def averaged(old: Node, new: Node, h: Numbers, rate: str) -> Node:
    """β·old + (1 − β)·new."""
    part = repeated(h.complement(rate), old.shape) * new
    return detour(h(rate, old.shape) * old + part, OTHERWISE, old, part)


def quotient(h: Numbers, numerator: Node, root: Node) -> Node:
    """−η · numerator/root, by products and quotients in any order."""
    step = h("rate", numerator.shape) * (numerator / root)
    return negative(detour(step, SPARE, step))


def rmsprop(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """s′ = ρs + (1 − ρ)g²; Δ = −ηg/(√s′ + ε)."""
    square = averaged(state["square"], apply("square", g), h, "rho")
    return quotient(h, g, apply("sqrt", square) + h("epsilon", g.shape)), {"square": square}


def rmsprop_inside(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """s′ = ρs + (1 − ρ)g²; Δ = −ηg/√(s′ + ε)."""
    square = averaged(state["square"], apply("square", g), h, "rho")
    return quotient(h, g, apply("sqrt", square + h("epsilon", g.shape))), {"square": square}


def moments(g: Node, state: State, h: Numbers) -> dict[str, Node]:
    """m′ = β₁m + (1 − β₁)g; s′ = β₂s + (1 − β₂)g²."""
    return {
        "mean": averaged(state["mean"], g, h, "beta1"),
        "square": averaged(state["square"], apply("square", g), h, "beta2"),
    }


def corrected(new: State, h: Numbers) -> tuple[Node, Node]:
    """m̂ = m′/(1 − β₁ᵗ) and ŝ = s′/(1 − β₂ᵗ)."""
    first, second = (repeated(apply("reciprocal", h.complement(f"{beta}_power")), new["mean"].shape) for beta in BETAS)
    return new["mean"] * first, new["square"] * second


def adam(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """Δ = −η m̂/(√ŝ + ε)."""
    new = moments(g, state, h)
    mean, square = corrected(new, h)
    return quotient(h, mean, apply("sqrt", square) + h("epsilon", g.shape)), new


def adam_inside(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """Δ = −η m̂/√(ŝ + ε)."""
    new = moments(g, state, h)
    mean, square = corrected(new, h)
    return quotient(h, mean, apply("sqrt", square + h("epsilon", g.shape))), new


def adam_epsilon_hat(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """Δ = −η √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m′/(√s′ + ε)."""
    new = moments(g, state, h)
    factor = apply("sqrt", h.complement("beta2_power")) / h.complement("beta1_power")
    return quotient(
        h, repeated(factor, g.shape) * new["mean"], apply("sqrt", new["square"]) + h("epsilon", g.shape)
    ), new


def adam_uncorrected(g: Node, state: State, h: Numbers) -> tuple[Node, State]:
    """Δ = −η m′/(√s′ + ε)."""
    new = moments(g, state, h)
    return quotient(h, new["mean"], apply("sqrt", new["square"]) + h("epsilon", g.shape)), new


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "sgd": sgd,
        "momentum": momentum,
        "momentum_torch": momentum_torch,
        "momentum_dampened": momentum_dampened,
        "nesterov": nesterov,
        "nesterov_torch": nesterov_torch,
        "rmsprop": rmsprop,
        "rmsprop_inside": rmsprop_inside,
        "adam": adam,
        "adam_inside": adam_inside,
        "adam_epsilon_hat": adam_epsilon_hat,
        "adam_uncorrected": adam_uncorrected,
    }
)
"""Variant → rule, for every word of ``gradproof.optimiser.OPTIMISERS``."""


def decay_of(decay: WeightDecay, theta: Node, h: Numbers) -> Node:
    """λθ or λ sign(θ)."""
    return h("decay", theta.shape) * (theta if decay.kind == "l2" else sign(theta))


def norm(gradients: Mapping[str, Node]) -> Node:
    """The Euclidean norm of all gradients together."""
    flat = [reshape(g, (math.prod(g.shape),)) for g in gradients.values()]
    root = apply("sqrt", total(apply("square", join(flat, 0)), (0,)))
    return detour(root, SPARE, root)


def clipped(clipping: Clipping, gradients: Mapping[str, Node], h: Numbers) -> dict[str, Node]:
    """Gradients by value or by norm; see ``gradproof.optimiser.Clipping``.

    The factor min(1, c/(n + ε)) stands as c/max(n + ε, c), which is defined for n = 0 too.
    """
    if clipping.by == "value":
        return {
            name: maximum(minimum(g, h("limit", g.shape)), negative(h("limit", g.shape)))
            for name, g in gradients.items()
        }
    limit, length = h("limit", ()), norm(gradients)
    longer = length + h("clip_epsilon", ())
    if clipping.by == "norm" or clipping.epsilon == 0:  # the two forms are one then
        factor = limit / maximum(longer, limit)
    else:
        # Beside a step of 1 below the limit the quotient, less than 1 above it, is never the lesser.
        below = Node(Step(Fraction(1), Fraction(0)), (length - limit,), ())
        factor = minimum(ones(()), limit / longer + below)
    products = {name: repeated(factor, g.shape) * g for name, g in gradients.items()}
    return {name: detour(product, SPARE, product) for name, product in products.items()}


def stepped(decay: WeightDecay | None, theta: Node, delta: Node, h: Numbers) -> Node:
    """θ + Δ, less decoupled decay."""
    new = theta + delta
    if decay is None or decay.place == "gradient":
        return new
    factor = h("multiplier" if decay.place == "decoupled_schedule" else "rate", theta.shape)
    base = new if decay.place == "decoupled_after" else theta
    part = factor * decay_of(decay, base, h)
    return detour(new - part, OTHERWISE, base, part)


@lru_cache(maxsize=512)
def step_program(optimiser: Optimiser, shapes: tuple[tuple[str, Shape], ...], first: bool) -> Program:
    """One step of an optimiser over parameters of these shapes; ``first`` where its number is 1.

    The results are each parameter's new value under its name, and its new state under ``gradproof.update.state_name``.
    """
    h = Numbers(starts=first or optimiser.momentum == 0)  # without momentum torch keeps no buffer
    theta = {name: leaf(parameter_leaf(name), shape) for name, shape in shapes}
    given = {name: leaf(gradient_leaf(name), shape) for name, shape in shapes}
    state = {name: {key: leaf(state_name(key, name), shape) for key in optimiser.word.state} for name, shape in shapes}
    decay, clipping = optimiser.decay, optimiser.clipping
    decaying = {name for name, _ in shapes if decay is not None and name not in decay.excluded}
    g = dict(given)
    if clipping is not None and not clipping.after_decay:
        g = clipped(clipping, g, h)
    if decay is not None and decay.place == "gradient":
        g = {name: g[name] + decay_of(decay, theta[name], h) if name in decaying else g[name] for name in g}
    if clipping is not None and clipping.after_decay:
        g = clipped(clipping, g, h)
    results: dict[str, Node] = {}
    for name, _ in shapes:
        delta, new = RULES[optimiser.variant](g[name], state[name], h)
        results[name] = stepped(decay if name in decaying else None, theta[name], delta, h)
        results |= {state_name(key, name): node for key, node in new.items()}
    leaves = {node.note: node for node in (*theta.values(), *given.values(), *h.leaves.values())}
    leaves |= {node.note: node for held in state.values() for node in held.values()}
    return Program(MappingProxyType(leaves), MappingProxyType(results))

"""Optimisers as values: which update rules there are, each in its named variants, and what goes with them.

Facts only: names, state, hyperparameters, ranges. What each rule computes is defined in ``refimpl.optimisers``.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Final, Literal, get_args

import msgspec

from gradproof.checks import real, truth, whole, words
from gradproof.errors import ArgumentError


def _put(struct: msgspec.Struct, field: str, value: object) -> None:
    msgspec.structs.force_setattr(struct, field, value)


def _among(argument: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ArgumentError(argument, f"among {', '.join(known)}", value)


def _needed(argument: str, value: object, needed: bool, what: str) -> None:
    if needed is (value is None):
        raise ArgumentError(argument, f"{'a number' if needed else 'None'} for {what}", value)


def _in_range(argument: str, value: object, least: float, below: float) -> float:
    number = real(argument, value)
    if not (math.isfinite(number) and least <= number < below):
        limits = f" of at least {least:g}" if math.isfinite(least) else ""
        limits += f"{' and' if limits else ''} below {below:g}" if math.isfinite(below) else ""
        raise ArgumentError(argument, f"a finite number{limits}", number)
    return number


class OptimiserWord(msgspec.Struct, frozen=True):
    """Facts about an update rule: its family, the state it keeps for each parameter, its hyperparameters, in words.

    In ``says``, g is the gradient (clipped and with coupled decay), η the rate of the step, t its number from 1, and
    Δ what is added to the parameter; state starts at 0 and stands for its new value once it is assigned.
    """

    family: str
    state: tuple[str, ...]
    hyperparameters: tuple[str, ...]
    says: str


_MOMENTUM: Final = ("momentum",)
_TORCH: Final = ("momentum", "dampening")
_ADAM: Final = ("beta1", "beta2", "epsilon")
_MOMENTS: Final = "m <- beta1 m + (1 - beta1) g; s <- beta2 s + (1 - beta2) g^2"
_HATS: Final = "m^ = m/(1 - beta1^t); s^ = s/(1 - beta2^t)"

OPTIMISERS: Final = MappingProxyType(
    {
        "sgd": OptimiserWord("sgd", (), (), "delta = -eta g"),
        "momentum": OptimiserWord("momentum", ("velocity",), _MOMENTUM, "v <- mu v - eta g; delta = v"),
        "momentum_torch": OptimiserWord(
            "momentum",
            ("buffer",),
            _TORCH,
            "b <- g at the first step and if mu = 0, else mu b + (1 - tau) g; delta = -eta b",
        ),
        "momentum_dampened": OptimiserWord(
            "momentum", ("buffer",), _TORCH, "b <- mu b + (1 - tau) g at every step; delta = -eta b"
        ),
        "nesterov": OptimiserWord("momentum", ("velocity",), _MOMENTUM, "v <- mu v - eta g; delta = mu v - eta g"),
        "nesterov_torch": OptimiserWord(
            "momentum",
            ("buffer",),
            _TORCH,
            "b <- g at the first step and if mu = 0, else mu b + (1 - tau) g; delta = -eta (g + mu b)",
        ),
        "rmsprop": OptimiserWord(
            "rmsprop",
            ("square",),
            ("rho", "epsilon"),
            "s <- rho s + (1 - rho) g^2; delta = -eta g/(sqrt(s) + epsilon)",
        ),
        "rmsprop_inside": OptimiserWord(
            "rmsprop",
            ("square",),
            ("rho", "epsilon"),
            "s <- rho s + (1 - rho) g^2; delta = -eta g/sqrt(s + epsilon)",
        ),
        "adam": OptimiserWord(
            "adam", ("mean", "square"), _ADAM, f"{_MOMENTS}; {_HATS}; delta = -eta m^/(sqrt(s^) + epsilon)"
        ),
        "adam_inside": OptimiserWord(
            "adam", ("mean", "square"), _ADAM, f"{_MOMENTS}; {_HATS}; delta = -eta m^/sqrt(s^ + epsilon)"
        ),
        "adam_epsilon_hat": OptimiserWord(
            "adam",
            ("mean", "square"),
            _ADAM,
            f"{_MOMENTS}; delta = -eta sqrt(1 - beta2^t)/(1 - beta1^t) m/(sqrt(s) + epsilon)",
        ),
        "adam_uncorrected": OptimiserWord(
            "adam", ("mean", "square"), _ADAM, f"{_MOMENTS}; delta = -eta m/(sqrt(s) + epsilon)"
        ),
    }
)
"""Name → facts.

``momentum`` is Polyak's as Sutskever et al. (*On the importance of initialization and momentum in deep learning*,
2013) write it, the rate inside the velocity. Their Nesterov momentum evaluates the gradient at θ + μv and is, from the
step's own inputs, ``momentum`` with that gradient; ``nesterov`` is the same in the variable θ + μv (Bengio et al.,
*Advances in optimizing recurrent networks*, 2013), as Keras has it. The ``_torch`` forms keep the rate outside: torch's
``SGD``. ``rmsprop``: torch; ``rmsprop_inside``: TensorFlow. ``adam``: Kingma and Ba, 2015, algorithm 1, and torch;
``adam_epsilon_hat``: the order of computation at the end of their section 2, and Keras; ``adam_uncorrected``: BERT's.
"""

RANGES: Final = MappingProxyType(
    {
        "momentum": (0.0, math.inf),
        "dampening": (-math.inf, math.inf),
        "rho": (0.0, 1.0),
        "beta1": (0.0, 1.0),
        "beta2": (0.0, 1.0),
        "epsilon": (0.0, math.inf),
    }
)
"""What a hyperparameter may be, from the first number on, below the second."""

USUAL: Final = MappingProxyType(
    {"momentum": 0.9, "dampening": 0.0, "rho": 0.9, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
)
"""What is usually taken: of Adam as its authors propose; ρ as Hinton (*Neural networks for machine learning*, lecture
6e, 2012) has it; momentum as most examples do."""

DecayPlace = Literal["gradient", "decoupled", "decoupled_after", "decoupled_schedule"]
DECAY_PLACES: Final[tuple[DecayPlace, ...]] = get_args(DecayPlace)

ClipBy = Literal["value", "norm", "norm_if_above"]
CLIP_BY: Final[tuple[ClipBy, ...]] = get_args(ClipBy)

ScheduleName = Literal["constant", "step", "exponential", "inverse_time", "linear", "polynomial", "cosine"]
SCHEDULES: Final = MappingProxyType(
    {
        "constant": (),
        "step": ("gamma", "period"),
        "exponential": ("gamma",),
        "inverse_time": ("gamma",),
        "linear": ("start", "end", "period"),
        "polynomial": ("power", "period"),
        "cosine": ("end", "period"),
    }
)
"""Name → what it needs."""


class WeightDecay(msgspec.Struct, frozen=True):
    """Weight decay by λ: d = λθ (``l2``) or d = λ sign(θ) (``l1``; at θ = 0 any number from −λ to λ, a kink).

    place: ``gradient`` adds d to the gradient, before momentum and moments; ``decoupled`` takes η·d, of the parameter
    before the step, off beside the update (AdamW as torch has it); ``decoupled_after`` takes it of the parameter after
    the update; ``decoupled_schedule`` takes s·d off, s the schedule's multiplier without the base rate (AdamW as
    Loshchilov and Hutter, *Decoupled weight decay regularization*, 2019, have it).
    excluded: names of the parameters that do not decay.
    """

    kind: Literal["l1", "l2"]
    strength: float
    place: DecayPlace = "gradient"
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _among("decay.kind", self.kind, ("l1", "l2"))
        _among("decay.place", self.place, DECAY_PLACES)
        _put(self, "strength", _in_range("decay.strength", self.strength, 0.0, math.inf))
        _put(self, "excluded", tuple(sorted(words("decay.excluded", self.excluded))))

    def __str__(self) -> str:
        without = f", not {', '.join(self.excluded)}" if self.excluded else ""
        return f"{self.kind} decay {self.strength!r} ({self.place}{without})"


class Clipping(msgspec.Struct, frozen=True):
    """Clipping of gradients to a limit c > 0.

    by: ``value`` brings each entry into [−c, c]. The others take the Euclidean norm n of the gradients of all
    parameters together: ``norm`` multiplies by min(1, c/(n + ε)), torch's form with ε = 1e-6; ``norm_if_above``
    multiplies by c/(n + ε) where n > c and leaves the rest, so that for ε > 0 it jumps at n = c, a kink. For ε = 0 the
    two are one. A norm of 0 leaves the gradient 0 (where the formula c/n is computed and not a number, that is said).
    after_decay: whether decay with place ``gradient`` is added before the gradient is clipped, as where an L2 penalty
    is part of the loss.
    """

    by: ClipBy
    limit: float
    epsilon: float = 0.0
    after_decay: bool = False

    def __post_init__(self) -> None:
        _among("clipping.by", self.by, CLIP_BY)
        _put(self, "limit", _in_range("clipping.limit", self.limit, 0.0, math.inf))
        _put(self, "epsilon", _in_range("clipping.epsilon", self.epsilon, 0.0, math.inf))
        _put(self, "after_decay", truth("clipping.after_decay", self.after_decay))
        if self.limit == 0:
            raise ArgumentError("clipping.limit", "a number above 0", self.limit)
        if self.by == "value" and self.epsilon:
            raise ArgumentError("clipping.epsilon", "0 for clipping by value", self.epsilon)

    def __str__(self) -> str:
        epsilon = f" + {self.epsilon!r}" if self.epsilon else ""
        order = "after" if self.after_decay else "before"
        return f"clipped by {self.by} to {self.limit!r}{epsilon}, {order} decay"


class Schedule(msgspec.Struct, frozen=True):
    """The rate of step t is η·s(t − 1 + offset), with a multiplier s(k) for k = 0, 1, 2 …

    With γ = gamma and T = period, and k stopped at T in the last three:
    ``constant`` 1; ``step`` γ^⌊k/T⌋; ``exponential`` γᵏ; ``inverse_time`` 1/(1 + γk);
    ``linear`` start + (end − start)·k/T; ``polynomial`` (1 − k/T)^power; ``cosine`` end + (1 − end)(1 + cos(πk/T))/2.
    warmup: so many steps before, over which s(k) = (k + 1)/warmup; the schedule then starts at its own 0.
    offset: 1 where the schedule is stepped before the first update, else 0.
    """

    name: ScheduleName = "constant"
    gamma: float | None = None
    period: int | None = None
    start: float | None = None
    end: float | None = None
    power: float | None = None
    warmup: int = 0
    offset: int = 0

    def __post_init__(self) -> None:
        _among("schedule.name", self.name, tuple(SCHEDULES))
        for field in ("gamma", "period", "start", "end", "power"):
            _needed(f"schedule.{field}", getattr(self, field), field in SCHEDULES[self.name], f"schedule {self.name}")
        for field in ("gamma", "start", "end", "power"):
            if getattr(self, field) is not None:
                _put(self, field, _in_range(f"schedule.{field}", getattr(self, field), 0.0, math.inf))
        for field, least in (("period", 1), ("warmup", 0), ("offset", 0)):
            if getattr(self, field) is not None:
                number = whole(f"schedule.{field}", getattr(self, field))
                if number < least:
                    raise ArgumentError(f"schedule.{field}", f"at least {least}", number)
                _put(self, field, number)

    def __str__(self) -> str:
        given = [
            f"{field} {getattr(self, field)!r}" for field in SCHEDULES[self.name] if getattr(self, field) is not None
        ]
        given += [f"{field} {getattr(self, field)}" for field in ("warmup", "offset") if getattr(self, field)]
        return f"{self.name} rate" + (f" ({', '.join(given)})" if given else "")


class Optimiser(msgspec.Struct, frozen=True):
    """An update rule in one named variant with its hyperparameters: a value, hashable, one line, the same from JSON.

    One step: gradients are clipped and decay with place ``gradient`` is added (in the order that ``clipping`` says);
    the rule ``OPTIMISERS[variant]`` gives Δ and the new state; then θ ← θ + Δ, less decoupled decay.

    Hyperparameters are the exact float64 numbers that they are. Those that the variant does not have are None;
    dampening is 0 unless given. Raises ArgumentError for one that is missing, does not belong or is out of range.
    """

    variant: str
    rate: float
    momentum: float | None = None
    dampening: float | None = None
    rho: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    epsilon: float | None = None
    decay: WeightDecay | None = None
    clipping: Clipping | None = None
    schedule: Schedule = Schedule()

    def __post_init__(self) -> None:
        _among("optimiser.variant", self.variant, tuple(OPTIMISERS))
        _put(self, "rate", _in_range("optimiser.rate", self.rate, 0.0, math.inf))
        has = self.word.hyperparameters
        if "dampening" in has and self.dampening is None:
            _put(self, "dampening", 0.0)
        for field, (least, below) in RANGES.items():
            value = getattr(self, field)
            _needed(f"optimiser.{field}", value, field in has, self.variant)
            if value is not None:
                _put(self, field, _in_range(f"optimiser.{field}", value, least, below))
        for field, kind in (("decay", WeightDecay), ("clipping", Clipping)):
            if not isinstance(getattr(self, field), kind | None):
                raise ArgumentError(f"optimiser.{field}", f"a {kind.__name__} or None", getattr(self, field))
        if not isinstance(self.schedule, Schedule):
            raise ArgumentError("optimiser.schedule", "a Schedule", self.schedule)

    @classmethod
    def usual(
        cls,
        variant: str,
        rate: float,
        *,
        decay: WeightDecay | None = None,
        clipping: Clipping | None = None,
        schedule: Schedule = Schedule(),  # noqa: B008 (a frozen value)
        **hyperparameters: float,
    ) -> Optimiser:
        """A variant with the hyperparameters that are usually taken, ``USUAL``, but those that are given."""
        _among("optimiser.variant", variant, tuple(OPTIMISERS))
        for name in hyperparameters:
            if name not in RANGES:
                raise ArgumentError("optimiser", f"hyperparameters among {', '.join(RANGES)}", name)
        taken = {name: USUAL[name] for name in OPTIMISERS[variant].hyperparameters} | hyperparameters
        return cls(variant, rate, decay=decay, clipping=clipping, schedule=schedule, **taken)

    @property
    def word(self) -> OptimiserWord:
        """The facts about this variant."""
        return OPTIMISERS[self.variant]

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The variant's own hyperparameters by name."""
        return {name: getattr(self, name) for name in self.word.hyperparameters}

    def __str__(self) -> str:
        own = ", ".join([f"rate {self.rate!r}", *(f"{name} {value!r}" for name, value in self.hyperparameters.items())])
        parts = [f"{self.variant} ({own})"]
        if self.schedule != Schedule():
            parts.append(str(self.schedule))
        parts += [str(part) for part in (self.clipping, self.decay) if part is not None]
        return "; ".join(parts)

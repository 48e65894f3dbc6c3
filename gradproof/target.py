"""What somebody's implementation declares of itself, so that it is asked only for what it can do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal

import msgspec

from gradproof.checks import real, span
from gradproof.declaration import Declaration, Target, declared, declaring
from gradproof.errors import ArgumentError
from gradproof.loss import Loss
from gradproof.vocabulary import ACTIVATIONS, DTYPES, PENALTIES, Dtype

Range = tuple[int, int]
"""An inclusive range (least, most)."""

UPSTREAM = "upstream"
"""In place of a loss: the case brings ∂L/∂outputs, and the implementation computes no loss."""


class Supports(Declaration, frozen=True, kw_only=True):
    """What an implementation can do. Cases are drawn from all of it and from nothing else.

    losses: ``"name/reduction"`` each (see ``gradproof.Loss``), or ``"upstream"``.
    hidden, output: names of activations between the dense layers and after the last one.
    uniform: one activation throughout, instead of a choice for each layer; it must be in both lists.
    depth: number of dense layers; width: units of inputs and layers; batch: samples.
    outputs: units of the last layer, ``(1, 1)`` for a binary classifier; None: as ``width``.
    bias: whether dense layers have one: ``always``, ``never`` or ``either`` (for all layers of a network alike).
    penalties: among ``l1`` and ``l2`` (strength × Σ|θ|, Σθ²), ``l1/half`` and ``l2/half`` (with strength / 2);
        over the weights, or with ``+biases`` behind (``"l2/half+biases"``) over the biases too.
    sample_weights, residual, branches, shared, frozen: whether cases may have them.
    maxout: whether hidden layers may be ``Maxout`` units of two or three pieces, behind a dense layer so many times as
        wide.
    dropout: whether hidden layers may have ``Dropout`` behind their activation; such a case always brings its masks
        (``case.masks``, or ``case.stack.masks`` layer by layer).
    dtypes: the precisions that it computes in.
    rates: of a target that only trains, the rates of the steps that its gradients are worked out from; where two give
        different gradients, its answer is that of the first. No more is asked of a target that declares it.
    """

    decorator: ClassVar[str] = "@gradproof.target"

    losses: tuple[str, ...]
    hidden: tuple[str, ...] = ("sigmoid",)
    output: tuple[str, ...] = ("sigmoid",)
    uniform: bool = False
    depth: Range = (1, 3)
    width: Range = (1, 4)
    batch: Range = (1, 4)
    outputs: Range | None = None
    bias: Literal["always", "never", "either"] = "always"
    penalties: tuple[str, ...] = ()
    sample_weights: bool = False
    maxout: bool = False
    dropout: bool = False
    residual: bool = False
    branches: bool = False
    shared: bool = False
    frozen: bool = False
    dtypes: tuple[Dtype, ...] = ("float64",)
    rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for field in ("losses", "hidden", "output", "penalties", "dtypes"):
            value = getattr(self, field)
            if not isinstance(value, str | Iterable):
                raise ArgumentError(f"supports.{field}", "a word or several", value)
            words = (value,) if isinstance(value, str) else tuple(map(str, value))
            msgspec.structs.force_setattr(self, field, words)
        for argument, words, known in (
            ("hidden", self.hidden, tuple(ACTIVATIONS)),
            ("output", self.output, tuple(ACTIVATIONS)),
            ("dtypes", self.dtypes, DTYPES),
            ("penalties", self.penalties, PENALTY_FORMS),
            ("bias", (self.bias,), ("always", "never", "either")),
        ):
            for word in words:
                if word not in known:
                    raise ArgumentError(f"supports.{argument}", f"among {', '.join(known)}", word)
        for argument, needed in (("losses", self.losses), ("output", self.output), ("dtypes", self.dtypes)):
            if not needed:
                raise ArgumentError(f"supports.{argument}", "at least one", "none")
        rates = tuple(real("supports.rates", rate) for rate in self.rates)
        if any(not (math.isfinite(rate) and rate > 0) for rate in rates):
            raise ArgumentError("supports.rates", "finite positive numbers", rates)
        msgspec.structs.force_setattr(self, "rates", rates)
        for loss in self.losses:
            if loss != UPSTREAM:
                Loss.parse(loss)
        for argument in ("depth", "width", "batch"):
            msgspec.structs.force_setattr(self, argument, span(f"supports.{argument}", getattr(self, argument)))
        if self.outputs is not None:
            msgspec.structs.force_setattr(self, "outputs", span("supports.outputs", self.outputs))
        if self.depth[1] > 1 and not self.hidden:
            raise ArgumentError("supports.hidden", "at least one for a depth above 1", "none")
        if self.uniform and not set(self.hidden) & set(self.output):
            raise ArgumentError("supports.uniform", "an activation in both hidden and output", "none")


PENALTY_FORMS = tuple(
    f"{kind}{half}{biases}" for kind in PENALTIES for half in ("", "/half") for biases in ("", "+biases")
)


def target(**supports: Any) -> Callable[[Target], Target]:
    """Declares what an implementation supports; the arguments are those of ``Supports``.

    The decorated function takes a ``Case`` and returns ``Gradients``, or a mapping with the same keys::

        @gradproof.target(losses="half_squared_error/sum", depth=(1, 3))
        def my_network(case):
            ...
            return {"loss": loss, "outputs": outputs, "parameters": case.stack.name(weight_grads, bias_grads)}

    A class is decorated likewise: it is made once, without arguments, and called with each case.
    """
    return declaring(declared(Supports, **supports))

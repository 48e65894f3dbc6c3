"""What somebody's code gave, read as an answer to the case: names, layouts, and samples that come one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from gradproof.adapters.arrays import as_numpy, is_plain
from gradproof.adapters.given import Given
from gradproof.arrays import Array
from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS, OUTPUTS

WEIGHTS, BIASES, PARAMETERS, RADII = "weights", "biases", "parameters", "radii"
KEYS = (LOSS, OUTPUTS, INPUTS, WEIGHTS, BIASES, PARAMETERS)
"""What a decorated function may hand back."""


@dataclass(frozen=True)
class Answer:
    """An answer in the case's own layouts.

    radii: by how much at most each entry of a quantity may be off from what the code itself computed; none of what
    came as it was computed. plain: whether it came as Python's own numbers, which have no dtype.
    """

    parameters: Mapping[str, Array]
    loss: Array | None = None
    outputs: Array | None = None
    inputs: Array | None = None
    radii: Mapping[str, Array] = field(default_factory=dict)
    plain: bool = False

    def handed_over(self) -> dict[str, Any]:
        """The answer as a target returns it."""

        def form(array: Array) -> Any:
            return array.tolist() if self.plain else array

        given = {LOSS: self.loss, OUTPUTS: self.outputs, INPUTS: self.inputs}
        found: dict[str, Any] = {key: form(array) for key, array in given.items() if array is not None}
        found[PARAMETERS] = {name: form(array) for name, array in self.parameters.items()}
        return found | ({RADII: dict(self.radii)} if self.radii else {})


def refuse_keys(given: Any, keys: Sequence[str] = KEYS) -> Mapping[str, Any]:
    """What came, if it is a mapping with no other keys than these. Raises ArgumentError otherwise."""
    if not isinstance(given, Mapping):
        raise ArgumentError(
            "the adapter's answer", f"a mapping with keys among {', '.join(keys)}", type(given).__name__
        )
    for key in given:
        if key not in keys:
            raise ArgumentError("the adapter's answer", f"keys among {', '.join(keys)}", repr(key))
    return given


def read(net: Given, given: Any, *, data: str = "") -> Answer:
    """The answer in the case's layouts, of what came in those that the adapter declares.

    given: a mapping. ``loss``; ``outputs``, and ``inputs`` for the gradient for them, laid out as samples are; the
        gradients as ``weights`` and ``biases``, lists with one for each layer, or as ``parameters`` in the declared
        order: a list, nested by layer or kind, or one flat vector.
    data: the attribute that holds the numbers of somebody's tensors.

    Raises ArgumentError, which names the key, for whatever does not fit what was declared.
    """
    given = refuse_keys(given)

    def samples(key: str, width: int) -> Array | None:
        if given.get(key) is None:
            return None
        return net.samples(key, as_numpy(key, given[key], data), (net.batch, width))

    return Answer(
        _parameters(net, given, data),
        loss=None if given.get(LOSS) is None else as_numpy(LOSS, given[LOSS], data),
        outputs=samples(OUTPUTS, net.widths[-1]),
        inputs=samples(INPUTS, net.widths[0]),
        plain=all(value is None or is_plain(value) for value in given.values()),
    )


def _parameters(net: Given, given: Mapping[str, Any], data: str) -> dict[str, Array]:
    if given.get(PARAMETERS) is None:
        if given.get(WEIGHTS) is None:
            raise ArgumentError(
                "the adapter's answer", "gradients, under weights and biases, or under parameters", "none"
            )
        weights, biases = (_listed(key, given.get(key), data) for key in (WEIGHTS, BIASES))
        return net.named(weights, biases)
    for key in (WEIGHTS, BIASES):
        if given.get(key) is not None:
            raise ArgumentError(key, "either weights and biases, or parameters", "both")
    if net.words.order is None:
        raise ArgumentError("order", "the order of what comes under parameters, as order='weights_biases'", "nothing")
    named = _in_order(net, given[PARAMETERS], data)
    return net.named(*([array for name, array in named if name.startswith(kind)] for kind in (WEIGHTS, BIASES)))


def _listed(key: str, value: Any, data: str) -> list[Array]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        value = value.values()
    if not isinstance(value, Iterable):
        raise ArgumentError(key, "one array for each layer", type(value).__name__)
    return [as_numpy(f"{key}[{k}]", one, data) for k, one in enumerate(value)]


def _in_order(net: Given, value: Any, data: str) -> list[tuple[str, Array]]:
    """Names and arrays of what came under ``parameters``: a flat vector, a list, or a list of lists of arrays."""
    wanted = net.in_order()
    if net.words.vector is not None:
        vector = as_numpy(PARAMETERS, value, data)
        sizes = [array.size for _, array in wanted]
        if vector.shape != (sum(sizes),):
            raise ArgumentError(PARAMETERS, f"shape ({sum(sizes)},), as vector is declared", f"shape {vector.shape}")
        order: Literal["C", "F"] = "C" if net.words.vector == "rows" else "F"
        pieces = np.split(vector, np.cumsum(sizes)[:-1])
        shaped = (piece.reshape(a.shape, order=order) for piece, (_, a) in zip(pieces, wanted, strict=True))
        return [(name, array) for (name, _), array in zip(wanted, shaped, strict=True)]
    parts = list(value.values()) if isinstance(value, Mapping) else list(value)
    if len(parts) != len(wanted) or _nested(parts[0], wanted[0][1]):
        parts = [one for part in parts for one in (part.values() if isinstance(part, Mapping) else part)]
    if len(parts) != len(wanted):
        raise ArgumentError(PARAMETERS, f"{len(wanted)} arrays, order={net.words.order!r}", str(len(parts)))
    return [(name, as_numpy(name, part, data)) for (name, _), part in zip(wanted, parts, strict=True)]


def _nested(part: Any, array: Array) -> bool:
    """Whether this is a list of arrays like this one, and not such an array."""
    return isinstance(part, list | tuple | Mapping) and len(part) == 1 and np.ndim(_first(part)) == array.ndim


def _first(part: Any) -> Any:
    return next(iter(part.values() if isinstance(part, Mapping) else part))


def one_by_one(case: Case, ask: Callable[[Case], Answer]) -> Answer:
    """The answer to a batch by code that takes one sample at a time, from its answers to each sample.

    Asked for one sample, the mean over the batch and the sum are that sample's loss, and the mean over all outputs is
    its mean. What a batch's loss makes of these is their sum, or their sum / N, and so is its gradient, for gradients
    are linear. Outputs are put one below the other; so are gradients for the inputs, which depend on their own sample.
    """
    answers = [ask(sample) for sample in _samples(case)]
    loss = case.network.loss
    share = 1 if loss is None or loss.reduction == "sum" else case.batch
    first = answers[0]

    def added(parts: Sequence[Array]) -> Array:
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return np.asarray(total / share)

    def below(parts: Sequence[Array | None]) -> Array | None:
        rows = [part for part in parts if part is not None]
        return np.concatenate(rows) if len(rows) == len(answers) else None

    losses = [answer.loss for answer in answers if answer.loss is not None]
    inputs = below([answer.inputs for answer in answers])
    return Answer(
        {name: added([answer.parameters[name] for answer in answers]) for name in first.parameters},
        loss=added(losses) if len(losses) == len(answers) else None,
        outputs=below([answer.outputs for answer in answers]),
        inputs=None if inputs is None else np.asarray(inputs / share),
        radii={name: added([answer.radii[name] for answer in answers]) for name in first.radii},
        plain=first.plain,
    )


def _samples(case: Case) -> Iterator[Case]:
    """Each sample as a case of its own."""
    for n in range(case.batch):
        one = slice(n, n + 1)
        targets, upstream, weights = (
            None if array is None else array[one] for array in (case.targets, case.upstream, case.sample_weights)
        )
        yield Case(
            case.network,
            case.parameters,
            case.inputs[one],
            targets=targets,
            upstream=upstream,
            sample_weights=weights,
            dtype=case.dtype,
            masks={path: mask[one] for path, mask in case.masks.items()},
        )

"""Random cases by number: the same case for the same seed and number, whichever process asks, and in any order.

Networks and numbers are drawn directly, without Hypothesis, whose draws cost more than what is done with a case; and
wider: unlike ``verify.strategies``, nothing keeps weights to sizes at which units work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np

from gradproof.case import Case
from gradproof.layers import Activation, Branches, Dense, Layer, Maxout, Residual
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from gradproof.vocabulary import ACTIVATIONS, DTYPES, LOSSES, REDUCTIONS, TargetKind

MANNERS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {"ordinary": (0.0, 0.0), "saturated": (2.0, 6.0), "tiny": (-24.0, -4.0), "huge": (4.0, 16.0)}
)
"""How large weights are: a parameter is multiplied by a power of two with an exponent from this range, most are."""

SLOPES: Final = (0.01, 0.1, 0.25, 0.5)
STRENGTHS: Final = (1.0, 0.5, 0.1, 0.01)


@dataclass(frozen=True)
class Sizes:
    """What is drawn from: dense layers one behind another, units, samples, and which of ``MANNERS``."""

    depth: int = 12
    width: int = 4
    batch: int = 3
    manners: tuple[str, ...] = tuple(MANNERS)


def drawn(seed: int, number: int, sizes: Sizes, network: int | None = None) -> Case:
    """Case ``number`` of a seed. Depths, dtypes and manners take turns; the manner is the case's tag.

    network: the number of the case whose network, batch size and use of sample weights this one has, with numbers of
    its own; so that what compiles a network can be asked about many cases of it.
    """
    depth, dtype, manner = _turn(number, sizes)
    shapes = np.random.default_rng([seed, 0, number if network is None else network])
    if network is not None:
        depth, _, _ = _turn(network, sizes)
    drawn_network = _network(shapes, depth, sizes)
    batch = int(shapes.integers(1, sizes.batch + 1))
    weighted = drawn_network.loss is not None and shapes.random() < 0.25
    rng = np.random.default_rng([seed, 1, number])
    low, high = MANNERS[manner]

    def sized(shape: tuple[int, ...]) -> Any:
        power = np.round(rng.uniform(low, high)) if rng.random() < 0.7 else 0.0
        return rng.normal(size=shape) * 2.0**power / np.sqrt(shape[0] if len(shape) > 1 else 4)

    parameters = {name: sized(shape) for name, shape in drawn_network.parameter_shapes.items()}
    inputs = rng.normal(size=(batch, *drawn_network.input_shape)) * 2.0 ** rng.integers(-3, 4)
    goal = _goal(rng, drawn_network.loss, (batch, *drawn_network.output_shape))
    return Case(
        drawn_network,
        parameters,
        inputs,
        targets=None if drawn_network.loss is None else goal,
        upstream=goal if drawn_network.loss is None else None,
        sample_weights=rng.uniform(0.5, 2, batch) if weighted else None,
        dtype=dtype,
        tags=(manner,),
    )


def _turn(number: int, sizes: Sizes) -> tuple[int, Any, str]:
    rest, depth = divmod(number, sizes.depth)
    rest, dtype = divmod(rest, len(DTYPES))
    return depth + 1, DTYPES[dtype], sizes.manners[rest % len(sizes.manners)]


def _network(rng: Any, depth: int, sizes: Sizes) -> Network:
    loss = _loss(rng)
    width = int(rng.integers(1, sizes.width + 1))
    inputs = width
    layers: list[Layer] = []
    for step in range(depth - 1):
        kind = rng.random() if step else 1.0
        if kind < 0.1:
            layers.append(Residual((Dense(width, bool(rng.random() < 0.8)), _activation(rng))))
        elif kind < 0.15:
            merge: Literal["concat", "sum"] = "concat" if width > 1 else "sum"
            first = width // 2 if merge == "concat" else width
            second = width - first if merge == "concat" else width
            layers.append(Branches(((Dense(first), _activation(rng)), (Dense(second), _activation(rng))), merge))
        else:
            width = int(rng.integers(1, sizes.width + 1))
            pieces = int(rng.integers(2, 4)) if rng.random() < 0.1 else 1
            layers.append(Dense(width * pieces, bool(rng.random() < 0.8)))
            if pieces > 1:
                layers.append(Maxout(pieces))
            elif rng.random() < 0.9:
                layers.append(_activation(rng))
    bounded = loss is not None and loss.word.domain == (0.0, 1.0)
    width = int(rng.integers(2 if loss is not None and loss.word.categorical else 1, sizes.width + 1))
    layers.append(Dense(width, bool(rng.random() < 0.8)))
    if bounded:
        layers.append(Activation("softmax" if width > 1 and rng.random() < 0.5 else "sigmoid"))
    elif rng.random() < 0.5:
        layers.append(_activation(rng))
    network = Network((inputs,), tuple(layers), loss)
    return _dressed(rng, network)


def _dressed(rng: Any, network: Network) -> Network:
    """The same with a penalty, a shared parameter or a frozen one, each now and then."""
    penalty = None
    if rng.random() < 0.25:
        kind = "l1" if rng.random() < 0.5 else "l2"
        penalty = Penalty(kind, float(rng.choice(STRENGTHS)), bool(rng.random() < 0.5), bool(rng.random() < 0.5))  # type: ignore[arg-type]
    names = list(network.parameter_shapes)
    shared: tuple[tuple[str, str], ...] = ()
    shapes = network.positions
    alike = [(later, name) for i, name in enumerate(names) for later in names[i + 1 :] if shapes[later] == shapes[name]]
    if alike and rng.random() < 0.15:
        shared = (alike[int(rng.integers(len(alike)))],)
    left = [name for name in names if not shared or name != shared[0][0]]
    frozen = (left[int(rng.integers(len(left)))],) if rng.random() < 0.1 else ()
    return network.replace(penalty=penalty, shared=shared, frozen=frozen)


def _activation(rng: Any) -> Activation:
    name = str(rng.choice(list(ACTIVATIONS)))
    return Activation(name, None if ACTIVATIONS[name].parameter is None else float(rng.choice(SLOPES)))


def _loss(rng: Any) -> Loss | None:
    name = str(rng.choice([*LOSSES, "upstream"]))
    if name == "upstream":
        return None
    kinds: tuple[TargetKind, ...] = ("real",) if LOSSES[name].targets == "real" else ("hard", "soft", "free")
    return Loss(name, REDUCTIONS[int(rng.integers(len(REDUCTIONS)))], kinds[int(rng.integers(len(kinds)))])


def _goal(rng: Any, loss: Loss | None, shape: tuple[int, ...]) -> Any:
    if loss is None or loss.targets in ("real", "free"):
        return rng.normal(size=shape)
    if loss.word.categorical:
        if loss.targets == "hard":
            return np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]
        shares = rng.uniform(0.05, 1, size=shape)
        return shares / shares.sum(axis=-1, keepdims=True)
    return rng.integers(0, 2, size=shape).astype(float) if loss.targets == "hard" else rng.uniform(size=shape)

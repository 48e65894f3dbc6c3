"""A backpropagation layer by layer, as a textbook writes it, in the tensor language, with mistakes or without.

Without one it is the gradient (the suite compares it with ``refimpl.program``); with one, it is what an implementation
that makes this mistake would answer, were its arithmetic exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from gradproof.case import Case, mask_name
from gradproof.gradients import INPUTS, LOSS, OUTPUTS
from gradproof.layers import Activation, Branches, Dense, Dropout, Layer, Maxout, Residual
from gradproof.network import is_bias
from refimpl.definitions import ACTIVATIONS, dense, dropout, losses_of, maxout, penalty_of, reduced
from refimpl.language import Node, Seed, gradients, join, leaf, matmul, ones, pull_back, scale, spread, take, total
from refimpl.program import SAMPLE_WEIGHTS, TARGETS, UPSTREAM, X, mask_leaves
from verify.mistakes import moves
from verify.mistakes.mistake import Candidate


@dataclass(frozen=True, eq=False)
class Laid:
    """A layer where it stands, with the nodes of its inputs and outputs."""

    path: str
    layer: Layer
    x: Node
    y: Node
    bodies: tuple[tuple[Laid, ...], ...] = ()

    def flat(self) -> Iterator[Laid]:
        """It and what is in it, in the order of computation."""
        for body in self.bodies:
            for laid in body:
                yield from laid.flat()
        yield self


class Forward:
    """The forward pass of a case: each layer's inputs and outputs as nodes, from which every reverse pass starts.

    Candidates may have a part in it, where dropout is another than the definition's.
    """

    def __init__(self, case: Case, candidates: Sequence[Candidate] = ()) -> None:
        self.candidates = candidates
        self.touched: list[tuple[Candidate, moves.Move]] = []
        network = case.network
        self.network, self.batch = network, case.batch
        self.width = math.prod(network.output_shape)
        self.leaves = {name: leaf(name, shape) for name, shape in network.parameter_shapes.items()}
        self.x = self.leaves[X] = leaf(X, (case.batch, *network.input_shape))
        self.masks = mask_leaves(network, case.batch) if case.masks else {}
        self.leaves |= {mask_name(path): mask for path, mask in self.masks.items()}
        self.laid = self._lay(self.x, network.layers, "")
        self.outputs = self.laid[-1].y
        flat = [laid for top in self.laid for laid in top.flat()]
        self.dense = [laid for laid in flat if isinstance(laid.layer, Dense)]
        self.activations = [laid for laid in flat if isinstance(laid.layer, Activation)]
        self.owners = self._owners(self.laid)
        self.seed = Node(Seed(), (), ())
        self.targets = self.weights = None
        if network.loss is None:
            upstream = self.leaves[UPSTREAM] = leaf(UPSTREAM, self.outputs.shape)
            self.data = total(upstream * self.outputs, range(len(self.outputs.shape)))
        else:
            self.targets = self.leaves[TARGETS] = leaf(TARGETS, self.outputs.shape)
            if case.sample_weights is not None:
                self.weights = self.leaves[SAMPLE_WEIGHTS] = leaf(SAMPLE_WEIGHTS, (case.batch,))
            losses = losses_of(network.loss, self.outputs, self.targets)
            self.data = reduced(losses, network.loss, self.weights)
        self.penalised = [self.leaves[name] for name in network.penalised]
        self.penalty = None if network.penalty is None else penalty_of(network.penalty, self.penalised)
        self.value = self.data if self.penalty is None else self.data + self.penalty
        self.delta = pull_back(self.data, self.seed, {OUTPUTS: self.outputs})[OUTPUTS]

    def _parameter(self, position: str) -> Node:
        return self.leaves[self.network.parameter_at(position)]

    def _lay(self, x: Node, layers: Sequence[Layer], prefix: str) -> tuple[Laid, ...]:
        chain: list[Laid] = []
        for number, layer in enumerate(layers):
            chain.append(self._layer(x, layer, f"{prefix}{number}"))
            x = chain[-1].y
        return tuple(chain)

    def _layer(self, x: Node, layer: Layer, path: str) -> Laid:
        match layer:
            case Dense():
                return Laid(path, layer, x, dense(x, layer, path, self._parameter))
            case Activation():
                return Laid(path, layer, x, ACTIVATIONS[layer.name](x, layer))
            case Maxout():
                return Laid(path, layer, x, maxout(x, layer.pieces))
            case Dropout():
                return Laid(path, layer, x, self._dropout(x, layer, path))
            case Residual() | Branches():
                bodies = tuple(self._lay(x, body, f"{path}.{step}.") for step, body in layer.chains())
                ends = [body[-1].y for body in bodies]
                if isinstance(layer, Residual):
                    return Laid(path, layer, x, x + ends[0], bodies)
                if layer.merge == "concat":
                    return Laid(path, layer, x, join(ends, -1), bodies)
                merged = ends[0]
                for end in ends[1:]:
                    merged = merged + end
                return Laid(path, layer, x, merged, bodies)

    def _dropout(self, x: Node, layer: Dropout, path: str) -> Node:
        mask = self.masks.get(path)
        right = dropout(x, layer, mask)
        if mask is None:
            return right
        move = moves.DropoutOutput(self.network, f"layer {path}", False, False, right, layer=layer, x=x, mask=mask)
        return played(self.candidates, move, self.touched)

    def _owners(self, chain: Sequence[Laid]) -> dict[str, str]:
        """An activation's path → that of the dense layer before it in its chain, or its own."""
        owners: dict[str, str] = {}
        for before, laid in zip((None, *chain), chain, strict=False):
            follows = before is not None and isinstance(before.layer, Dense) and isinstance(laid.layer, Activation)
            owners[laid.path] = before.path if before is not None and follows else laid.path
            for body in laid.bodies:
                owners |= self._owners(body)
        return owners


class Backward:
    """The reverse pass over a forward one, with mistakes; ``touched`` are the places where they changed something."""

    def __init__(self, forward: Forward, candidates: Sequence[Candidate] = ()) -> None:
        self.forward = forward
        self.network = forward.network
        self.candidates = candidates
        self.touched: list[tuple[Candidate, moves.Move]] = [*forward.touched]
        self.uses: dict[str, list[Node]] = {name: [] for name in self.network.parameter_shapes}

    def results(self) -> dict[str, Node]:
        """The answer: loss, outputs, each trainable parameter's gradient, and that of the inputs."""
        forward = self.forward
        delta = self._from_loss()
        inputs = self._chain(forward.laid, delta)
        found = {name: self._total(name) for name in self.network.trainable}
        inputs = self._play(moves.WholeGradient, "", inputs, of_inputs=True, batch=forward.batch, width=forward.width)
        return {LOSS: self._value(), OUTPUTS: forward.outputs, **found, INPUTS: inputs}

    def _play(self, kind: type[Any], path: str, right: Node, **given: Any) -> Node:
        """The result of a move: that of the first candidate which has a part in it, or the right one."""
        dense = self.forward.dense
        owner = self.forward.owners.get(path, path)
        move = kind(
            network=self.network,
            place=f"layer {owner}" if path else "",
            first=bool(dense) and owner == dense[0].path,
            last=not dense or owner == dense[-1].path,
            right=right,
            **given,
        )
        return played(self.candidates, move, self.touched)

    def _from_loss(self) -> Node:
        forward = self.forward
        if self.network.loss is None:
            return self._play(moves.UpstreamGradient, "", forward.delta, batch=forward.batch, width=forward.width)
        top = forward.laid[-1]
        ends = top.layer.name if isinstance(top.layer, Activation) else "identity"
        return self._play(
            moves.LossGradient,
            "",
            forward.delta,
            outputs=forward.outputs,
            logits=top.x if isinstance(top.layer, Activation) else forward.outputs,
            targets=forward.targets,
            weights=forward.weights,
            seed=forward.seed,
            batch=forward.batch,
            width=forward.width,
            ends_in=ends,
        )

    def _value(self) -> Node:
        forward = self.forward
        top = forward.laid[-1].layer
        return self._play(
            moves.LossValue,
            "",
            forward.value,
            outputs=forward.outputs,
            targets=forward.targets,
            weights=forward.weights,
            data=forward.data,
            penalty=forward.penalty,
            theta=tuple(forward.penalised),
            others=tuple(forward.leaves[n] for n in self.network.parameter_shapes if n not in self.network.penalised),
            batch=forward.batch,
            width=forward.width,
            ends_in=top.name if isinstance(top, Activation) else "identity",
        )

    def _chain(self, chain: Sequence[Laid], delta: Node) -> Node:
        undamped: Node | None = None
        for number in reversed(range(len(chain))):
            before = chain[number - 1] if number else None
            incoming, delta = delta, self._layer(chain[number], delta, undamped, before)
            undamped = incoming if isinstance(chain[number].layer, Activation) else None
        return delta

    def _layer(self, laid: Laid, delta: Node, undamped: Node | None, before: Laid | None) -> Node:
        match laid.layer:
            case Dense():
                return self._dense(laid, delta, undamped, before)
            case Activation():
                return self._activation(laid, delta)
            case Maxout():
                right = pull_back(laid.y, delta, {"z": laid.x})["z"]
                return self._play(moves.ThroughMaxout, laid.path, right, layer=laid.layer, z=laid.x, delta=delta)
            case Dropout():
                mask = self.forward.masks.get(laid.path)
                if mask is None:
                    return delta
                right = pull_back(laid.y, delta, {"a": laid.x})["a"] if laid.y is not laid.x else delta
                return self._play(moves.ThroughDropout, laid.path, right, layer=laid.layer, mask=mask, delta=delta)
            case Residual():
                body = self._chain(laid.bodies[0], delta)
                return self._play(
                    moves.ThroughResidual, laid.path, delta + body, layer=laid.layer, skip=delta, body=body
                )
            case Branches():
                return self._branches(laid, laid.layer, delta)

    def _dense(self, laid: Laid, delta: Node, undamped: Node | None, before: Laid | None) -> Node:
        path, network = laid.path, self.network
        name = network.parameter_at(f"{path}.weight")
        weight = self.forward.leaves[name]
        ahead = before.x if before is not None and isinstance(before.layer, Activation) else None
        common = {"x": laid.x, "before": ahead, "delta": delta, "undamped": undamped}
        parts = {"weight": matmul(laid.x, delta, transpose_a=True)}
        if isinstance(laid.layer, Dense) and laid.layer.bias:
            parts["bias"] = total(delta, (0,))
        for part, right in parts.items():
            found = self._play(moves.ParameterGradient, path, right, part=part, **common)
            self.uses[network.parameter_at(f"{path}.{part}")].append(found)
        gradient = self.uses[name][-1]
        place = [one.path for one in self.forward.dense].index(path)
        neighbours = {}
        for word, number in (("previous", place - 1), ("following", place + 1)):
            there = 0 <= number < len(self.forward.dense)
            other = self.forward.dense[number].path if there else path
            neighbours[word] = self.forward.leaves[network.parameter_at(f"{other}.weight")] if there else None
        return self._play(
            moves.ThroughDense,
            path,
            matmul(delta, weight, transpose_b=True),
            weight=weight,
            gradient=gradient,
            delta=delta,
            undamped=undamped,
            frozen=name in network.frozen,
            **neighbours,
        )

    def _activation(self, laid: Laid, delta: Node) -> Node:
        assert isinstance(laid.layer, Activation)
        right = pull_back(laid.y, delta, {"z": laid.x})["z"] if laid.y is not laid.x else delta
        place = [one.path for one in self.forward.activations].index(laid.path)
        neighbours: dict[str, moves.Pair | None] = {}
        for word, number in (("previous", place - 1), ("following", place + 1)):
            there = 0 <= number < len(self.forward.activations)
            other = self.forward.activations[number if there else place]
            assert isinstance(other.layer, Activation)
            neighbours[word] = moves.Pair(other.layer, other.x) if there else None
        return self._play(
            moves.ThroughActivation, laid.path, right, layer=laid.layer, z=laid.x, a=laid.y, delta=delta, **neighbours
        )

    def _branches(self, laid: Laid, layer: Branches, delta: Node) -> Node:
        ends = [body[-1].y.shape for body in laid.bodies]
        if layer.merge == "sum":
            pieces = tuple(delta for _ in ends)
        else:
            positions = np.arange(math.prod(delta.shape)).reshape(delta.shape)
            cuts = np.split(positions, np.cumsum([end[-1] for end in ends])[:-1], axis=-1)
            pieces = tuple(take(delta, cut, end) for cut, end in zip(cuts, ends, strict=True))
        passed = []
        for number, (body, piece) in enumerate(zip(laid.bodies, pieces, strict=True)):
            found = self._play(moves.IntoBranches, laid.path, piece, layer=layer, pieces=pieces, number=number)
            passed.append(self._chain(body, found))
        right = passed[0]
        for other in passed[1:]:
            right = right + other
        return self._play(moves.ThroughBranches, laid.path, right, layer=layer, passed=tuple(passed))

    def _total(self, name: str) -> Node:
        network, path = self.network, name.rpartition(".")[0]
        uses = tuple(reversed(self.uses[name]))
        data = uses[0]
        for use in uses[1:]:
            data = data + use
        if len(uses) > 1:
            data = self._play(moves.Accumulation, path, data, uses=uses)
        found = data
        if network.penalty is not None:
            theta, penalised = self.forward.leaves[name], name in network.penalised
            penalty = penalty_of(network.penalty, [theta]) if penalised else None
            slope = scale(theta, Fraction(0)) if penalty is None else gradients(penalty, {name: theta})[name]
            slope = self._play(
                moves.PenaltyGradient,
                path,
                slope,
                penalty=network.penalty,
                theta=theta,
                penalised=penalised,
                bias=is_bias(name),
                data=data,
                uses=len(uses),
                batch=self.forward.batch,
            )
            found = data + slope
        return self._play(
            moves.WholeGradient, path, found, of_inputs=False, batch=self.forward.batch, width=self.forward.width
        )


def played(candidates: Sequence[Candidate], move: moves.Move, touched: list[tuple[Candidate, moves.Move]]) -> Node:
    """A move's result: the right one, or that of the first candidate with a part in it, which is ``touched`` then."""
    for candidate in candidates:
        other = candidate.rewrite(move)
        if other is not None and other is not move.right:
            touched.append((candidate, move))
            return other
    return move.right


def spread_rows(row: Node, like: Node) -> Node:
    """A number for each sample (batch,) repeated along the other axes, to the shape of ``like``."""
    return spread(row, range(1, len(like.shape)), like.shape)


def one_minus(x: Node) -> Node:
    """1 − x."""
    return ones(x.shape) - x

"""Drafts for classes of networks on NumPy arrays: they are made, given numbers, run forwards and backwards.

Where weights stand is told by shapes, which activations and samples by the outputs, which gradients and loss by their
numbers. A class may print or change what it likes: it is run as ``check`` would run it.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import itertools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradproof.adapters.given import Given
from verify.adapters.drafted import run_lines, value_of
from verify.adapters.drafts import CONFIRM, Draft
from verify.adapters.frameworks import CONSTRUCTIONS
from verify.adapters.places import attributes, places, results
from verify.adapters.trial import HIDDEN, OUTPUT, WIDTHS, alike, layouts, losses, trial

FORWARD = [
    "forward",
    "feedforward",
    "feed_forward",
    "forward_pass",
    "forward_propagation",
    "forward_prop",
    "predict",
    "propagate",
    "activate",
    "run",
    "think",
    "__call__",
]
BACKWARD = [
    "backward",
    "backprop",
    "backpropagation",
    "back_propagation",
    "backpropagate",
    "back_propagate",
    "backward_pass",
    "backward_propagation",
    "back_prop",
    "gradients",
    "gradient",
    "compute_gradients",
    "grad",
]
TRAINING = (
    "train",
    "train_step",
    "step",
    "fit",
    "update",
    "learn",
    "partial_fit",
    "train_on_batch",
    "update_mini_batch",
)
COST = ("cost", "loss", "compute_cost", "compute_loss", "cost_function", "loss_function", "error", "mse")

ROLES = {
    "net.inputs": ("x", "input", "inputs", "data", "features", "x_train", "a0"),
    "net.targets": ("y", "t", "target", "targets", "label", "labels", "expected", "y_true", "y_train", "desired", "d"),
    "outputs": ("output", "outputs", "y_hat", "yhat", "y_pred", "pred", "prediction", "predictions", "a", "al", "o"),
    "net.rate": ("lr", "rate", "learning_rate", "eta", "alpha", "step_size", "l_rate"),
    "1": ("epochs", "epoch", "n_epochs", "iterations", "num_iterations", "n_iter", "steps"),
    "net.batch": ("batch_size", "mini_batch_size", "m", "n"),
}
"""What an argument is given → how people call it."""


def network_class(found: Any, name: str) -> Draft | None:
    """A draft for a class whose objects hold weights; None for anything else."""
    if not inspect.isclass(found):
        return None
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for arguments, depth in CONSTRUCTIONS:
            try:
                made = _made(found, arguments)
            except Exception:  # not this way  # noqa: S112
                continue
            for weights, bias in layouts():
                held = _held(made, weights, bias)
                if held is not None:
                    return _Looking(found, name, arguments, depth, weights, bias, held).draft()
    return None


def _made(found: type, arguments: str) -> Any:
    class net:  # noqa: N801 - it stands for the adapter's argument
        widths = WIDTHS

    return value_of(f"made({arguments})", {"made": found, "net": net, "list": list})


def _shapes(weights: str, bias: str) -> dict[tuple[str, int], tuple[int, ...]]:
    tried = trial("identity", "identity")
    assert tried is not None
    net = tried.given(weights, bias)
    return {(kind, k): array.shape for kind in ("weights", "biases") for k, array in enumerate(getattr(net, kind))}


def _held(made: Any, weights: str, bias: str) -> dict[str, str] | None:
    """The code that puts weights and biases in their places, by kind; None where there are no such places."""
    shapes = _shapes(weights, bias)
    found = {}
    for kind in ("weights", "biases"):
        wanted = [shape for (one, _), shape in shapes.items() if one == kind]
        if wanted:
            place = next(places(vars(made), wanted, kind), None)
            if place is None:
                return None
            found[kind] = place
    return found


@dataclass
class _Looking:
    """What is found out of one class, step by step; each step is code of the adapter, and is run."""

    found: type
    name: str
    arguments: str
    depth: int
    weights: str
    bias: str
    held: dict[str, str]

    def __post_init__(self) -> None:
        self.samples, self.hidden, self.output = "rows", "sigmoid", "sigmoid"
        self.forward = ""

    def draft(self) -> Draft:
        """The draft."""
        draft = Draft("a class of networks", "plain")
        draft.body = [f"network = {self.name}({self.arguments})", *self.held.values()]
        told = self._forward()
        backward = self._backward() if told else None
        why = "the outputs are those of a network with it" if told else f"{CONFIRM}no method gives outputs by it"
        if backward is None:
            draft.word("losses", "half_squared_error/sum", f"{CONFIRM}the loss whose gradients these are")
        else:
            loss, others = backward.loss
            if loss is None:
                say = f"{CONFIRM}no usual loss has these gradients; declare the one that is meant"
                draft.word("losses", "half_squared_error/batch_mean", say)
            else:
                say = "its gradients are those that come" if not others else f"{CONFIRM}{', '.join(others)} fits too"
                draft.word("losses", loss, say)
            draft.decorator = backward.decorator
        draft.word("hidden", self.hidden, why)
        draft.word("output", self.output, why)
        if self.depth or any("," in place.partition(" = ")[0] for place in self.held.values() if "|=" not in place):
            draft.word("depth", (2, 2), "its number of layers")
        draft.word("weights", self.weights, "the shapes of its weights")
        draft.word(
            "bias", self.bias, "the shapes of its biases" if "biases" in self.held else "the weights' extra axis"
        )
        draft.word("samples", self.samples, "the shape that its outputs come in" if told else f"{CONFIRM}unknown")
        if told:
            draft.body.append(f"outputs = {self.forward}")
        else:
            draft.body += [f"# {CONFIRM}how outputs are computed", "outputs = network.forward(net.inputs)"]
        answer = ['"outputs": outputs']
        cost = self._cost(backward.loss[0]) if backward and backward.loss[0] else None
        if cost:
            answer.insert(0, f'"loss": {cost}')
        if backward is None:
            draft.body += [
                f"# {CONFIRM}how gradients are computed, and where they are",
                "network.backward(net.targets)",
            ]
            answer += ['"weights": network.dW', '"biases": network.db']
        else:
            draft.body += backward.lines
            answer += backward.answer
        draft.body.append(f"return {{{', '.join(answer)}}}")
        return draft

    def _space(self, net: Given) -> dict[str, Any]:
        """A new object that holds the trial's numbers, as the adapter's first lines make it."""
        space = {self.name.partition(".")[0]: self.found, self.name: self.found, "net": net, "list": list}
        lines = [f"network = _made({self.arguments})", *self.held.values()]
        space["_made"] = self.found
        run_lines("\n".join(lines), space)
        return space

    def _given(self) -> Given:
        tried = trial(self.hidden, self.output)
        assert tried is not None
        return tried.given(self.weights, self.bias, self.samples)

    def _forward(self) -> bool:
        """Finds the method whose outputs are a network's, and by what."""
        for samples in ("rows", "columns", "one", "one_column", "one_row"):
            self.samples = samples
            for method in FORWARD:
                if not callable(getattr(self.found, method, None)):
                    continue
                call = "network(net.inputs)" if method == "__call__" else f"network.{method}(net.inputs)"
                for pick in ("", "[-1]", "[0]"):
                    if self._explains(f"{call}{pick}"):
                        self.forward = f"{call}{pick}"
                        return True
        self.samples = "rows"
        return False

    def _explains(self, expression: str) -> bool:
        net = self._given()
        try:
            value = np.asarray(value_of(expression, self._space(net)))
            rows = net.samples("outputs", value, (net.batch, WIDTHS[-1]))
        except Exception:
            return False
        for hidden, output in itertools.product(HIDDEN, OUTPUT):
            tried = trial(hidden, output)
            if tried is not None and alike(rows, tried.exact["outputs"][: net.batch]):
                self.hidden, self.output = hidden, output
                return True
        return False

    def _cost(self, loss: str | None) -> str | None:
        """The method that gives the loss."""
        net = self._given()
        for method in COST:
            function = getattr(self.found, method, None)
            for arguments in _arguments(function) if callable(function) else ():
                space = self._space(net)
                try:
                    run_lines(f"outputs = {self.forward}", space)
                    value = np.asarray(value_of(f"network.{method}({arguments})", space))
                except Exception:  # not this way  # noqa: S112
                    continue
                if loss is not None and alike(value, _exact(self, loss)["loss"]):
                    return f"network.{method}({arguments})"
        return None

    def _backward(self) -> _Backward | None:
        """Finds the method that gives gradients, leaves them somewhere, or trains."""
        candidates = []
        for method in (*BACKWARD, *TRAINING):
            function = getattr(self.found, method, None)
            for arguments in _arguments(function) if callable(function) else ():
                candidates += self._after(f"network.{method}({arguments})")
        named = [one for one in candidates if one.loss[0] is not None]
        return next(iter(named or candidates), None)

    def _after(self, call: str) -> list[_Backward]:
        """What a call of a method leaves behind: gradients returned, in attributes, or other weights."""
        net = self._given()
        net.rate = 0.5
        space = self._space(net)
        try:
            run_lines(f"outputs = {self.forward}", space)
            before = {name: id(value) for name, value in vars(space["network"]).items()}
            held = _shown(self, space)
            run_lines(f"returned = {call}", space)
        except Exception:
            return []
        found = []
        shapes = _shapes(self.weights, self.bias)
        for lines, code in results(space["returned"], shapes):
            found.append(self._backward_of([f"{lines}{call}"], code, space, "plain"))
        news = {n: v for n, v in vars(space["network"]).items() if before.get(n) != id(v)}
        kinds = tuple(kind for kind in ("weights", "biases") if any(one == kind for one, _ in shapes))
        per_kind = [
            list(attributes(news, kind, [s for (one, _), s in shapes.items() if one == kind])) for kind in kinds
        ]
        found += [
            self._backward_of([call], dict(zip(kinds, codes, strict=True)), space, "plain")
            for codes in itertools.product(*per_kind)
        ]
        after = _shown(self, space)
        if any(not np.array_equal(a, b) for a, b in zip(held, after, strict=True)):
            code = {kind: place.split(" = ")[0] for kind, place in self.held.items()}
            if all("|=" not in place for place in self.held.values()):
                code = {kind: f"[{place}]" if "," in place else place for kind, place in code.items()}
                found.insert(0, self._backward_of([call], code, space, "training_step"))
        return found

    def _backward_of(
        self, lines: list[str], code: Mapping[str, str], space: dict[str, Any], decorator: str
    ) -> _Backward:
        """With the loss whose gradients these are."""
        net: Given = space["net"]
        scope = {**space, "net": net}
        weights, biases = ([], [])
        with contextlib.suppress(Exception):
            if lines[0].partition(" = ")[1]:
                run_lines(f"{lines[0].partition(' = ')[0]} = returned", scope)
            weights, biases = (value_of(code[kind], scope) if kind in code else [] for kind in ("weights", "biases"))
        fits = []
        with contextlib.suppress(Exception):
            named = net.named([np.asarray(w) for w in weights], [np.asarray(b) for b in biases])
            if decorator == "training_step":
                named = {name: (net.case.parameters[name] - after) / net.rate for name, after in named.items()}
            for loss in losses():
                exact = _exact(self, loss)
                if exact and all(alike(array, exact[name]) for name, array in named.items()):
                    fits.append(loss)
        answer = [f'"{kind}": {text}' for kind, text in code.items()]
        return _Backward(lines, answer, decorator, (fits[0] if fits else None, fits[1:]))


@dataclass(frozen=True)
class _Backward:
    """How gradients are had."""

    lines: list[str]
    answer: list[str]
    decorator: str
    loss: tuple[str | None, list[str]]


def _exact(looking: _Looking, loss: str) -> Mapping[str, Any]:
    """The exact answers of the trial with a loss, for one sample where they come one at a time; none out of domain."""
    tried = trial(looking.hidden, looking.output, loss)
    if tried is None:
        return {}
    if not looking.samples.startswith("one"):
        return tried.exact
    from refimpl.enclosure import enclosure

    case = tried.case
    assert case.targets is not None
    truth = enclosure(case.replace(inputs=case.inputs[:1], targets=case.targets[:1]))
    return {name: np.asarray(truth.nearest(name)) for name in truth.names()}


def _shown(looking: _Looking, space: dict[str, Any]) -> list[Any]:
    """Copies of the parameters that the object holds."""
    network, found = space["network"], []
    for place in looking.held.values():
        name = place.split(" = ")[0].split(" |= ")[0]
        value = value_of(name, {"network": network})
        parts = value.values() if isinstance(value, dict) else value
        found += [np.array(part) for part in parts]
    return found


def _arguments(function: Any) -> Iterator[str]:
    """Arguments for a method, by the names that its parameters have."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[1:]
    except (TypeError, ValueError):
        return
    chosen = []
    for parameter in parameters:
        role = next((role for role, names in ROLES.items() if parameter.name.lower().strip("_") in names), None)
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if role is None and parameter.default is parameter.empty:
            return
        if role is not None:
            chosen.append(f"{parameter.name}={role}" if parameter.default is not parameter.empty else role)
    yield ", ".join(chosen)

"""Drafts for objects of frameworks: scikit-learn's MLPs, modules of PyTorch, loss functions of JAX and autograd."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from gradproof.adapters.given import Given
from verify.adapters.drafted import value_of
from verify.adapters.drafts import CONFIRM, Draft
from verify.adapters.trial import HIDDEN, OUTPUT, WIDTHS, alike, layouts, losses, trial


def sklearn_mlp(found: Any, name: str) -> Draft | None:
    """A draft for an MLPRegressor or MLPClassifier, class or object; None for anything else."""
    kind = found if inspect.isclass(found) else type(found)
    if not any(base.__module__.startswith("sklearn.neural_network") for base in kind.__mro__):
        return None
    classifier = hasattr(kind, "predict_proba")
    draft = Draft(f"scikit-learn's {kind.__name__}", "sklearn_mlp")
    loss = "categorical_cross_entropy/batch_mean" if classifier else "half_squared_error/batch_mean"
    draft.word("losses", loss, "what its gradient descends")
    chosen = {"logistic": "sigmoid"}.get(getattr(found, "activation", "relu"), getattr(found, "activation", "relu"))
    draft.word("hidden", chosen, "its activation" if not inspect.isclass(found) else "its default activation")
    draft.word("output", "softmax" if classifier else "identity", "what goes with its loss")
    draft.word("penalties", "l2/half", "its alpha")
    if inspect.isclass(found):
        draft.body = [f"return {name}()"]
    else:
        draft.imports = ["from sklearn.base import clone"]
        draft.body = [f"return clone({name})"]
    return draft


def torch_module(found: Any, name: str) -> Draft | None:
    """A draft for a Module, class or object; None for anything else."""
    kind = found if inspect.isclass(found) else type(found)
    if not any(base.__module__ == "torch.nn.modules.module" for base in kind.__mro__):
        return None
    draft = Draft("a torch.nn.Module", "torch_module")
    made = _sequential(found) if kind.__name__ == "Sequential" else _constructed(kind, name)
    if made is None:
        draft.word("losses", "squared_error/element_mean", f"{CONFIRM}the loss that is meant")
        draft.word("hidden", "relu", f"{CONFIRM}the activation of hidden layers")
        draft.word("output", "identity", f"{CONFIRM}the activation after the last layer")
        draft.body = [f"# {CONFIRM}make the module for these widths", f"module = {name}(net.widths)"]
    else:
        expression, module, imports, depth = made
        activations = _activations(module)
        draft.imports = imports
        draft.word(
            "losses", "squared_error/element_mean", f"{CONFIRM}the loss that is meant; below is torch's mse_loss"
        )
        hidden, output = activations or ("relu", "identity")
        why = "its outputs are those of a network with it" if activations else f"{CONFIRM}no usual one fits its outputs"
        draft.word("hidden", hidden, why)
        draft.word("output", output, why)
        if depth:
            draft.word("depth", (depth, depth), "its number of layers")
        draft.body = [f"module = {expression}"]
    draft.imports = [*draft.imports, "from torch.nn.functional import mse_loss"]
    draft.body += ["return module, mse_loss"]
    return draft


Made = tuple[str, Any, list[str], int]
"""The code that makes a module for ``net``, one that it made, imports, and the number of layers where that is fixed."""


def _sequential(found: Any) -> Made | None:
    """Linear layers with activations without arguments between them, made again for other widths."""
    import torch

    parts, linear, names = [], 0, set()
    for layer in found:
        names.add(type(layer).__name__)
        if isinstance(layer, torch.nn.Linear):
            parts.append(f"Linear(net.widths[{linear}], net.widths[{linear + 1}])")
            linear += 1
        elif type(layer).__module__ == "torch.nn.modules.activation":
            parts.append("Softmax(dim=1)" if type(layer).__name__ == "Softmax" else f"{type(layer).__name__}()")
        else:
            return None
    expression = f"Sequential({', '.join(parts)})"
    if linear != len(WIDTHS) - 1:
        return None
    space = {name: getattr(torch.nn, name) for name in names} | {"Sequential": torch.nn.Sequential}
    module = _evaluated(expression, space)
    return expression, module, [f"from torch.nn import {', '.join(sorted(space))}"], linear


def _constructed(kind: type, name: str) -> Made | None:
    """A class that takes its widths, in one of the usual ways."""
    for arguments, depth in CONSTRUCTIONS:
        expression = f"{name}({arguments})"
        try:
            module = _evaluated(expression, {name.partition(".")[0]: kind, "list": list})
        except Exception:  # not this way  # noqa: S112
            continue
        shapes = [tuple(p.shape) for p in module.parameters()]
        if shapes == [shape for m, n in pairwise(WIDTHS) for shape in ((n, m), (n,))]:
            return expression, module, [], depth
    return None


CONSTRUCTIONS = (
    ("net.widths", 0),
    ("list(net.widths)", 0),
    ("*net.widths", 2),
    ("net.widths[0], list(net.widths[1:-1]), net.widths[-1]", 0),
    ("net.widths[0], net.widths[1:-1], net.widths[-1]", 0),
    ("net.widths[0], list(net.widths[1:])", 0),
)
"""How classes take the widths of their layers, with the number of layers where it is fixed."""


class _Widths:
    widths = WIDTHS


def _evaluated(expression: str, space: dict[str, Any]) -> Any:
    """What our own code makes of somebody's class."""
    return value_of(expression, {**space, "net": _Widths})


def _activations(module: Any) -> tuple[str, str] | None:
    """The activations by which a module's outputs are explained."""
    import torch

    for hidden in HIDDEN:
        for output in OUTPUT:
            tried = trial(hidden, output)
            assert tried is not None
            net = tried.given("out_in", "vector")
            arrays = [one for pair in zip(net.weights, net.biases, strict=True) for one in pair]
            with torch.no_grad():
                for parameter, array in zip(module.double().parameters(), arrays, strict=True):
                    parameter.copy_(torch.from_numpy(array))
                try:
                    outputs = module(torch.from_numpy(net.inputs))
                except Exception:
                    return None
            if alike(outputs.numpy(), tried.exact["outputs"]):
                return hidden, output
    return None


def loss_function(found: Any, name: str) -> Draft | None:
    """A draft for a function of (parameters, inputs, targets) in JAX or autograd; None for anything else."""
    if not inspect.isfunction(inspect.unwrap(found)) and not callable(getattr(found, "__wrapped__", None)):
        return None
    function = inspect.unwrap(found)
    framework = _framework(function)
    if framework is None or len(inspect.signature(function).parameters) != 3:
        return None
    draft = Draft(f"a loss function of {'JAX' if framework == 'jax' else 'autograd'}", f"{framework}_function")
    explained = _explained(found, framework)
    if explained is None:
        why = f"{CONFIRM}no usual network explains its values"
        words = {"losses": "squared_error/element_mean", "hidden": "tanh", "output": "identity"}
        words |= {"weights": "in_out", "bias": "vector", "samples": "rows"}
        for word, value in words.items():
            draft.word(word, value, why)
        draft.body = [f"# {CONFIRM}the parameters as the function wants them", f"return {TREES[0][0]}, {name}"]
        return draft
    tree, words, others = explained
    for word, value in words.items():
        draft.word(word, value, "its values are those of a network with it")
    if others:
        draft.words["losses"] = (draft.words["losses"][0], f"{CONFIRM}on these numbers {', '.join(others)} fits too")
    if framework == "jax":
        for word in ("depth", "width", "batch"):
            draft.word(word, (1, 2), "small, as JAX compiles anew for every shape")
    if "net.to_dict" in tree:
        draft.word("depth", (2, 2), "its parameters have numbers")
    draft.body = [f"return {tree}, {name}"]
    return draft


TREES: tuple[tuple[str, Callable[[Given], Any]], ...] = (
    ("list(zip(net.weights, net.biases))", lambda net: list(zip(net.weights, net.biases, strict=True))),
    *(
        (
            f'[{{"{w}": w, "{b}": b}} for w, b in zip(net.weights, net.biases)]',
            lambda net, w=w, b=b: [{w: x, b: y} for x, y in zip(net.weights, net.biases, strict=True)],
        )
        for w, b in (("w", "b"), ("W", "b"), ("weight", "bias"), ("weights", "biases"), ("kernel", "bias"))
    ),
    *(
        (f'net.to_dict("{w}", "{b}")', lambda net, w=w, b=b: net.to_dict(w, b))
        for w, b in (("W{}", "b{}"), ("w{}", "b{}"))
    ),
)
"""Trees of parameters as people write them."""


def _framework(function: Any) -> str | None:
    """The framework whose modules a function's own module has imported."""
    space = getattr(function, "__globals__", {})
    modules = {getattr(value, "__name__", "").partition(".")[0] for value in space.values() if inspect.ismodule(value)}
    return next((name for name in ("jax", "autograd") if name in modules), None)


Explanation = tuple[str, dict[str, str], list[str]]
"""The code of a tree, the words, and what other losses fit."""


def _explained(function: Any, framework: str) -> Explanation | None:
    """How a function's value comes about: the first network, loss and layout that give it."""
    values = list(_values(function, framework))
    for loss in losses():
        for hidden in HIDDEN:
            for output in OUTPUT:
                for code, layout, value in values if trial(hidden, output, loss) else ():
                    if _gives(value, hidden, output, loss):
                        words = {"losses": loss, "hidden": hidden, "output": output, **layout}
                        others = [o for o in losses() if o != loss and _gives(value, hidden, output, o)]
                        return code, words, others
    return None


def _gives(value: Any, hidden: str, output: str, loss: str) -> bool:
    tried = trial(hidden, output, loss)
    return tried is not None and alike(value, tried.exact["loss"])


def _values(function: Any, framework: str) -> Iterator[tuple[str, dict[str, str], Any]]:
    """What a function gives on the trial, whose numbers are the same for all activations, by each tree and layout."""
    tried = trial("identity", "identity")
    assert tried is not None
    make: Callable[[Any], Any] = np.asarray
    if framework == "jax":
        import jax.numpy

        make = jax.numpy.asarray
    for weights, bias in layouts():
        for samples in ("rows", "columns") if bias in ("vector", "row", "column") else ():
            net = tried.given(weights, bias, samples, make=make)
            for code, tree in TREES:
                try:
                    value = np.asarray(function(tree(net), net.inputs, net.targets))
                except Exception:  # not this way  # noqa: S112
                    continue
                if value.shape == ():
                    yield code, {"weights": weights, "bias": bias, "samples": samples}, value

"""Families of networks: what a declaration is divided into, so that each part has a verdict, a name and a test item.

A network belongs to one family, by its loss, by the activations between its layers, and by its dtype:
``squared_error/sum-tanh-float32``. In place of an activation's name stand ``one_layer`` where there is nothing between
layers, and ``mixed`` where there are several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.target import UPSTREAM, Supports
from verify.strategies import cases

ONE_LAYER = "one_layer"
MIXED = "mixed"


def family_of(case: Case) -> str:
    """The family that a case belongs to."""
    loss = UPSTREAM if case.network.loss is None else str(case.network.loss)
    return _name(loss, _between(case), case.dtype)


def families_of(supports: Supports) -> Mapping[str, Supports]:
    """The families of a declaration, each with the part of it to draw from; cases of others may come too.

    Raises ArgumentError where nothing can be drawn from the declaration.
    """
    cases(supports)  # refuses what cannot be drawn
    losses = dict.fromkeys(text if text == UPSTREAM else str(Loss.parse(text)) for text in supports.losses)
    return {
        _name(loss, between, dtype): replace(part, losses=(loss,), dtypes=(dtype,))
        for loss in losses
        for between, part in _parts(supports)
        if _can_be_drawn(replace(part, losses=(loss,)))
        for dtype in dict.fromkeys(supports.dtypes)
    }


def _parts(supports: Supports) -> Iterator[tuple[str, Supports]]:
    least, most = supports.depth
    hidden = tuple(dict.fromkeys(supports.hidden))
    if least == 1:
        yield ONE_LAYER, replace(supports, depth=(1, 1))
    if most > 1:
        for name in hidden:
            yield name, replace(supports, hidden=(name,), depth=(max(2, least), most))
    if most > 2 and len(hidden) > 1 and not supports.uniform:
        yield MIXED, replace(supports, depth=(max(3, least), most))


def _can_be_drawn(supports: Supports) -> bool:
    try:
        cases(supports)
    except ArgumentError:
        return False
    return True


def _between(case: Case) -> str:
    """The activations between the layers, in a word: those that no output leaves, whatever dense layers stand there."""
    layers = [site.layer for site in case.network.sites]
    names = {layer.name for layer in layers[:-1] if isinstance(layer, Activation)}
    if sum(isinstance(layer, Dense) for layer in layers) == 1:
        return ONE_LAYER
    return names.pop() if len(names) == 1 else MIXED


def _name(loss: str, between: str, dtype: str) -> str:
    return f"{loss}-{between}-{dtype}"

"""Where somebody's object keeps arrays, and where a method has put gradients, as code that sets or reads them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np


def places(attributes: Mapping[str, Any], shapes: Sequence[tuple[int, ...]], kind: str) -> Iterator[str]:
    """Ways to set arrays of these shapes as attributes of ``network``."""
    for name, value in attributes.items():
        if isinstance(value, list | tuple) and [np.shape(part) for part in value] == list(shapes):
            yield f"network.{name} = net.{kind}"
        if isinstance(value, dict):
            keys = [key for key, part in value.items() if np.shape(part) in shapes]
            pattern = _numbered([str(key) for key in keys], [np.shape(value[key]) for key in keys], shapes)
            if pattern:
                key, first = pattern[0].replace("{}", "{k}"), pattern[1]
                yield f'network.{name} |= {{f"{key}": a for k, a in enumerate(net.{kind}, {first})}}'
    matching = [[n for n, v in attributes.items() if isinstance(v, np.ndarray) and v.shape == one] for one in shapes]
    for names in itertools.product(*matching):
        if _numbered(list(names), shapes, shapes) or len(set(names)) == len(shapes) == sum(map(len, matching)):
            yield f"{', '.join(f'network.{name}' for name in names)} = net.{kind}"


def _numbered(
    names: Sequence[str], shapes: Sequence[tuple[int, ...]], wanted: Sequence[tuple[int, ...]]
) -> tuple[str, int] | None:
    """The pattern of names that differ by consecutive numbers alone, in the order of the layers, and the first."""
    if list(shapes) != list(wanted):
        return None
    found = [re.fullmatch(r"(\D*)(\d+)(\D*)", name) for name in names]
    parts = [match.groups() for match in found if match]
    if len(parts) != len(names) or len({(head, tail) for head, _, tail in parts}) != 1:
        return None
    numbers = [int(number) for _, number, _ in parts]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return f"{parts[0][0]}{{}}{parts[0][2]}", numbers[0]


def results(value: Any, shapes: Mapping[tuple[str, int], tuple[int, ...]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Ways to name what a method returned: the code before the call, and that of each kind of gradients."""
    kinds = list(dict.fromkeys(kind for kind, _ in shapes))
    wanted = {kind: [shape for (one, _), shape in shapes.items() if one == kind] for kind in kinds}
    if isinstance(value, dict):
        attributes = {kind: list(_in_dict("grads", value, kind, wanted[kind])) for kind in kinds}
        if all(attributes.values()):
            yield "grads = ", {kind: codes[0] for kind, codes in attributes.items()}
        return
    if not isinstance(value, list | tuple):
        return
    if len(kinds) == 1 and [np.shape(part) for part in value] == wanted["weights"]:
        yield "grads = ", {"weights": "grads"}
        return
    names = [f"part{k}" for k in range(len(value))]
    code: dict[str, str] = {}
    for k, part in enumerate(value):
        for kind in kinds:
            if isinstance(part, list | tuple) and [np.shape(one) for one in part] == wanted[kind]:
                names[k] = {"weights": "dW", "biases": "db"}[kind]
                code[kind] = names[k]
    if set(code) == set(kinds):
        yield f"{', '.join(names)} = ", code
        return
    flat = {kind: [k for s in wanted[kind] for k, part in enumerate(value) if np.shape(part) == s] for kind in kinds}
    if all(len(flat[kind]) == len(wanted[kind]) for kind in kinds):
        yield "grads = ", {kind: f"[{', '.join(f'grads[{k}]' for k in flat[kind])}]" for kind in kinds}


def _in_dict(name: str, value: Mapping[Any, Any], kind: str, wanted: Sequence[tuple[int, ...]]) -> Iterator[str]:
    """Gradients in a dict, under names with numbers, or as a list under one name."""
    for key, part in value.items():
        if isinstance(part, list | tuple) and [np.shape(one) for one in part] == list(wanted):
            yield f'{name}["{key}"]'
    keys = sorted((str(key) for key, part in value.items() if np.shape(part) in wanted), key=lambda k: (len(k), k))
    for prefix in dict.fromkeys(re.sub(r"\d+", "{}", key) for key in keys):
        mine = [key for key in keys if re.sub(r"\d+", "{}", key) == prefix]
        pattern = _numbered(mine, [np.shape(value[key]) for key in mine], wanted)
        if pattern:
            key = pattern[0].replace("{}", "{k}")
            yield f'[{name}[f"{key}"] for k, _ in enumerate(net.{kind}, {pattern[1]})]'


def attributes(news: Mapping[str, Any], kind: str, wanted: Sequence[tuple[int, ...]]) -> Iterator[str]:
    """Gradients in attributes that a method set: a list, a dict, or one attribute for each layer."""
    for name, value in news.items():
        if isinstance(value, list | tuple) and [np.shape(part) for part in value] == list(wanted):
            yield f"network.{name}"
        if isinstance(value, dict):
            yield from _in_dict(f"network.{name}", value, kind, wanted)
    arrays = {name: value for name, value in news.items() if isinstance(value, np.ndarray)}
    matching = [[name for name, value in arrays.items() if value.shape == shape] for shape in wanted]
    for names in itertools.product(*matching):
        if len(set(names)) == len(names):
            yield f"[{', '.join(f'network.{name}' for name in names)}]"

"""Faults planted in the tests' engine, by the name that the catalogue has for them; None where it has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from verify.suite.engines.tiny import RIGHT, Engine, _kept

SCALAR: dict[str, tuple[Engine, str | None]] = {
    "2 - x gives x - 2": (
        RIGHT.with_rule("2-x", lambda n, x: x - n, lambda g, z, n, x: (None, g)),
        "reflected - swapped",
    ),
    "2 / x gives x / 2": (
        RIGHT.with_rule("2/x", lambda n, x: x / n, lambda g, z, n, x: (None, g / n)),
        "reflected / swapped",
    ),
    "2 ** x gives x ** 2": (
        RIGHT.with_rule("2**x", lambda b, x: x**b, lambda g, z, b, x: (None, g * b * x ** (b - 1))),
        "reflected ** swapped",
    ),
    "sign of 2 - x": (RIGHT.with_rule("2-x", None, lambda g, z, n, x: (None, g)), "gradient of reflected - swapped"),
    "sign of the second operand of -": (
        RIGHT.with_rule("-", None, lambda g, z, x, y: (g, g)),
        "the wrong sign for the second operand of -",
    ),
    "signs of - swapped": (RIGHT.with_rule("-", None, lambda g, z, x, y: (-g, g)), "both signs of - swapped"),
    "second gradient of / missing": (
        RIGHT.with_rule("/", None, lambda g, z, x, y: (g / y, None)),
        "no gradient for the second operand of /",
    ),
    "square missing in /": (RIGHT.with_rule("/", None, lambda g, z, x, y: (g / y, -g * x / y)), "square missing in /"),
    "** without backward": (
        RIGHT.with_rule("** number", None, lambda g, z, x, n: (None, None)),
        "no backward for ** by a number",
    ),
    "exponent not lowered": (
        RIGHT.with_rule("** number", None, lambda g, z, x, n: (g * n * z, None)),
        "exponent not lowered in **",
    ),
    "exponent's gradient missing": (
        RIGHT.with_rule("x**y", None, lambda g, z, x, y: (g * y * x ** (y - 1), None)),
        "no gradient for the second operand of **",
    ),
    "base's gradient missing": (
        RIGHT.with_rule("x**y", None, lambda g, z, x, y: (None, g * z * np.log(x))),
        "no gradient for the first operand of **",
    ),
    "tanh without derivative": (RIGHT.with_rule("tanh", None, lambda g, z, x: (g,)), "derivative missing in tanh"),
    "overwriting": (replace(RIGHT, adds=False), "gradients overwritten"),
    "no topological order": (replace(RIGHT, order="every path"), "no topological order"),
    "second backward adds up inside": (replace(RIGHT, clears=False), "interior gradients kept"),
    "log doubled (not in the catalogue)": (RIGHT.with_rule("log", None, lambda g, z, x: (2.125 * g / x,)), None),
}


def _mean_backward(g: Any, z: Any, x: Any, **keywords: Any) -> tuple[Any, ...]:
    return (np.broadcast_to(_kept(g, keywords), x.shape),)


def _assigned(g: Any, z: Any, x: Any, index: Any) -> tuple[Any, ...]:
    gradient = np.zeros_like(x)
    gradient[index] = g
    return gradient, None


def _first_entries(g: Any, shape: tuple[int, ...]) -> Any:
    return np.resize(g, shape)


def _averaged(g: Any, shape: tuple[int, ...]) -> Any:
    from verify.suite.engines.tiny import summed

    return summed(g, shape) * (int(np.prod(shape)) / g.size)


ARRAY: dict[str, tuple[Engine, str | None]] = {
    "1/n missing in mean": (RIGHT.with_rule("mean", None, _mean_backward), "1/n missing in mean"),
    "repeated index overwrites": (RIGHT.with_rule("index", None, _assigned), "repeated index overwrites"),
    "broadcasting not undone": (replace(RIGHT, undone=lambda g, shape: g), "broadcasting not undone"),
    "broadcasting cut": (replace(RIGHT, undone=_first_entries), "broadcasting cut to the first entries"),
    "broadcasting averaged": (replace(RIGHT, undone=_averaged), "broadcasting averaged"),
    "transposes missing in @": (
        RIGHT.with_rule("@", None, lambda g, z, x, y: (g @ y, x @ g)),
        "transposes missing in @",
    ),
    "transpose missing in T": (
        RIGHT.with_rule("T", None, lambda g, z, x: (g.reshape(x.shape),)),
        "transpose missing in T",
    ),
    "relu lets everything pass": (RIGHT.with_rule("relu", None, lambda g, z, x: (g,)), "derivative missing in relu"),
    "operand that stands twice": (
        RIGHT.with_rule("-", None, lambda g, z, x, y: (g, g if x is y else -g))
        .with_rule("/", None, lambda g, z, x, y: (g / y, g / y if x is y else -g * x / y**2))
        .with_rule("x**y", None, lambda g, z, x, y: (g * y * x ** (y - 1), g * (z if x is y else z * np.log(x))))
        .with_rule("@", None, lambda g, z, x, y: (g @ y.T, g @ y.T if x is y else x.T @ g)),
        "an operand twice is the first in an operation",
    ),
}

"""The operators of autograd engines: their names, how they are declared, and how an engine spells them. Facts only."""

from __future__ import annotations

import keyword
import operator as python
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from gradproof.errors import ArgumentError

ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {"+": python.add, "-": python.sub, "*": python.mul, "/": python.truediv, "**": python.pow}
)
"""Operators of two operands, entry by entry; either operand may be a Python number."""

Domain = Literal["all", "positive"]

FUNCTIONS: Final[Mapping[str, Domain]] = MappingProxyType(
    {
        "exp": "all",
        "log": "positive",
        "sqrt": "positive",
        "tanh": "all",
        "sigmoid": "all",
        "softplus": "all",
        "relu": "all",
        "abs": "all",
    }
)
"""Elementwise functions of one operand, and where they are differentiable or have one-sided derivatives."""

SELECTIONS: Final = ("maximum", "minimum")
"""Elementwise functions of two operands."""
REDUCTIONS: Final = ("sum", "mean")

OPERATORS: Final = (*ARITHMETIC, "neg", "@", *FUNCTIONS, *SELECTIONS, *REDUCTIONS, "reshape", "T", "index")


WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{name: f"x {name} y" for name in "+-*/"},
        "neg": "-x",
        "**": "x ** 2, a number as exponent",
        "x**y": "x ** y",
        "2**x": "2 ** x",
        **{name: f"x.{name}()" for name in FUNCTIONS},
        **{name: f"x.{name}(y)" for name in SELECTIONS},
        **{name: f"x.{name}(), of all entries" for name in REDUCTIONS},
        **{f"{name}(axis)": f"x.{name}(axis=0), x.{name}(axis=0, keepdims=True)" for name in REDUCTIONS},
        "@": "x @ y, of two matrices",
        "T": "x.T, of a matrix",
        "reshape": "x.reshape(2, 3)",
        "x[i]": "x[0], x[0, 1]",
        "x[i:j]": "x[0:2], x[0:2, 1]",
        "x[[i,j]]": "x[[0, 0, 1]]: an entry may be asked for twice",
    }
)
"""What may be declared as ``operators``, and what it means."""

OF_NUMBERS: Final = (*"+-*/", "neg", "**", "x**y", "2**x", *FUNCTIONS, *SELECTIONS)
"""Those that a scalar engine may have."""


class Dialect(msgspec.Struct, frozen=True):
    """How somebody's engine is spelled.

    leaf: what makes a tensor. data, gradient: the attributes that hold a tensor's numbers and its gradient.
    backward: the method that starts a reverse pass. functions: by operator of ``gradproof.expressions``, or
    ``backward``, the function that is called in place of the operator or method.
    """

    leaf: str = "Value"
    data: str = "data"
    gradient: str = "grad"
    backward: str = "backward"
    functions: dict[str, str] = {}

    def __post_init__(self) -> None:
        for field in ("leaf", "data", "gradient", "backward"):
            _check_name(f"dialect.{field}", getattr(self, field))
        for operator, name in self.functions.items():
            _check_name(f"dialect.functions[{operator!r}]", name)


def _check_name(argument: str, name: str) -> None:
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in str(name).split(".")):
        raise ArgumentError(argument, "a name as in Python code", name)

"""Formulas in float32: the same lines, with every constant and everything that they call in float32.

A literal of Python is a float64, and what it meets becomes one. So a formula that stands once, for both formats, is
given other constants before it is compiled for float32: each is rounded, ``float64`` means float32, and a helper is
replaced by itself in float32, or by the one that was declared to stand for it there.
"""

from __future__ import annotations

from functools import cache
from types import CellType, FunctionType
from typing import Any, Final

import numpy as np

from fastimpl.compiler import Part

STANDS_IN: Final = "in_single"
"""Attribute of a helper: the helper that stands for it in float32, where its own lines hold in float64 alone."""


def in_single(function: FunctionType) -> FunctionType:
    """The function of the same lines in float32."""
    code = function.__code__
    named = {name: _single(function.__globals__[name]) for name in code.co_names if name in function.__globals__}
    single = FunctionType(
        code.replace(co_consts=tuple(map(_single, code.co_consts))),
        function.__globals__ | named,
        function.__name__,
        function.__defaults__,
        tuple(CellType(_single(cell.cell_contents)) for cell in function.__closure__ or ()) or None,
    )
    single.__module__ = function.__module__
    single.__qualname__ = f"{function.__qualname__}_in_single"  # the cache on disk keeps one source of each name
    return single


def _single(value: Any) -> Any:
    """What takes the place of a constant, of a helper or of a name."""
    if type(value) is float:
        return np.float32(value)
    if type(value) is tuple:
        return tuple(map(_single, value))
    if value is np.float64:
        return np.float32
    return _helper(value) if isinstance(value, Part) else value


@cache
def _helper(helper: Any) -> Any:
    return Part(in_single(getattr(helper, STANDS_IN, helper).py_func), helper.targetoptions)

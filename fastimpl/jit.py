"""How this package compiles: the one place that owns the flags.

A *kernel* works on one row of a network's table (see ``fastimpl.table``). Each is compiled by itself, once for each
dtype, when a network first needs it, and is called through its address; so a new kernel neither recompiles the
others nor lengthens any function. A *walker* is compiled once and runs any table.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Final, TypeVar, cast

import numba
from numba.core import sigutils
from numba.core import types as numba_types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import _FunctionCompiler  # type: ignore[attr-defined]  # Numba has no types
from numba.core.registry import cpu_target

from fastimpl.cache import cache_for
from fastimpl.compiler import NO_WRAPPERS, Compiler, Part
from fastimpl.fingerprint import fingerprint_of
from fastimpl.single import STANDS_IN, in_single
from gradproof.vocabulary import Dtype

Function = TypeVar("Function", bound=Callable[..., Any])

types: Any = numba_types
"""Numba fills this module when it is loaded, so type checkers see only part of it."""

_OPTIONS: Final = {"nogil": True, "error_model": "numpy"}

CONTRACT: Final = frozenset({"contract"})
"""A product and a sum may become one rounding instead of two; nothing else changes."""

REASSOCIATE: Final = frozenset({"contract", "reassoc", "nsz"})
"""Sums may be taken in any order, as vector units want. For plain sums of products only: reordering would undo the
error-free tricks of an argument reduction."""

_POINTERS: Final = {"float64": types.CPointer(types.float64), "float32": types.CPointer(types.float32)}

_CALL: Final = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 7, ctypes.c_int64)


@dataclass(frozen=True)
class Compiled:
    """A kernel's machine code. name: its symbol; entry: where it starts; cached: whether the cache on disk had it."""

    library: Any
    name: str
    entry: int
    cached: bool


class Kernel:
    """A function of one row of a table, compiled for a dtype when its address is first asked for.

    Its arguments are ``op`` (int64, the row), ``hyper`` (float64, the row's real parameters), ``theta`` and
    ``dtheta`` (the flat buffers of parameters and of their gradients), ``work`` (the workspace) and ``batch``
    (samples); it returns what it adds to the loss.

    native: whether the kernel of float32 numbers computes in float32 (see ``fastimpl.single``) rather than in float64.
    """

    def __init__(self, function: Callable[..., float], fastmath: frozenset[str], *, native: bool = False) -> None:
        self.function = function
        self.native = native
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        self._options = _OPTIONS | NO_WRAPPERS | {"nopython": True, "fastmath": set(fastmath)}
        self._compiled: dict[Dtype, Compiled] = {}

    def compiled(self, dtype: Dtype) -> Compiled:
        """What it is for this dtype, loaded from the cache on disk or compiled now."""
        if dtype not in self._compiled:
            self._compiled[dtype] = self._compile(dtype)
        return self._compiled[dtype]

    def entry(self, dtype: Dtype) -> int:
        """Where the compiled kernel starts, for ``fastimpl.memory.call_kernel``."""
        return self.compiled(dtype).entry

    def call(self, dtype: Dtype, *addresses: int | None, batch: int) -> float:
        """Calls the compiled kernel from Python with the addresses of its five arrays."""
        result = ctypes.c_double()
        _CALL(self.entry(dtype))(ctypes.addressof(result), None, *addresses, batch)
        return result.value

    @global_compiler_lock  # type: ignore[untyped-decorator]  # Numba has no types
    def _compile(self, dtype: Dtype) -> Compiled:
        numbers = _POINTERS[dtype]
        signature = types.float64(
            types.CPointer(types.int64), types.CPointer(types.float64), numbers, numbers, numbers, types.int64
        )
        plain = cast(FunctionType, self.function)
        native = self.native and dtype == "float32"
        function, cache = _named_and_cached(in_single(plain) if native else plain, self._options)
        result = cache.load_overload(signature, cpu_target.target_context)
        cached = result is not None
        if not cached:
            compiler: Any = _FunctionCompiler(function, cpu_target, self._options, {}, Compiler)
            result = compiler.compile(signature.args, signature.return_type)
            cache.save_overload(signature, result)
        name = result.fndesc.llvm_func_name
        return Compiled(result.library, name, int(result.library.get_pointer_to_function(name)), cached)

    def __repr__(self) -> str:
        return f"<Kernel {self.name}>"


def kernel(fastmath: frozenset[str] = CONTRACT, *, native: bool = False) -> Callable[[Callable[..., float]], Kernel]:
    """Declares a kernel; nothing is compiled until a network needs it."""
    return lambda function: Kernel(function, fastmath, native=native)


class Walker:
    """A function of addresses and tables, of one signature, compiled when first called."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.__doc__ = function.__doc__
        self.function = function
        self.dispatcher: Any = None
        """Compiled when first called."""
        self._arguments, _ = sigutils.normalize_signature(signature)

    def __call__(self, *given: Any) -> Any:
        """Calls the compiled function, which is loaded from the cache on disk or compiled if this is the first call."""
        return self.compiled()(*given)

    def compiled(self) -> Any:
        """The compiled function, loaded from the cache on disk or compiled now."""
        if self.dispatcher is None:
            function, cache = _named_and_cached(self.function, _OPTIONS)
            dispatcher: Any = numba.njit(**_OPTIONS, no_cfunc_wrapper=True, pipeline_class=Compiler)(function)
            dispatcher._cache = cache
            dispatcher.compile(self._arguments)
            self.dispatcher = dispatcher
        return self.dispatcher


def _named_and_cached(function: Callable[..., Any], options: Mapping[str, Any]) -> tuple[FunctionType, Any]:
    """The function under a name that no other has, and its cache.

    Numba makes the names of symbols from the function's name and a number that counts the functions of its process;
    two from one factory, compiled in two processes and loaded into a third, could else have the same.
    """
    plain = cast(FunctionType, function)
    fingerprint = fingerprint_of(plain, {**options, "compiler": Compiler})
    named = FunctionType(plain.__code__, plain.__globals__, plain.__name__, plain.__defaults__, plain.__closure__)
    named.__kwdefaults__ = plain.__kwdefaults__
    named.__module__ = plain.__module__
    named.__qualname__ = f"{plain.__qualname__}_{fingerprint.values[:16]}"
    return named, cache_for(plain, fingerprint)


def walker(signature: str) -> Callable[[Function], Function]:
    """Declares a function of this signature, compiled when first called and cached on disk."""

    def declare(function: Function) -> Function:
        return cast(Function, Walker(function, signature))

    return declare


def inlined(fastmath: frozenset[str] = CONTRACT, *, single: Any = None) -> Callable[[Function], Function]:
    """Declares a helper that becomes part of each kernel that calls it.

    single: the helper that stands for it in a kernel that computes in float32; without one, its own lines do.
    """

    def declare(function: Function) -> Function:
        helper = Part(function, {**_OPTIONS, "fastmath": set(fastmath)})
        if single is not None:
            setattr(helper, STANDS_IN, single)
        return cast(Function, helper)

    return declare


def spliced(function: Function) -> Function:
    """Declares a helper whose statements become the kernel's own, with its flags, before anything is compiled.

    What ``inlined`` declares is typed and written down by itself first, with flags of its own.
    """
    return cast(Function, numba.njit(**_OPTIONS, inline="always")(function))


def intrinsic(function: Callable[..., Any]) -> Any:
    """Declares an operation written in LLVM's terms."""
    return numba.extending.intrinsic(function)

"""What Numba is asked to do for the functions of this package, and no more: half of what it would do is for others.

Kernels and walkers are made of numbers, pointers and loops, so the passes for closures, generators, arrays as a whole,
parallel loops and objects of Python are left out. A *part* is what is inlined: it is typed, and written down in LLVM's
terms once; that text is linked into each function that calls it and optimised there, and never becomes machine code by
itself.
"""

from __future__ import annotations

from typing import Any, Final

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import (
    DeadBranchPrune,
    FixupArgs,
    GenericRewrites,
    InlineInlinables,
    IRProcessing,
    ReconstructSSA,
    RewriteSemanticConstants,
    TranslateByteCode,
)

NO_WRAPPERS: Final = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of what neither Python nor C calls."""

_PASSES: Final = (
    TranslateByteCode,
    FixupArgs,
    IRProcessing,
    RewriteSemanticConstants,
    DeadBranchPrune,
    GenericRewrites,
    InlineInlinables,
    DeadBranchPrune,
    ReconstructSSA,
    NopythonTypeInference,
    PreLowerStripPhis,
    IRLegalization,
    AnnotateTypes,
    NativeLowering,
    NoPythonBackend,
)


class Compiler(CompilerBase):  # type: ignore[misc]  # Numba has no types
    """Compiles kernels and walkers."""

    def define_pipelines(self) -> list[Any]:
        """The passes, in their order."""
        passes = self.passes()
        passes.finalize()
        return [passes]

    def passes(self) -> Any:
        """The passes, to which more may be added."""
        manager = PassManager("nopython")
        for taken in _PASSES:
            manager.add_pass(taken, taken.__name__)
        return manager


class _PartCompiler(Compiler):
    def passes(self) -> Any:
        state = self.state
        state.flags.no_compile = True
        state.library = _Text(state.targetctx.codegen(), state.func_id.func_qualname)
        manager = super().passes()
        manager.add_pass_after(_Known, NativeLowering)
        return manager


class _Text(JITCodeLibrary):  # type: ignore[misc]  # Numba has no types
    """The text of a part, and of the parts that it calls, as they were written down."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Takes in what it calls; who links it makes the code."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class _Known(LoweringPass):  # type: ignore[misc]  # Numba has no types
    """Lets others link a part by a key, where Numba has the address of a wrapper."""

    _name = "gradproof_part_known"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        key = object()
        state.targetctx.insert_user_function(key, state.cr.fndesc, [state.library])
        state["cr"] = state.cr._replace(cfunc=key)
        return True


class Part(CPUDispatcher):  # type: ignore[misc]  # Numba has no types
    """A function that becomes part of each that calls it. Python cannot call it."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        options = options | NO_WRAPPERS | {"nopython": True, "forceinline": True}
        super().__init__(function, targetoptions=options, pipeline_class=_PartCompiler)

    def add_overload(self, cres: Any) -> None:
        """Keeps what was compiled for callers that are compiled themselves."""
        self.overloads[tuple(cres.signature.args)] = cres

    def __call__(self, *given: Any) -> Any:
        """Raises TypeError."""
        raise TypeError(f"{self.py_func.__qualname__} is part of compiled functions alone")

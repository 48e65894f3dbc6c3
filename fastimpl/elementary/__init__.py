"""Elementary functions that the compiler can vectorise: no branch, no table, no call; one module a family.

Numba calls the C library's functions one number at a time. These are inlined into the loops of the kernels, where LLVM
computes as many of them at once as a vector holds. All take and give float64, also for kernels of float32 numbers,
whose result is then rounded once. Each states its largest error, in units in the last place of the result, as
``python -m benchmarks accuracy`` measures it; ``benchmarks.accuracy.arrays`` applies them to arrays.

Polynomials are derived by ``benchmarks.polynomials``, not copied; a test derives them again.
"""

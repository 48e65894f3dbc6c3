"""Elementary functions that the compiler can vectorise: no branch, no table, no call; one module a family.

Numba calls the C library's functions one number at a time. These are inlined into the loops of the kernels, where LLVM
computes as many of them at once as a vector holds. Each states its largest error, in units in the last place of the
result, as ``python -m benchmarks accuracy`` measures it; ``benchmarks.accuracy.arrays`` applies them to arrays.

They are written in float64. Of float32 numbers a kernel computes them in float64 too and rounds once, or, where it is
declared to, in float32 (see ``fastimpl.single``): twice as many at once and shorter polynomials, within the same number
of units of what is then the last place.

Polynomials are derived by ``benchmarks.polynomials``, not copied; a test derives them again.
"""

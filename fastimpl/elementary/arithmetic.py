"""What the elementary functions are made of: polynomials, and quotients and products that keep what rounding loses."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from fastimpl.jit import inlined, intrinsic, types

_INT32 = ir.IntType(32)
_MANTISSA = 23
"""Bits of a float32's mantissa."""
_ONE_BITS = 0x3F800000
"""Of 1 in float32."""


@intrinsic
def polynomial(typing: Any, x: Any, coefficients: Any) -> Any:
    """c₀ + c₁ x + c₂ x² + … for a tuple of constants of x's type, in pairs of terms, then in pairs of pairs, and so on.

    (G. Estrin, *Organization of computer systems*, 1960.) By Horner's rule every operation would wait for the one
    before it; here the longest chain grows with the logarithm of the degree, and short loops are as long as that.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        power, packed = arguments
        contract = ("contract",)
        terms = [builder.extract_value(packed, i) for i in range(len(coefficients))]
        while len(terms) > 1:
            pairs = [
                builder.fadd(low, builder.fmul(power, high, flags=contract), flags=contract)
                for low, high in zip(terms[::2], terms[1::2], strict=False)
            ]
            terms = pairs + terms[2 * len(pairs) :]
            if len(terms) > 1:
                power = builder.fmul(power, power, flags=contract)
        return terms[0]

    return x(x, coefficients), generate


@intrinsic
def in_float64(typing: Any, number: Any) -> Any:
    """The number as a float64, in a kernel that computes in float32 too: for sums of many."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[0], number, types.float64)

    return types.float64(number), generate


@intrinsic
def fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """A · b + c, rounded once: one instruction where the processor has it, else a slow call."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, a, a), generate


@intrinsic
def power_of_two(typing: Any, n: Any, shift: Any) -> Any:
    """2^n for a float32 n, an integer from −126 to 127, and ``shift`` = 1.5 · 2^23 + 127.

    Adding leaves the exponent's bits lowest, from where they are moved to their place.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(builder.fadd(*arguments), _INT32)
        return builder.bitcast(builder.shl(bits, _INT32(_MANTISSA)), ir.FloatType())

    return n(types.float32, types.float32), generate


@intrinsic
def split_at_root_half(typing: Any, x: Any, bits_of_root_half: Any) -> Any:
    """(m, k, 2^−k) of a normal float32 x > 0 with x = 2^k m and m between √½ and √2, k as a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        single = ir.FloatType()
        bits = builder.bitcast(arguments[0], _INT32)
        above = builder.sub(bits, builder.trunc(arguments[1], _INT32))
        k = builder.ashr(above, _INT32(_MANTISSA))
        moved = builder.shl(k, _INT32(_MANTISSA))
        one = _INT32(_ONE_BITS)
        parts = (
            builder.bitcast(builder.sub(bits, moved), single),
            builder.sitofp(k, single),
            builder.bitcast(builder.sub(one, moved), single),
        )
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(x, 3)(types.float32, types.int64), generate


# What follows is compiled without ``contract``: a sum that the compiler fuses with a product is another sum than the
# one whose rounding is made up for.


@inlined(frozenset())
def square(x: float) -> tuple[float, float]:
    """(h, l) with h + l = x² exactly, h the rounded square."""
    h = x * x
    return h, fused(x, x, -h)


@inlined(frozenset())
def reciprocal_of_sum(x: float, y: float) -> tuple[float, float]:
    """(w, l) with w + l = 1 / (x + y) to twice the precision, for x, y ≥ 0, w the rounded reciprocal."""
    total = x + y
    lost = y - (total - x) if x > y else x - (total - y)
    w = 1.0 / total
    return w, w * fused(-w, lost, fused(-w, total, 1.0))


@inlined(frozenset())
def over_one_and(numerator: float, e: float) -> tuple[float, float]:
    """(numerator / (1 + e), 1 / (1 + e)) for 0 ≤ e ≤ 1; the first rounded once, as if 1 + e were not rounded."""
    total = 1.0 + e
    lost = e - (total - 1.0)
    r = 1.0 / total
    quotient = numerator * r
    return fused(r, fused(-quotient, lost, fused(-quotient, total, numerator)), quotient), r

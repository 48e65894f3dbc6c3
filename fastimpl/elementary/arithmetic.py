"""What the elementary functions are made of: polynomials, and quotients and products that keep what rounding loses."""

from __future__ import annotations

from typing import Any

from fastimpl.jit import inlined, intrinsic, types


@intrinsic
def polynomial(typing: Any, x: Any, coefficients: Any) -> Any:
    """c₀ + c₁ x + c₂ x² + … for a tuple of float64 constants, in pairs of terms, then in pairs of pairs, and so on.

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

    return types.float64(types.float64, coefficients), generate


@intrinsic
def fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """A · b + c, rounded once: one instruction where the processor has it, else a slow call."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


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

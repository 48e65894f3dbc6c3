"""Floating-point formats that implementations compute in, by what a rounding error analysis needs of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Final, Literal

from gradproof.errors import ArgumentError

Precision = Literal["float64", "float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class Format:
    """A binary format with round to nearest.

    bits: of the significand, the leading one included. least, greatest: exponents of the smallest normal number and of
    the binade of the largest finite one. accumulator: the format that sums are held in, where it is a wider one.
    """

    bits: int
    least: int
    greatest: int
    accumulator: Format | None = None

    @classmethod
    def of(cls, precision: Precision, accumulator: Precision | None = None) -> Format:
        """The format of this name, with sums held in another. Raises ArgumentError for an unknown or narrower one."""
        for argument, name in (("dtype", precision), ("accumulator", accumulator)):
            if name is not None and name not in FORMATS:
                raise ArgumentError(argument, " or ".join(FORMATS), name)
        if accumulator is None or accumulator == precision:
            return FORMATS[precision]
        if FORMATS[accumulator].bits <= FORMATS[precision].bits:
            raise ArgumentError("accumulator", f"a format with more digits than {precision}", accumulator)
        return replace(FORMATS[precision], accumulator=FORMATS[accumulator])

    @property
    def unit(self) -> float:
        """The unit roundoff u: a rounding is off by at most u relatively."""
        return 2.0**-self.bits

    @property
    def tiny(self) -> float:
        """The smallest normal number, below which a result may be flushed to 0."""
        return 2.0**self.least

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2.0 - 2.0 ** (1 - self.bits)) * 2.0**self.greatest

    def gamma(self, n: int) -> float:
        """γ_n = n·u/(1 − n·u): what a sum of n products may be off by, relative to the sum of their magnitudes.

        With a wider accumulator its γ_n, and one rounding to this format. inf where n·u ≥ 1: that says nothing.
        """
        if self.accumulator is not None:
            return self.accumulator.gamma(n) * (1 + self.unit) + self.unit
        return self.roundings(n)

    def roundings(self, n: int) -> float:
        """What n roundings to this format cost relatively, whatever sums are held in: n·u/(1 − n·u)."""
        return n * self.unit / (1 - n * self.unit) if n * self.unit < 1 else float("inf")

    def rounding(self, number: Fraction) -> float:
        """What a constant is off by relatively once it is a number of this format; all of it below the normal ones."""
        if self.holds(number):
            return 0.0
        return self.unit if abs(number) >= self.tiny else 1.0

    def holds(self, number: Fraction) -> bool:
        """Whether this is a number of the format, so that multiplying by it rounds nothing but the product."""
        if number == 0:
            return True
        numerator, denominator = abs(number.numerator), number.denominator
        if denominator & (denominator - 1):
            return False
        odd = numerator // (numerator & -numerator)
        return odd.bit_length() <= self.bits and self.tiny <= abs(number) <= self.largest


FORMATS: Final = MappingProxyType(
    {
        "float64": Format(bits=53, least=-1022, greatest=1023),
        "float32": Format(bits=24, least=-126, greatest=127),
        "float16": Format(bits=11, least=-14, greatest=15),
        "bfloat16": Format(bits=8, least=-126, greatest=127),
    }
)

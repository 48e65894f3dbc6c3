"""How accurate the elementary functions and activations of ``fastimpl`` are, in units in the last place.

float32 at each of its 2^32 numbers, against piecewise polynomials whose error ball arithmetic bounds
(``certified``, ``exhaustive``); float64 at numbers drawn from every binade, against balls (``sampled``).

An error is |got − exact| over the spacing of the dtype's numbers at the exact value, down to that of the subnormal
ones. Infinity stands for the first power of two that the dtype has not. Sign of zero and NaN are right or wrong.
"""

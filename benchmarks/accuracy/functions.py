"""The functions that are measured, as definitions over truncated power series of balls: nothing of ``fastimpl``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from flint import arb, fmpq

Floats = npt.NDArray[np.float64]

BITS: Final = 900
"""Working precision: 1 + e^−256 and the like keep 500 bits of what is added to 1."""
FAR: Final = 256.0
"""From here on, either way, ``Function.above`` and ``below`` are the function but for less than e^−250."""
ELU_ALPHA: Final = 0.7


@dataclass(frozen=True)
class Function:
    """What a function is, where, and how accurate it has to be.

    definition: on a series of balls, for arguments in (start, end) of the domain. above, below: its values from FAR on,
    of float64 arguments, or None where the definition serves there too. bound: units in the last place, in float64,
    and in float32 if it is computed in that; else float32 has ``SINGLE``. ends: values, their sign included, at
    arguments at which they are told. native: whether float32 is computed in float32.
    """

    definition: Callable[[Any], Any]
    above: Callable[[Floats], Floats] | None
    below: Callable[[Floats], Floats] | None
    bound: float
    ends: Mapping[float, float]
    domain: float = -np.inf
    parameter: float = 0.0
    native: bool = False

    def within(self, dtype: str) -> float:
        """The bound in this dtype."""
        return self.bound if self.native or dtype == "float64" else SINGLE


SINGLE: Final = 0.5001
"""The bound for a float32 that is computed as float64 and rounded once."""


def _tanh(x: Any) -> Any:
    if x[0] > 0:
        power = (-2 * x).exp()
        return (1 - power) / (1 + power)
    power = (2 * x).exp()
    return (power - 1) / (power + 1)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + (-x).exp())


def _expm1(x: Any) -> Any:
    return x.exp() - 1


def _softplus(x: Any) -> Any:
    return (1 + x.exp()).log()


def _gelu(x: Any) -> Any:
    return x * (-x / arb(2).sqrt()).erfc() / 2


def _gelu_tanh(x: Any) -> Any:
    cubic = x + x * x * x * arb(fmpq(44715, 1000000))
    return x * _sigmoid(cubic * (2 * (2 / arb.pi()).sqrt()))


def _elu(x: Any) -> Any:
    if x[0] >= 0:
        return x
    alpha = Fraction(ELU_ALPHA)
    return _expm1(x) * arb(fmpq(alpha.numerator, alpha.denominator))


def _value(value: float) -> Callable[[Floats], Floats]:
    return lambda x: np.full_like(x, value)


def _itself(x: Floats) -> Floats:
    return x


_INF: Final = np.inf
_UNIT: Final = {_INF: 1.0, -_INF: -1.0}
_GATED: Final = {_INF: _INF, -_INF: -0.0}

FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "exp": Function(
            lambda x: x.exp(), _value(_INF), _value(0.0), 1.0, {_INF: _INF, -_INF: 0.0, 0.0: 1.0}, native=True
        ),
        "expm1": Function(_expm1, _value(_INF), _value(-1.0), 2.0, {_INF: _INF, -_INF: -1.0}),
        "log": Function(lambda x: x.log(), None, None, 1.0, {_INF: _INF, 0.0: -_INF, 1.0: 0.0}, domain=0.0),
        "log1p": Function(lambda x: (1 + x).log(), None, None, 1.5, {_INF: _INF, -1.0: -_INF}, domain=-1.0),
        "erf": Function(lambda x: x.erf(), _value(1.0), _value(-1.0), 1.0, _UNIT),
        "erfc": Function(lambda x: x.erfc(), _value(0.0), _value(2.0), 2.5, {_INF: 0.0, -_INF: 2.0, 0.0: 1.0}),
        "sigmoid": Function(_sigmoid, _value(1.0), _value(0.0), 2.0, {_INF: 1.0, -_INF: 0.0, 0.0: 0.5}, native=True),
        "tanh": Function(_tanh, _value(1.0), _value(-1.0), 2.0, _UNIT, native=True),
        "softplus": Function(
            _softplus, _itself, _value(0.0), 4.0, {_INF: _INF, -_INF: 0.0, 0.0: math.log(2.0)}, native=True
        ),
        "elu": Function(
            _elu, _itself, _value(-ELU_ALPHA), 4.0, {_INF: _INF, -_INF: -ELU_ALPHA}, parameter=ELU_ALPHA, native=True
        ),
        "gelu": Function(_gelu, _itself, _value(0.0), 4.0, _GATED),
        "gelu_tanh": Function(_gelu_tanh, _itself, _value(0.0), 4.0, _GATED),
        "silu": Function(lambda x: x * _sigmoid(x), _itself, _value(0.0), 4.0, _GATED, native=True),
    }
)
"""Name in ``benchmarks.accuracy.arrays`` → definition. All but the tail ends are within these bounds or less."""

"""Initialisations as values: from which distribution a network's parameters are drawn before it is trained.

Facts only: names, and what numbers each needs. What is drawn is written in ``fastimpl.initialisation``.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Final

import msgspec

from gradproof.checks import meant, real
from gradproof.errors import ArgumentError

INITIALISATIONS: Final = MappingProxyType(
    {
        "zeros": (),
        "constant": ("value",),
        "normal": ("std",),
        "uniform": ("low", "high"),
        "xavier_normal": ("gain",),
        "xavier_uniform": ("gain",),
        "he_normal": ("gain",),
        "he_uniform": ("gain",),
    }
)
"""Name → the numbers it has. Those with a gain scale with the layer's fans, and are for weights alone."""

_NUMBERS: Final = ("value", "std", "low", "high", "gain")
_AT_LEAST_0: Final = ("std", "gain")


class Initialisation(msgspec.Struct, frozen=True):
    """The distribution of the weights, and with ``biases`` that of the biases (None: zeros).

    ``zeros`` and ``constant`` (all ``value``) draw nothing; ``normal`` has mean 0 and standard deviation ``std``;
    ``uniform`` is even from ``low`` to ``high``. The others have mean 0 and a spread that follows from the layer's
    fan_in and fan_out, times ``gain`` (1 unless given):

    - ``xavier_normal``, ``xavier_uniform``: variance 2/(fan_in + fan_out) (Glorot and Bengio, *Understanding the
      difficulty of training deep feedforward neural networks*, 2010, equations 12 and 16); made for tanh, usual for
      sigmoid, softmax and outputs.
    - ``he_normal``, ``he_uniform``: variance 2/fan_in (He, Zhang, Ren and Sun, *Delving deep into rectifiers*, 2015,
      equation 10); made for ReLU. For a leaky ReLU of slope a their gain is 1/√(1 + a²) (equation 15).

    Raises ArgumentError for an unknown name, and for a number that is missing, does not belong or is out of range.
    """

    name: str
    value: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    gain: float | None = None
    biases: Initialisation | None = None

    def __post_init__(self) -> None:
        if self.name not in INITIALISATIONS:
            close = meant(str(self.name), INITIALISATIONS)
            raise ArgumentError("initialisation.name", f"among {', '.join(INITIALISATIONS)}{close}", self.name)
        has = INITIALISATIONS[self.name]
        if "gain" in has and self.gain is None:
            msgspec.structs.force_setattr(self, "gain", 1.0)
        for field in _NUMBERS:
            given = getattr(self, field)
            if (field in has) is (given is None):
                expected = f"{'a number' if field in has else 'None'} for {self.name}"
                raise ArgumentError(f"initialisation.{field}", expected, given)
            if given is not None:
                number = real(f"initialisation.{field}", given)
                if not math.isfinite(number) or (field in _AT_LEAST_0 and number < 0):
                    least = " of at least 0" if field in _AT_LEAST_0 else ""
                    raise ArgumentError(f"initialisation.{field}", f"a finite number{least}", number)
                msgspec.structs.force_setattr(self, field, number)
        if self.low is not None and self.high is not None and not 0 <= self.high - self.low < math.inf:
            raise ArgumentError("initialisation.high", f"a number from low = {self.low!r} on, finitely far", self.high)
        self._refuse_impossible_biases()

    def _refuse_impossible_biases(self) -> None:
        if self.biases is None:
            return
        if not isinstance(self.biases, Initialisation):
            raise ArgumentError("initialisation.biases", "an Initialisation, or None for zeros", self.biases)
        if self.biases.gain is not None:
            without = [name for name, has in INITIALISATIONS.items() if "gain" not in has]
            expected = f"among {', '.join(without)}, since a bias has no fans"
            raise ArgumentError("initialisation.biases", expected, self.biases.name)
        if self.biases.biases is not None:
            raise ArgumentError("initialisation.biases", "no biases of its own", str(self.biases))

    @classmethod
    def of(cls, words: Initialisation | str) -> Initialisation:
        """The initialisation itself, or that of a name that needs no numbers: ``"he_normal"``."""
        if isinstance(words, cls):
            return words
        if not isinstance(words, str):
            raise ArgumentError("initialisation", "an Initialisation, or the name of one", words)
        needs = [number for number in INITIALISATIONS.get(words, ()) if number != "gain"]
        if needs:
            given = ", ".join(f"{number}=..." for number in needs)
            raise ArgumentError("initialisation", f'gradproof.Initialisation("{words}", {given})', words)
        return cls(words)

    def __str__(self) -> str:
        numbers = [
            f"{n} {getattr(self, n)!r}" for n in INITIALISATIONS[self.name] if (n, getattr(self, n)) != ("gain", 1)
        ]
        own = self.name + (f" ({', '.join(numbers)})" if numbers else "")
        return own if self.biases is None else f"{own}, biases {self.biases}"

"""What is kept of a measurement."""

from __future__ import annotations

import msgspec

from gradproof.record import Machine


class Accuracy(msgspec.Struct, frozen=True):
    """A function in one dtype.

    inputs: compared, ends included. bound: in units in the last place. worst: the largest error, as the oracle has it,
    at ``worst_input`` (hexadecimal), where ``worst_got`` came out. rounded: inputs whose error is at most half a unit.
    doubtful: inputs that only the oracle could judge. beyond: inputs beyond the bound; wrong_ends: arguments whose
    value, with its sign, is another than told.
    """

    function: str
    dtype: str
    inputs: int
    bound: float
    worst: float
    worst_input: str
    worst_got: str
    rounded: int
    doubtful: int
    beyond: int
    wrong_ends: tuple[str, ...]
    seconds: float

    @property
    def met(self) -> bool:
        """Whether nothing is beyond the bound."""
        return self.beyond == 0 and not self.wrong_ends

    def line(self) -> str:
        """For people."""
        said = "within" if self.met else "BEYOND"
        ends = f", wrong at {', '.join(self.wrong_ends)}" if self.wrong_ends else ""
        return (
            f"{self.function} {self.dtype}: {said} {self.bound:g} ulp, at most {self.worst:.6f} at {self.worst_input}, "
            f"{self.inputs:,} inputs, {self.beyond:,} beyond{ends}; {self.seconds:.0f} s"
        )


class AccuracyRecord(msgspec.Struct, frozen=True, tag_field="schema", tag="gradproof.accuracy/1"):
    """A function in both dtypes: every float32, and numbers of every binade of float64."""

    measured: tuple[Accuracy, ...]
    command: str
    ended: str
    machine: Machine
    gradproof: str

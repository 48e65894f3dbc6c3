"""What the judge and a target's process say to each other.

A message is a MessagePack map behind its length. Nothing is pickled: what comes from a target's process is decoded by
type, with bounds on every length, and holds numbers and text alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from gradproof.arrays import Array
from gradproof.cases import AnyCaseData

HEADER = 8
"""Bytes of a message's length, the most significant first."""
MESSAGE_BYTES = 1 << 26
"""The longest message that is read, 64 MiB: a hundred times the answer to the largest case that is ever drawn."""

Word = Annotated[str, Meta(max_length=500)]
Text = Annotated[str, Meta(max_length=20_000)]


class Broken(ValueError):  # noqa: N818
    """What came is no message."""


class Numbers(msgspec.Struct, frozen=True):
    """An array: its numbers in C order, in this machine's byte order."""

    dtype: Annotated[str, Meta(max_length=20)]
    shape: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=32)]
    data: bytes

    @classmethod
    def of(cls, array: Array) -> Numbers:
        """An array of numbers."""
        return cls(array.dtype.name, array.shape, array.tobytes())

    def array(self) -> Array:
        """The array. Raises Broken where the words and the bytes do not fit together."""
        try:
            dtype = np.dtype(self.dtype)
        except TypeError:
            dtype = _extended(self.dtype)
        if dtype.hasobject or dtype.itemsize == 0 or math.prod(self.shape) * dtype.itemsize != len(self.data):
            raise Broken(f"{len(self.data)} bytes for {self.dtype} of shape {self.shape}")
        return np.frombuffer(self.data, dtype).reshape(self.shape).copy()


def _extended(name: str) -> np.dtype[Any]:
    """The number formats that NumPy itself lacks, such as bfloat16."""
    try:
        import ml_dtypes

        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    except (ImportError, AttributeError, TypeError):
        raise Broken(f"an array of {name!r}") from None
    return found


class Problem(msgspec.Struct, frozen=True):
    """A finding of the process that calls the target: no verdict on numbers can come from there."""

    verdict: Literal["crashed", "broke protocol"]
    quantity: Word
    message: Text
    layer: Word | None


class Start(msgspec.Struct, frozen=True, tag=True):
    """To the keeper: a new process for the target. Three descriptors come with it."""

    needs: str
    """A module to be imported first, once for all processes to come; '' for none."""


class Kill(msgspec.Struct, frozen=True, tag=True):
    """To the keeper: the end of the target's process."""


class Started(msgspec.Struct, frozen=True, tag=True):
    """The keeper has started it."""

    process: int


class Ended(msgspec.Struct, frozen=True, tag=True):
    """It is over, and so is all that it left running."""

    code: int
    """Its exit code; minus the number of the signal that it died of."""


class Load(msgspec.Struct, frozen=True, tag=True):
    """To the target's process, first of all."""

    target: str
    garbage: int
    """Objects to allocate first, so that what comes later lies at other addresses."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    """One case to call the target on."""

    number: int
    case: AnyCaseData
    random_seed: int | None
    """For the global generators of ``random`` and ``numpy.random``, before the call; None to leave them as they are."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The target is loaded."""

    declaration: Annotated[bytes, Meta(max_length=1_000_000)]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The target cannot be had."""

    message: Text


class Answered(msgspec.Struct, frozen=True, tag=True):
    """What the target gave."""

    number: int
    quantities: Annotated[dict[Word, Numbers], Meta(max_length=10_000)]
    printed: Text


class Unanswered(msgspec.Struct, frozen=True, tag=True):
    """Why it gave nothing that can be judged."""

    number: int
    problems: Annotated[tuple[Problem, ...], Meta(min_length=1, max_length=10_000)]
    cause: Annotated[tuple[Word, ...], Meta(max_length=1000)]
    printed: Text


Request = Load | Ask
Reply = Ready | Refused | Answered | Unanswered
R = TypeVar("R")


def encode(message: Request | Reply | Start | Kill | Started | Ended) -> bytes:
    """A message as it goes over the wire."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(HEADER, "big") + data


def decode(data: bytes | bytearray, kinds: type[R]) -> R:
    """The message in these bytes, its length taken off. Raises Broken where it is none of these kinds."""
    try:
        return msgspec.msgpack.decode(data, type=kinds)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise Broken(str(error)) from error


def length(header: bytes | bytearray) -> int:
    """The length that a message's first bytes say. Raises Broken where no message is as long."""
    size = int.from_bytes(header[:HEADER], "big")
    if not 0 < size <= MESSAGE_BYTES:
        raise Broken(f"a message of {size} bytes")
    return size


def arrays(quantities: Mapping[str, Numbers]) -> dict[str, Array]:
    """The arrays of an answer. Raises Broken for one that is none."""
    return {name: numbers.array() for name, numbers in quantities.items()}

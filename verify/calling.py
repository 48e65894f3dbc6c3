"""Calling somebody's implementation on a case, and reading what comes back as an answer or as the lack of one."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from gradproof.arrays import Array
from gradproof.errors import ArgumentError
from gradproof.gradients import TARGET
from gradproof.verdict import Finding, Verdict, overall
from verify.loading import Implementation
from verify.reading import Fault, listed

Cause = tuple[str, ...]
"""What is alike between cases that fail alike: where it goes wrong first, and what goes wrong there."""

CHANGES: Cause = ("changes the case",)

PRINTED_BYTES = 2000
"""How much of what a target prints is kept, for each call."""


@dataclass(frozen=True)
class Answer:
    """An answer that follows the protocol: every array has the shape asked for and holds floating-point numbers."""

    quantities: Mapping[str, Array]
    printed: str


@dataclass(frozen=True)
class NoAnswer:
    """Why there is no answer to judge: the target crashed, or what came back breaks the protocol."""

    findings: tuple[Finding, ...]
    cause: Cause
    printed: str

    @property
    def verdict(self) -> Verdict:
        """The first of the findings' verdicts."""
        return overall(finding.verdict for finding in self.findings)


C = TypeVar("C")


class Asking(Protocol[C]):
    """What a call needs to know of a kind of cases; ``verify.subjects.base.Subject`` says what each method does."""

    def copied(self, case: C) -> C: ...  # noqa: D102
    def lent(self, handed: C) -> Mapping[str, Array]: ...  # noqa: D102
    def run(self, function: Callable[..., Any], handed: C) -> Any: ...  # noqa: D102
    def read(self, answer: Any, case: C) -> Mapping[str, Array] | list[Fault]: ...  # noqa: D102
    def place(self, case: C, quantity: str) -> str | None: ...  # noqa: D102
    def misfit(self, case: C, quantities: Mapping[str, Array]) -> str: ...  # noqa: D102


def call(asking: Asking[C], implementation: Implementation, case: C) -> Answer | NoAnswer:
    """Asks an implementation for its answer to a case.

    The case that it gets is a copy with read-only arrays; a target that changes them all the same is found out. What
    it prints is kept away from our output, and NumPy's warnings are off. Every exception that it raises is a finding,
    SystemExit included; KeyboardInterrupt alone passes. An implementation that runs elsewhere is called there.
    """
    if implementation.elsewhere is not None:
        given: Answer | NoAnswer = implementation.elsewhere.call(asking, case)
        return given
    handed = asking.copied(case)
    lent = asking.lent(handed)  # held here: whatever becomes of the case itself, these are what it was given
    with implementation.surroundings.entered(), _apart() as output:
        try:
            read = asking.read(asking.run(implementation.function, handed), case)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return _crash(asking, implementation, case, lent, error, output)
        changed = _changed(asking, case, lent)
    if changed:
        message = f"the target changes {listed(changed)} of the case that it is given; it must copy first"
        return NoAnswer((Finding(Verdict.BROKE_PROTOCOL, TARGET, message),), CHANGES, output.text())
    if isinstance(read, Mapping):
        return Answer(read, output.text())
    findings = tuple(
        Finding(Verdict.BROKE_PROTOCOL, fault.quantity, fault.message, asking.place(case, fault.quantity))
        for fault in read
    )
    kinds = sorted({f"{fault.kind} {fault.quantity.rpartition('.')[2]}" for fault in read})
    return NoAnswer(findings, ("answer", *kinds), output.text())


def _crash(
    asking: Asking[C],
    implementation: Implementation,
    case: C,
    lent: Mapping[str, Array],
    error: BaseException,
    output: _Output,
) -> NoAnswer:
    place = implementation.place_of(error)
    where = f" ({place})" if place else ""
    said = _said(error)
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    printed = output.text()
    changed = _changed(asking, case, lent)
    if isinstance(error, ValueError) and "read-only" in said:
        changed = changed or _changed_when_writable(asking, implementation, case)
    if changed:
        message = (
            f"the target changes {listed(changed)} of the case in place, and fails{where}; "
            "a case's arrays are read-only, so it must copy first"
        )
        return NoAnswer((Finding(Verdict.BROKE_PROTOCOL, TARGET, message),), CHANGES, printed)
    if isinstance(error, ArgumentError):  # of gradproof's own, where an adapter reads what somebody's code gave
        about = error.argument.partition("[")[0]
        return NoAnswer((Finding(Verdict.BROKE_PROTOCOL, TARGET, said),), ("answer", about), printed)
    return NoAnswer((Finding(Verdict.CRASHED, TARGET, f"{text}{where}"),), (type(error).__name__, where), printed)


def _said(error: BaseException) -> str:
    """What an exception says, on one line; nothing where its own text fails."""
    try:
        return " ".join(str(error).split())
    except Exception:
        return ""


def _changed_when_writable(asking: Asking[C], implementation: Implementation, case: C) -> list[str]:
    """What a target changes once it may: tells its writing to the case from its writing to another read-only array."""
    handed = asking.copied(case)
    lent = asking.lent(handed)
    for array in lent.values():
        array.setflags(write=True)
    with contextlib.suppress(Exception, SystemExit):
        asking.run(implementation.function, handed)
    return _changed(asking, case, lent)


def _changed(asking: Asking[C], case: C, lent: Mapping[str, Array]) -> list[str]:
    pairs = zip(asking.lent(case).items(), lent.values(), strict=True)
    return [name for (name, ours), theirs in pairs if ours.tobytes() != theirs.tobytes()]


class _Kept(io.RawIOBase):
    """Keeps the first bytes of what is written and lets the rest go."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = len(memoryview(data).cast("B"))
        if len(self.data) < PRINTED_BYTES:
            self.data += bytes(data)[: PRINTED_BYTES - len(self.data)]
        return size


class _Output(io.TextIOWrapper):
    """Stands in for sys.stdout and sys.stderr."""

    def __init__(self) -> None:
        self.kept = _Kept()
        super().__init__(cast(Any, self.kept), encoding="utf-8", errors="replace", write_through=True)

    def text(self) -> str:
        return self.kept.data.decode("utf-8", errors="replace")


@contextlib.contextmanager
def _apart() -> Iterator[_Output]:
    """Keeps a target's output and warnings from ours."""
    output = _Output()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield output

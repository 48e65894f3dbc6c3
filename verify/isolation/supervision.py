"""Surviving a target that takes its process down.

Work that calls a target in the judge's own process, which is the fastest, is done in a fork of this process. Where that
ends without its result, or the target does not come back from a call, the work is done again from the same seed with
the target in a process of its own: then whatever it does is a finding. Where there is no ``os.fork``, and where threads
run that a fork would lose, the work is done here.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from gradproof.errors import GradproofError
from gradproof.verdict import CaseVerdict
from verify.progress import Progress

if TYPE_CHECKING:
    from gradproof.cases import AnyCaseData
    from gradproof.record import CheckRecord
    from verify.calling import Answer, Asking, NoAnswer
    from verify.loading import Implementation

HEADER = 8
RESULT_BYTES = 1 << 30
"""The longest result that is read."""
CALL_SECONDS: Final = 30.0
"""How long a call may take before the target is taken to be lost; as long as its first call apart may take."""
TICK_SECONDS = 0.2
C = TypeVar("C")


class Called(msgspec.Struct, frozen=True, tag=True):
    """The target is being called, or has come back."""

    now: bool


class Result(msgspec.Struct, frozen=True, tag=True):
    """What the work gave."""

    data: bytes


class Raised(msgspec.Struct, frozen=True, tag=True):
    """What it raised: an error on purpose, a defect's traceback, or an interrupt."""

    kind: Literal["error", "tampered", "defect", "interrupt"]
    text: Annotated[str, Meta(max_length=100_000)]


Tell = Callable[[Progress | Called | Result | Raised], None]
Work = Callable[[bool, Tell], bytes]
"""What is done: with the target apart or not, telling how far it is; gives its result."""


class _Lost(Exception):  # noqa: N818
    """The process that did the work is gone, or does not come back from the target, or cannot be trusted: why."""


@dataclass(frozen=True)
class Watched:
    """An implementation that is called in this process, with whoever watches told of it."""

    implementation: Implementation
    tell: Tell
    exhausted = ""

    def call(self, asking: Asking[C], case: C) -> Answer | NoAnswer:
        """As ``verify.calling.call``, which calls this."""
        from verify.calling import call

        self.tell(Called(True))
        try:
            return call(asking, self.implementation, case)
        finally:
            self.tell(Called(False))


def watched(implementation: Implementation, tell: Tell) -> Implementation:
    """An implementation whose every call is told of."""
    return replace(implementation, elsewhere=Watched(implementation, tell))


def check(
    target: str,
    *,
    profile: str = "default",
    seed: int = 0,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
    isolate: bool = False,
    **limits: Any,
) -> CheckRecord:
    """``gradproof.check`` of a target in this process or, with ``isolate`` and limits, in one of its own.

    Where it is lost in this one, it is checked again in one of its own, and ``say`` is told so in words. Raises what
    ``gradproof.check`` raises, as a GradproofError with its text.
    """

    def work(apart: bool, tell: Tell) -> bytes:
        from gradproof.record import encode
        from verify import campaign
        from verify.isolation.ready import at_hand

        if apart:
            given = campaign.check(target, profile=profile, seed=seed, on_progress=tell, isolate=True, **limits)
        else:
            with at_hand(target) as implementation:
                given = campaign.check_implementation(
                    watched(implementation, tell), profile=profile, seed=seed, on_progress=tell, again=target
                )
        return encode(given)

    data, why = supervised(work, isolate=isolate or bool(limits), on_progress=on_progress, say=say)
    from gradproof.record import CheckRecord, decode

    record = decode(data)
    assert isinstance(record, CheckRecord)
    if why:
        note = f"The target was run in a process of its own: in the judge's, {why}."
        record = msgspec.structs.replace(record, notes=(note, *record.notes))
    return record


def replay(
    target: str, data: AnyCaseData, *, say: Callable[[str], None], isolate: bool = False, **limits: Any
) -> CaseVerdict:
    """The verdict on a target's answer to a kept case; elsewhere, and again elsewhere, as ``check``.

    Raises GradproofError where the target cannot be had, or is asked about cases of another kind.
    """

    def work(apart: bool, tell: Tell) -> bytes:
        from verify.isolation.ready import at_hand
        from verify.subjects import asked_about
        from verify.subjects.base import assess

        with at_hand(target, isolate=apart, **(limits if apart else {})) as found:
            implementation = found if apart else watched(found, tell)
            subject, case = asked_about(implementation.supports, data)
            return msgspec.json.encode(assess(subject, implementation, case).verdict)

    result, _ = supervised(work, isolate=isolate or bool(limits), on_progress=lambda _: None, say=say)
    return msgspec.json.decode(result, type=CaseVerdict)


def supervised(
    work: Work, *, isolate: bool, on_progress: Callable[[Progress], None], say: Callable[[str], None]
) -> tuple[bytes, str]:
    """The result of the work, and why it was done a second time, with the target apart; '' where it was not.

    Raises the work's own errors: a GradproofError with its text, KeyboardInterrupt, and RuntimeError for a defect.
    """
    if not hasattr(os, "fork") or threading.active_count() > 1:
        return work(isolate, lambda message: on_progress(message) if isinstance(message, Progress) else None), ""
    if not isolate:
        try:
            return _done_apart(work, False, on_progress), ""
        except _Lost as lost:
            why = str(lost)
        say(f"in the judge's own process, {why}: starting again, with the target in a process of its own")
    else:
        why = ""
    try:
        return _done_apart(work, True, on_progress), why
    except _Lost as lost:
        raise RuntimeError(f"the judge's process was lost, with the target in another: {lost}") from None


def _done_apart(work: Work, isolate: bool, on_progress: Callable[[Progress], None]) -> bytes:
    """The result of the work, done in a fork of this process. Raises _Lost, and what the work raises."""
    ours, theirs = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _do(work, isolate, theirs)
    os.close(theirs)
    watch = _Watch(ours, child, on_progress)
    try:
        return watch.result()
    finally:
        watch.close()


def _do(work: Work, isolate: bool, file: int) -> NoReturn:
    """In the fork: does the work, and tells how it goes. Never returns: what this process has begun is the other's."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no work without whom it is for
    worker = os.getpid()

    def tell(message: Progress | Called | Result | Raised) -> None:
        if os.getpid() != worker:  # the target has forked, and its copy has come back to us
            os._exit(0)
        data = msgspec.msgpack.encode(message)
        data = len(data).to_bytes(HEADER, "big") + data
        while data:
            data = data[os.write(file, data) :]

    try:
        try:
            data = work(isolate, tell)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            tell(Result(data))  # and with it this process may be ended
        except KeyboardInterrupt:
            tell(Raised("interrupt", ""))
        except GradproofError as error:
            kind: Literal["error", "tampered"] = "tampered" if type(error).__name__ == "TamperedError" else "error"
            tell(Raised(kind, str(error)[:100_000]))
        except BaseException:
            tell(Raised("defect", traceback.format_exc()[-100_000:]))
    finally:
        os._exit(0)


class _Watch:
    """What comes from the process that does the work."""

    def __init__(self, file: int, child: int, on_progress: Callable[[Progress], None]) -> None:
        self.file = file
        self.child: int | None = child
        """None once it is over."""
        self.status = 0
        self.on_progress = on_progress
        self.received = bytearray()
        self.calling: float | None = None
        """Seconds since the target was called; None while it is not being called."""

    def result(self) -> bytes:
        while True:
            message = self.message()
            if isinstance(message, Result):
                return message.data
            if isinstance(message, Called):
                self.calling = 0.0 if message.now else None
            elif isinstance(message, Progress):
                self.on_progress(message)
            elif message.kind == "tampered":
                raise _Lost(message.text.partition(", which")[0])
            elif message.kind == "error":
                raise GradproofError(message.text)
            elif message.kind == "defect":
                raise RuntimeError(f"in the judge's process:\n{message.text}")
            else:
                time.sleep(TICK_SECONDS)  # an interrupt from the keyboard comes here as well, and ends this
                raise _Lost("it raised KeyboardInterrupt")

    def message(self) -> Progress | Called | Result | Raised:
        size: int | None = None
        while True:
            if size is None and len(self.received) >= HEADER:
                size = int.from_bytes(self.received[:HEADER], "big")
                if size > RESULT_BYTES:
                    raise _Lost("it wrote to files that are not its own")
            if size is not None and len(self.received) >= HEADER + size:
                data = bytes(self.received[HEADER : HEADER + size])
                del self.received[: HEADER + size]
                try:
                    return msgspec.msgpack.decode(data, type=Progress | Called | Result | Raised)
                except msgspec.DecodeError:
                    raise _Lost("it wrote to files that are not its own") from None
            self.wait()

    def wait(self) -> None:
        # Measured tick by tick: a stop of both processes from the keyboard is no time that the target takes.
        before = time.monotonic()
        ready, _, _ = select.select([self.file], [], [], TICK_SECONDS)
        if ready:
            part = os.read(self.file, 1 << 20)
            if not part:
                raise _Lost(self.how_it_ended())
            self.received += part
            return
        if self.child is None or self._over():  # what it has left behind may still hold the pipe open
            raise _Lost(self.how_it_ended())
        if self.calling is not None:
            self.calling += min(time.monotonic() - before, 2 * TICK_SECONDS)
            if self.calling > CALL_SECONDS:
                raise _Lost(f"it gave no answer within {CALL_SECONDS:.0f} s")

    def _over(self) -> bool:
        assert self.child is not None
        child, status = os.waitpid(self.child, os.WNOHANG)
        if child:
            self.child, self.status = None, status
        return bool(child)

    def how_it_ended(self) -> str:
        deadline = time.monotonic() + 2 * TICK_SECONDS
        while self.child is not None and not self._over():
            if time.monotonic() > deadline:
                return "it closed files that are not its own"
            time.sleep(0.001)
        code = os.waitstatus_to_exitcode(self.status)
        return f"it ended with exit code {code}" if code >= 0 else f"it died of {_signal_name(-code)}"

    def close(self) -> None:
        os.close(self.file)
        if self.child is not None:
            with contextlib.suppress(OSError):
                os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
            self.child = None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

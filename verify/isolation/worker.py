"""The target's process: loads it, calls it on the cases that come in, and sends what it gives.

It starts with its own standard streams, none of them the judge's, and with what it needs to say where it was when it
dies. Nothing here guards against the target: it may break all of this, and the judge trusts none of it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import resource
import signal
import socket
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from verify.isolation.declared import encode_declaration
from verify.isolation.messages import (
    HEADER,
    Answered,
    Ask,
    Load,
    Numbers,
    Problem,
    Ready,
    Refused,
    Reply,
    Unanswered,
    decode,
    encode,
    length,
)

if TYPE_CHECKING:
    from verify.loading import Implementation
    from verify.subjects.base import Subject

TRACE_SIGNAL = "SIGXCPU"
"""Asks the process where it is. It means that a limit of time is reached, and nobody else uses it."""
DEFECT = 70
"""Exit code of a process that fails by itself: sysexits' EX_SOFTWARE."""
CUT_OFF = 74
"""Exit code of a process that finds its connection to the judge closed at its own end: sysexits' EX_IOERR."""
WORD = 500
TEXT = 20_000
CALLING = ("calling",)
"""The cause of failures that lie neither in the target nor in its answer."""
MACHINERY = "the target has broken what calls it in its own process, as by replacing functions of others:"


def serve(channel: int, trace: int) -> NoReturn:
    """Serves one judge until it hangs up.

    Arguments:
        channel: descriptor of a stream socket to the judge.
        trace: descriptor to write to where the process is, when it dies of a signal or is asked.
    """
    faulthandler.enable(trace)
    if hasattr(signal, TRACE_SIGNAL):
        faulthandler.register(getattr(signal, TRACE_SIGNAL), trace)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:  # noqa: PTH123
        stream.write("1000")  # where memory runs out, this process goes and not the judge
    server = _Server(socket.socket(fileno=channel))
    os.register_at_fork(after_in_child=server.abandon)
    try:
        server.serve()
    except BaseException:
        traceback.print_exc()
        os._exit(DEFECT)
    server.leave()


class _Server:
    """The connection to the judge, and the target."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.abandoned = False

    def abandon(self) -> None:
        """In a process that the target has forked: the judge is the other one's."""
        self.abandoned = True
        with contextlib.suppress(OSError):
            self.channel.close()

    def serve(self) -> None:
        first = decode(self.receive(), Load)
        garbage = _littered(first.garbage)
        try:
            implementation, subject = _loaded(first.target)
            declaration = encode_declaration(implementation.supports)
        except Exception as error:
            self.send(Refused(str(error)[:TEXT]))
            return
        self.send(Ready(declaration))
        while garbage is not None:  # it stays in its place until the end
            self.send(_answer(subject, implementation, decode(self.receive(), Ask)))

    def receive(self) -> bytes:
        return self._exactly(length(self._exactly(HEADER)))

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self.channel.recv(size - len(parts))
            except OSError:
                os._exit(CUT_OFF)
            if not part:
                self.leave()
            parts += part
        return bytes(parts)

    def send(self, reply: Reply) -> None:
        if self.abandoned:
            self.leave()
        try:
            self.channel.sendall(encode(reply))
        except OSError:
            os._exit(CUT_OFF)

    def leave(self) -> NoReturn:
        """Without the target's exit handlers, which nobody waits for."""
        os._exit(0)


def _loaded(text: str) -> tuple[Implementation, Subject[Any, Any]]:
    from verify.loading import load
    from verify.subjects import subject_of

    implementation = load(text)
    return implementation, subject_of(implementation.supports)


def _answer(subject: Subject[Any, Any], implementation: Implementation, request: Ask) -> Answered | Unanswered:
    from verify.calling import NoAnswer

    try:
        if request.random_seed is not None:
            seed_generators(request.random_seed)
        answer = subject.call(implementation, subject.from_data(request.case))
    except KeyboardInterrupt:
        return _unanswered(request, "crashed", "KeyboardInterrupt, raised by the target itself", ("KeyboardInterrupt",))
    except BaseException as error:  # whatever it is, it comes from what the target has done to this process
        said = "".join(traceback.format_exception_only(error)).strip()
        return _unanswered(request, "broke protocol", f"{MACHINERY} {said}", CALLING)
    if isinstance(answer, NoAnswer):
        problems = tuple(
            Problem(str(f.verdict), f.quantity[:WORD], f.message[:TEXT], f.layer and f.layer[:WORD])  # type: ignore[arg-type]
            for f in answer.findings
        )
        return Unanswered(request.number, problems, tuple(c[:WORD] for c in answer.cause), answer.printed)
    quantities = {name: Numbers.of(array) for name, array in answer.quantities.items()}
    return Answered(request.number, quantities, answer.printed)


def _unanswered(request: Ask, verdict: Any, message: str, cause: tuple[str, ...]) -> Unanswered:
    return Unanswered(request.number, (Problem(verdict, "target", message[:TEXT], None),), cause, "")


def _littered(count: int) -> list[bytearray]:
    """Objects of many sizes, every other one freed again."""
    litter = [bytearray(1 + 37 * number % 2000) for number in range(count)]
    return litter[::2]


def seed_generators(seed: int) -> None:
    """Sets the state of the generators that all of a process shares."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)

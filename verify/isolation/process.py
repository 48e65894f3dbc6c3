"""A target's process seen from the judge: having it started, speaking with it within limits, and ending it.

Only the judge's own clock, the operating system, and messages decoded by type decide what is said of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import psutil

from gradproof.verdict import Verdict
from verify.calling import PRINTED_BYTES
from verify.isolation.messages import (
    HEADER,
    Broken,
    Ended,
    Kill,
    Reply,
    Request,
    Start,
    Started,
    decode,
    encode,
    length,
)
from verify.isolation.worker import CUT_OFF, TRACE_SIGNAL
from verify.loading import HOUSE, place_in

OUTPUT_BYTES = 1 << 26
"""What a process may write on its standard streams for one case, 64 MiB; it is read and let go."""
TRACE_BYTES = 1 << 16
"""How much of what it says of where it was is kept."""
LOOK_SECONDS = 0.02
"""How often a process that does not answer is looked at: its memory, and whether it is stopped."""
KEEPER_SECONDS = 5.0
"""How long the keeper may take to end a process, and to end itself."""
PARTING_SECONDS = 0.5
"""How long one that has hung up may take to end, and one that is asked where it is may take to say so."""

MARK: Final = "GRADPROOF_APART"
"""Set in the environment of a process that a target is run in."""
START: Final = (
    "import json, sys; given = json.loads(sys.argv.pop()); sys.path.insert(0, given['house']); "
    "from verify.isolation.keeper import main; sys.path[:] = given['path']; del sys.argv[1:]; main(given['control'])"
)
FRAME: Final = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$')

SAYINGS: Any = Started | Ended
R = TypeVar("R", bound=Reply)


@dataclass(frozen=True)
class Limits:
    """What a target's process may take.

    seconds: for one case; None for a limit that follows from how long the other cases take. memory: bytes held, by
    itself and its children; None for no limit.
    """

    seconds: float | None = None
    memory: int | None = None


def is_apart() -> bool:
    """Whether this is a process that a target is run in."""
    return MARK in os.environ


@dataclass(frozen=True)
class End:
    """How a process ended, or why it had to be ended."""

    verdict: Verdict
    kind: str
    """What is alike between ends that are alike."""
    message: str
    place: str
    """Where in somebody's code it was, ``net.py:12 in backward``; '' where that is not known."""
    printed: str


class _Ended(Exception):  # noqa: N818
    def __init__(self, verdict: Verdict, kind: str, message: str, *, ask_where: bool = False) -> None:
        self.verdict, self.kind, self.message, self.ask_where = verdict, kind, message, ask_where


class Keeper:
    """The process that starts a target's processes, one at a time.

    Raises OSError where no process can be started.
    """

    def __init__(self, hash_seed: int | None = None) -> None:
        self.control, theirs = socket.socketpair()
        given = {"house": str(HOUSE), "path": sys.path, "control": theirs.fileno()}
        environment = {**os.environ, MARK: "1"}
        if hash_seed is not None:
            environment["PYTHONHASHSEED"] = str(hash_seed)
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-c", START, json.dumps(given)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment,
                start_new_session=True,
            )
        except BaseException:
            self.control.close()
            raise
        finally:
            theirs.close()

    def send(self, message: Start | Kill, files: tuple[int, ...] = ()) -> None:
        """Tells it what to do. A keeper that is gone is noticed when it is heard."""
        with contextlib.suppress(OSError):
            socket.send_fds(self.control, [encode(message)], files)

    def hear(self, seconds: float) -> Started | Ended | None:
        """What it says next, waiting so long for it; None where it says nothing, or is gone."""
        self.control.settimeout(seconds)
        try:
            header = self.control.recv(HEADER, socket.MSG_WAITALL)
            said: Started | Ended = decode(self.control.recv(length(header), socket.MSG_WAITALL), SAYINGS)
        except (OSError, Broken):
            return None
        return said

    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Ends it and the process that it keeps."""
        self.control.close()
        try:
            self._process.wait(KEEPER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Process:
    """One process with the target in it, at the judge's service until it is closed or has ended."""

    def __init__(self, keeper: Keeper, first: Request, *, needs: str = "", memory: int | None = None) -> None:
        self.memory = memory
        self.ended = False
        self._keeper = keeper
        ours, theirs = socket.socketpair()
        trace, their_trace = os.pipe()
        output, their_output = os.pipe()
        keeper.send(Start(needs), (theirs.fileno(), their_trace, their_output))
        theirs.close()
        os.close(their_trace)
        os.close(their_output)
        self._channel, self._trace, self._output = ours, trace, output
        self._received = bytearray()
        self._traced = b""
        self._printed = b""
        self._written = 0
        self._selector = selectors.DefaultSelector()
        for file, read in ((ours, self._read_channel), (trace, self._read_trace), (output, self._read_output)):
            if not isinstance(file, socket.socket):
                os.set_blocking(file, False)
            self._selector.register(file, selectors.EVENT_READ, read)
        self._number: int | None = None
        self._code: int | None = None
        with contextlib.suppress(OSError):  # it has died already, which the first reply will tell
            self._channel.sendall(encode(first))

    def ask(self, request: Request, kinds: type[R], seconds: float) -> R | End:
        """The reply to a request, or the end of the process, which this is then."""
        self._printed, self._written, self._traced = b"", 0, b""
        deadline = time.monotonic() + seconds
        try:
            self._channel.settimeout(seconds)
            self._channel.sendall(encode(request))
        except TimeoutError:
            return self._end(_late(seconds))
        except OSError:
            pass  # it has ended, and why is found below
        return self.reply(kinds, seconds, deadline)

    def reply(self, kinds: type[R], seconds: float, deadline: float | None = None) -> R | End:
        """The reply to what was sent last, by the deadline, or the end of the process."""
        deadline = time.monotonic() + seconds if deadline is None else deadline
        try:
            return decode(self._message(deadline, seconds), kinds)
        except Broken as error:
            what = f"what came where its answer should stand is no message ({error!s:.200})"
            message = f"the target wrote to a file descriptor that is not its own: {what}"
            return self._end(_Ended(Verdict.BROKE_PROTOCOL, "garbage", message))
        except _Ended as ended:
            return self._end(ended)

    def said(self) -> str:
        """What it has written on its standard streams since the last request, the first bytes of it."""
        return self._printed.decode("utf-8", errors="replace")

    def close(self) -> None:
        """Ends the process and all that it has started."""
        if self.ended:
            return
        self.ended = True
        if self._code is None:
            self._keeper.send(Kill())
            self._ending(KEEPER_SECONDS)
        self._selector.close()
        self._channel.close()
        os.close(self._trace)
        os.close(self._output)

    def _message(self, deadline: float, seconds: float) -> bytearray:
        """The next message, whole. Raises Broken and _Ended."""
        size: int | None = None
        while True:
            if size is None and len(self._received) >= HEADER:
                size = length(self._received)
            if size is not None and len(self._received) >= HEADER + size:
                message = self._received[HEADER : HEADER + size]
                del self._received[: HEADER + size]
                if self._received:
                    raise Broken("more than one answer")
                return message
            events = self._selector.select(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
            for key, _ in events:
                key.data()
            if not events:
                self._look()
            if time.monotonic() >= deadline:
                raise _late(seconds)

    def _read_channel(self) -> None:
        try:
            part = self._channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            raise self._how_it_ended()
        self._received += part

    def _read_trace(self) -> None:
        part = self._read(self._trace)
        self._traced = (self._traced + part)[:TRACE_BYTES]

    def _read_output(self) -> None:
        part = self._read(self._output)
        self._printed = (self._printed + part)[:PRINTED_BYTES]
        self._written += len(part)
        if self._written > OUTPUT_BYTES:
            message = f"the target writes without end: more than {OUTPUT_BYTES >> 20} MiB on its output for one case"
            raise _Ended(Verdict.BROKE_PROTOCOL, "output", message, ask_where=True)

    def _read(self, file: int) -> bytes:
        try:
            part = os.read(file, 1 << 16)
        except BlockingIOError:
            return b""
        if not part:  # closed at the other end; the channel alone says whether the process lives
            self._selector.unregister(file)
        return part

    def _look(self) -> None:
        """What the operating system says of a process that does not answer. Raises _Ended."""
        number = self._started()
        if number is None:
            return
        try:
            process = psutil.Process(number)
            if process.status() == psutil.STATUS_STOPPED:
                message = "the target's process is stopped by a signal (SIGSTOP or alike), and gives no answer"
                raise _Ended(Verdict.CRASHED, "stopped", message)
            if self.memory is not None and (held := _held(process)) > self.memory:
                message = f"the target's process holds {_size(held)} of memory, and may hold {_size(self.memory)}"
                raise _Ended(Verdict.CRASHED, "memory", message, ask_where=True)
        except psutil.Error:
            return  # it is ending, and hangs up

    def _started(self) -> int | None:
        """The process's number; None where it is not known yet."""
        if self._number is None and isinstance(said := self._keeper.hear(LOOK_SECONDS), Started):
            self._number = said.process
        return self._number

    def _ending(self, seconds: float) -> int | None:
        """Its exit code, once the keeper has cleared up after it; None where that takes longer."""
        deadline = time.monotonic() + seconds
        while self._code is None and (left := deadline - time.monotonic()) > 0:
            said = self._keeper.hear(left)
            if said is None:
                break
            if isinstance(said, Ended):
                self._code = said.code
            else:
                self._number = said.process
        return self._code

    def _how_it_ended(self) -> _Ended:
        code = self._ending(PARTING_SECONDS)
        if code is None and self._keeper.gone():
            message = "the target ended the process that keeps its own"
            return _Ended(Verdict.CRASHED, "keeper", message)
        if code is None:
            message = "the target closed file descriptors that are not its own: its process lives, out of reach"
            return _Ended(Verdict.BROKE_PROTOCOL, "hung up", message, ask_where=True)
        if code == CUT_OFF:
            message = "the target closed file descriptors that are not its own: its process cannot answer any more"
            return _Ended(Verdict.BROKE_PROTOCOL, "hung up", message)
        if code >= 0:
            message = f"the target ended its process with exit code {code} in the middle of a call"
            return _Ended(Verdict.CRASHED, "exit", message)
        name = _signal_name(-code)
        said = _SIGNALS.get(name)
        message = f"the target's process died of {name}{f': {said}' if said else ''}"
        return _Ended(Verdict.CRASHED, name, message)

    def _end(self, ended: _Ended) -> End:
        if ended.ask_where and hasattr(signal, TRACE_SIGNAL):
            with contextlib.suppress(psutil.Error):
                if number := self._started():
                    psutil.Process(number).send_signal(getattr(signal, TRACE_SIGNAL))
        self._drain(PARTING_SECONDS if ended.ask_where else 0.0)
        place = place_in(_frames(self._traced.decode("utf-8", errors="replace")))
        self.close()
        return End(ended.verdict, ended.kind, ended.message, place, self.said())

    def _drain(self, seconds: float) -> None:
        """Reads what is left of traces and output; waits for a first trace as long as this."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(self._channel)
        started = changed = time.monotonic()
        while self._selector.get_map() and (now := time.monotonic()) - started < seconds + PARTING_SECONDS:
            if now - changed > LOOK_SECONDS and (self._traced or now - started > seconds):
                return
            before = len(self._traced)
            for key, _ in self._selector.select(LOOK_SECONDS):
                with contextlib.suppress(_Ended):
                    key.data()
            if len(self._traced) > before:
                changed = time.monotonic()


def _held(process: psutil.Process) -> int:
    held: int = process.memory_info().rss
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            held += child.memory_info().rss
    return held


_SIGNALS: Final = {
    "SIGSEGV": "a segmentation fault, memory that is not its own",
    "SIGABRT": "it was aborted, as by a failed assertion or a damaged heap",
    "SIGBUS": "a bus error, memory that does not exist",
    "SIGFPE": "an arithmetic error in compiled code, such as a whole number divided by zero",
    "SIGILL": "an instruction that this processor does not have",
    "SIGKILL": "it was killed, by itself or by a system short of memory",
}


def _late(seconds: float) -> _Ended:
    return _Ended(Verdict.TIMED_OUT, "time", f"no answer within {seconds:.3g} s", ask_where=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _frames(trace: str) -> list[tuple[str, int, str]]:
    """File, line and function of each frame of the thread that a trace calls the current one, the outermost first."""
    _, _, current = trace.partition("Current thread ")
    frames = []
    for line in current.splitlines()[1:]:
        found = FRAME.match(line)
        if not found:
            break
        frames.append((found["file"], int(found["line"]), found["name"][:200]))
    return frames[::-1]


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"

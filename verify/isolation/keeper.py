"""The process between the judge and a target: it forks a target's processes, waits for them, and clears up after them.

It imports what such a process needs but for the target, so that a new one starts without delay after each that has
ended, and it never runs anything of the target. What a target leaves running becomes its child, and is ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import select
import signal
import socket
import sys
from typing import Any, NoReturn

from verify.isolation.messages import HEADER, Ended, Kill, Start, Started, decode, encode, length
from verify.isolation.worker import serve

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ORDERS: Any = Start | Kill
FILES = 3
"""Descriptors that come with a start: the connection to the judge, where to say where it is, and its output."""


def main(control: int) -> None:
    """Serves one judge until it hangs up.

    Arguments:
        control: descriptor of a stream socket to the judge.
    """
    os.set_inheritable(control, False)
    _die_with_the_parent()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    for module in ("verify.loading", "verify.subjects"):
        importlib.import_module(module)
    _Keeper(socket.socket(fileno=control)).serve()


class _Keeper:
    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.child = 0
        """The target's process; 0 where there is none."""
        self.woken, wake = os.pipe()
        for file in (self.woken, wake):
            os.set_blocking(file, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.wake = wake

    def serve(self) -> NoReturn:
        while True:
            ready, _, _ = select.select([self.control.fileno(), self.woken], [], [])
            if self.woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.woken, 1 << 12)
                self.wait()
            if self.control.fileno() in ready:
                self.obey()

    def obey(self) -> None:
        """One message of the judge's."""
        header, files, _, _ = socket.recv_fds(self.control, HEADER, FILES)
        size = length(header + self.exactly(HEADER - len(header))) if header else 0
        if not size:  # the judge has hung up
            self.kill()
            os._exit(0)
        message: Start | Kill = decode(self.exactly(size), ORDERS)
        if isinstance(message, Start):
            self.start(message, files)
        else:
            self.kill()

    def exactly(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            part = self.control.recv(size - len(parts))
            if not part:
                os._exit(0)
            parts += part
        return parts

    def start(self, message: Start, files: list[int]) -> None:
        if message.needs:
            importlib.import_module(message.needs)
        channel, trace, output = files
        self.child = os.fork()
        if self.child == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for file in (self.woken, self.wake, self.control.detach()):
                os.close(file)
            os.setsid()
            for stream in (1, 2):
                os.dup2(output, stream)
            os.close(output)
            _die_with_the_parent()
            serve(channel, trace)
        for file in files:
            os.close(file)
        self.control.sendall(encode(Started(self.child)))

    def kill(self) -> None:
        """Ends the target's process and its session, which have not been waited for: their number is their own."""
        if self.child:
            with contextlib.suppress(OSError):
                os.killpg(self.child, signal.SIGKILL)
            os.kill(self.child, signal.SIGKILL)

    def wait(self) -> None:
        """Waits for what has ended; where that is the target's process, ends all that it has left."""
        while True:
            try:
                # Looked at before it is waited for, so that its group can be ended while the number is its own.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            if found.si_pid == self.child:
                self.kill()
            _, status = os.waitpid(found.si_pid, 0)
            if found.si_pid == self.child:
                self.child = 0
                _end_orphans()
                self.control.sendall(encode(Ended(os.waitstatus_to_exitcode(status))))


def _die_with_the_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_orphans() -> None:
    """Ends what the target's process has left running, which has become ours, and what that leaves in turn."""
    while children := _children():
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(OSError):
                os.waitpid(child, 0)


def _children() -> list[int]:
    try:
        with open("/proc/thread-self/children", encoding="ascii") as stream:  # noqa: PTH123
            return [int(word) for word in stream.read().split()]
    except OSError:  # not Linux, where nothing is left to us either
        return []

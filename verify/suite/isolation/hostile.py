"""Targets that do harm to the process that they run in, each right on the cases on which it does none.

Harm is done where a batch has two samples or more, so that each is seen on many cases, leaves others to be answered
after it, and has a smallest case. ``chosen`` does the harm that a case names in its tag, for many in one process.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gradproof
from gradproof.case import Case

KEPT: list[Any] = []


def right(case: Any) -> dict[str, Any]:
    """A linear layer and its squared error, by hand."""
    (W,), (b,) = case.stack.weights, case.stack.biases
    outputs = case.inputs @ W + b
    delta = outputs - case.targets
    return {
        "loss": np.sum(delta**2) / 2,
        "outputs": outputs,
        "parameters": case.stack.name([case.inputs.T @ delta], [delta.sum(axis=0)]),
    }


HARMS: dict[str, Callable[[Case], Any]] = {}
"""What can be done, by the target's name; what it returns, if anything, is the target's answer."""

declared = gradproof.target(
    losses="half_squared_error/sum", output="identity", depth=(1, 1), width=(1, 2), batch=(1, 3)
)


def hostile(harm: Callable[[Case], Any]) -> Callable[[Case], Any]:
    """A target that does this harm before it answers."""
    HARMS[harm.__name__] = harm

    def target(case: Case) -> Any:
        given = harm(case) if case.batch >= 2 else None
        return right(case) if given is None else given

    return declared(target)


@declared
def chosen(case: Case) -> Any:
    """Does the harm that the case's tag names, if it has one."""
    given = HARMS[case.tags[0]](case) if case.tags else None
    return right(case) if given is None else given


@hostile
def segmentation_fault(case: Case) -> None:
    """reads memory at address 0"""
    ctypes.string_at(0)


@hostile
def aborts(case: Case) -> None:
    """aborts, as a failed assertion in C does"""
    os.abort()


@hostile
def exits_at_once(case: Case) -> None:
    """`os._exit(0)`"""
    os._exit(0)


@hostile
def exits(case: Case) -> None:
    """`sys.exit(0)`"""
    sys.exit(0)


@hostile
def interrupts(case: Case) -> None:
    """raises KeyboardInterrupt"""
    raise KeyboardInterrupt


@hostile
def kills_itself(case: Case) -> None:
    """sends itself SIGKILL"""
    os.kill(os.getpid(), signal.SIGKILL)


@hostile
def terminates_its_group(case: Case) -> None:
    """sends its process group SIGTERM"""
    os.killpg(0, signal.SIGTERM)


@hostile
def kills_its_parent(case: Case) -> None:
    """sends its parent process SIGKILL"""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(10)


@hostile
def stops_itself(case: Case) -> None:
    """sends itself SIGSTOP"""
    os.kill(os.getpid(), signal.SIGSTOP)


@hostile
def loops_without_end(case: Case) -> None:
    """an endless loop"""
    while True:
        pass


@hostile
def loops_in_compiled_code(case: Case) -> None:
    """an endless loop in C that never lets Python's interpreter go on"""
    re.match(r"(a+)+$", "a" * 64 + "b")


@hostile
def waits_for_itself(case: Case) -> None:
    """a deadlock"""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@hostile
def ignores_signals(case: Case) -> None:
    """ignores every signal that can be ignored, and sleeps"""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


@hostile
def takes_all_memory(case: Case) -> None:
    """allocates memory without end"""
    while True:
        KEPT.append(np.ones(1 << 20))


@hostile
def overflows_the_stack(case: Case) -> None:
    """recurses in C until the stack is full"""
    sys.setrecursionlimit(1 << 30)
    nested: Any = []
    for _ in range(1 << 20):
        nested = [nested]
    json.dumps(nested)


@hostile
def prints_without_end(case: Case) -> None:
    """prints in an endless loop"""
    while True:
        print("still here")


@hostile
def floods_its_output(case: Case) -> None:
    """writes to descriptor 1 in an endless loop"""
    while True:
        os.write(1, bytes(1 << 16))


@hostile
def prints_much(case: Case) -> None:
    """prints a megabyte, through Python and past it"""
    print("much " * 100_000)
    os.write(2, b"more " * 100_000)


@hostile
def closes_every_file(case: Case) -> None:
    """closes every file descriptor"""
    os.closerange(0, 4096)


@hostile
def closes_its_output(case: Case) -> None:
    """closes standard output and standard error"""
    sys.stdout.close()
    for file in (1, 2):
        with contextlib.suppress(OSError):
            os.close(file)


@hostile
def writes_to_every_file(case: Case) -> None:
    """writes words to every file descriptor"""
    for file in range(3, 64):
        try:
            os.write(file, b"some words to whoever listens")
        except OSError:
            continue


@hostile
def answers_twice(case: Case) -> None:
    """writes a well-formed answer of its own to every file descriptor"""
    from verify.isolation.messages import Answered, encode

    for file in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(file, encode(Answered(0, {}, "")))
    time.sleep(0.1)


@hostile
def forks(case: Case) -> None:
    """forks, and both processes answer"""
    os.fork()


@hostile
def leaves_a_process(case: Case) -> None:
    """leaves a process running, in a session of its own"""
    if os.fork() == 0:
        os.setsid()
        Path("left.pid").write_text(str(os.getpid()))
        while True:
            time.sleep(1)


@hostile
def leaves_threads(case: Case) -> None:
    """leaves a thread running that never ends"""
    threading.Thread(target=threading.Event().wait).start()


@hostile
def replaces_functions_of_numpy(case: Case) -> dict[str, Any]:
    """replaces `numpy.any`, `numpy.all` and others"""
    answer = right(case)
    for name in ("any", "all", "asarray", "isfinite", "abs"):
        setattr(np, name, lambda *a, **k: False)
    return {**answer, "loss": 2 * answer["loss"]}


@hostile
def replaces_the_judge(case: Case) -> dict[str, Any]:
    """replaces the function that calls it, to answer nothing at all"""
    from verify.calling import Answer
    from verify.subjects import base

    setattr(base, "call", lambda *a: Answer({}, ""))  # noqa: B010
    return right(case)


@hostile
def deletes_the_records(case: Case) -> None:
    """deletes `.gradproof`"""
    shutil.rmtree(".gradproof", ignore_errors=True)


@hostile
def moves_away(case: Case) -> None:
    """changes the current folder"""
    os.chdir("/")


@hostile
def changes_the_case(case: Case) -> None:
    """writes to the case's arrays"""
    case.inputs.setflags(write=True)
    case.inputs[...] = 0


@hostile
def says_too_much(case: Case) -> None:
    """raises an error with ten megabytes of text and escape sequences"""
    raise ValueError("\x1b[2J" + "too much " * 1_000_000)


@hostile
def gives_too_much(case: Case) -> dict[str, Any]:
    """returns an array of 128 MiB"""
    return {**right(case), "outputs": np.zeros((1 << 12, 1 << 12))}


@hostile
def sets_an_alarm(case: Case) -> None:
    """has itself sent SIGALRM"""
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    time.sleep(0.1)


@hostile
def takes_files_away(case: Case) -> None:
    """sets its own limit of open files to 0"""
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


@hostile
def replaces_itself(case: Case) -> None:
    """becomes another program by `execv`"""
    os.execv("/bin/true", ["true"])

"""A target that lives in a process of its own: called like any other, and started anew where that has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

from gradproof.declaration import Declaration
from gradproof.errors import ArgumentError
from gradproof.gradients import TARGET
from gradproof.verdict import Finding, Verdict
from verify.calling import Answer, Asking, NoAnswer
from verify.isolation.declared import decode_declaration
from verify.isolation.messages import Answered, Ask, Broken, Load, Ready, Refused, Unanswered, arrays
from verify.isolation.process import End, Keeper, Limits, Process, is_apart
from verify.isolation.worker import CALLING
from verify.loading import Implementation, Surroundings, TargetError
from verify.subjects import SUBJECTS

LOAD_SECONDS: Final = 120.0
"""How long a target may take to be imported and made."""
FIRST_SECONDS: Final = 30.0
"""How long it may take for a case at most, where no limit is given: compilers that start with the first included."""
LEAST_SECONDS: Final = 5.0
SLOWER: Final = 100
"""Once it has answered, a case may take this many times as long as the slowest so far; never less than LEAST_SECONDS,
which is long even on a busy machine, nor more than FIRST_SECONDS."""
LOST_SECONDS: Final = 60.0
"""How long may be waited in vain, all cases together, before no more are asked in a survey."""
ENDS: Final = 100
"""How many of a target's processes may end before no more cases are asked in a survey."""

C = TypeVar("C")
GREETINGS: Any = Ready | Refused
REPLIES: Any = Answered | Unanswered


@contextmanager
def isolated(text: str, limits: Limits | None = None) -> Iterator[Implementation]:
    """The implementation that a text means, as ``verify.loading.load`` finds it, in a process of its own.

    The process and all that it has started are ended on the way out. Raises TargetError, as ``load`` does, and where
    loading it ends the process; ArgumentError in a process that is such a one, which would start others without end.
    """
    if is_apart():
        raise ArgumentError("isolate", "False where a target is being run apart already", "True")
    with Apart(text, limits or Limits()) as apart:
        yield Implementation(text, _nobody, apart.declaration(), Surroundings(), findable=True, elsewhere=apart)


def _nobody(*arguments: Any) -> NoReturn:
    raise TypeError("a target in a process of its own is called through verify.calling.call")


class Apart:
    """A target in a process of its own, with a new process after each that has ended."""

    def __init__(self, text: str, limits: Limits, *, garbage: int = 0, hash_seed: int | None = None) -> None:
        self.text = text
        self.limits = limits
        self.hash_seed = hash_seed
        self.ends = 0
        self.lost = 0.0
        """Seconds waited for answers that did not come."""
        self.unloadable = ""
        """Why it cannot be loaded again."""
        self._load = Load(text, garbage)
        self._keeper: Keeper | None = None
        self._process: Process | None = None
        self._loaded = False
        """Whether the process has the target."""
        self._needs = ""
        """What a process imports that is asked about such cases."""
        self._asked = 0
        self._slowest: float | None = None

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self) -> None:
        """Starts the first process, and does not wait for it."""
        self._process = self._started()

    def declaration(self) -> Declaration:
        """What the target declares. Raises TargetError where it cannot be had."""
        reply = self._ready()
        if isinstance(reply, Ready):
            try:
                declaration = decode_declaration(reply.declaration)
                self._needs = f"verify.subjects.{SUBJECTS[type(declaration).__name__]}"
            except (Broken, KeyError) as error:
                reason = f"target {self.text!r}: its process declares nothing that can be read: {error}"
                raise TargetError(reason) from None
            return declaration
        raise TargetError(
            reply if reply.startswith("target ") else f"target {self.text!r} cannot be loaded apart: {reply}"
        )

    @property
    def exhausted(self) -> str:
        """Why a survey asks no more; '' while it does."""
        if self.unloadable:
            return self.unloadable
        if self.ends >= ENDS:
            return f"{self.ends} of its processes have ended"
        if self.lost >= LOST_SECONDS:
            return f"{self.lost:.0f} s were waited for answers that did not come"
        return ""

    def call(self, asking: Asking[C], case: C, random_seed: int | None = None) -> Answer | NoAnswer:
        """The target's answer to a case, or why there is none: as ``verify.calling.call``, which calls this.

        random_seed: for the global generators of ``random`` and ``numpy.random`` there; None to leave them.
        """
        if self._process is None or self._process.ended or not self._loaded:
            loaded = self._ready()
            if not isinstance(loaded, Ready):
                self.unloadable = "it cannot be loaded in a new process"
                finding = Finding(Verdict.CRASHED, TARGET, f"{self.unloadable}: {loaded}")
                return NoAnswer((finding,), ("process", "loading"), "")
        assert self._process is not None
        self._asked += 1
        seconds, started = self._seconds(), time.monotonic()
        data: Any = case
        request = Ask(self._asked, data.to_data(), random_seed)
        reply: Answered | Unanswered | End = self._process.ask(request, REPLIES, seconds)
        if isinstance(reply, End):
            return self._ended(reply, seconds)
        self._slowest = max(self._slowest or 0.0, time.monotonic() - started)
        printed = reply.printed + self._process.said()
        if reply.number != self._asked:
            return self._broken("its answer is to another case than it was asked")
        if isinstance(reply, Unanswered):
            if reply.cause == CALLING:  # nothing more can be expected of this process
                self._process.close()
                self.ends += 1
            findings = tuple(Finding(Verdict(p.verdict), p.quantity, p.message, p.layer) for p in reply.problems)
            return NoAnswer(findings, reply.cause, printed)
        try:
            quantities = arrays(reply.quantities)
        except Broken as error:
            return self._broken(f"its answer holds {error}")
        misfit = asking.misfit(case, quantities)
        return self._broken(f"its answer {misfit}") if misfit else Answer(quantities, printed)

    def renew(self) -> None:
        """Ends the process that the target is in: the next case is asked of a new one, which remembers nothing."""
        if self._process is not None:
            self._process.close()

    def close(self) -> None:
        """Ends the processes."""
        if self._process is not None:
            self._process.close()
        if self._keeper is not None:
            self._keeper.close()
        self._process = self._keeper = None

    def _ready(self) -> Ready | str:
        """A process with the target loaded, or why there is none."""
        if self._process is None or self._process.ended:
            self._process = self._started()
        reply: Ready | Refused | End = self._process.reply(GREETINGS, LOAD_SECONDS)
        self._loaded = isinstance(reply, Ready)
        if isinstance(reply, Ready):
            return reply
        if isinstance(reply, Refused):
            self._process.close()
            return reply.message
        printed = f"\n{reply.printed.strip()}" if reply.printed.strip() else ""
        return f"{_told(reply)}{printed}"

    def _started(self) -> Process:
        self._loaded = False
        if self._keeper is None or self._keeper.gone():
            self._keeper = Keeper(self.hash_seed)
        return Process(self._keeper, self._load, needs=self._needs, memory=self.limits.memory)

    def _seconds(self) -> float:
        """The limit for the next case."""
        if self.limits.seconds is not None:
            return self.limits.seconds
        if self._slowest is None:
            return FIRST_SECONDS
        return min(FIRST_SECONDS, max(LEAST_SECONDS, SLOWER * self._slowest))

    def _ended(self, end: End, seconds: float) -> NoAnswer:
        self.ends += 1
        if end.verdict is Verdict.TIMED_OUT:
            self.lost += seconds
        finding = Finding(end.verdict, TARGET, _told(end))
        return NoAnswer((finding,), ("process", end.kind, end.place), end.printed)

    def _broken(self, what: str) -> NoAnswer:
        """What came follows the messages' form and is no answer all the same; the process is not asked again."""
        assert self._process is not None
        self._process.close()
        self.ends += 1
        message = f"the target's process does not hold to what it is asked: {what}"
        return NoAnswer((Finding(Verdict.BROKE_PROTOCOL, TARGET, message),), ("process", "answer"), "")


def _told(end: End) -> str:
    return f"{end.message} ({end.place})" if end.place else end.message

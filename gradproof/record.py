"""What is kept of a run: typed, versioned JSON files, written whole or not at all."""

from __future__ import annotations

import os
import platform
import secrets
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypeVar, overload

import msgspec

from gradproof.cases import AnyCaseData
from gradproof.errors import RecordError
from gradproof.verdict import Finding, Verdict

HOME = Path(".gradproof")
"""Where runs are kept, below the folder that a command runs in."""


class Machine(msgspec.Struct, frozen=True):
    """Where something was run."""

    system: str
    processor: str
    cores: int
    python: str
    packages: dict[str, str]
    """Version of each package named when the record was made and installed."""


class Cause(msgspec.Struct, frozen=True):
    """Why an answer is wrong: the known mistake that reproduces the numbers on every case, if exactly one does."""

    kind: Literal["mistake", "convention", "unknown"]
    """``convention``: the numbers are exact for something else than what is declared."""
    name: str | None
    """The mistake's name in the catalogue; None where it is unknown."""
    layer: str | None
    """``layer 0``, ``layers 0 and 2``; None where it belongs to no layer, or is unknown."""
    words: str
    """What is done, and what should be; where the mistake is unknown, what is known."""
    mend: str | None
    same_as: tuple[str, ...]
    """Other words for it: what gives the same numbers on all that the target supports."""
    cases: int
    """Cases compared; a mistake that is named reproduces all of them."""
    wrong: int
    """How many of them were found wrong."""
    fresh: int
    """How many were drawn for this comparison, from another seed than the run's."""


class Failure(msgspec.Struct, frozen=True):
    """One failing case, shrunk, with what was found and how to see it again."""

    verdict: Verdict
    summary: str
    """One line that says what is wrong and where."""
    case: AnyCaseData
    case_id: str
    findings: tuple[Finding, ...]
    replay: str
    """The command that shows this failure again."""
    cases_alike: int
    """How many of the run's cases have this verdict for the same cause, before shrinking."""
    causes: tuple[Cause, ...] = ()
    """Of a wrong answer: the mistakes that explain it, or one entry that says what is known."""
    families: tuple[str, ...] = ()
    """The families that the run's cases alike belong to."""
    script: str | None = None
    """The command that shows it with NumPy and the target's module alone, where the case is kept with such a script."""


class FamilyResult(msgspec.Struct, frozen=True):
    """What a run found of one family of cases: a part of all that a target supports, with a name."""

    verdict: Verdict | None
    """None where no case of it was drawn."""
    cases: int
    counts: dict[str, int]
    """Verdict → number of cases."""
    known: str | None = None
    """Why it fails, where it is a known failure."""


class CheckRecord(msgspec.Struct, frozen=True, tag_field="schema", tag="gradproof.check/1"):
    """A run of ``gradproof check``."""

    target: str
    verdict: Verdict | None
    """None where nothing ran."""
    exit_code: int
    cases: int
    counts: dict[str, int]
    """Verdict → number of cases."""
    entries: int
    """Numbers compared in all."""
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    """What else the run saw: conventions met at kinks, quantities that the target does not give."""
    profile: str
    seed: int
    started: str
    """UTC, ISO 8601."""
    seconds: float
    machine: Machine
    gradproof: str
    families: dict[str, FamilyResult] = {}
    """Id → what was found, for each family of all that the target supports."""


class CaseRecord(msgspec.Struct, frozen=True, tag_field="schema", tag="gradproof.case/1"):
    """A failing case as ``gradproof replay`` finds it again."""

    target: str
    """The target that failed, as ``gradproof check`` was given it."""
    verdict: Verdict
    summary: str
    case_id: str
    case: AnyCaseData
    gradproof: str
    causes: tuple[Cause, ...] = ()


Points = tuple[tuple[float, float], ...]


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measured figure."""

    name: str
    value: float
    unit: str
    goal: str | None
    """In words, ``<= 5 s``, where there is one."""
    met: bool | None
    peers: dict[str, float]
    """What others took in the same run, in the same unit unless the name says otherwise."""
    command: str
    """The command that measures it again."""
    note: str = ""
    curves: dict[str, dict[str, Points]] = {}
    """Of a figure that is drawn: panel → line → points (x, y), what each measures as the picture says."""


class FiguresRecord(msgspec.Struct, frozen=True, tag_field="schema", tag="gradproof.figures/1"):
    """A run of ``python -m benchmarks figures``."""

    figures: tuple[Figure, ...]
    started: str
    machine: Machine
    gradproof: str


Record = CheckRecord | FiguresRecord
R = TypeVar("R", CheckRecord, FiguresRecord, CaseRecord)


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def machine(packages: tuple[str, ...]) -> Machine:
    """This machine, with the versions of the named packages that are installed."""
    found: dict[str, str] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        python=platform.python_version(),
        packages=found,
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def encode(record: msgspec.Struct) -> bytes:
    """A record as JSON for people and programs, two spaces of indent."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


@overload
def decode(data: bytes) -> Record: ...
@overload
def decode(data: bytes, kinds: type[R]) -> R: ...
def decode(data: bytes, kinds: type[R] | None = None) -> Record | R:
    """The record in this JSON. Raises RecordError where it is none, or one of another version."""
    try:
        return msgspec.json.decode(data, type=kinds or Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"not a record of this version of gradproof: {error}") from error


def write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all: into a new file beside it, flushed to disk, then renamed over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:  # not by tempfile, whose files nobody else may read
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

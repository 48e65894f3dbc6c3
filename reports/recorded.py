"""Reads recorded results: checks and figures of gradproof, and the JSON of pytest-benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gradproof.cases import from_data
from gradproof.errors import ArgumentError, GradproofError, RecordError
from gradproof.record import CheckRecord, FiguresRecord, Record, decode

PEER = "peer_name"
"""The benchmark parameter that names who was timed."""
WHAT = "what"
"""The key of ``extra_info`` that says, in words, how that peer was used."""


class Stats(msgspec.Struct, frozen=True):
    """Times of one benchmark, in seconds a call."""

    min: float
    median: float
    iqr: float
    rounds: int
    iterations: int


class Benchmark(msgspec.Struct, frozen=True):
    """One benchmark, of the fields that pytest-benchmark writes those that are read."""

    name: str
    stats: Stats
    group: str | None = None
    params: dict[str, Any] | None = None
    extra_info: dict[str, Any] = {}

    @property
    def peer(self) -> str:
        """Who was timed; the benchmark's own name where it does not say."""
        return str((self.params or {}).get(PEER) or self.name)

    @property
    def what(self) -> str:
        """How it was used, in words; empty where it does not say."""
        return str(self.extra_info.get(WHAT) or "")


class Processor(msgspec.Struct, frozen=True):
    """The processor, as py-cpuinfo sees it."""

    brand_raw: str = ""
    count: int = 0


class MachineInfo(msgspec.Struct, frozen=True):
    """Where benchmarks were run. The name of the host is left unread on purpose: reports are published."""

    system: str = ""
    machine: str = ""
    python_version: str = ""
    cpu: Processor = Processor()


class Benchmarks(msgspec.Struct, frozen=True):
    """A file of ``pytest --benchmark-json``."""

    benchmarks: tuple[Benchmark, ...]
    machine_info: MachineInfo
    datetime: str
    version: str


@dataclass(frozen=True)
class Recorded:
    """Everything that a report is made from, each kind in an order of its own that is not that of the files."""

    checks: tuple[CheckRecord, ...]
    figures: tuple[FiguresRecord, ...]
    benchmarks: tuple[Benchmarks, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """The checks, then the figures."""
        return (*self.checks, *self.figures)


def read(paths: Iterable[Path | str]) -> Recorded:
    """Reads recorded files, of all kinds mixed; of a folder the ``*.json`` directly in it; a file named twice once.

    Raises ArgumentError where there is no file at all, and RecordError, which names the file, for one that is missing,
    not JSON, cut off, of another schema or version, or damaged.
    """
    files = _files([Path(path) for path in paths])
    if not files:
        raise ArgumentError("paths", "at least one recorded JSON file, or a folder with some", "none")
    records = [_read(file) for file in files]
    return Recorded(
        checks=tuple(sorted((r for r in records if isinstance(r, CheckRecord)), key=lambda r: (r.target, r.started))),
        figures=tuple(sorted((r for r in records if isinstance(r, FiguresRecord)), key=lambda r: r.started)),
        benchmarks=tuple(sorted((r for r in records if isinstance(r, Benchmarks)), key=lambda r: r.datetime)),
    )


def _files(paths: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in paths:
        for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _read(file: Path) -> Record | Benchmarks:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RecordError(f"{file}: cannot be read: {error.strerror or error}") from error
    try:
        record = _decode(data)
        if isinstance(record, CheckRecord):
            for failure in record.failures:
                from_data(failure.case)
    except GradproofError as error:
        raise RecordError(f"{file}: {error}") from error
    return record


def _decode(data: bytes) -> Record | Benchmarks:
    try:
        shape = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"not JSON, or cut off: {error}") from error
    if not isinstance(shape, dict) or not ("schema" in shape or "benchmarks" in shape):
        raise RecordError("neither a record of gradproof (no schema) nor the JSON of pytest-benchmark (no benchmarks)")
    if "schema" in shape:
        return decode(data)
    try:
        return msgspec.json.decode(data, type=Benchmarks)
    except msgspec.ValidationError as error:
        raise RecordError(f"not the JSON of pytest-benchmark: {error}") from error

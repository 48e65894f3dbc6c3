"""Keeping a run: its record, and each failing case so that ``gradproof replay ID`` finds it again."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msgspec

from gradproof import __version__
from gradproof.cases import from_data
from gradproof.errors import ArgumentError, RecordError
from gradproof.record import HOME, CaseRecord, CheckRecord, Failure, decode, encode, write
from verify.standalone import standalone

CHECKS = "checks"
CASES = "cases"


def keep(record: CheckRecord, home: Path = HOME) -> tuple[CheckRecord, Path]:
    """Writes a record below ``home``, and its failing cases; gives the record as kept, and its file.

    In what is kept, each failure's command is the one that replays its case. A case that another target failed before
    keeps that target, and the command names this one.
    """
    kept = keep_cases(record, home)
    stem = f"{re.sub(r'[^0-9]', '', record.started[:19])}-{_slug(record.target)}"
    file = home / CHECKS / f"{stem}.json"
    number = 1
    while file.exists():
        number += 1
        file = home / CHECKS / f"{stem}-{number}.json"
    write(file, encode(kept))
    return kept, file


def keep_cases(record: CheckRecord, home: Path = HOME) -> CheckRecord:
    """Writes a record's failing cases alone below ``home``; gives the record with the commands that replay them."""
    failures = tuple(_keep_case(record, failure, home) for failure in record.failures)
    return msgspec.structs.replace(record, failures=failures)


def find(case_id: str, home: Path = HOME) -> CaseRecord:
    """The kept case of this id, of which the first digits suffice, or in this file.

    Raises ArgumentError where there is none, or more than one, and RecordError for a damaged file.
    """
    file = Path(case_id)
    if file.suffix != ".json":
        if not re.fullmatch(r"[0-9a-f]+", case_id):
            raise ArgumentError("ID", "the id of a case, 12 hex digits, or a file that ends in .json", case_id)
        files = sorted((home / CASES).glob(f"{case_id}*.json"))
        if len(files) != 1:
            there = ", ".join(file.stem for file in files) or f"no such case in {(home / CASES).absolute()}"
            raise ArgumentError("ID", "the id of one kept case", f"{case_id} ({there})")
        file = files[0]
    try:
        record = decode(file.read_bytes(), CaseRecord)
    except OSError as error:
        raise RecordError(f"{file}: cannot be read: {error.strerror or error}") from error
    except RecordError as error:
        raise RecordError(_of_another_version(file) or f"{file}: {error}") from error
    return record


def _of_another_version(file: Path) -> str | None:
    """What to do with a case that another version kept in a form of its own; None where the file is no such case."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_Kept)
    except msgspec.DecodeError:
        return None
    if not re.fullmatch(r"gradproof\.case/[0-9]+", found.schema) or found.gradproof == __version__:
        return None
    script = file.with_suffix(".py")
    alone = f", or run python {shlex.quote(str(script))}, which needs no gradproof" if script.is_file() else ""
    return (
        f"{file}: version {found.gradproof} of gradproof kept this case, in a form that version {__version__} cannot "
        f"read: keep it anew with gradproof check {shlex.quote(found.target)}, install gradproof {found.gradproof} "
        f"to replay it{alone}"
    )


class _Kept(msgspec.Struct):
    """What cases of all versions say of themselves."""

    schema: str
    target: str
    gradproof: str


def _keep_case(record: CheckRecord, failure: Failure, home: Path) -> Failure:
    file = home / CASES / f"{failure.case_id}.json"
    command = f"gradproof replay {failure.case_id}"
    if _target_of(file) in (None, record.target):
        kept = CaseRecord(
            record.target,
            failure.verdict,
            failure.summary,
            failure.case_id,
            failure.case,
            record.gradproof,
            failure.causes,
        )
        write(file, encode(kept))
    else:
        command += f" {shlex.quote(record.target)}"
    return msgspec.structs.replace(failure, replay=command, script=_keep_script(record, failure, file))


def _keep_script(record: CheckRecord, failure: Failure, file: Path) -> str | None:
    """Writes what shows a failure without gradproof beside the case; gives the command that does, or None."""
    script = file.with_suffix(".py")
    if _target_of(file) != record.target:
        return None
    made = standalone(record.target, from_data(failure.case), failure, record.gradproof)
    if made is None:
        return None
    write(file.with_suffix(".npz"), made.arrays)
    write(script, made.script.encode())
    return f"python {shlex.quote(str(script))}"


def _target_of(file: Path) -> str | None:
    """The target that a kept case failed; None where there is none, or none that can be read."""
    try:
        return decode(file.read_bytes(), CaseRecord).target
    except (OSError, RecordError):
        return None


def _slug(target: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", target).strip("-")[-60:]

"""Packages that this project did not write: what is checked of each, what came out, and the table that says so.

``examples/third_party/packages.toml`` lists them, with what was found by reading their source. ``publish`` checks each,
keeps what came out in ``reports/published/third_party/verdicts.json``, and asks for a second opinion on whatever is
wrong: numerical differences of the loss that the package itself computes (``benchmarks.own_differences``).
"""

from __future__ import annotations

import ast
import os
import sys
import tempfile
import tokenize
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from benchmarks.commands import CHECKOUT, CommandError, gradproof_command, run
from benchmarks.own_differences import Witness
from benchmarks.published import FOLDER as PUBLISHED
from gradproof.cases import from_data
from gradproof.errors import RecordError
from gradproof.record import CheckRecord, Failure, Machine, decode, encode, machine, now, write
from gradproof.verdict import EXIT_CODES, Verdict
from reports.markdown import code, escape
from reports.numbers import count, duration

FOLDER: Final = CHECKOUT / "examples" / "third_party"
RECORD: Final = PUBLISHED / "third_party" / "verdicts.json"


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One target of a package; the fields are explained at the head of ``packages.toml``."""

    package: str
    version: str
    what: str
    style: str
    target: str
    verdict: Verdict
    found: str = ""
    where: tuple[str, ...] = ()
    gate: bool = False
    own_folder: bool = False
    profile: str = "default"

    @property
    def pin(self) -> str:
        """As requirements files have it."""
        return f"{self.package}=={self.version}"

    @property
    def path(self) -> Path:
        """The adapter's file."""
        return (FOLDER / self.target.rpartition(":")[0]).resolve()

    @property
    def address(self) -> str:
        """The target as ``gradproof check`` takes it in the checkout."""
        return f"{self.path.relative_to(CHECKOUT).as_posix()}:{self.target.rpartition(':')[2]}"


class Shown(msgspec.Struct, frozen=True):
    """A failure of a check, of what the table needs."""

    verdict: Verdict
    summary: str
    causes: tuple[str, ...]
    """What gradproof names, in words; what it says where it names nothing begins with ``cause unknown``."""
    case_id: str
    case: str
    """``float64, batch 1; 1 -> dense 1 -> sigmoid | squared_error/sum``."""
    alike: int
    witness: Witness | None
    """What differences of the package's own loss say; of the first failure that is wrong."""


class Result(msgspec.Struct, frozen=True):
    """What a check of one target gave."""

    package: str
    version: str
    target: str
    profile: str
    verdict: Verdict
    cases: int
    counts: dict[str, int]
    entries: int
    seconds: float
    """Processor time of the whole command, which other work on the machine changes little."""
    failures: tuple[Shown, ...]
    notes: tuple[str, ...]


class ThirdPartyRecord(msgspec.Struct, frozen=True, tag_field="schema", tag="gradproof.third_party/1"):
    """What the checks of all of them gave."""

    results: dict[str, Result]
    started: str
    machine: Machine
    gradproof: str


@cache
def packages() -> Mapping[str, Package]:
    """What is checked, by name. Raises RecordError where ``packages.toml`` is missing or says what it may not."""
    try:
        listed = tomllib.loads((FOLDER / "packages.toml").read_text(encoding="utf-8"))
        return MappingProxyType(msgspec.convert(listed, dict[str, Package]))
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RecordError(f"examples/third_party/packages.toml, in the checkout: {error}") from error


def third_party_record() -> ThirdPartyRecord:
    """What is published. Raises RecordError where it is missing or damaged."""
    try:
        return msgspec.json.decode(RECORD.read_bytes(), type=ThirdPartyRecord)
    except (OSError, msgspec.DecodeError) as error:
        raise RecordError(f"{RECORD}: {error}; run python -m benchmarks third-party") from error


def check(name: str) -> Result:
    """Checks one of them anew.

    Raises CommandError where it is not installed at its version, where the verdict is not the one that is written
    down, and where something wrong is not confirmed by differences of the package's own loss.
    """
    package = packages()[name]
    with _installed(package) as settings:
        command = gradproof_command("check", package.address, "--profile", package.profile, "--format", "json")
        before = _children()
        _, output = run(command, EXIT_CODES[package.verdict], settings=settings)
        seconds = round(_children() - before, 3)
        record = decode(output.encode(), CheckRecord)
        if record.verdict != package.verdict:
            raise CommandError(f"{name}: expected {package.verdict}, got {record.verdict}")
        shown = tuple(_shown(failure) for failure in record.failures)
        for i, failure in enumerate(record.failures):
            if failure.verdict is Verdict.WRONG:
                witness = _witness(package, failure, settings)
                if not witness.contradicts:
                    raise CommandError(f"{name}: not confirmed by differences of the package's own loss: {witness}")
                shown = (*shown[:i], msgspec.structs.replace(shown[i], witness=witness), *shown[i + 1 :])
                break
    return Result(
        package=package.package,
        version=package.version,
        target=package.address,
        profile=package.profile,
        verdict=package.verdict,
        cases=record.cases,
        counts=record.counts,
        entries=record.entries,
        seconds=seconds,
        failures=shown,
        notes=record.notes,
    )


def publish(results: Mapping[str, Result]) -> None:
    """Keeps results beside those that are published of others."""
    before = third_party_record().results if RECORD.is_file() else {}
    ordered = {name: found for name in packages() if (found := results.get(name) or before.get(name)) is not None}
    try:
        ours = version("gradproof")
    except PackageNotFoundError:
        ours = "unknown"
    named = machine(("numpy", "python-flint", "sympy", "hypothesis"))
    write(RECORD, encode(ThirdPartyRecord(ordered, now(), named, ours)))


def differs(name: str, result: Result) -> str | None:
    """In what a result is another than the published one, verdict or causes, in words; None where in neither."""
    published = third_party_record().results.get(name)
    if published is None:
        return "it is not published"
    before, after = ([failure.causes for failure in r.failures] for r in (published, result))
    if (published.verdict, published.target, published.version) != (result.verdict, result.target, result.version):
        return f"published is {published.verdict} for {published.version} by {published.target}"
    return None if before == after else f"published causes are {before}, got {after}"


def summary() -> str:
    """How many there are, how many of each verdict, and how long a verdict took."""
    results = [third_party_record().results[name] for name in packages()]
    names = {result.package for result in results}
    verdicts = [result.verdict for result in results]
    counted = ", ".join(f"{count(verdicts.count(verdict))} {verdict}" for verdict in Verdict if verdict in verdicts)
    seconds = sorted(result.seconds for result in results if result.profile == "default")
    took = f"{duration(seconds[0])} to {duration(seconds[-1])}, {duration(seconds[len(seconds) // 2])} in the middle"
    return (
        f"{count(len(names))} packages, {count(len(verdicts))} targets: {counted}. "
        f"A verdict of the default profile took {took}, of processor time."
    )


def table() -> str:
    """The table of verdicts, in Markdown."""
    rows = [
        "| package | what it is | style | adapter | verdict | cases | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    results = third_party_record().results
    for name, package in packages().items():
        result = results[name]
        path = Path(os.path.relpath(package.path, FOLDER)).as_posix()
        lines = count(code_lines(package.path), "line")
        verdict = f"{result.verdict}" if result.verdict is Verdict.CORRECT else f"[**{result.verdict}**](#{name})"
        if result.verdict is not Verdict.CORRECT:
            verdict += f" in {count(result.counts[str(result.verdict)])}"
        rows.append(
            f"| {package.package} {package.version} "
            f"| {package.what} | {package.style} | [{path}]({path}), {lines} | {verdict} | {count(result.cases)} "
            f"| {duration(result.seconds)} |"
        )
    return "\n".join(rows)


def findings() -> str:
    """What is not correct, one section each, in Markdown: what gradproof says, when it shows, what reading found."""
    results = third_party_record().results
    sections = []
    for name, package in packages().items():
        result = results[name]
        if result.verdict is Verdict.CORRECT:
            continue
        failure = next(failure for failure in result.failures if failure.verdict is result.verdict)
        named = "; ".join(failure.causes) or failure.summary
        places = ", ".join(f"`{place}`" for place in package.where)
        lines = [
            f'<a id="{name}"></a>**{package.package} {package.version}** ({package.what}): {result.verdict} in '
            f"{count(result.counts[str(result.verdict)])} of {count(result.cases, 'case')}.",
            "",
            f"- gradproof says: {escape(named)}",
            f"- smallest case found: {code('; '.join(failure.case.splitlines()))}",
            f"- in the source: {package.found} ({places})",
        ]
        if failure.witness is not None:
            lines.append(f"- {failure.witness}")
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def code_lines(path: Path) -> int:
    """Lines of code of a file: those with something on them that is neither a comment nor the module's docstring."""
    text = path.read_text(encoding="utf-8")
    body = ast.parse(text).body
    docstring = range(1, (body[0].end_lineno or 0) + 1) if ast.get_docstring(ast.parse(text)) is not None else ()
    with tokenize.open(path) as stream:
        ignored = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        tokens = [t for t in tokenize.generate_tokens(stream.readline) if t.type not in (*ignored, tokenize.ENDMARKER)]
    return len({line for t in tokens for line in range(t.start[0], t.end[0] + 1)} - set(docstring))


def _shown(failure: Failure) -> Shown:
    case = from_data(failure.case)
    causes = tuple(cause.words if cause.name else f"cause unknown: {cause.words}" for cause in failure.causes)
    return Shown(
        verdict=failure.verdict,
        summary=failure.summary,
        causes=causes,
        case_id=failure.case_id,
        case=f"{case.facts()}; {case.text()}",
        alike=failure.cases_alike,
        witness=None,
    )


def _witness(package: Package, failure: Failure, settings: Mapping[str, str]) -> Witness:
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "failure.json"
        kept.write_bytes(encode(failure))
        command = [sys.executable, "-P", "-m", "benchmarks.own_differences", package.address, str(kept)]
        paths = _path(settings.get("PYTHONPATH", os.environ.get("PYTHONPATH", "")), str(CHECKOUT))
        _, output = run(command, settings={"PYTHONPATH": paths})
    try:
        return msgspec.json.decode(output, type=Witness)
    except msgspec.DecodeError as error:
        raise CommandError(f"{package.package}: {error}: {output[-500:]}") from error


@contextmanager
def _installed(package: Package) -> Iterator[dict[str, str]]:
    """The environment's settings in which a package can be imported, at its version."""
    if not package.own_folder:
        try:
            found = version(package.package)
        except PackageNotFoundError:
            found = "none"
        if found.partition("+")[0] != package.version:
            raise CommandError(f"expected {package.pin} installed, found {found}; pip install --no-deps {package.pin}")
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, package.pin])
        yield {"PYTHONPATH": _path(folder, os.environ.get("PYTHONPATH", ""))}


def _children() -> float:
    """Processor time of the commands that have been run, in seconds."""
    times = os.times()
    return times.children_user + times.children_system


def _path(*folders: str) -> str:
    return os.pathsep.join(filter(None, folders))

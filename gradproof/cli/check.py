"""``gradproof check``: random cases of all that a target supports."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradproof.cli.errors import BadUsage
from gradproof.cli.isolation import chosen_limits, isolation, say
from gradproof.cli.streams import stdout_kept, terminal, until_closed
from gradproof.cli.texts import EXAMPLES, EXIT_HELP
from gradproof.cli.watching import watched
from gradproof.verdict import EXIT_USAGE

if TYPE_CHECKING:
    from gradproof.known import KnownFailures
    from gradproof.record import CheckRecord


@click.command("check", epilog=f"{EXAMPLES}\n{EXIT_HELP}")
@click.argument("target")
@click.option(
    "--profile",
    type=click.Choice(["smoke", "default", "thorough"]),
    default="default",
    show_default=True,
    help="How many cases: 60, 500 or 5000.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which cases are drawn.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["term", "json", "junit", "markdown", "html", "github", "gradescope"]),
    default="term",
    show_default=True,
    help="What is printed: a screen to read, or the record in one of the others and nothing else. junit and gradescope "
    "have a test for each family of cases, github an annotation for each failure; under GitHub Actions annotations "
    "and a step summary are written anyhow.",
)
@click.option(
    "--known-failures",
    "known_failures",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Families of cases that are known to fail, with reasons, in TOML. Without it gradproof.toml in the current "
    "folder, where there is one.",
)
@isolation
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the record, as JSON, to this file."
)
def command(
    target: str,
    profile: str,
    seed: int,
    form: str,
    known_failures: Path | None,
    isolate: bool,
    time_limit: float | None,
    memory_limit: int | None,
    out: Path | None,
) -> None:
    """Check TARGET on random cases of all that it supports.

    TARGET is path.py:name or package.module:name. Each failure is shrunk to a case that can be checked on paper, and
    comes with the command that replays it. The record of the run is kept below .gradproof/ in the current folder.
    """
    from gradproof.known import settled
    from gradproof.record import encode, write

    known = _known(known_failures)
    with watched() as watch, stdout_kept():
        from verify.isolation.supervision import check as run

        limits = chosen_limits(time_limit, memory_limit)
        checked = run(target, profile=profile, seed=seed, on_progress=watch, say=say, isolate=isolate, **limits)
        record, stale = settled(checked, known)
    from verify.keeping import keep

    try:
        record, _ = keep(record)
    except OSError as error:
        click.echo(f"gradproof: the record cannot be kept: {error}", err=True)
    with until_closed():
        _print(record, form)
    _tell_github(record, form)
    if out is not None:
        try:
            write(out, encode(record))
        except OSError as error:
            raise BadUsage(f"--out {out}: cannot be written: {error.strerror or error}") from None
    for message in stale:
        click.echo(f"Error: {message}", err=True)
    sys.exit(EXIT_USAGE if stale else record.exit_code)


def _known(file: Path | None) -> KnownFailures:
    from gradproof.known import KNOWN_FAILURES_FILE, KnownFailures, read_known_failures

    if file is None and not KNOWN_FAILURES_FILE.is_file():
        return KnownFailures()
    return read_known_failures(file or KNOWN_FAILURES_FILE)


def _print(record: CheckRecord, form: str) -> None:
    if form == "term":
        from reports.terminal import render_check

        render_check(record, terminal())
    else:
        from reports.formats import FORMATS

        click.echo(FORMATS[form](record), nl=False)


def _tell_github(record: CheckRecord, form: str) -> None:
    """Under GitHub Actions: annotations, on standard error so that formats stay what they are, and a step summary."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    from reports.formats import FORMATS

    if form != "github":
        click.echo(FORMATS["github"](record), nl=False, err=True)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as stream:
                stream.write(f"{FORMATS['markdown'](record)}\n")
        except OSError as error:
            click.echo(f"gradproof: the step summary cannot be written: {error}", err=True)

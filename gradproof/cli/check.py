"""``gradproof check``: random cases of all that a target supports."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gradproof.cli.errors import BadUsage
from gradproof.cli.streams import stdout_kept, terminal, until_closed
from gradproof.cli.texts import EXAMPLES, EXIT_HELP
from gradproof.cli.watching import watched


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
    type=click.Choice(["term", "json"]),
    default="term",
    show_default=True,
    help="What is printed: a screen to read, or the record as JSON and nothing else.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the record, as JSON, to this file."
)
def command(target: str, profile: str, seed: int, form: str, out: Path | None) -> None:
    """Check TARGET on random cases of all that it supports.

    TARGET is path.py:name or package.module:name. Each failure is shrunk to a case that can be checked on paper, and
    comes with the command that replays it. The record of the run is kept below .gradproof/ in the current folder.
    """
    from gradproof.record import encode, write

    with watched() as watch, stdout_kept():
        from verify.campaign import check as run
        from verify.keeping import keep

        record = run(target, profile=profile, seed=seed, on_progress=watch)
    try:
        record, _ = keep(record)
    except OSError as error:
        click.echo(f"gradproof: the record cannot be kept: {error}", err=True)
    with until_closed():
        if form == "json":
            click.echo(encode(record), nl=False)
        else:
            from reports.terminal import render_check

            render_check(record, terminal())
    if out is not None:
        try:
            write(out, encode(record))
        except OSError as error:
            raise BadUsage(f"--out {out}: cannot be written: {error.strerror or error}") from None
    sys.exit(record.exit_code)

"""``gradproof replay``: one kept case again."""

from __future__ import annotations

import shlex
import sys

import click

from gradproof import __version__
from gradproof.cli.isolation import chosen_limits, isolation, say
from gradproof.cli.streams import stdout_kept, terminal, until_closed
from gradproof.verdict import EXIT_CODES


@click.command("replay")
@click.argument("case_id", metavar="ID")
@click.argument("target", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["term", "json"]),
    default="term",
    show_default=True,
    help="What is printed: a screen to read, or the verdict as JSON and nothing else.",
)
@isolation
def command(
    case_id: str,
    target: str | None,
    form: str,
    isolate: bool,
    time_limit: float | None,
    memory_limit: int | None,
) -> None:
    """Call the target again on one failing case that a check has kept.

    ID is the case's id, of which the first digits suffice, or a file from .gradproof/cases/. Run it from the folder
    that the check ran in. TARGET calls another target on the same case. Exit codes are those of check.
    """
    from gradproof.cases import from_data
    from gradproof.record import encode
    from verify.keeping import find

    kept = find(case_id)
    text = target or kept.target
    with stdout_kept():
        from verify.isolation.supervision import replay

        limits = chosen_limits(time_limit, memory_limit)
        verdict = replay(text, kept.case, say=say, isolate=isolate, **limits)
    if kept.gradproof != __version__:
        click.echo(
            f"gradproof: version {kept.gradproof} kept this case, the verdict is that of version {__version__}; where "
            f"they differ, keep it anew with gradproof check {shlex.quote(kept.target)}",
            err=True,
        )
    with until_closed():
        if form == "json":
            click.echo(encode(verdict), nl=False)
        else:
            from rich.text import Text

            from reports.terminal import render_case
            from reports.text import line

            screen = terminal()
            screen.print(Text(f"\n  {line(text)}: {verdict.verdict}", style="bold"))
            kept_causes = kept.causes if text == kept.target and verdict.verdict is kept.verdict else ()
            render_case(from_data(kept.case), verdict.findings, screen, causes=kept_causes)
    sys.exit(EXIT_CODES[verdict.verdict])

"""``gradproof report``: pages of what was recorded."""

from __future__ import annotations

from pathlib import Path

import click

from gradproof.cli.errors import BadUsage


@click.command("report")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gradproof-report"),
    show_default=True,
    help="The folder to write to.",
)
def command(files: tuple[Path, ...], out: Path) -> None:
    """Turn recorded results into one Markdown and one self-contained HTML page.

    FILES are records of gradproof check, of python -m benchmarks figures, and JSON of pytest --benchmark-json, or
    folders that hold some. Without any, everything kept below .gradproof/ in the current folder.
    """
    from reports.page import write_report

    for file in write_report(files or _all_kept(), out):
        click.echo(file)


def _all_kept() -> list[Path]:
    from gradproof.record import HOME

    # Cases are no results: they stand in the record of the check that found them.
    files = [file for file in sorted(HOME.rglob("*.json")) if file.parent.name != "cases"]
    if not files:
        raise BadUsage(f"nothing is kept in {HOME.absolute()}: run gradproof check first, or name files")
    return files

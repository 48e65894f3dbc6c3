"""The command ``gradproof``. The rooms that do the work are imported by the command that needs them, not before."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradproof import __version__
from gradproof.errors import GradproofError
from gradproof.verdict import EXIT_CODES, EXIT_USAGE, Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from verify.campaign import Progress

EXIT_INTERRUPTED = 130
"""What shells say of a command that Ctrl-C ended: 128 + SIGINT."""

QUIET_SECONDS = 2.0
"""Runs shorter than this say nothing on the way where nobody watches."""
LINE_SECONDS = 5.0
"""How often longer ones say how far they are."""
FRAME_SECONDS = 0.1
"""How often a terminal is drawn anew."""

EXAMPLES = """\b
Examples:
  gradproof check net.py:backprop
  gradproof check net.py:backprop --profile thorough --seed 7
  gradproof check mypackage.layers:Network --format json > check.json
  gradproof replay 3f9c01d2ab44
  gradproof explain 3f9c01d2ab44 --entry "0.weight[0, 1]"
  gradproof report --out pages
"""

EXIT_HELP = """\b
Exit codes, the first that applies:
  2  usage: the target or an option is not what it must be
  1  wrong: proved by at least one case
  3  the target crashed, or what it returned is no answer
  6  undecided, or gradproof itself failed
  4  inaccurate only: the right formula, with more digits lost than needed
  5  nothing ran
  0  all correct
"""


class _Commands(click.Group):
    """Turns errors into one message and an exit code; none but our own defects show a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException):
            raise
        except GradproofError as error:
            raise _BadUsage(str(error)) from None
        except (KeyboardInterrupt, click.Abort):
            click.echo("gradproof: interrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except Exception:
            click.echo(f"{traceback.format_exc()}\nThis is a defect of gradproof {__version__}: report it.", err=True)
            ctx.exit(EXIT_CODES[Verdict.ORACLE_CONFLICT])


class _BadUsage(click.ClickException):
    """One clear message on standard error."""

    exit_code = EXIT_USAGE


@click.group(cls=_Commands, epilog=f"{EXAMPLES}\n{EXIT_HELP}", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gradproof")
def main() -> None:
    """Proves gradients right or wrong.

    A target is your own function or class, decorated with gradproof.target(...): it takes a case (a network with
    parameters and a batch) and returns its gradients. Every number that it returns is held against an exact, certified
    reference, and against what careful arithmetic may be off by on this very case. There is no tolerance to choose.
    """


@main.command(epilog=f"{EXAMPLES}\n{EXIT_HELP}")
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
def check(target: str, profile: str, seed: int, form: str, out: Path | None) -> None:
    """Check TARGET on random cases of all that it supports.

    TARGET is path.py:name or package.module:name. Each failure is shrunk to a case that can be checked on paper, and
    comes with the command that replays it. The record of the run is kept below .gradproof/ in the current folder.
    """
    from gradproof.record import encode, write

    with _watched() as watch, _stdout_kept():
        from verify.campaign import check as run
        from verify.keeping import keep

        record = run(target, profile=profile, seed=seed, on_progress=watch)
    try:
        record, _ = keep(record)
    except OSError as error:
        click.echo(f"gradproof: the record cannot be kept: {error}", err=True)
    with _until_closed():
        if form == "json":
            click.echo(encode(record), nl=False)
        else:
            from reports.terminal import render_check

            render_check(record, _screen())
    if out is not None:
        try:
            write(out, encode(record))
        except OSError as error:
            raise _BadUsage(f"--out {out}: cannot be written: {error.strerror or error}") from None
    sys.exit(record.exit_code)


@main.command()
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
def replay(case_id: str, target: str | None, form: str) -> None:
    """Call the target again on one failing case that a check has kept.

    ID is the case's id, of which the first digits suffice, or a file from .gradproof/cases/. Run it from the folder
    that the check ran in. TARGET calls another target on the same case. Exit codes are those of check.
    """
    from gradproof.case import Case
    from gradproof.record import encode
    from verify.keeping import find

    kept = find(case_id)
    case, text = Case.from_data(kept.case), target or kept.target
    with _stdout_kept():
        from verify.campaign import assess
        from verify.loading import load

        assessment = assess(load(text), case)
    verdict = assessment.verdict
    if kept.gradproof != __version__:
        click.echo(f"gradproof: this case was kept by version {kept.gradproof}, this is {__version__}", err=True)
    with _until_closed():
        if form == "json":
            click.echo(encode(verdict), nl=False)
        else:
            from rich.text import Text

            from reports.terminal import render_case
            from reports.text import line

            screen = _screen()
            screen.print(Text(f"\n  {line(text)}: {verdict.verdict}", style="bold"))
            kept_causes = kept.causes if text == kept.target and verdict.verdict is kept.verdict else ()
            render_case(case, verdict.findings, screen, causes=kept_causes)
    sys.exit(EXIT_CODES[verdict.verdict])


@main.command()
@click.argument("case_id", metavar="CASE")
@click.option("--entry", metavar="ENTRY", help="Which one, as findings name it: 0.weight[1, 0], or inputs[0, 2].")
@click.option(
    "--format",
    "form",
    type=click.Choice(["term", "latex", "json"]),
    default="term",
    show_default=True,
    help="A screen to read, the formulas as LaTeX, or everything as JSON.",
)
def explain(case_id: str, entry: str | None, form: str) -> None:
    """Explain one gradient entry of a case that a check has kept.

    The chain rule step by step with its exact numbers, the closed form, the certified number, and how float64, float32
    and numerical differences at their best step come out. CASE is an id, of which the first digits suffice, or a file
    from .gradproof/cases/. The formulas are for small networks, as shrunk cases are.
    """
    from gradproof.case import Case
    from gradproof.record import encode
    from verify.explanation import explain as explained
    from verify.keeping import find

    found = explained(Case.from_data(find(case_id).case), entry)
    with _until_closed():
        if form == "json":
            click.echo(encode(found), nl=False)
        elif form == "latex":
            from reports.explanation import latex

            click.echo(latex(found), nl=False)
        else:
            from reports.explanation import render_explanation

            render_explanation(found, _screen())


@main.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gradproof-report"),
    show_default=True,
    help="The folder to write to.",
)
def report(files: tuple[Path, ...], out: Path) -> None:
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
        raise _BadUsage(f"nothing is kept in {HOME.absolute()}: run gradproof check first, or name files")
    return files


def _screen() -> Console:
    from rich.console import Console

    return Console(file=sys.stdout)


@contextlib.contextmanager
def _until_closed() -> Iterator[None]:
    """Whoever reads our output may stop reading: the exit code still counts."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _stdout_kept() -> Iterator[None]:
    """Keeps our standard output to ourselves: what compiled code of a target prints goes to standard error instead."""
    sys.stdout.flush()
    try:
        ours = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # there is no standard output, or no standard error
        yield
        return
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(ours, 1)
        os.close(ours)


@contextlib.contextmanager
def _watched() -> Iterator[Callable[[Progress], None]]:
    """How far a run is, on standard error: drawn where a person watches, else a line now and then in long runs."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    # Drawn by us alone, from between two calls of the target: a thread would draw into what the target prints.
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counted]}"),
        TimeElapsedColumn(),
    )
    console = Console(file=sys.stderr)
    with Bar(
        *columns, console=console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task("loading", total=None, counted="")
        bar.refresh()
        drawn = 0.0

        def draw(progress: Progress) -> None:
            nonlocal drawn
            now = time.monotonic()
            if now - drawn >= FRAME_SECONDS or progress.stage != "checking" or progress.done == progress.total:
                drawn = now
                counted = _counted(progress)
                bar.update(
                    task, description=progress.stage, completed=progress.done, total=progress.total, counted=counted
                )
                bar.refresh()

        yield draw


class _Lines:
    """Progress for a log: nothing in a short run, a line now and then in a long one."""

    def __init__(self) -> None:
        self.due = time.monotonic() + QUIET_SECONDS

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + LINE_SECONDS
        things = "cases" if progress.stage == "checking" else "failures"
        counted = _counted(progress)
        click.echo(
            f"gradproof: {progress.stage}, {progress.done} of {progress.total} {things}"
            f"{', ' + counted if counted else ''}",
            err=True,
        )


def _counted(progress: Progress) -> str:
    """``2 wrong, 1 crashed``; nothing where all is correct so far."""
    return ", ".join(f"{n} {verdict}" for verdict, n in progress.counts.items() if n and verdict != Verdict.CORRECT)

"""``python -m benchmarks``: measures the figures, and writes the published ones into the README."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks import readme as readme_text
from benchmarks import third_party
from benchmarks.accuracy.command import accuracy
from benchmarks.campaigns import CAMPAIGNS, conduct
from benchmarks.figures import described, measure, merged, refuse_another_machine
from benchmarks.published import CHECKS
from benchmarks.published import publish as published_check
from gradproof.errors import GradproofError
from gradproof.record import FiguresRecord, decode, encode, write


def _say(text: str) -> None:
    click.echo(text, err=True)


def _line(record: FiguresRecord) -> str:
    rows = []
    for figure in record.figures:
        met = "" if figure.met is None else ("  met" if figure.met else "  MISSED")
        goal = f"  goal {figure.goal}{met}" if figure.goal else ""
        peers = "".join(f"  {name} {value:.4g} {figure.unit}" for name, value in figure.peers.items())
        note = f"\n    {figure.note}" if figure.note else ""
        rows.append(f"{figure.name}: {figure.value:.4g} {figure.unit}{goal}{peers}{note}")
    return "\n".join(rows)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The clock: every figure that the documentation quotes is measured here."""


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "list_names", is_flag=True, help="Print the names of the figures and what they are.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the record to this file.")
@click.option(
    "--into",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Put the figures into this record in place of its own; those that are not measured stay.",
)
def figures(names: tuple[str, ...], list_names: bool, as_json: bool, out: Path | None, into: Path | None) -> None:
    """Measure the named figures, or all of them. Progress goes to standard error.

    What several names begin with stands for all of them: training_step. Times are of this machine as it is now: leave
    it alone meanwhile. Ratios to the peers of the same run carry over to other machines better than seconds do. A
    figure that cannot be measured is left out, and the exit code is 1.
    """
    if list_names:
        for name, what in described().items():
            click.echo(f"{name}: {what}")
        return
    try:
        before = decode(into.read_bytes(), FiguresRecord) if into is not None and into.exists() else None
        if before is not None:
            refuse_another_machine(before)
        record, failed = measure(names, _say)
    except GradproofError as error:
        raise click.ClickException(str(error)) from error
    if out is not None:
        write(out, encode(record))
    if into is not None:
        write(into, encode(record if before is None else merged(before, record)))
    click.echo(encode(record).decode().rstrip() if as_json else _line(record))
    if failed:
        raise click.ClickException("\n".join(f"{name} could not be measured: {why}" for name, why in failed.items()))


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", type=click.Choice(list(CHECKS)))
def publish(names: tuple[str, ...]) -> None:
    """Check the published targets anew, the named ones or all, and keep the records that the README quotes."""
    for name in names or CHECKS:
        _say(name)
        try:
            record = published_check(name)
        except GradproofError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{record.target}: {record.verdict}, {record.cases} cases")


@main.command("third-party")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "list_names", is_flag=True, help="Print the names and what they are.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a verdict or a cause is another.")
def third_party_command(names: tuple[str, ...], list_names: bool, check: bool) -> None:
    """Check packages that this project did not write, the named ones or all, and keep what comes out.

    Needs them installed, as examples/third_party/README.md says; those that share a module's name with another are
    installed on the way into folders of their own. What is called wrong must be confirmed by differences of the
    package's own loss. The exit code is 1 where something does not come out as it is written down.
    """
    try:
        known = third_party.packages()
    except GradproofError as error:
        raise click.ClickException(str(error)) from error
    if list_names:
        for name, package in known.items():
            click.echo(f"{name}: {package.pin}, {package.what}")
        return
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"{', '.join(unknown)}: not among those that --list prints")
    failed = {}
    for name in names or known:
        _say(name)
        try:
            result = third_party.check(name)
            why = third_party.differs(name, result) if check else None
            if not check:
                third_party.publish({name: result})
        except GradproofError as error:
            why = str(error)
        else:
            click.echo(f"{result.target}: {result.verdict}, {result.cases} cases, {result.seconds:.1f} s")
        if why is not None:
            failed[name] = why
    if failed:
        raise click.ClickException("\n".join(f"{name}: {why}" for name, why in failed.items()))


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a README would change.")
def readme(check: bool) -> None:
    """Write the published figures, verdicts and outputs into the READMEs."""
    try:
        stale = readme_text.refresh(write_changes=not check)
    except GradproofError as error:
        raise click.ClickException(str(error)) from error
    if check and stale:
        raise click.ClickException(f"README.md: stale: {', '.join(stale)}; run python -m benchmarks readme")
    click.echo(f"README.md: {', '.join(stale)} written" if stale else "README.md: up to date")


@main.command()
@click.argument("name", default="accusations", type=click.Choice(list(CAMPAIGNS)))
@click.option("--cases", type=click.IntRange(min=1), help="How many; as many as the campaign is meant for by default.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the record to this file.")
def campaign(name: str, cases: int | None, seed: int, out: Path | None) -> None:
    """Run a campaign over random cases on every core: minutes to hours. Progress goes to standard error.

    With --out, what is found so far is kept beside that file, and the same command goes on where it was interrupted.
    The exit code is 1 where something is found that must not be.
    """
    try:
        line, as_it_must_be = conduct(name, cases or CAMPAIGNS[name].cases, seed, out, _say)
    except GradproofError as error:
        raise click.ClickException(str(error)) from error
    click.echo(line)
    if not as_it_must_be:
        raise SystemExit(1)


main.add_command(accuracy)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")

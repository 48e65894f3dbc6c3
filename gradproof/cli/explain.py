"""``gradproof explain``: one gradient entry by the chain rule."""

from __future__ import annotations

import click

from gradproof.cli.streams import terminal, until_closed


@click.command("explain")
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
def command(case_id: str, entry: str | None, form: str) -> None:
    """Explain one gradient entry of a case that a check has kept.

    The chain rule step by step with its exact numbers, the closed form, the certified number, and how float64, float32
    and numerical differences at their best step come out. CASE is an id, of which the first digits suffice, or a file
    from .gradproof/cases/. The formulas are for small networks, as shrunk cases are.
    """
    from gradproof.case import Case, CaseData
    from gradproof.errors import ArgumentError
    from gradproof.record import encode
    from verify.explanation import explain as explained
    from verify.keeping import find

    data = find(case_id).case
    if not isinstance(data, CaseData):
        raise ArgumentError("CASE", "a case of a network", f"a case of the kind {data.__struct_config__.tag}")
    found = explained(Case.from_data(data), entry)
    with until_closed():
        if form == "json":
            click.echo(encode(found), nl=False)
        elif form == "latex":
            from reports.explanation import latex

            click.echo(latex(found), nl=False)
        else:
            from reports.explanation import render_explanation

            render_explanation(found, terminal())

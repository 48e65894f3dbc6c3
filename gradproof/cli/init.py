"""``gradproof init``: an adapter to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from gradproof.cli.errors import BadUsage


@click.command("init")
@click.argument("target")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; <name>_adapter.py beside TARGET's file unless given.",
)
@click.option("--force", is_flag=True, help="Write over a file that exists.")
def command(target: str, out: Path | None, force: bool) -> None:
    """Write an adapter for TARGET, to edit and then to check.

    TARGET is path.py:name or package.module:name: a class of networks on NumPy arrays, a PyTorch module, a JAX or
    autograd loss function, or scikit-learn's MLP. A class of networks is made and run on a small case, to tell how it
    keeps its weights, which activations it has, and which loss its gradients belong to. What cannot be told is marked
    CONFIRM in the file.
    """
    from verify.adapters.init import init

    try:
        written = init(target, out, force=force)
    except OSError as error:
        raise BadUsage(f"the adapter cannot be written: {error}") from None
    click.echo(f"{written.path}: {target} is {written.kind}")
    for title, lines in (("recognised", written.recognised), ("to be confirmed (marked CONFIRM)", written.open)):
        if lines:
            click.echo(f"\n{title}:")
            for line in lines:
                click.echo(f"  {line}")
    click.echo(f"\nnext: gradproof check {written.target}")

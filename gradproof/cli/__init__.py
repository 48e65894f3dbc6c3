"""The command ``gradproof``, one file for each of its commands.

The rooms that do the work are imported by the command that needs them, when it runs and not before.
"""

from __future__ import annotations

import traceback
from typing import Any

import click

from gradproof import __version__
from gradproof.cli import check, explain, init, replay, report
from gradproof.cli.errors import BadUsage
from gradproof.cli.texts import EXAMPLES, EXIT_HELP
from gradproof.errors import GradproofError
from gradproof.verdict import EXIT_CODES, Verdict

EXIT_INTERRUPTED = 130
"""What shells say of a command that Ctrl-C ended: 128 + SIGINT."""


class _Commands(click.Group):
    """Turns errors into one message and an exit code; none but our own defects show a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException):
            raise
        except GradproofError as error:
            raise BadUsage(str(error)) from None
        except (KeyboardInterrupt, click.Abort):
            click.echo("gradproof: interrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except Exception:
            click.echo(f"{traceback.format_exc()}\nThis is a defect of gradproof {__version__}: report it.", err=True)
            ctx.exit(EXIT_CODES[Verdict.ORACLE_CONFLICT])


@click.group(cls=_Commands, epilog=f"{EXAMPLES}\n{EXIT_HELP}", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gradproof")
def main() -> None:
    """Proves gradients right or wrong.

    A target is your own function or class, which says what it supports: a network (gradproof.target, or in words
    gradproof.adapters), a single layer or kernel (gradproof.operation), an autograd engine (gradproof.engine) or an
    optimiser (gradproof.steps). It takes a case and returns what it computed. Every number is held against an exact,
    certified reference, and against what careful arithmetic may be off by on this very case. There is no tolerance to
    choose.
    """


for _module in (check, init, replay, explain, report):
    main.add_command(_module.command)

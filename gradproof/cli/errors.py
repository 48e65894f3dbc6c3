"""The error that ends a command with one message and no traceback."""

from __future__ import annotations

import click

from gradproof.verdict import EXIT_USAGE


class BadUsage(click.ClickException):
    """One clear message on standard error."""

    exit_code = EXIT_USAGE

"""The errors that gradproof raises on bad input: each names the argument, what was expected and what came."""

from __future__ import annotations


class GradproofError(Exception):
    """Base of every error that gradproof raises on purpose."""


class ArgumentError(GradproofError, ValueError):
    """An argument is not what it must be.

    The message is built from its three parts, so that every error of the project reads alike:
    ``batch: expected at least 1, got 0``.
    """

    def __init__(self, argument: str, expected: str, got: object) -> None:
        self.argument = argument
        self.expected = expected
        self.got = got if isinstance(got, str) else repr(got)
        super().__init__(f"{argument}: expected {expected}, got {self.got}")


class NetworkError(ArgumentError):
    """A network that cannot exist: the argument is the path of the layer, parameter or part at fault."""


class RecordError(GradproofError):
    """A recorded file cannot be read: it is not gradproof's, damaged, or of another version."""

"""Running the project's own commands from outside, as a person types them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

from gradproof.errors import GradproofError

CHECKOUT: Final = Path(__file__).parents[1]
README: Final = CHECKOUT / "README.md"


class CommandError(GradproofError):
    """A command did not do what it was run for."""


def gradproof_command(*arguments: str, scripts: str | Path | None = None) -> list[str]:
    """``gradproof`` with these arguments, as installed in this environment or in the one with these ``scripts``."""
    name = "gradproof.exe" if sys.platform == "win32" else "gradproof"
    return [str(Path(scripts or sysconfig.get_path("scripts")) / name), *arguments]


def run(
    command: Sequence[str], expected: int = 0, folder: Path = CHECKOUT, settings: Mapping[str, str] | None = None
) -> tuple[float, str]:
    """Seconds and standard output of a command, with ``settings`` added to its environment.

    Raises CommandError where it ends with another exit code than expected.
    """
    environment = {**os.environ, **(settings or {})}
    start = perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    seconds = perf_counter() - start
    if done.returncode != expected:
        last_words = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CommandError(f"{' '.join(command)}: expected exit code {expected}, got {done.returncode}: {last_words}")
    return seconds, done.stdout


def require_checkout() -> None:
    """Raises CommandError where this is an installed copy without the examples and the suite's configuration."""
    if not (CHECKOUT / "examples").is_dir():
        raise CommandError(f"expected a checkout with its examples at {CHECKOUT}, got an installed copy alone")


class ReadmeError(GradproofError):
    """The README has no place for what is to be written."""


def setup_command(name: str) -> str:
    """The command that the README prints below the comment ``<!-- setup: NAME -->``.

    Raises ReadmeError where it prints none.
    """
    found = re.search(rf"<!-- setup: {name} -->\n```sh\n(.+)\n```", README.read_text(encoding="utf-8"))
    if found is None:
        raise ReadmeError(f"README.md: expected a command below <!-- setup: {name} -->, found none")
    return found[1]

"""How long the commands take that people type: from outside, process start and imports included."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.commands import CHECKOUT, gradproof_command, require_checkout, run, setup_command
from benchmarks.figures.common import Measure, Progress, figure
from gradproof.record import CheckRecord, Figure, decode
from gradproof.verdict import EXIT_CODES, Verdict

RIGHT: Final = "examples/numpy_network.py:adapter"
DEFAULT_CASES: Final = 500
HELP_RUNS: Final = 11


def cli_help(progress: Progress) -> Figure:
    """`gradproof --help`, the median of eleven runs."""
    times = [run(gradproof_command("--help"))[0] for _ in range(HELP_RUNS)]
    return figure("cli_help", median(times), "s", at_most=0.4)


def _warm_check(profile: str, progress: Progress) -> tuple[float, CheckRecord]:
    require_checkout()
    command = gradproof_command("check", RIGHT, "--profile", profile, "--format", "json")
    progress(f"{profile} profile, once to warm up and once timed")
    run(command)
    seconds, output = run(command)
    return seconds, decode(output.encode(), CheckRecord)


def check_smoke(progress: Progress) -> Figure:
    """`gradproof check` of the right NumPy example, smoke profile, with every compiled kernel cached."""
    seconds, record = _warm_check("smoke", progress)
    return figure("check_smoke", seconds, "s", at_most=5, note=f"{record.cases} cases, {record.entries} numbers")


def check_default(progress: Progress) -> Figure:
    """`gradproof check` of the right NumPy example, default profile (at least 500 cases), kernels cached."""
    seconds, record = _warm_check("default", progress)
    return figure(
        "check_default",
        seconds,
        "s",
        at_most=30,
        provided=record.cases >= DEFAULT_CASES,
        note=f"{record.cases} cases, {record.entries} numbers",
    )


def first_verdict(progress: Progress) -> Figure:
    """The README's first set-up command without its downloads: new environment, installation, check, all cold."""
    require_checkout()
    with tempfile.TemporaryDirectory() as scratch:
        wheels, checkout = Path(scratch) / "wheels", Path(scratch) / "checkout"
        progress("collecting wheels (not timed)")
        collect = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheels)]
        run([*collect, *_build_requirements(), str(CHECKOUT)])
        shutil.copytree(CHECKOUT, checkout, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        command = setup_command("check")
        progress(command)
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_QUIET": "1"}
        before = os.times()
        seconds, _ = run(["bash", "-c", command], EXIT_CODES[Verdict.WRONG], checkout, offline)
        after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return figure("first_verdict", seconds, "s", at_most=20, note=f"{busy:.1f} s of processor time; nothing cached")


def _build_requirements() -> list[str]:
    with (CHECKOUT / "pyproject.toml").open("rb") as stream:
        requirements: list[str] = tomllib.load(stream)["build-system"]["requires"]
    return requirements


def test_suite(progress: Progress) -> Figure:
    """The README's command for tests, the whole suite, in this environment and with the kernels that it has cached."""
    require_checkout()
    command = setup_command("test").rpartition("&& ")[2].split()
    seconds, output = run([sys.executable, "-m", *command, "-p", "no:cacheprovider"])
    return figure("test_suite", seconds, "s", at_most=300, note=output.strip().splitlines()[-1].strip("= "))


FIGURES: Final[Mapping[str, Measure]] = {
    "first_verdict": first_verdict,
    "check_smoke": check_smoke,
    "check_default": check_default,
    "cli_help": cli_help,
    "test_suite": test_suite,
}

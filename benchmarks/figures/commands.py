"""How long the commands take that people type: from outside, process start and imports included."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.commands import CHECKOUT, gradproof_command, require_checkout, run
from benchmarks.figures.common import Measure, Progress, figure
from gradproof.record import CheckRecord, Figure, decode
from gradproof.verdict import EXIT_CODES, Verdict

RIGHT: Final = "examples/numpy_network.py:adapter"
WRONG: Final = "examples/numpy_network_wrong.py:adapter"
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
    """New virtual environment, installation without downloads, and check of the wrong example to its verdict, cold."""
    require_checkout()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        wheels, environment = folder / "wheels", folder / "environment"
        progress("collecting wheels (not timed)")
        run([sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheels), str(CHECKOUT)])
        scripts = environment / ("Scripts" if sys.platform == "win32" else "bin")
        progress("virtual environment, installation, check")
        made, _ = run([sys.executable, "-m", "venv", str(environment)])
        pip = [str(scripts / "python"), "-m", "pip", "install", "--quiet"]
        installed, _ = run([*pip, "--no-index", "--find-links", str(wheels), "gradproof"], folder=folder)
        check = gradproof_command("check", str(CHECKOUT / WRONG), scripts=scripts)
        checked, _ = run(check, expected=EXIT_CODES[Verdict.WRONG], folder=folder)
    return figure(
        "first_verdict",
        made + installed + checked,
        "s",
        at_most=20,
        note=f"virtual environment {made:.1f} s, installation {installed:.1f} s, check {checked:.1f} s; nothing cached",
    )


def test_suite(progress: Progress) -> Figure:
    """`pytest`, the whole suite as the README runs it, with every compiled kernel cached as it stands."""
    require_checkout()
    seconds, output = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"])
    return figure("test_suite", seconds, "s", at_most=300, note=output.strip().splitlines()[-1].strip("= "))


FIGURES: Final[Mapping[str, Measure]] = {
    "first_verdict": first_verdict,
    "check_smoke": check_smoke,
    "check_default": check_default,
    "cli_help": cli_help,
    "test_suite": test_suite,
}

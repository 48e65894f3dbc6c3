"""The pytest plugin: ``gradproof`` in somebody's own tests, and conformance runs of a target.

It is registered for every pytest in the environment, so it imports nothing of gradproof's rooms, and of gradproof no
more than ``import gradproof`` does, until a test or an option asks for it.

In a test, the fixture ``gradproof`` checks a target, and fails the test with the screen of ``gradproof check``::

    @pytest.mark.gradproof(profile="default", seed=7)
    def test_gradients(gradproof):
        gradproof.check(backprop)

Without a test, ``pytest --gradproof-target net.py:backprop`` makes a test item of each family of cases that the target
supports: ``gradproof::net.py:backprop::squared_error/sum-tanh-float32``. Such an id, or its first two parts, is also an
argument of pytest. Targets that the ini option ``gradproof_targets`` names run together with the project's tests.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gradproof.pytest_plugin.fixture import Checker

PREFIX = "gradproof::"
"""What ids of conformance items start with."""

PROFILES = ("smoke", "default", "thorough")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, each with the plugin's name in front."""
    group = parser.getgroup("gradproof", "gradproof: gradients proved right or wrong")
    group.addoption(
        "--gradproof-target",
        action="append",
        default=[],
        dest="gradproof_targets",
        metavar="TARGET",
        help="Check TARGET, path.py:name or package.module:name, one test item for each family of cases. "
        "May be given several times. No tests are collected besides, unless files are named.",
    )
    group.addoption(
        "--gradproof-profile",
        choices=PROFILES,
        default="smoke",
        help="How many cases all families of a target have together: 60, 500 or 5000; each at least 12.",
    )
    group.addoption("--gradproof-seed", type=int, default=0, help="Decides which cases are drawn.")
    group.addoption(
        "--gradproof-known-failures",
        metavar="FILE",
        help="Failures that are known, in TOML. Without it gradproof.toml in the root folder, where there is one.",
    )
    parser.addini("gradproof_targets", type="linelist", default=[], help="Targets to check with every run, one a line.")


def pytest_configure(config: pytest.Config) -> None:
    """The marker; and arguments that are ids of conformance items are no files."""
    config.addinivalue_line(
        "markers", "gradproof(profile='smoke', seed=0): how the fixture gradproof checks targets in this test."
    )
    ids = [argument for argument in config.args if argument.startswith(PREFIX)]
    named = [*config.option.gradproof_targets, *(argument.removeprefix(PREFIX) for argument in ids)]
    config.option.gradproof_targets = list(dict.fromkeys(named))
    if ids:
        config.args[:] = [argument for argument in config.args if argument not in ids]
    elif named and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args[:] = []


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Adds a collector for each target to those of the session."""
    report = yield
    if isinstance(collector, pytest.Session) and report.passed:
        config = collector.config
        targets = [*config.option.gradproof_targets, *config.getini("gradproof_targets")]
        if targets:
            from gradproof.pytest_plugin.conformance import collectors

            report.result = [*report.result, *collectors(collector, targets)]
    return report


@pytest.fixture
def gradproof(request: pytest.FixtureRequest) -> Checker:
    """Checks targets: ``gradproof.check(target)`` fails the test unless all gradients are proved correct."""
    from gradproof.pytest_plugin.fixture import Checker

    return Checker.of(request)


def known_failures_file(config: pytest.Config) -> Path | None:
    """The file of known failures: the one that is named, or the one in the root folder where it is there."""
    from gradproof.known import KNOWN_FAILURES_FILE

    named: str | None = config.option.gradproof_known_failures
    if named is not None:
        return Path(config.invocation_params.dir, named)
    file = config.rootpath / KNOWN_FAILURES_FILE
    return file if file.is_file() else None

"""Hypothesis profiles for the suite, and how its tests are shared out among workers.

``gate`` (the default) is the same on every run: it derives its examples from the tests, and never fails on time.
``campaign`` searches: many random examples, and it remembers failing ones in ``.hypothesis/``. Choose one with
``pytest --hypothesis-profile=campaign`` or the environment variable GRADPROOF_HYPOTHESIS_PROFILE.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

settings.register_profile(
    "gate",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "campaign",
    derandomize=False,
    database=DirectoryBasedExampleDatabase(Path(".hypothesis") / "examples"),
    deadline=None,
    max_examples=2000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("GRADPROOF_HYPOTHESIS_PROFILE", "gate"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where ``-n`` alone is given, a file's tests go to one worker.

    What they have in common (drawn cases, derivations, enclosures) is then computed once, not by each worker.
    """
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has no types

    return LoadFileScheduling(config, log) if config.getoption("dist") == "load" else None

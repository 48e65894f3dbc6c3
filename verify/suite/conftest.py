"""Hypothesis profiles for the suite, and nothing else.

``gate`` (the default) is the same on every run: it derives its examples from the tests, and never fails on time.
``campaign`` searches: many random examples, and it remembers failing ones in ``.hypothesis/``. Choose one with
``pytest --hypothesis-profile=campaign`` or the environment variable GRADPROOF_HYPOTHESIS_PROFILE.
"""

from __future__ import annotations

import os
from pathlib import Path

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

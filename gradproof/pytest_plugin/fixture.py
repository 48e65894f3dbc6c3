"""What the fixture ``gradproof`` gives to a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from gradproof.asserting import assert_correct

if TYPE_CHECKING:
    from gradproof.record import CheckRecord

SETTINGS = ("profile", "seed")


@dataclass(frozen=True)
class Checker:
    """Checks targets with the settings of a test's marker."""

    profile: str
    seed: int

    @classmethod
    def of(cls, request: pytest.FixtureRequest) -> Checker:
        """The settings of the closest marker over those of the command line."""
        options = request.config.option
        settings: dict[str, Any] = {"profile": options.gradproof_profile, "seed": options.gradproof_seed}
        marker = request.node.get_closest_marker("gradproof")
        if marker is not None:
            amiss = [*map(repr, marker.args), *(key for key in marker.kwargs if key not in SETTINGS)]
            if amiss:
                pytest.fail(
                    f"@pytest.mark.gradproof knows {', '.join(f'{key}=' for key in SETTINGS)} and nothing else, "
                    f"got {', '.join(amiss)}",
                    pytrace=False,
                )
            settings |= marker.kwargs
        return cls(**settings)

    def check(
        self, target: str | Callable[..., Any], *, profile: str | None = None, seed: int | None = None
    ) -> CheckRecord:
        """Fails the test, with the screen of ``gradproof check``, unless every case is correct; gives the record.

        target: the decorated object itself, or a text that names it. profile and seed: in place of the marker's.
        """
        __tracebackhide__ = True
        return assert_correct(
            target,
            profile=self.profile if profile is None else profile,
            seed=self.seed if seed is None else seed,
        )

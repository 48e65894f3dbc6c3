"""The figures of numerical differences, on small networks: they measure what they say, and no fault passes for met."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.figures import differences
from benchmarks.figures.certified import sigmoid_case
from verify import loss_differences
from verify.differences import Differences

CASE = sigmoid_case((6, 4, 2), 3)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    measures = {"whole": differences._whole, "directions": differences._directions}
    monkeypatch.setattr(differences, "_measured", lambda how, size, kind, progress: measures[how](CASE))
    monkeypatch.setattr(differences, "ROUNDS", 1)


def test_a_whole_gradient_is_timed_and_held_against_the_enclosure() -> None:
    found = differences._whole(CASE)
    assert found.parameters == 6 * 4 + 4 + 4 * 2 + 2
    assert found.contradicted == 0
    assert 0 < found.worst <= found.stated < 1e-6
    assert 0 < found.plain < 1e-6
    assert {"differences", "two losses"} <= set(found.seconds)
    assert differences.whole(print).met


def test_the_goal_is_not_met_by_wrong_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    right = loss_differences.difference_gradient

    def wrong(*given: Any, **options: Any) -> dict[str, Differences]:
        found = right(*given, **options)
        return {**found, "0.bias": Differences(found["0.bias"].value + 1e-3, *found["0.bias"].parts()[1:])}

    monkeypatch.setattr(loss_differences, "difference_gradient", wrong)
    assert differences._whole(CASE).contradicted == 4
    assert not differences.whole(print).met


def test_directions_are_timed_and_say_what_they_miss() -> None:
    found = differences._directions(CASE)
    assert not found.contradicted
    assert found.parameters == 6 * 4 + 4 + 4 * 2 + 2
    assert "with a probability of at most 1e-06" in differences.directional(print).note

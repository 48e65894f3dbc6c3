"""Of every kind: an answer that was read in a target's process fits the case, and a tampered one does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import Phase, given, settings

import gradproof
from verify.calling import Answer
from verify.loading import load
from verify.subjects import subject_of

EXAMPLES = Path(gradproof.__file__).parents[1] / "examples"
KINDS = ("numpy_network", "engines/tensor_engine", "operations/dense", "operations/softmax", "optimisers/numpy_adam")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_target_gives_fits_and_what_is_tampered_with_does_not(kind: str) -> None:
    implementation = load(f"{EXAMPLES / kind}.py:adapter")
    subject = subject_of(implementation.supports)
    tampered = 0

    @hypothesis.seed(0)
    @settings(max_examples=30, database=None, deadline=None, phases=[Phase.generate])
    @given(subject.strategy(implementation.supports))
    def tried(case: Any) -> None:
        nonlocal tampered
        answer = subject.call(implementation, case)
        assert isinstance(answer, Answer)
        given = dict(answer.quantities)
        assert subject.misfit(case, given) == ""
        assert "lacks" in subject.misfit(case, {})
        assert "not asked for" in subject.misfit(case, {**given, "junk": np.zeros(3)})
        name, array = next(iter(given.items()))
        assert "dtype" in subject.misfit(case, {**given, name: array.astype(complex)})
        if subject.kind != "graph":  # where a shape is part of what is judged
            assert "shape" in subject.misfit(case, {**given, name: array[np.newaxis]})
        tampered += 1

    tried()
    assert tampered >= 25

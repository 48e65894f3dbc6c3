"""The correct implementations know dropout: by a case's masks, and not at all without."""

from __future__ import annotations

import pytest

from benchmarks.implementations import implementation, installed
from gradproof import Activation, Branches, Dense, Dropout, Loss, Network, Residual, Verdict
from verify.judge import judge
from verify.strategies import seeded_case

BODY = (Dense(3), Activation("tanh"), Dropout(0.3))
NETWORK = Network(
    (3,),
    (Dropout(0.1), Residual(BODY), Branches((BODY, (Dropout(0.5),)), "sum"), Dense(2)),
    Loss("squared_error", "sum"),
)


@pytest.mark.parametrize("name", installed())
def test_masks_drop_what_they_should(name: str) -> None:
    answer = implementation(name)
    for dtype in ("float64", "float32"):
        case = seeded_case(NETWORK, 3, seed=2, dtype=dtype)
        assert judge(case, answer(case)).verdict is Verdict.CORRECT
    evaluated = case.replace(masks={})
    assert judge(evaluated, answer(evaluated)).verdict is Verdict.CORRECT
    assert judge(case, answer(evaluated)).verdict is Verdict.WRONG

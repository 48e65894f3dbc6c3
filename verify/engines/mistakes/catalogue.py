"""Every mistake that is known by name, and the candidates that an engine could make."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from gradproof.engines import EngineSupports
from verify.engines.mistakes.arithmetic import arithmetic, powers
from verify.engines.mistakes.forms import (
    ALL,
    PAIRS,
    PLAIN,
    nothing,
    times,
    without_delta,
)
from verify.engines.mistakes.functions import functions
from verify.engines.mistakes.kinks import kinks
from verify.engines.mistakes.mistake import Candidate, OperatorMistake
from verify.engines.mistakes.passes import ALTERED, STYLES, structural
from verify.engines.mistakes.shaping import broadcasting, matrices, shaping
from verify.engines.mistakes.twice import twice


def general() -> Iterator[OperatorMistake]:
    """What can go wrong in any operator: nothing comes back, or what comes back is left out, or has the wrong sign."""
    for words, forms in (*ALL.items(), *PLAIN.items()):
        yield OperatorMistake(
            f"no backward for {words}",
            f"{words} passes no gradient on",
            f"pass on the gradient of {words}",
            forms,
            nothing,
        )
        yield OperatorMistake(
            f"upstream gradient missing in {words}",
            f"going back through {words}, the gradient of its result is left out: the local derivative alone is passed",
            "multiply the local derivative by out.grad",
            forms,
            without_delta,
        )
    for words, forms in PAIRS.items():
        for factors, which, what in (
            ((1, None), "second", "no gradient"),
            ((None, 1), "first", "no gradient"),
            ((1, -1), "second", "the wrong sign"),
            ((-1, 1), "first", "the wrong sign"),
        ):
            wrong = "gets no gradient" if what == "no gradient" else "gets its gradient with the wrong sign"
            yield OperatorMistake(
                f"{what} for the {which} operand of {words}",
                f"the {which} operand of {words} {wrong}",
                f"give the {which} operand its own gradient" if what == "no gradient" else "change that sign",
                forms,
                times(factors),
            )


@lru_cache(maxsize=1)
def operator_mistakes() -> tuple[OperatorMistake, ...]:
    """Every mistake in one operator, the plainest first."""
    parts = (arithmetic, powers, matrices, shaping, functions, general, broadcasting, kinks, twice)
    return tuple(mistake for part in parts for mistake in part())


def candidates(supports: EngineSupports) -> tuple[Candidate, ...]:
    """Every mistake that an engine of this declaration could make, in every style in which it shows."""
    declared = {"**" if word == "x**y" else word for word in supports.operators if word != "**"}
    of_operators = [
        Candidate(mistake.name, mistake.words, mistake.mend, (mistake,), style)
        for mistake in operator_mistakes()
        if not mistake.together or sum(name in declared for name in mistake.together) > 1
        for style in (STYLES if ALTERED & set(mistake.forms) else STYLES[:1])
    ]
    return (*of_operators, *structural(supports))

"""Gradescope's ``results.json``: a test of one point for each family of cases."""

from __future__ import annotations

import json

from gradproof.record import CheckRecord
from reports.families import family_tests
from reports.plain import headline

WIDTH = 80
"""Characters in a line of a failure's text."""


def gradescope(record: CheckRecord) -> str:
    """A check as Gradescope's autograders write it: what passes scores, what is known to fail scores too.

    A family of which no case was drawn is left out. Raises RecordError or ArgumentError where a case in the record is
    damaged.
    """
    tests = [
        {
            "name": test.name,
            "score": float(scores),
            "max_score": 1.0,
            "status": "passed" if scores else "failed",
            "output": f"{test.message}\n\n{test.text}".strip(),
            "output_format": "text",
            "visibility": "visible",
        }
        for test in family_tests(record, WIDTH)
        if test.outcome != "not run"
        for scores in (test.outcome in ("passed", "known"),)
    ]
    results = {
        "output": headline(record),
        "output_format": "text",
        "execution_time": round(record.seconds),
        "tests": tests,
    }
    return json.dumps(results, indent=2, ensure_ascii=False) + "\n"

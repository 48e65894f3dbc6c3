"""JUnit's XML, as CI systems read it: a test suite for the target, a test case for each family of cases."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree as Xml

from gradproof.record import CheckRecord
from reports.families import FamilyTest, family_tests
from reports.plain import headline
from reports.text import line

WIDTH = 100
"""Characters in a line of a failure's text."""


def junit(record: CheckRecord) -> str:
    """A check as JUnit's XML. What is known to fail is skipped, with its reason; a crash is an error.

    Raises RecordError or ArgumentError where a case in the record is damaged.
    """
    tests = list(family_tests(record, WIDTH))
    outcomes = Counter(test.outcome for test in tests)
    totals: dict[str, str] = {
        "tests": str(len(tests)),
        "failures": str(outcomes["failed"]),
        "errors": str(outcomes["broken"]),
        "skipped": str(outcomes["known"] + outcomes["not run"]),
        "time": f"{record.seconds:.3f}",
    }
    suites = Xml.Element("testsuites", {"name": "gradproof", **totals})
    about = {"name": f"gradproof {line(record.target)}", **totals, "timestamp": line(record.started)}
    suite = Xml.SubElement(suites, "testsuite", about)
    properties = Xml.SubElement(suite, "properties")
    facts = {
        "verdict": headline(record),
        "profile": line(record.profile),
        "seed": str(record.seed),
        "gradproof": line(record.gradproof),
    }
    for name, value in facts.items():
        Xml.SubElement(properties, "property", name=name, value=value)
    for test in tests:
        _case(suite, test, record)
    Xml.indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{Xml.tostring(suites, encoding="unicode")}\n'


def _case(suite: Xml.Element, test: FamilyTest, record: CheckRecord) -> None:
    case = Xml.SubElement(suite, "testcase", classname=line(record.target), name=test.name)
    if test.outcome in ("known", "not run"):
        Xml.SubElement(case, "skipped", message=test.message)
    elif test.outcome != "passed":
        kind = "failure" if test.outcome == "failed" else "error"
        Xml.SubElement(case, kind, message=test.message, type=test.verdict).text = test.text or test.message

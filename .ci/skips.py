"""Fails where a test was skipped that ``allowed_skips.toml`` does not list, or where a listed one was not skipped.

python3 .ci/skips.py JUNIT_XML ALLOWED_SKIPS_TOML

A test that is expected to fail counts as skipped: neither proves anything.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree


def skipped_tests(junit: Path) -> dict[str, str]:
    """Test (``package.module.Class::function``, parameters aside) → pytest's reason, for each that was skipped."""
    tree = ElementTree.parse(junit)  # noqa: S314 (pytest wrote it a moment ago)
    found: dict[str, str] = {}
    for case in tree.iter("testcase"):
        skip = case.find("skipped")
        if skip is not None:
            name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
            found[name.partition("[")[0]] = skip.get("message", "")
    return found


def allowed_skips(path: Path) -> dict[str, str]:
    """Test → reason, as listed. Raises ValueError for an entry without a reason."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("skip", [])
    for entry in entries:
        if set(entry) != {"test", "reason"} or not all(entry.values()):
            raise ValueError(f"{path}: expected a test and a reason in each [[skip]], got {entry}")
    return {entry["test"]: entry["reason"] for entry in entries}


def main(junit: Path, allowed: Path) -> int:
    """0 where both agree; else 1, with a line for each difference."""
    skipped, listed = skipped_tests(junit), allowed_skips(allowed)
    problems = [f"skipped, and not listed: {test} ({reason})" for test, reason in skipped.items() if test not in listed]
    problems += [f"listed, and not skipped: {test}" for test in listed if test not in skipped]
    for problem in problems:
        print(f"{allowed}: {problem}", file=sys.stderr)
    print(f"{len(skipped)} kinds of test skipped, {len(listed)} listed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

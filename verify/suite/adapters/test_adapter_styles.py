"""Every style's adapter runs as it is, finds its network right, and needs as few lines as the table says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from asking import assessments, verdicts  # type: ignore[import-not-found,unused-ignore]

from gradproof import Verdict
from verify.loading import load

STYLES = Path(__file__).resolve().parents[3] / "examples" / "styles"
NEEDS = {
    "array_library": "torch",
    "autograd_function": "autograd",
    "jax": "jax",
    "sklearn": "sklearn",
    "torch": "torch",
}
"""The beginning of a style's name → the module without which it cannot run."""
FEW = {"jax": 3, "sklearn": 6}
CASES = 12
DESCENDS_ANOTHER = "sklearn_regressor"
"""scikit-learn's regressor prints the mean over all outputs, and descends the mean over the samples."""


def lines() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_styles_lines", STYLES / "lines.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NAMES = [path.stem for path in lines().styles()]


@pytest.mark.parametrize("name", NAMES)
def test_the_adapter_of_each_style_runs_and_finds_its_network_right(name: str) -> None:
    for start, module in NEEDS.items():
        if name.startswith(start):
            pytest.importorskip(module)
    implementation = load(f"{STYLES / name}.py:adapter")
    count = next((few for start, few in FEW.items() if name.startswith(start)), CASES)
    if name == DESCENDS_ANOTHER:
        for case, one in assessments(implementation, CASES):
            wrong = {finding.quantity for finding in one.verdict.findings}
            assert wrong == ({"loss"} if case.stack.widths[-1] > 1 else set())
    else:
        assert set(verdicts(implementation, count)) == {Verdict.CORRECT}


def test_the_table_counts_the_lines_as_they_are() -> None:
    module = lines()
    assert f"{module.BEGIN}\n{module.table()}\n{module.END}" in (STYLES / "README.md").read_text(encoding="utf-8")
    assert all(5 <= module.lines_needed(path) <= 12 for path in module.styles())


def test_a_line_counts_once_and_docstrings_and_blanks_do_not(tmp_path: Path) -> None:
    file = tmp_path / "style.py"
    file.write_text('"""One\n\nmore."""\n\nimport os; import sys\n\n@print(\n    1\n)\ndef f():\n    return 2\n')
    assert lines().lines_needed(file) == 6
